#include "worker/job_end.hpp"

#include "core/lifecycle.hpp"
#include "core/retry.hpp"
#include "pg/clock.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"

namespace bbm {

namespace {

void log_long_job(const JobRun &run, Micros duration) {
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

void fail(const JobRun &run, const Failure &failure, Range tried) {
    log_failure(run, failure);
    const RetryDecision decision = after_failure(failure.sqlstate, run.job.attempts, pg::jitter());
    keep_books(*run.session, pg::Durability::durable, [&] {
        const auto migration = store::lock_migration(run.job.migration_id, pg::current_arena());
        store::Ending ending = {.event = JobEvent::fail,
                                .failure = &failure,
                                .met_in = tried,
                                .sub_batch_size = sub_batch_size_after(failure.sqlstate, run.size.keys)};
        if (decision.action == RetryDecision::Action::retry_job)
            ending.retry_at = pg::now() + decision.delay;
        if (!migration || !store::end_job(run.job, ending) || decision.action != RetryDecision::Action::fail_migration)
            return;
        if (apply(migration->status, MigrationEvent::fail).kind == Step::Kind::moves)
            store::change_status(*migration, MigrationEvent::fail, MigrationStatus::failed, {{}, &failure, run.job.id});
    });
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

void succeed(const JobRun &run, Micros duration) {
    keep_books(*run.session, pg::Durability::relaxed, [&] { // the claim that follows is durable, and carries it
        if (store::lock_migration(run.job.migration_id, pg::current_arena()) &&
            store::end_job(run.job, {.event = JobEvent::succeed}))
            store::add_to_migration(run.job, run.size.row_cost_us);
    });
    log_long_job(run, duration);
}

void give_back(const JobRun &run, Text reason) {
    keep_books(*run.session, pg::Durability::durable, [&] {
        if (store::lock_migration(run.job.migration_id, pg::current_arena())) // before the job, as everywhere
            store::end_job(run.job, {.event = JobEvent::give_back, .reason = reason});
    });
}

// A cancelled statement of a migration that was paused is no failure, and in a client's session it is the client's
// wish.
void end_failed(JobRun &run, const Failure &failure, Range tried) {
    const bool is_cancel = failure.sqlstate == "57014";
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
