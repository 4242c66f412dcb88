#include "worker/job_runner.hpp"

#include "core/lifecycle.hpp"
#include "pg/attempt.hpp"
#include "pg/clock.hpp"
#include "pg/locks.hpp"
#include "pg/settings.hpp"
#include "pg/window.hpp"
#include "worker/health_watch.hpp"
#include "worker/job_end.hpp"
#include "worker/rooms.hpp"
#include "worker/set_aside.hpp"

#include <algorithm>

namespace bbm {

namespace {

// The pause, whole: a wake-up in between asks whether there is still something to wait for, and how long.
bool rest(JobRun &run) {
    const Micros start = pg::now();
    for (;;) {
        const Micros deadline = std::min(start + run.pace.pause, run.session->deadline);
        if (pg::now() >= deadline)
            return true;
        pg::sleep_until(deadline, run.session->cancel);
        if (pg::now() < deadline && !still_runnable(run))
            return false;
    }
}

// True if the walk goes on after the error. Where the job stands lives in the memory of the turn that moved it.
bool survives(JobRun &run, const Failure &failure, const Tried &tried, Arena arena) {
    const int set_aside = run.rows_set_aside;
    if (!narrow_down(run, failure, tried, arena))
        return false;
    if (run.rows_set_aside == set_aside)
        same_turn_again();
    return true;
}

void learn(JobRun &run, const SubBatch &sub_batch) {
    if (run.bisection.is_active())
        run.bisection = after_good_part(run.bisection);
    else if (sub_batch.keys > 0)
        run.size = next_sub_batch_size(run.size, {sub_batch.keys, sub_batch.step.work}, run.pace,
                                       pg::settings().target_sub_batch_time());
}

// What keeps the next sub-batch from being started, if anything. A hold by an indicator is waited for with the job in
// hand: it may last for a second, again and again.
std::optional<JobEnd> obstacle(JobRun &run) {
    if (const auto stop = look_at_health(*run.session, *run.migration, *run.part)) {
        const Micros began = pg::stopwatch();
        if (!wait_on_hold(*run.session, *run.migration, *run.part, *stop))
            return JobEnd{JobEnd::Kind::gives_way};
        run.started += pg::stopwatch() - began; // no work, and nothing for the optimizer
    }
    if (pg::now() >= run.session->deadline)
        return JobEnd{JobEnd::Kind::out_of_time};
    if (!pg::settings().enabled)
        return JobEnd{JobEnd::Kind::stopped};
    return std::nullopt;
}

// Sub-batches until the range is done, or somebody or something stops them.
JobEnd walk_job(JobRun &run, Failure &failure, Tried &tried) {
    using Kind = JobEnd::Kind;
    for (;;) {
        if (const auto end = obstacle(run))
            return *end;
        const Arena arena = next_turn();
        SubBatch sub_batch;
        tried = {};
        const auto error = pg::attempt(arena, [&] {
            pg::check_signals(run.session->cancel);
            sub_batch = run_sub_batch(run, tried, arena);
        });
        if (error && can_be_narrowed_down(run, *error, tried)) {
            // The abort has freed it. Whoever has it now looks at the job; it is given back, if it is still ours.
            if (!pg::try_lock(pg::LockClass::job, run.job.id))
                return {Kind::stopped};
            if (survives(run, *error, tried, arena))
                continue;
        }
        if (error) {
            failure = *error;
            return {Kind::failed};
        }
        if (sub_batch.result == SubBatch::Result::stopped)
            return {Kind::stopped};
        if (sub_batch.result == SubBatch::Result::changed)
            return {Kind::changed};
        learn(run, sub_batch);
        if (sub_batch.result == SubBatch::Result::done || sub_batch.is_last)
            return {Kind::done};
        if (sub_batch.step.rows_affected > 0 && !run.session->skips_delays && !rest(run))
            return {Kind::stopped};
    }
}

} // namespace

JobEnd run_job(const Session &session, Migration &migration, const Part &part, const Job &job) {
    JobRun run = {&session,       &migration,     &part, job, {job.sub_batch_size, migration.pace.row_cost_us},
                  migration.pace, pg::stopwatch()};
    Failure failure;
    Tried tried;
    pg::close_window();                        // of another job
    if (session.cancel == pg::Cancel::ignored) // a client's session shows the CALL
        pg::show_activity(migration.statement);
    pg::close_window(); // of another job, which ended in an error
    const JobEnd end = walk_job(run, failure, tried);
    pg::close_window();
    switch (end.kind) {
    case JobEnd::Kind::done:
        succeed(run);
        break;
    case JobEnd::Kind::stopped:
        give_back(run, pg::settings().enabled ? "stopped" : "bbm.enabled is off");
        break;
    case JobEnd::Kind::out_of_time:
        give_back(run, "max_time is over");
        break;
    case JobEnd::Kind::changed:
        give_back(run, "its table was changed");
        break;
    case JobEnd::Kind::gives_way:
        give_back(run, "gives way after a hold");
        break;
    case JobEnd::Kind::failed:
        pg::unlock(pg::LockClass::job, job.id); // before an error may fly; from here on the epoch is fence enough
        end_failed(run, failure, tried.range);
        break;
    }
    migration.pace.row_cost_us = run.size.row_cost_us;
    pg::unlock(pg::LockClass::job, job.id);
    return end;
}

} // namespace bbm
