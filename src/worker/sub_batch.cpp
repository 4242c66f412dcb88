#include "worker/sub_batch.hpp"

#include "core/lifecycle.hpp"
#include "pg/key_query.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "store/jobs.hpp"

namespace bbm {

namespace {

pg::Lower lower_bound(const Job &job) {
    if (job.cursor.empty())
        return {LowerBound::inclusive, job.range.min};
    return {LowerBound::exclusive, job.cursor};
}

// Cancel requests are let through here and nowhere else in a worker: they never hit bookkeeping.
Counters run_timed(const Session &session, Range range) {
    const bool in_worker = session.cancel == pg::Cancel::ignored;
    if (in_worker) {
        pg::start_statement_timer(pg::settings().sub_batch_timeout());
        pg::release_cancel();
    }
    const Micros start = pg::stopwatch();
    const std::int64_t rows = pg::run_command(range);
    const Micros work = pg::stopwatch() - start;
    if (in_worker) {
        pg::hold_cancel();
        pg::stop_statement_timer();
    }
    return {rows, 1, work, work};
}

void raise_taken_over() {
    pg::raise(Refusal{"40001", "the job was taken over by another process", {}, {}});
}

// The first after a claim is durable, so that a crash right after it is not held against the job; the last so that what
// follows may rely on it. In between a crash loses data and cursor together.
pg::Durability durability(const JobRun &run, bool is_last) {
    return !run.is_proven || is_last ? pg::Durability::durable : pg::Durability::relaxed;
}

SubBatch end_without_work(SubBatch::Result result) {
    pg::commit_transaction(pg::Durability::relaxed); // has written nothing
    return {.result = result};
}

} // namespace

SubBatch run_sub_batch(JobRun &run, Range &tried, Arena arena) {
    begin_as_owner(*run.session, *run.migration);
    const auto control = store::load_control(run.job, arena);
    if (!control || !control->is_mine || !is_runnable(control->status))
        return end_without_work(SubBatch::Result::stopped);
    run.pace = control->pace;
    if (control->status == MigrationStatus::finalizing)
        run.pace.pause = 0;
    const auto next = pg::find_next_range(lower_bound(run.job), run.job.range.max, run.size.keys, arena);
    if (!next)
        return end_without_work(SubBatch::Result::done);
    tried = next->range;
    const Counters step = run_timed(*run.session, next->range);
    Job moved = run.job;
    moved.cursor = next->range.max;
    moved.sub_batch_size = run.size.keys;
    if (!store::advance_job(moved, step))
        raise_taken_over();
    pg::commit_transaction(durability(run, next->is_last));
    run.job = moved;
    run.is_proven = true;
    return {SubBatch::Result::stepped, step, next->is_full, next->is_last};
}

} // namespace bbm
