#include "worker/set_aside.hpp"

#include "core/lifecycle.hpp"
#include "core/retry.hpp"
#include "core/window.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "store/quarantine.hpp"

#include <algorithm>

namespace bbm {

namespace {

// A command that fails for this many rows of one job will fail for the next ones too.
constexpr int kMostFailedRows = 10;

// The row becomes a failed job of its own, so that a retry tries that row and nothing else.
void insert_job_of_row(const JobRun &run, Key key, const Failure &failure) {
    Job row;
    row.migration_id = run.job.migration_id;
    row.part_id = run.job.part_id;
    row.range = {key, key};
    row.batch_size = row.sub_batch_size = 1;
    row.attempts = 1;
    store::insert_failed_job(row, pg::format("found in job %lld", static_cast<long long>(run.job.id)), &failure);
    store::count_job(run.job.migration_id);
}

void fail_over_budget(const JobRun &run, const Migration &migration, Key key, const Failure &failure) {
    const Failure why = {
        "54000",
        pg::format("more than %d rows are in quarantine", pg::settings().max_quarantined_rows),
        pg::format("The last error was: %s (SQLSTATE %s).", failure.message.data(), failure.sqlstate.data()),
        "See bbm.failures and the setting bbm.max_quarantined_rows.",
        {}};
    if (store::end_job(run.job, {.event = JobEvent::fail, .failure = &failure, .met_in = {key, key}}) &&
        apply(migration.status, MigrationEvent::fail).kind == Step::Kind::moves)
        store::change_status(migration, MigrationEvent::fail, MigrationStatus::failed, {{}, &why, run.job.id});
}

// The cursor passes the row in the transaction that records it: it is dealt with once, here or there.
bool set_aside(JobRun &run, const Failure &failure, const Tried &tried, Arena arena) {
    const Key key = tried.range.min;
    const bool quarantines = run.migration->on_data_error == OnDataError::quarantine;
    bool goes_on = true; // where the job is not ours any more, to the next sub-batch, which finds that out
    keep_books(*run.session, pg::Durability::durable, [&] {
        const auto migration = store::lock_migration(run.job.migration_id, pg::current_arena());
        if (!migration)
            return;
        if (quarantines && store::count_quarantined(migration->id) >= pg::settings().max_quarantined_rows) {
            goes_on = false;
            return fail_over_budget(run, *migration, key, failure);
        }
        Job moved = run.job;
        moved.at = tried.from;
        move_behind(moved.at, key);
        if (!store::move_cursor(moved))
            return;
        if (quarantines)
            store::insert_quarantined(run.job, key, failure);
        else
            insert_job_of_row(run, key, failure);
        run.job = moved;
        run.job.at = copy(run.job.at, arena);
        ++run.rows_set_aside;
    });
    return goes_on;
}

bool is_whole_job(const Job &job, Key key) { return same_key(job.range.min, key) && same_key(job.range.max, key); }

} // namespace

bool can_be_narrowed_down(const JobRun &run, const Failure &failure, const Tried &tried) {
    const bool has_keys = run.part->walk == Walk::keys || run.part->walk == Walk::values; // a block is no row
    return has_keys && classify(failure.sqlstate) == FailureClass::data && tried.ranges > 0;
}

bool narrow_down(JobRun &run, const Failure &failure, const Tried &tried, Arena arena) {
    // With an empty range before it, the transaction may have done more than this row.
    const bool is_row = tried.ranges == 1 && same_key(tried.range.min, tried.range.max);
    if (!is_row) {
        run.bisection = search_in(std::max(tried.keys, 2));
        return true;
    }
    run.bisection = {};
    const bool quarantines = run.migration->on_data_error == OnDataError::quarantine;
    if (!quarantines && (is_whole_job(run.job, tried.range.min) || run.rows_set_aside >= kMostFailedRows))
        return false;
    return set_aside(run, failure, tried, arena);
}

} // namespace bbm
