#include "worker/job_end.hpp"

#include "core/lifecycle.hpp"
#include "core/optimizer.hpp"
#include "core/retry.hpp"
#include "pg/clock.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"

namespace bbm {

namespace {

Micros elapsed(const JobRun &run) { return pg::stopwatch() - run.started; }

void log_long_job(const JobRun &run) {
    const Micros duration = elapsed(run);
    const int limit = pg::settings().log_min_duration_ms;
    if (limit < 0 || duration < limit * Micros{1000})
        return;
    pg::report(pg::Level::log,
               pg::format("job %lld of migration %lld finished in %.3f ms", static_cast<long long>(run.job.id),
                          static_cast<long long>(run.job.migration_id), static_cast<double>(duration) / 1000.0));
}

// One line a failed job; the whole error stands in bbm.failures.
void log_failure(const JobRun &run, const Failure &failure) {
    pg::report(pg::Level::log,
               pg::format("job %lld of migration %lld failed: %s", static_cast<long long>(run.job.id),
                          static_cast<long long>(run.job.migration_id), failure.message.data()),
               pg::format("SQLSTATE %s, attempt %d.", failure.sqlstate.data(), run.job.attempts));
}

// One of several things; the job has ended as failed already.
void follow_decision(const JobRun &run, const Migration &migration, const Failure &failure,
                     const RetryDecision &decision) {
    if (decision.action == RetryDecision::Action::fail_migration &&
        apply(migration.status, MigrationEvent::fail).kind == Step::Kind::moves)
        store::change_status(migration, MigrationEvent::fail, MigrationStatus::failed, {{}, &failure, run.job.id});
    const Micros until = pg::now() + decision.delay;
    if (decision.action == RetryDecision::Action::hold_migration && migration.status == MigrationStatus::active &&
        migration.on_hold_until < until) { // a person's hold may be longer
        store::set_hold(migration.id, until, failure.message);
        store::record_event(migration, "hold", {{}, &failure, run.job.id}, name(migration.status));
    }
}

bool is_tried_again(RetryDecision::Action action) {
    using Action = RetryDecision::Action;
    return action == Action::retry_job || action == Action::split_job || action == Action::hold_migration;
}

void fail(const JobRun &run, const Failure &failure, Range tried) {
    log_failure(run, failure);
    const RetryDecision decision = after_failure({failure.sqlstate, run.job.attempts, run.job.batch_size, run.size.keys,
                                                  run.pace.sub_batch_size, run.migration->pace.batch_size},
                                                 pg::jitter());
    keep_books(*run.session, pg::Durability::durable, [&] {
        const auto migration = store::lock_migration(run.job.migration_id, pg::current_arena());
        store::Ending ending = {.event = JobEvent::fail,
                                .failure = &failure,
                                .met_in = tried,
                                .sub_batch_size = decision.sub_batch_size,
                                .elapsed = elapsed(run),
                                .wants_split = decision.action == RetryDecision::Action::split_job};
        const bool is_held = decision.action == RetryDecision::Action::hold_migration && migration &&
                             migration->status == MigrationStatus::active; // the hold is the delay then
        if (is_tried_again(decision.action))
            ending.retry_at = pg::now() + (is_held ? 0 : decision.delay);
        if (migration && store::end_job(run.job, ending))
            follow_decision(run, *migration, failure, decision);
    });
}

// After every job that succeeded. The user's own CALL counts as well: it shows what the work costs.
void optimize_batch_size(const Migration &migration) {
    if (!pg::settings().optimize_batches || has_fixed_size(migration.pace))
        return;
    if (!store::next_uncut_part(migration.id, pg::current_arena())) // no job will take another size
        return;
    const auto &samples = store::newest_samples(migration.id, pg::current_arena());
    const auto change = next_batch_size(migration.pace, {samples.data(), samples.size()});
    if (!change)
        return;
    store::set_batch_size(migration.id, change->size);
    const Text reason =
        pg::format("batch size %d -> %d, efficiency %.2f", migration.pace.batch_size, change->size, change->efficiency);
    const Text data = pg::format("{\"old\": %d, \"new\": %d, \"efficiency\": %.2f}", migration.pace.batch_size,
                                 change->size, change->efficiency);
    store::record_event(migration, "optimize", {.reason = reason, .data = data}, name(migration.status));
}

} // namespace

bool still_runnable(JobRun &run) {
    bool runnable = false;
    keep_books(*run.session, pg::Durability::relaxed, [&] {
        const auto control = store::load_control(run.job, pg::current_arena());
        if (control)
            follow(run, *control);
        runnable = control && control->is_mine && is_runnable(control->status) && pg::settings().enabled;
    });
    return runnable;
}

void succeed(const JobRun &run) {
    keep_books(*run.session, pg::Durability::relaxed, [&] { // the claim that follows is durable, and carries it
        const auto migration = store::lock_migration(run.job.migration_id, pg::current_arena());
        if (!migration || !store::end_job(run.job, {.event = JobEvent::succeed, .elapsed = elapsed(run)}))
            return;
        store::add_to_migration(run.job, run.size.row_cost_us);
        optimize_batch_size(*migration);
    });
    log_long_job(run);
}

void give_back(const JobRun &run, Text reason) {
    keep_books(*run.session, pg::Durability::durable, [&] {
        if (store::lock_migration(run.job.migration_id, pg::current_arena())) // before the job, as everywhere
            store::end_job(run.job, {.event = JobEvent::give_back, .reason = reason, .elapsed = elapsed(run)});
    });
}

// A cancelled statement of a migration that was paused is no failure, and in a client's session it is the client's
// wish.
void end_failed(JobRun &run, const Failure &failure, Range tried) {
    const bool is_cancel = failure.sqlstate == kQueryCanceled;
    const bool runnable = still_runnable(run);
    if (!runnable || (is_cancel && run.session->cancel == pg::Cancel::raises)) {
        give_back(run, "cancelled");
        if (runnable)
            pg::raise(failure);
        return;
    }
    fail(run, failure, tried);
}

} // namespace bbm
