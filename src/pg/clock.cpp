#include "pg/clock.hpp"

#include "pg/memory.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "miscadmin.h"
#include "common/pg_prng.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"
#if PG_VERSION_NUM >= 170000
#include "utils/wait_event.h"
#endif
}

namespace bbm::pg {

namespace {

// A latch wait is told its length in an int of milliseconds; a longer sleep just wakes once in between.
constexpr Micros kLongestNap = 3600LL * 1000 * 1000;
// Whoever sets the latch can wait that long; longer rests he ends.
constexpr Micros kWholeRest = 1'000'000;

uint32 wait_event() {
#if PG_VERSION_NUM >= 170000
    static uint32 registered = 0;
    if (registered == 0)
        registered = WaitEventExtensionNew("BbmRest");
    return registered;
#else
    return PG_WAIT_EXTENSION;
#endif
}

bool statement_timer_runs = false;

} // namespace

Micros now() { return GetCurrentTimestamp(); }

Micros stopwatch() {
    instr_time time;
    INSTR_TIME_SET_CURRENT(time);
    return static_cast<Micros>(INSTR_TIME_GET_MICROSEC(time));
}

double jitter() { return pg_prng_double(&pg_global_prng_state); }

void sleep_until(Micros deadline, Cancel cancel) {
    check_signals(cancel);
    const Micros rest = std::min(deadline - now(), kLongestNap);
    if (rest <= 0)
        return;
    // Rounded up: waking a little late beats waking a little early and sleeping again.
    const long milliseconds = static_cast<long>((rest + 999) / 1000);
    (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, wait_event());
    ResetLatch(MyLatch);
    check_signals(cancel);
}

void rest_until(Micros deadline, Cancel cancel) {
    do
        sleep_until(deadline, cancel);
    while (deadline - now() <= kWholeRest && now() < deadline);
}

void nap(Micros time) { pg_usleep(static_cast<long>(time)); }

void check_signals(Cancel cancel) {
    const bool was_held = QueryCancelHoldoffCount > 0;
    if (cancel == Cancel::ignored)
        QueryCancelPending = false; // meant for a statement that is over
    else
        release_cancel();
    CHECK_FOR_INTERRUPTS();
    if (was_held)
        hold_cancel();
    // A client's session re-reads its configuration by itself between statements.
    if (cancel == Cancel::ignored && ConfigReloadPending) {
        ConfigReloadPending = false;
        ProcessConfigFile(PGC_SIGHUP);
    }
}

void hold_cancel() {
    if (QueryCancelHoldoffCount == 0)
        HOLD_CANCEL_INTERRUPTS();
}

// Tolerant, because an ERROR resets the count on its way to the catch.
void release_cancel() {
    if (QueryCancelHoldoffCount > 0)
        RESUME_CANCEL_INTERRUPTS();
}

void start_statement_timer(Micros limit) {
    if (limit <= 0)
        return;
    enable_timeout_after(STATEMENT_TIMEOUT, static_cast<int>(limit / 1000));
    statement_timer_runs = true;
}

void stop_statement_timer() {
    if (!statement_timer_runs)
        return;
    statement_timer_runs = false;
    disable_timeout(STATEMENT_TIMEOUT, false);
}

void show_activity(Text running) { pgstat_report_activity(STATE_RUNNING, c_string(running)); }
void forget_statistics() { pgstat_clear_snapshot(); }
void show_idle() { pgstat_report_activity(STATE_IDLE, nullptr); }

} // namespace bbm::pg
