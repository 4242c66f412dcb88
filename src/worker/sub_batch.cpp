#include "worker/sub_batch.hpp"

#include "core/lifecycle.hpp"
#include "core/window.hpp"
#include "pg/horizon.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/row_counts.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/window.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "worker/aim.hpp"
#include "worker/clearance.hpp"
#include "worker/stride_choice.hpp"

#include <algorithm>

namespace bbm {

namespace {

// A client has his own statement_timeout. A sweep reads all of the table, and locks what little it finds.
bool has_time_limit(const JobRun &run) {
    return run.session->cancel == pg::Cancel::ignored && run.part->walk != Walk::sweep;
}

template <class Command> Counters run_timed(const JobRun &run, Command command) {
    if (has_time_limit(run))
        pg::start_statement_timer(pg::settings().sub_batch_timeout());
    const Micros start = pg::stopwatch();
    const std::int64_t rows = command();
    const Micros work = pg::stopwatch() - start;
    pg::stop_statement_timer();
    return {rows, 1, work, work};
}

void raise_taken_over() { pg::raise(Refusal{"40001", "the job was taken over by another process", {}, {}}); }

// The first after a claim is durable, so that a crash right after it is not held against the job. After it a crash
// loses data and cursor together; the claim that follows the last one is durable, and carries it.
pg::Durability durability(const JobRun &run) {
    const bool may_be_lost = run.is_proven && !pg::settings().synchronous_commit;
    return may_be_lost ? pg::Durability::relaxed : pg::Durability::durable;
}

SubBatch end_without_work(SubBatch::Result result) {
    pg::commit_transaction(pg::Durability::relaxed); // has written nothing
    return {.result = result};
}

bool may_work(const store::Control &control) {
    return is_runnable(control.status) &&
           (control.on_hold_until <= pg::now() || control.status == MigrationStatus::finalizing);
}

void add(Counters &sum, const Counters &step) {
    sum.rows_affected += step.rows_affected;
    sum.sub_batches += step.sub_batches;
    sum.work += step.work;
    sum.longest = std::max(sum.longest, step.longest);
}

int keys_of_step(const JobRun &run) { return run.bisection.is_active() ? run.bisection.keys : run.size.keys; }

int keys_of_slice(const JobRun &run, int pass) {
    const int keys = keys_of_step(run), most = pass == 0 ? run.slices.first_pass : run.slices.others;
    return most > 0 ? std::min(keys, most) : keys;
}

// What the window's passes have shown decides about the next ones.
void note_window(const JobRun &run) {
    if (!pg::counts_rows())
        return;
    const Strides &strides = strides_of_aim();
    WindowSample sample = run.window;
    sample.slices = run.slices.of_pass;
    Text holder;
    if (is_short(strides, sample)) {
        sample.is_held = sample.began != 0 && !pg::is_behind_horizon_of(run.part->table_oid, sample.began);
        holder = horizon_holder();
    }
    const Text reason = note_window(course_of_aim(), strides, sample, holder, pg::current_arena());
    if (!reason.empty())
        store::record_event(*run.migration, "walk",
                            {.reason = pg::format("%s is walked plainly for a while: %.*s", run.part->table_name.data(),
                                                  pg::width(reason), reason.data())},
                            name(run.migration->status));
}

// All commands of a transaction together take no longer than one sub-batch may. A search for a bad row takes one range
// at a time.
Micros most_work(const JobRun &run) { return run.bisection.is_active() ? 0 : pg::settings().target_sub_batch_time(); }

// Ranges up to the first one with a row in it: an empty one costs no transaction of its own.
SubBatch walk_ranges(JobRun &run, Job &moved, Tried &tried, Arena arena) {
    SubBatch result = {.result = SubBatch::Result::done};
    int keys = keys_of_step(run);
    const bool is_exact = run.pace.sub_batch_size > 0 || run.bisection.is_active();
    const auto find = is_exact ? pg::find_next_range : pg::find_about_next_range;
    do {
        const auto next = find(keys_of_aim(), lower_bound(moved), moved.range.max, keys, arena);
        if (!next)
            return result;
        tried = {next->range, tried.keys + keys, tried.ranges + 1, moved.at};
        const Counters step = run_timed(run, [&] { return pg::run_command(next->range); });
        add(result.step, step);
        moved.at.cursor = next->range.max;
        result.result = SubBatch::Result::stepped;
        result.keys = next->is_full ? result.keys + keys : 0;
        result.is_last = next->is_last;
        if (step.rows_affected == 0 && !run.bisection.is_active())
            run.size.keys = keys = after_empty_range(keys, step.work, most_work(run) - result.step.work, run.pace);
    } while (result.step.rows_affected == 0 && !result.is_last && result.step.work < most_work(run));
    note_range(course_of_aim(), strides_of_aim(), result.keys, result.step.rows_affected);
    return result;
}

// False where no key is left.
bool open_next_window(JobRun &run, Job &moved, Arena arena) {
    const NextWindow way = next_window(course_of_aim(), strides_of_aim(), run.migration->workers);
    const auto opened =
        pg::open_window(keys_of_aim(), lower_bound(moved), moved.range.max, way.keys, way.passes, arena);
    if (!opened)
        return false;
    moved.at.window = {opened->max, way.passes, 0, {}};
    run.window = {};
    run.slices = slice_keys(opened->rows, way);
    run.log = {};
    begin_window(patience_of_aim());
    return true;
}

// As another process has left it. False where no key of it is left.
bool reopen_window(const Job &job) {
    const Window &window = job.at.window;
    return pg::reopen_window(keys_of_aim(), lower_bound(job), window.max, window.passes);
}

void walk_slice(JobRun &run, Job &moved, const pg::Slice &slice, SubBatch &result) {
    const std::int64_t hot = pg::hot_updates(run.part->table_oid);
    const Counters step = run_timed(run, [&] { return pg::run_slice(slice); });
    add(result.step, step);
    run.window.rows += step.rows_affected;
    run.window.keys += slice.keys;
    run.window.hot += pg::hot_updates(run.part->table_oid) - hot;
    if (run.window.began == 0)
        run.window.began = pg::transaction_number();
    result.keys += slice.keys;
    move_behind(moved.at, slice.range.max);
}

// Slices up to the first one with a row that is changed. The end of a pass belongs to the slice before it.
SubBatch walk_window(JobRun &run, Job &moved, Tried &tried, Arena arena) {
    SubBatch result = {.result = SubBatch::Result::done};
    if (!moved.at.window.is_open() && !open_next_window(run, moved, arena))
        return result;
    if (!pg::is_window_open() && !reopen_window(moved))
        end_window(moved.at);
    result.result = SubBatch::Result::stepped;
    const Window &window = moved.at.window;
    while (window.is_open() && result.step.rows_affected == 0 && result.step.work <= most_work(run)) {
        const auto slice = pg::next_slice(window.pass, window.cursor, keys_of_slice(run, window.pass), arena);
        if (slice) {
            tried = {slice->range, tried.keys + slice->keys, tried.ranges + 1, moved.at};
            walk_slice(run, moved, *slice, result);
        }
        if (!slice || slice->is_last)
            end_pass(moved.at);
        if (slice && run.bisection.is_active())
            break;
    }
    if (!window.is_open())
        note_window(run);
    result.is_last = is_done(moved);
    return result;
}

SubBatch walk(JobRun &run, Job &moved, Tried &tried, Arena arena) {
    StrideCourse &course = course_of_aim();
    if (course.held_since != 0 && pg::is_behind_horizon_of(run.part->table_oid, course.held_since))
        course.held_since = 0;
    const Strides strides = in_jobs_of(run.job.batch_size, strides_of_aim(), arena);
    const bool by_windows = moved.at.window.is_open() || takes_window(course, strides);
    return by_windows ? walk_window(run, moved, tried, arena) : walk_ranges(run, moved, tried, arena);
}

} // namespace

Position copy(const Position &at, Arena arena) {
    Position copied = at;
    for (Key *key : {&copied.cursor, &copied.window.max, &copied.window.cursor})
        *key = pg::copy(*key, arena);
    return copied;
}

void follow(JobRun &run, const store::Control &control) {
    run.pace = control.pace;
    if (control.status == MigrationStatus::finalizing)
        run.pace.pause = 0;
    run.size.keys = within_cap(run.size.keys, run.pace);
}

pg::Lower lower_bound(const Job &job) {
    if (job.at.cursor.empty())
        return {LowerBound::inclusive, job.range.min};
    return {LowerBound::exclusive, job.at.cursor};
}

SubBatch run_sub_batch(JobRun &run, Tried &tried, Arena arena) {
    await_clearance(run);
    begin_as_owner(*run.session, *run.migration);
    const auto control = store::load_control(run.job, arena);
    if (pg::is_closing(run.job.migration_id) || !control || !control->is_mine || !may_work(*control))
        return end_without_work(SubBatch::Result::stopped);
    pg::lock_table_for_writing(run.part->table_oid);
    if (!still_aims_at(*run.part))
        return end_without_work(SubBatch::Result::changed);
    follow(run, *control);
    Job moved = run.job;
    moved.at = copy(moved.at, arena);
    const SubBatch result = walk(run, moved, tried, arena);
    if (result.result == SubBatch::Result::done)
        return end_without_work(SubBatch::Result::done);
    moved.sub_batch_size = run.size.keys;
    if (!store::advance_job(moved, result.step))
        raise_taken_over();
    note_slice(run.log, run.job.at.window.pass, pg::transaction_number());
    pg::commit_transaction(durability(run));
    run.job = moved;
    run.is_proven = true;
    return result;
}

} // namespace bbm
