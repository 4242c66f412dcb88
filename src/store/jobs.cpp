#include "store/jobs.hpp"

#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/spi.hpp"
#include "store/known_row.hpp"

namespace bbm::store {

namespace {

pg::Statement insert_statement = {
    "INSERT INTO bbm.job (migration_id, part_id, status, min_cursor, max_cursor, batch_size, sub_batch_size, attempts,"
    " epoch, unproven_starts, started_at)"
    " VALUES ($1, $7, 'running', $2, $3, $4, $5, 1, $6, 1, pg_catalog.clock_timestamp()) RETURNING id, ctid"};

// More than that many open jobs are looked at in turn; all but a handful are failed ones that wait for a person.
#define BBM_MOST_JOBS "1000"

#define BBM_JOB_COLUMNS                                                                                                \
    "id, migration_id, status, min_cursor, max_cursor, cursor, batch_size, sub_batch_size, attempts, epoch, "          \
    "unproven_starts, rows_affected, sub_batches, work_us, longest_us, retry_at, wants_split, part_id, window_max, "   \
    "passes, pass, pass_cursor"
constexpr int kJobColumns = 22;

pg::Statement unfinished_statement = {"SELECT " BBM_JOB_COLUMNS
                                      " FROM bbm.job WHERE migration_id = $1 AND id >= $2 AND status <> 'succeeded'"
                                      " ORDER BY (status = 'failed' AND retry_at IS NULL), id LIMIT " BBM_MOST_JOBS};

// Not <>, which would read the migration's own entries in the index as well: one a job, while an old snapshot is open.
#define BBM_RUNNING(other)                                                                                             \
    "SELECT j.id, p.table_oid FROM bbm.job AS j JOIN bbm.part AS p ON p.id = j.part_id"                                \
    " WHERE j.status = 'running' AND j.migration_id " other
pg::Statement running_statement = {BBM_RUNNING("< $1") " UNION ALL " BBM_RUNNING("> $1")};

// Starts further apart are restarts that somebody planned, not a job that kills its server.
#define BBM_SUSPICION "'10 minutes'"

// Being taken over is not an attempt: nothing says that the job did anything wrong.
pg::Statement start_statement = {
    "UPDATE bbm.job SET status = 'running', epoch = epoch + 1, unproven_starts = CASE"
    " WHEN started_at > pg_catalog.now() - interval " BBM_SUSPICION " THEN unproven_starts + 1 ELSE 1 END,"
    " attempts = attempts + CASE WHEN $2 THEN 1 ELSE 0 END, retry_at = NULL, finished_at = NULL,"
    " started_at = pg_catalog.clock_timestamp() WHERE id = $1 AND epoch = $3 AND status = $4"
    " RETURNING " BBM_JOB_COLUMNS ", ctid"};

// The halves of a split, and a row that was found by bisection: nobody runs them yet.
pg::Statement insert_failed_statement = {
    "INSERT INTO bbm.job (migration_id, part_id, status, min_cursor, max_cursor, cursor, batch_size, sub_batch_size,"
    " attempts, retry_at, finished_at) VALUES ($1, $9, 'failed', $2, $3, $4, $5, $6, $7, $8, "
    "pg_catalog.clock_timestamp())"
    " RETURNING id"};
pg::Statement split_statement = {
    "UPDATE bbm.job SET max_cursor = $3, batch_size = $4, attempts = $5, wants_split = false"
    " WHERE id = $1 AND epoch = $2"};

#define BBM_CONTROL(where)                                                                                             \
    "SELECT m.status, (EXTRACT(epoch FROM m.job_interval) * 1000000)::pg_catalog.int8,"                                \
    " (EXTRACT(epoch FROM m.pause) * 1000000)::pg_catalog.int8, m.batch_size, m.sub_batch_size, m.max_batch_size,"     \
    " m.row_cost_us, j.status = 'running' AND j.epoch = $2, m.on_hold_until, m.ctid, j.ctid"                           \
    " FROM bbm.job AS j JOIN bbm.migration AS m ON m.id = j.migration_id WHERE " where "j.id = $1"
TwoWays control_statements = {{BBM_CONTROL("j.ctid = $3 AND m.ctid = $4 AND ")}, {BBM_CONTROL("")}};

// Without waiting: whoever holds the row is ending the job, and the user's rows are locked here.
#define BBM_ADVANCE(where)                                                                                             \
    "WITH mine AS (SELECT ctid AS place FROM bbm.job WHERE " where "id = $1 AND epoch = $2 AND status = 'running'"     \
    " FOR NO KEY UPDATE NOWAIT)"                                                                                       \
    " UPDATE bbm.job AS j SET cursor = $3, window_max = $9, passes = $10, pass = $11, pass_cursor = $12,"              \
    " sub_batch_size = $4, unproven_starts = 0, rows_affected = j.rows_affected + $5,"                                 \
    " sub_batches = j.sub_batches + $6, work_us = j.work_us + $7, longest_us = greatest(j.longest_us, $8)"             \
    " FROM mine WHERE j.ctid = mine.place RETURNING j.ctid"
TwoWays advance_statements = {{BBM_ADVANCE("ctid = $13 AND ")}, {BBM_ADVANCE("")}};

// Unlike a sub-batch's, this one may wait: nothing of the user's is locked.
pg::Statement move_statement = {
    "UPDATE bbm.job SET cursor = $3, window_max = $4, passes = $5, pass = $6, pass_cursor = $7, unproven_starts = 0"
    " WHERE id = $1 AND epoch = $2 AND status = 'running'"};

#define BBM_END(where)                                                                                                 \
    "UPDATE bbm.job SET status = $3, retry_at = $4, unproven_starts = 0,"                                              \
    " sub_batch_size = coalesce($6, sub_batch_size), elapsed_us = elapsed_us + $7, wants_split = $8,"                  \
    " attempts = attempts - CASE WHEN $5 THEN 1 ELSE 0 END,"                                                           \
    " finished_at = CASE WHEN $3 IN ('succeeded', 'failed') THEN pg_catalog.clock_timestamp() END"                     \
    " WHERE " where "id = $1 AND epoch = $2 AND status = 'running' RETURNING ctid"
TwoWays end_statements = {{BBM_END("ctid = $9 AND ")}, {BBM_END("")}};

pg::Statement transition_statement = {
    "INSERT INTO bbm.job_transition (migration_id, job_id, from_status, to_status, reason, sqlstate, message, detail, "
    "hint,"
    " context, min_key, max_key, attempts, role_name, pid)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, pg_catalog.pg_backend_pid())"};

#define BBM_ADD(where)                                                                                                 \
    "UPDATE bbm.migration AS m SET jobs_succeeded = m.jobs_succeeded + 1,"                                             \
    " keys_planned = m.keys_planned + j.batch_size, rows_affected = m.rows_affected + j.rows_affected,"                \
    " sub_batches = m.sub_batches + j.sub_batches, work_us = m.work_us + j.work_us,"                                   \
    " longest_us = greatest(m.longest_us, j.longest_us), row_cost_us = coalesce(nullif($2, 0), m.row_cost_us)"         \
    " FROM bbm.job AS j WHERE " where "j.id = $1 AND m.id = j.migration_id RETURNING m.ctid"
TwoWays add_statements = {{BBM_ADD("j.ctid = $3 AND m.ctid = $4 AND ")}, {BBM_ADD("")}};

// By the index of the migration's jobs: nearly the order in which they finished, and nothing else has to be kept.
// BETWEEN and both columns in ORDER BY: with = the order of the primary key would do as well, and a planner who knows
// that one migration has most of the jobs takes it, and reads all of those to find the few of another.
pg::Statement samples_statement = {
    "SELECT elapsed_us, batch_size FROM bbm.job WHERE migration_id BETWEEN $1 AND $1 AND status = 'succeeded'"
    " ORDER BY migration_id DESC, id DESC LIMIT $2"};

pg::Statement failed_since_statement = {
    "SELECT pg_catalog.count(*) FROM bbm.migration AS m JOIN bbm.job AS j ON j.migration_id = m.id"
    " WHERE m.id = $1 AND j.status <> 'succeeded' AND j.status = 'failed' AND j.retry_at IS NULL AND j.created_at >= "
    "m.active_since"};

// Whoever runs one of them finds its epoch gone.
pg::Statement mark_succeeded_statement = {
    "WITH open AS (SELECT id, status FROM bbm.job WHERE migration_id = $1 AND status <> 'succeeded'"
    " AND part_id = coalesce($4, part_id) FOR NO KEY UPDATE),"
    " done AS (UPDATE bbm.job AS j SET status = 'succeeded', epoch = j.epoch + 1, retry_at = NULL,"
    " finished_at = pg_catalog.clock_timestamp() FROM open WHERE j.id = open.id"
    " RETURNING j.id, j.migration_id, open.status, j.cursor, j.min_cursor, j.max_cursor, j.attempts,"
    " j.rows_affected, j.sub_batches, j.work_us, j.longest_us),"
    " sums AS (UPDATE bbm.migration AS m SET rows_affected = m.rows_affected + s.rows, sub_batches = m.sub_batches + "
    "s.sub_batches,"
    " work_us = m.work_us + s.work_us, longest_us = greatest(m.longest_us, s.longest_us) FROM (SELECT"
    " coalesce(pg_catalog.sum(rows_affected), 0)::pg_catalog.int8 AS rows,"
    " coalesce(pg_catalog.sum(sub_batches), 0)::pg_catalog.int8 AS sub_batches,"
    " coalesce(pg_catalog.sum(work_us), 0)::pg_catalog.int8 AS work_us, pg_catalog.max(longest_us) AS longest_us"
    " FROM done) AS s WHERE m.id = $1)"
    " INSERT INTO bbm.job_transition (migration_id, job_id, from_status, to_status, reason, min_key, max_key, attempts,"
    " role_name, pid) SELECT migration_id, id, status, 'succeeded', $2, coalesce(cursor, min_cursor), max_cursor,"
    " attempts, $3, pg_catalog.pg_backend_pid() FROM done"};

pg::Statement put_back_statement = {
    "WITH back AS (UPDATE bbm.job SET status = 'pending', attempts = 0, retry_at = NULL, unproven_starts = 0,"
    " wants_split = batch_size > 1, finished_at = NULL"
    " WHERE migration_id = $1 AND status = 'failed' RETURNING id, migration_id, cursor, min_cursor, max_cursor)"
    " INSERT INTO bbm.job_transition (migration_id, job_id, from_status, to_status, reason, min_key, max_key, attempts,"
    " role_name, pid) SELECT migration_id, id, 'failed', 'pending', $2, coalesce(cursor, min_cursor), max_cursor, 0, "
    "$3,"
    " pg_catalog.pg_backend_pid() FROM back"};

struct Transition {
    Text from;
    Text to;
    Text reason;
    const Failure *failure;
    Range range;
};

void record(const Job &job, const Transition &transition) {
    const Failure failure = transition.failure == nullptr ? Failure{} : *transition.failure;
    pg::execute(transition_statement,
                {pg::integer(job.migration_id), pg::integer(job.id), pg::text(transition.from), pg::text(transition.to),
                 pg::text(transition.reason), pg::text(failure.sqlstate), pg::text(failure.message),
                 pg::text(failure.detail), pg::text(failure.hint), pg::text(failure.context),
                 pg::key(transition.range.min), pg::key(transition.range.max), pg::integer(job.attempts),
                 pg::text(pg::current_role().name)});
}

Job read_job(const pg::Row &row, Arena arena) {
    Job job;
    job.id = row.integer(1);
    job.migration_id = row.integer(2);
    job.status = parse_job_status(row.text(3, arena)).value_or(JobStatus::failed);
    job.range = {row.key(4, arena), row.key(5, arena)};
    job.at.cursor = row.key(6, arena);
    job.batch_size = static_cast<int>(row.integer(7));
    job.sub_batch_size = static_cast<int>(row.integer(8));
    job.attempts = static_cast<int>(row.integer(9));
    job.epoch = row.integer(10);
    job.unproven_starts = static_cast<int>(row.integer(11));
    job.done = {row.integer(12), row.integer(13), row.integer(14), row.integer(15)};
    job.retry_at = row.integer(16);
    job.wants_split = row.boolean(17);
    job.part_id = row.integer(18);
    job.at.window = {row.key(19, arena), static_cast<int>(row.integer(20)), static_cast<int>(row.integer(21)),
                     row.key(22, arena)};
    return job;
}

} // namespace

void insert_running_job(Job &job) {
    job.epoch =
        pg::now(); // not 1: a job of the same number, of an extension that was dropped, must not pass for this one
    pg::query(insert_statement,
              {pg::integer(job.migration_id), pg::key(job.range.min), pg::key(job.range.max),
               pg::integer(job.batch_size), pg::integer(job.sub_batch_size), pg::integer(job.epoch),
               pg::integer(job.part_id)},
              [&](pg::Row row) {
                  job.id = row.integer(1);
                  remember(known.job, job.id, row.place(2));
              });
    job.status = JobStatus::running;
    job.attempts = 1;
    job.unproven_starts = 1;
    record(job, {name(JobStatus::pending), name(job.status), {}, nullptr, job.range});
}

Vector<Job> &unfinished_jobs(std::int64_t migration_id, std::int64_t oldest, Arena arena) {
    auto &jobs = make<Vector<Job>>(arena);
    pg::query(unfinished_statement, {pg::integer(migration_id), pg::integer(oldest)},
              [&](pg::Row row) { jobs.push_back(read_job(row, arena)); });
    return jobs;
}

Vector<RunningJob> &running_jobs(std::int64_t except_migration, Arena arena) {
    auto &jobs = make<Vector<RunningJob>>(arena);
    pg::query(running_statement, {pg::integer(except_migration)}, [&](pg::Row row) {
        jobs.push_back({row.integer(1), static_cast<std::uint32_t>(row.integer(2))});
    });
    return jobs;
}

bool start_job(Job &job, JobEvent event, Arena arena) {
    const JobStatus from = job.status;
    const bool is_ours = pg::query(start_statement,
                                   {pg::integer(job.id), pg::boolean(event == JobEvent::start), pg::integer(job.epoch),
                                    pg::text(name(from))},
                                   [&](pg::Row row) {
                                       job = read_job(row, arena);
                                       remember(known.job, job.id, row.place(kJobColumns + 1));
                                   }) == 1;
    if (is_ours)
        record(job,
               {name(from), name(job.status),
                event == JobEvent::take_over ? Text("taken over: its process is gone") : Text(), nullptr, job.range});
    return is_ours;
}

std::optional<Control> load_control(const Job &job, Arena arena) {
    std::optional<Control> control;
    const auto read = [&](pg::Row row) {
        control = Control{parse_migration_status(row.text(1, arena)).value_or(MigrationStatus::paused),
                          Pace{row.integer(2), row.integer(3), static_cast<int>(row.integer(4)), false,
                               static_cast<int>(row.integer(5)), static_cast<int>(row.integer(6)), row.real(7)},
                          row.boolean(8), row.integer(9)};
        remember(known.migration, job.migration_id, row.place(10));
        remember(known.job, job.id, row.place(11));
    };
    const auto load = [&](pg::Statement &statement) {
        return pg::query(statement,
                         {pg::integer(job.id), pg::integer(job.epoch), pg::place(known.job.place),
                          pg::place(known.migration.place)},
                         read) == 1;
    };
    if (is_known(known.job, job.id) && is_known(known.migration, job.migration_id)) {
        if (load(control_statements.here))
            return control;
        const bool has_moved = follow(known.migration);
        if ((follow(known.job) || has_moved) && load(control_statements.here))
            return control;
    }
    load(control_statements.by_id);
    return control;
}

bool advance_job(const Job &job, const Counters &step) {
    return find_and_run(known.job, job.id, advance_statements, [&](pg::Statement &statement, pg::RowPlace place) {
        return pg::query(statement,
                         {pg::integer(job.id), pg::integer(job.epoch), pg::key(job.at.cursor),
                          pg::integer(job.sub_batch_size), pg::integer(step.rows_affected),
                          pg::integer(step.sub_batches), pg::integer(step.work), pg::integer(step.longest),
                          pg::key(job.at.window.max), pg::integer(job.at.window.passes),
                          pg::integer(job.at.window.pass), pg::key(job.at.window.cursor), pg::place(place)},
                         [&](pg::Row row) { remember(known.job, job.id, row.place(1)); }) == 1;
    });
}

bool move_cursor(const Job &job) {
    return pg::execute(move_statement, {pg::integer(job.id), pg::integer(job.epoch), pg::key(job.at.cursor),
                                        pg::key(job.at.window.max), pg::integer(job.at.window.passes),
                                        pg::integer(job.at.window.pass), pg::key(job.at.window.cursor)}) == 1;
}

bool end_job(const Job &job, const Ending &ending) {
    const JobStatus to = apply(JobStatus::running, ending.event).value();
    const auto run = [&](pg::Statement &statement, pg::RowPlace place) {
        return pg::query(statement,
                         {pg::integer(job.id), pg::integer(job.epoch), pg::text(name(to)),
                          pg::timestamp(ending.retry_at.value_or(0)),
                          pg::boolean(ending.event == JobEvent::give_back && job.attempts > 0),
                          pg::positive(ending.sub_batch_size), pg::integer(ending.elapsed),
                          pg::boolean(ending.wants_split), pg::place(place)},
                         [&](pg::Row row) { remember(known.job, job.id, row.place(1)); }) == 1;
    };
    const bool is_ours = find_and_run(known.job, job.id, end_statements, run);
    if (is_ours)
        record(job, {name(JobStatus::running), name(to), ending.reason, ending.failure,
                     ending.met_in.min.empty() ? job.range : ending.met_in});
    return is_ours;
}

void add_to_migration(const Job &job, double row_cost_us) {
    const auto add = [&](pg::Statement &statement) {
        return pg::query(statement,
                         {pg::integer(job.id), pg::real(row_cost_us), pg::place(known.job.place),
                          pg::place(known.migration.place)},
                         [&](pg::Row row) { remember(known.migration, job.migration_id, row.place(1)); }) == 1;
    };
    const bool are_known = is_known(known.job, job.id) && is_known(known.migration, job.migration_id);
    if (!are_known || !add(add_statements.here))
        add(add_statements.by_id);
}

Vector<JobSample> &newest_samples(std::int64_t migration_id, Arena arena) {
    auto &samples = make<Vector<JobSample>>(arena);
    pg::query(samples_statement, {pg::integer(migration_id), pg::integer(kSmoothedJobs)}, [&](pg::Row row) {
        samples.push_back({row.integer(1), static_cast<int>(row.integer(2))});
    });
    return samples;
}

std::int64_t failed_since_start(std::int64_t migration_id) {
    std::int64_t failed = 0;
    pg::query(failed_since_statement, {pg::integer(migration_id)}, [&](pg::Row row) { failed = row.integer(1); });
    return failed;
}

void insert_failed_job(Job &job, Text reason, const Failure *failure) {
    pg::query(insert_failed_statement,
              {pg::integer(job.migration_id), pg::key(job.range.min), pg::key(job.range.max), pg::key(job.at.cursor),
               pg::integer(job.batch_size), pg::integer(job.sub_batch_size), pg::integer(job.attempts),
               pg::timestamp(job.retry_at), pg::integer(job.part_id)},
              [&](pg::Row row) { job.id = row.integer(1); });
    job.status = JobStatus::failed;
    record(job, {{}, name(job.status), reason, failure, job.range});
}

void split_job(const Job &job, Text reason) {
    pg::execute(split_statement, {pg::integer(job.id), pg::integer(job.epoch), pg::key(job.range.max),
                                  pg::integer(job.batch_size), pg::integer(job.attempts)});
    record(job, {name(job.status), name(job.status), reason, nullptr, job.range});
}

void mark_all_succeeded(std::int64_t migration_id, Text reason) {
    pg::execute(mark_succeeded_statement,
                {pg::integer(migration_id), pg::text(reason), pg::text(pg::current_role().name), pg::positive(0)});
}

void mark_part_succeeded(std::int64_t migration_id, std::int64_t part_id, Text reason) {
    pg::execute(mark_succeeded_statement, {pg::integer(migration_id), pg::text(reason),
                                           pg::text(pg::current_role().name), pg::positive(part_id)});
}

int put_back_failed(std::int64_t migration_id, Text reason) {
    return static_cast<int>(pg::execute(
        put_back_statement, {pg::integer(migration_id), pg::text(reason), pg::text(pg::current_role().name)}));
}

} // namespace bbm::store
