#include "core/schedule.hpp"
#include "pg/clock.hpp"
#include "pg/due.hpp"
#include "pg/settings.hpp"
#include "pg/workers.hpp"
#include "worker/processes.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Without a free slot for a background worker; slots are freed by others, who tell nobody.
constexpr Micros kNoSlotRetry = 1'000'000;
// Between two starts, so that a server with many databases does not have all its slots taken at once.
constexpr Micros kBetweenStarts = 20'000;

// The next time to look.
Micros start_one_due() {
    const std::uint32_t database = pg::take_due(pg::now());
    if (database == 0)
        return pg::earliest_due();
    if (pg::start_scheduler(database))
        return pg::now() + kBetweenStarts;
    (void)pg::set_due(database, pg::now() + kNoSlotRetry);
    return pg::now() + kNoSlotRetry;
}

} // namespace

void run_launcher() {
    pg::enter_launcher();
    pg::become_launcher();
    bool was_enabled = false;
    for (;;) {
        // After a start of the server nobody knows which databases have work; the same when bbm is switched on again.
        const bool is_enabled = pg::settings().enabled && pg::settings().max_workers > 0;
        if (is_enabled && !was_enabled)
            pg::set_all_due();
        was_enabled = is_enabled;
        const Micros next = was_enabled ? start_one_due() : kNever;
        pg::sleep_until(next, pg::Cancel::ignored);
    }
}

} // namespace bbm
