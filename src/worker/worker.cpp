#include "core/lifecycle.hpp"
#include "core/schedule.hpp"
#include "pg/clock.hpp"
#include "pg/memory.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "worker/migration_runner.hpp"
#include "worker/processes.hpp"

namespace bbm {

namespace {

// A worker sleeps through a shorter rest; before a longer one it leaves, and the scheduler starts another in time. One
// that somebody waits for stays.
constexpr Micros kShortRest = 2'000'000;

// What a caller of bbm.finalize() cannot do for itself: his transaction is still open, so nobody would see it.
void mark_finalizing(std::int64_t id) {
    pg::in_transaction(pg::Durability::durable, [&] {
        const auto migration = store::lock_migration(id, pg::current_arena());
        if (!migration)
            return;
        const Step step = apply(migration->status, MigrationEvent::finalize);
        if (step.kind != Step::Kind::moves)
            return;
        store::change_status(*migration, MigrationEvent::finalize, step.to, {});
        store::put_back_failed(id, "finalize");
        pg::start_scheduler_at_commit(); // wakes a worker that rests, and goes on if this process ends
    });
}

} // namespace

void run_worker() {
    const pg::WorkerOrder order = pg::my_order();
    pg::enter_worker(order);
    pg::make_context("bbm worker").enter();
    pg::hold_cancel();
    if (order.errand == pg::Errand::finalize)
        mark_finalizing(order.migration);
    const Session session = {pg::Cancel::ignored, pg::Scope::session, order.errand == pg::Errand::finalize, kNever};
    for (;;) {
        const Run run = run_migration(order.migration, session);
        const bool rests = run.outcome == Run::Outcome::resting;
        const bool is_short = run.until - pg::now() <= kShortRest || order.errand == pg::Errand::finalize;
        if (!rests || !is_short)
            pg::leave();
        pg::rest_until(run.until, session.cancel);
    }
}

} // namespace bbm
