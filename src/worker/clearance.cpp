#include "worker/clearance.hpp"

#include "pg/clock.hpp"
#include "pg/horizon.hpp"
#include "worker/aim.hpp"

namespace bbm {

namespace {

// Another worker's slice takes one to four milliseconds.
constexpr Micros kLongestWait = 6'000;
constexpr Micros kNap = 100;

bool is_cleared_within(Micros limit, std::uint32_t transaction) {
    const Micros start = pg::stopwatch();
    while (!pg::is_behind_horizon(transaction)) {
        if (pg::stopwatch() - start >= limit)
            return false;
        pg::nap(kNap);
    }
    return true;
}

} // namespace

void await_clearance(JobRun &run) {
    Patience &patience = patience_of_aim();
    const Window &window = run.job.at.window;
    if (run.slices.of_pass < 2 || !window.is_open() || !waits(patience))
        return;
    if (const auto transaction = to_be_cleared(run.log, window.pass, run.slices.of_pass))
        note_wait(patience, is_cleared_within(kLongestWait, transaction));
}

} // namespace bbm
