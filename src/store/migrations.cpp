#include "store/migrations.hpp"

#include "pg/identity.hpp"
#include "pg/report.hpp"
#include "pg/spi.hpp"
#include "store/known_row.hpp"

namespace bbm::store {

namespace {

#define BBM_MICROS(column) "(EXTRACT(epoch FROM " column ") * 1000000)::pg_catalog.int8"
#define BBM_MIGRATION_COLUMNS                                                                                          \
    "id, job_class_name, table_oid, table_name, column_name, job_arguments::pg_catalog.text, status, statement, "      \
    "has_placeholders, scope_to, cursor_columns, batching_strategy, workers, "                                         \
    BBM_MICROS("job_interval") ", " BBM_MICROS("pause") ", "                                                           \
    "batch_size, sub_batch_size, max_batch_size, row_cost_us, owner_oid, owner_name, search_path, next_job_at, "       \
    "home_system, home_database, batch_size_given, table_root, on_hold_until, hold_reason, on_data_error, "            \
    "generation, is_current, recent_jobs, bounds_attempts, given_min, given_max, walks_leaves, "                       \
    "known_as, mentions, scope_mentions, with_nulls, used_columns, accepts_leaves"

constexpr int kMigrationColumns = 43;

pg::Statement insert_statement = {
    "INSERT INTO bbm.migration (job_class_name, table_oid, table_name, column_name, job_arguments, status, statement,"
    " has_placeholders, scope_to, operation_name, batching_strategy, cursor_columns, workers, total_rows, job_interval,"
    " pause, batch_size, sub_batch_size, max_batch_size, priority, owner_oid, owner_name, search_path, home_system,"
    " home_database, batch_size_given, table_root, on_data_error, generation, given_min, given_max, walks_leaves,"
    " known_as, mentions, scope_mentions, with_nulls, used_columns, active_since, finished_at)"
    " VALUES ($1, $2::pg_catalog.oid, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,"
    " $15 * interval '1 microsecond', $16 * interval '1 microsecond', $17, $18, $19, $20, $21::pg_catalog.oid, $22,"
    " $23, $24, $25::pg_catalog.oid, $26, $27::pg_catalog.oid, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37,"
    " CASE WHEN $6 = 'active' THEN pg_catalog.now() END, CASE WHEN $6 = 'finished' THEN pg_catalog.now() END)"
    " ON CONFLICT (job_class_name, table_oid, column_name, job_arguments) WHERE is_current DO NOTHING RETURNING id"};

pg::Statement load_statement = {"SELECT " BBM_MIGRATION_COLUMNS " FROM bbm.migration WHERE id = $1"};
#define BBM_LOCK(where) "SELECT " BBM_MIGRATION_COLUMNS ", ctid FROM bbm.migration WHERE " where " FOR NO KEY UPDATE"
TwoWays lock_statements = {{BBM_LOCK("ctid = $2 AND id = $1")}, {BBM_LOCK("id = $1")}};
pg::Statement writer_statement = {"SELECT xmin::pg_catalog.text::pg_catalog.int8 FROM bbm.migration WHERE id = $1"};

pg::Statement identity_statement = {
    "SELECT id FROM bbm.migration WHERE job_class_name = $1 AND table_oid = $2::pg_catalog.oid AND column_name = $3"
    " AND job_arguments = $4 AND is_current"};
pg::Statement name_statement = {"SELECT id FROM bbm.migration WHERE job_class_name = $1 AND is_current"};
pg::Statement class_statement = {"SELECT id FROM bbm.migration WHERE job_class_name = $1 ORDER BY id"};
// No edit distance without fuzzystrmatch: a common beginning or one containing the other finds most slips of a finger.
pg::Statement similar_statement = {
    "SELECT job_class_name FROM bbm.migration WHERE pg_catalog.pg_has_role($2::pg_catalog.oid, owner_oid, 'USAGE')"
    " AND (pg_catalog.lower(job_class_name) = pg_catalog.lower($1)"
    " OR pg_catalog.starts_with(job_class_name, $1) OR pg_catalog.starts_with($1, job_class_name)"
    " OR pg_catalog.left(job_class_name, 5) = pg_catalog.left($1, 5)) ORDER BY id DESC LIMIT 1"};

pg::Statement status_statement = {
    "UPDATE bbm.migration SET status = $2, status_reason = $3, next_job_at = NULL, cancel_running = false,"
    " on_hold_until = CASE WHEN $2 IN ('active', 'paused') THEN on_hold_until END,"
    " hold_reason = CASE WHEN $2 IN ('active', 'paused') THEN hold_reason END, recent_jobs = 0, bounds_attempts = 0,"
    " active_since = CASE WHEN $2 IN ('active', 'finalizing') THEN pg_catalog.now() END,"
    " finished_at = CASE WHEN $2 IN ('finished', 'finalized') THEN coalesce(finished_at, pg_catalog.now()) END"
    " WHERE id = $1"};
pg::Statement event_statement = {
    "INSERT INTO bbm.event (migration_id, job_class_name, table_name, event, from_status, to_status, reason, sqlstate,"
    " message, detail, role_name, owner_oid, home_system, home_database, job_id, data, pid)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::pg_catalog.oid, $13, $14::pg_catalog.oid, $15, $16,"
    " pg_catalog.pg_backend_pid())"};
pg::Statement cancel_statement = {"UPDATE bbm.migration SET cancel_running = true WHERE id = $1"};

#define BBM_NEW_JOB(where)                                                                                             \
    "UPDATE bbm.migration SET next_job_at = $2, recent_jobs = recent_jobs + 1,"                                        \
    " started_at = coalesce(started_at, pg_catalog.clock_timestamp()) WHERE " where " RETURNING ctid"
TwoWays new_job_statements = {{BBM_NEW_JOB("ctid = $3 AND id = $1")}, {BBM_NEW_JOB("id = $1")}};
pg::Statement next_job_statement = {
    "UPDATE bbm.migration SET next_job_at = $2 WHERE id = $1 AND next_job_at IS DISTINCT FROM $2"};
pg::Statement pace_statement = {
    "UPDATE bbm.migration SET job_interval = $2 * interval '1 microsecond', pause = $3 * interval '1 microsecond',"
    " batch_size = $4, sub_batch_size = $5, max_batch_size = $6, priority = coalesce($7, priority), next_job_at = NULL,"
    " batch_size_given = $8, workers = coalesce($9, workers), bounds_attempts = 0 WHERE id = $1"};
pg::Statement batch_size_statement = {"UPDATE bbm.migration SET batch_size = $2 WHERE id = $1"};
pg::Statement hold_statement = {"UPDATE bbm.migration SET on_hold_until = $2, hold_reason = $3 WHERE id = $1"};
// The newest ones by the migration's index: why BETWEEN stands at samples_statement in jobs.cpp.
#define BBM_NEWEST_FIRST " ORDER BY migration_id DESC, id DESC LIMIT "
pg::Statement held_statement = {
    "SELECT FROM (SELECT data, occurred_at FROM bbm.event WHERE migration_id BETWEEN $1 AND $1" BBM_NEWEST_FIRST
    "20) AS newest"
    " WHERE data ->> 'indicator' = $2 AND occurred_at > pg_catalog.clock_timestamp() - $3 * interval '1 microsecond'"};
pg::Statement bounds_statement = {"UPDATE bbm.migration SET bounds_attempts = $2 WHERE id = $1"};
pg::Statement more_jobs_statement = {"UPDATE bbm.migration SET recent_jobs = recent_jobs + 1 WHERE id = $1"};
pg::Statement more_rows_statement = {
    "UPDATE bbm.migration SET rows_affected = rows_affected + $2 WHERE id = $1"};
pg::Statement table_name_statement = {"UPDATE bbm.migration SET table_name = $2 WHERE id = $1"};
pg::Statement columns_statement = {"UPDATE bbm.migration SET used_columns = $2 WHERE id = $1"};
pg::Statement forget_statement = {
    "WITH files AS (UPDATE bbm.part SET table_file = NULL WHERE migration_id = $1 AND table_file IS NOT NULL)"
    " UPDATE bbm.migration SET used_columns = NULL WHERE id = $1 AND used_columns IS NOT NULL"};
pg::Statement accept_statement = {"UPDATE bbm.migration SET accepts_leaves = true WHERE id = $1"};
pg::Statement settled_statement = {"UPDATE bbm.migration SET accepts_leaves = false WHERE id = $1 AND accepts_leaves"};
pg::Statement root_statement = {"UPDATE bbm.migration SET table_root = $2::pg_catalog.oid WHERE id = $1"};
pg::Statement retire_statement = {"UPDATE bbm.migration SET is_current = false WHERE id = $1"};
pg::Statement copy_statement = {
    "SELECT operation_name, priority FROM bbm.migration WHERE id = $1"};
// The table by its name, since its number belongs to the other server.
pg::Statement adopt_statement = {
    "WITH parts AS (UPDATE bbm.part SET table_oid = coalesce(pg_catalog.to_regclass(table_name)::pg_catalog.oid, 0),"
    " table_file = NULL WHERE migration_id = $1)"
    " UPDATE bbm.migration SET home_system = $2, home_database = $3::pg_catalog.oid, owner_oid = $4::pg_catalog.oid,"
    " table_oid = pg_catalog.to_regclass(table_name)::pg_catalog.oid, next_job_at = NULL,"
    " table_root = pg_catalog.to_regclass(table_name)::pg_catalog.oid, on_hold_until = NULL, hold_reason = NULL"
    " WHERE id = $1 AND pg_catalog.to_regclass(table_name) IS NOT NULL"};
// Jobs and what happened to them have no foreign key, which would look for the migration's row with each of them: they
// come while it is locked, and go with it here.
pg::Statement delete_statement = {
    "WITH jobs AS (DELETE FROM bbm.job WHERE migration_id = $1),"
    " transitions AS (DELETE FROM bbm.job_transition WHERE migration_id = $1) DELETE FROM bbm.migration WHERE id = $1"};
pg::Statement last_failure_statement = {
    "SELECT sqlstate, message, detail, hint, context FROM ("
    "(SELECT sqlstate, message, detail, hint, context, occurred_at FROM bbm.job_transition"
    " WHERE migration_id BETWEEN $1 AND $1 AND sqlstate IS NOT NULL" BBM_NEWEST_FIRST "1) UNION ALL"
    "(SELECT sqlstate, message, detail, NULL, NULL, occurred_at FROM bbm.event"
    " WHERE migration_id BETWEEN $1 AND $1 AND sqlstate IS NOT NULL AND job_id IS NULL" BBM_NEWEST_FIRST "1)) AS either"
    " ORDER BY occurred_at DESC LIMIT 1",
    pg::Sees::latest};
pg::Statement reason_statement = {"SELECT status_reason FROM bbm.migration WHERE id = $1", pg::Sees::latest};
pg::Statement observe_statement = {
    "SELECT status, table_root, progress::pg_catalog.float8,"
    " (SELECT e.id FROM bbm.event AS e WHERE e.migration_id BETWEEN $1 AND $1 AND e.event = 'finalize'" BBM_NEWEST_FIRST
    "1)"
    " FROM bbm.migrations AS m WHERE id = $1",
    pg::Sees::latest};

Migration read_migration(const pg::Row &row, Arena arena) {
    Migration m;
    m.id = row.integer(1);
    m.job_class_name = row.text(2, arena);
    m.table_oid = static_cast<std::uint32_t>(row.integer(3));
    m.table_name = row.text(4, arena);
    m.column_name = row.text(5, arena);
    m.job_arguments = row.text(6, arena);
    m.status = parse_migration_status(row.text(7, arena)).value_or(MigrationStatus::paused);
    m.statement = row.text(8, arena);
    m.has_placeholders = row.boolean(9);
    m.scope_to = row.text(10, arena);
    m.cursor_columns = row.key(11, arena);
    m.batching_strategy = row.text(12, arena);
    m.workers = static_cast<int>(row.integer(13));
    m.pace = {row.integer(14),
              row.integer(15),
              static_cast<int>(row.integer(16)),
              row.boolean(26),
              static_cast<int>(row.integer(17)),
              static_cast<int>(row.integer(18)),
              row.real(19)};
    m.owner_oid = static_cast<std::uint32_t>(row.integer(20));
    m.owner_name = row.text(21, arena);
    m.search_path = row.text(22, arena);
    m.next_job_at = row.integer(23);
    m.is_home = pg::is_home(row.integer(24), static_cast<std::uint32_t>(row.integer(25)));
    m.table_root = static_cast<std::uint32_t>(row.integer(27));
    m.on_hold_until = row.integer(28);
    m.hold_reason = row.text(29, arena);
    m.on_data_error = parse_on_data_error(row.text(30, arena)).value_or(OnDataError::fail);
    m.generation = static_cast<int>(row.integer(31));
    m.is_current = row.boolean(32);
    m.recent_jobs = static_cast<int>(row.integer(33));
    m.bounds_attempts = static_cast<int>(row.integer(34));
    m.given = {row.key(35, arena), row.key(36, arena)};
    m.walks_leaves = row.boolean(37);
    m.known_as = row.text(38, arena);
    m.mentions = row.integers(39, arena);
    m.scope_mentions = row.integers(40, arena);
    m.with_nulls = row.boolean(41);
    m.used_columns = row.key(42, arena);
    m.accepts_leaves = row.boolean(43);
    return m;
}

std::optional<Migration> load_with(pg::Statement &statement, std::int64_t id, Arena arena) {
    std::optional<Migration> migration;
    pg::query(statement, {pg::integer(id)}, [&](pg::Row row) { migration = read_migration(row, arena); });
    return migration;
}

std::int64_t single_integer(pg::Statement &statement, std::int64_t id) {
    std::int64_t value = 0;
    pg::query(statement, {pg::integer(id)}, [&](pg::Row row) { value = row.integer(1); });
    return value;
}

void insert_event(const Migration &migration, Text event, Text from, Text to, const Cause &cause) {
    const Failure failure = cause.failure == nullptr ? Failure{} : *cause.failure;
    pg::execute(event_statement,
                {pg::integer(migration.id), pg::text(migration.job_class_name), pg::text(migration.table_name),
                 pg::text(event), pg::text(from), pg::text(to), pg::text(cause.reason), pg::text(failure.sqlstate),
                 pg::text(failure.message), pg::text(failure.detail), pg::text(pg::current_role().name),
                 pg::integer(migration.owner_oid), pg::integer(pg::system_identifier()),
                 pg::integer(pg::current_database()), pg::positive(cause.job_id), pg::json(cause.data)});
}

// A function of the user's that is called in a claim may delete its own migration.
void check_exists(bool exists) {
    if (!exists)
        pg::raise(Refusal{"55000", "the migration was deleted while a job of it was made", {}, {}});
}

} // namespace

std::int64_t insert_migration(const NewMigration &fresh) {
    const Migration &m = fresh.migration;
    std::int64_t id = 0;
    pg::query(insert_statement,
              {pg::text(m.job_class_name),
               pg::integer(m.table_oid),
               pg::text(m.table_name),
               pg::text(m.column_name),
               pg::json(m.job_arguments),
               pg::text(name(m.status)),
               pg::text(m.statement),
               pg::boolean(m.has_placeholders),
               pg::text(m.scope_to),
               pg::text(fresh.operation_name),
               pg::text(m.batching_strategy),
               pg::key(m.cursor_columns),
               pg::integer(m.workers),
               pg::known(fresh.total_rows),
               pg::integer(m.pace.job_interval),
               pg::integer(m.pace.pause),
               pg::integer(m.pace.batch_size),
               pg::positive(m.pace.sub_batch_size),
               pg::positive(m.pace.max_batch_size),
               pg::integer(fresh.priority),
               pg::integer(m.owner_oid),
               pg::text(m.owner_name),
               pg::text(m.search_path),
               pg::integer(pg::system_identifier()),
               pg::integer(pg::current_database()),
               pg::boolean(m.pace.batch_size_given),
               pg::integer(m.table_root),
               pg::text(name(m.on_data_error)),
               pg::integer(m.generation),
               pg::key(m.given.min),
               pg::key(m.given.max),
               pg::boolean(m.walks_leaves),
               pg::text(m.known_as),
               pg::integers(m.mentions),
               pg::integers(m.scope_mentions),
               pg::boolean(m.with_nulls),
               pg::key(m.used_columns)},
              [&](pg::Row row) { id = row.integer(1); });
    if (id == 0)
        return 0;
    Migration queued = m;
    queued.id = id;
    insert_event(queued, "queue", {}, name(m.status), Cause{fresh.reason});
    return id;
}

std::optional<Migration> load_migration(std::int64_t id, Arena arena) { return load_with(load_statement, id, arena); }

std::optional<Migration> lock_migration(std::int64_t id, Arena arena) {
    std::optional<Migration> migration;
    const auto read = [&](pg::Row row) {
        migration = read_migration(row, arena);
        remember(known.migration, id, row.place(kMigrationColumns + 1));
    };
    find_and_run(known.migration, id, lock_statements, [&](pg::Statement &statement, pg::RowPlace place) {
        return pg::query(statement, {pg::integer(id), pg::place(place)}, read) == 1;
    });
    return migration;
}

std::int64_t writer_of(std::int64_t id) { return single_integer(writer_statement, id); }

std::optional<std::int64_t> find_by_identity(const Identity &identity) {
    std::optional<std::int64_t> id;
    pg::query(identity_statement,
              {pg::text(identity.job_class_name), pg::integer(identity.table_oid), pg::text(identity.column_name),
               pg::json(identity.job_arguments)},
              [&](pg::Row row) { id = row.integer(1); });
    return id;
}

int find_by_name(Text job_class_name, std::int64_t &id) {
    return static_cast<int>(
        pg::query(name_statement, {pg::text(job_class_name)}, [&](pg::Row row) { id = row.integer(1); }));
}

Vector<std::int64_t> &all_of_class(Text job_class_name, Arena arena) {
    auto &ids = make<Vector<std::int64_t>>(arena);
    pg::query(class_statement, {pg::text(job_class_name)}, [&](pg::Row row) { ids.push_back(row.integer(1)); });
    return ids;
}

Text similar_name(Text job_class_name, Arena arena) {
    Text similar;
    pg::query(similar_statement, {pg::text(job_class_name), pg::integer(pg::current_role().oid)},
              [&](pg::Row row) { similar = row.text(1, arena); });
    return similar;
}

void change_status(const Migration &migration, MigrationEvent event, MigrationStatus to, const Cause &cause) {
    const Text reason = cause.failure != nullptr ? cause.failure->message : cause.reason;
    pg::execute(status_statement, {pg::integer(migration.id), pg::text(name(to)), pg::text(reason)});
    insert_event(migration, name(event), name(migration.status), name(to), cause);
}

void record_event(const Migration &migration, Text event, const Cause &cause, Text to) {
    insert_event(migration, event, name(migration.status), to, cause);
}

void ask_for_cancel(std::int64_t id) { pg::execute(cancel_statement, {pg::integer(id)}); }

void count_new_job(std::int64_t id, Micros next_job_at) {
    check_exists(find_and_run(known.migration, id, new_job_statements, [&](pg::Statement &statement, pg::RowPlace place) {
        return pg::query(statement, {pg::integer(id), pg::timestamp(next_job_at), pg::place(place)},
                         [&](pg::Row row) { remember(known.migration, id, row.place(1)); }) == 1;
    }));
}

void set_next_job_at(std::int64_t id, Micros when) {
    pg::execute(next_job_statement, {pg::integer(id), pg::timestamp(when)});
}

void set_pace(std::int64_t id, const Pace &pace, std::optional<int> priority, std::optional<int> workers) {
    pg::execute(
        pace_statement,
        {pg::integer(id), pg::integer(pace.job_interval), pg::integer(pace.pause), pg::positive(pace.batch_size),
         pg::positive(pace.sub_batch_size), pg::positive(pace.max_batch_size),
         pg::Parameter{.kind = pg::Parameter::Kind::integer, .is_null = !priority, .integer = priority.value_or(0)},
         pg::boolean(pace.batch_size_given), pg::positive(workers.value_or(0))});
}

void set_batch_size(std::int64_t id, int batch_size) {
    pg::execute(batch_size_statement, {pg::integer(id), pg::integer(batch_size)});
}

void set_hold(std::int64_t id, Micros until, Text reason) {
    pg::execute(hold_statement, {pg::integer(id), pg::timestamp(until), pg::text(reason)});
}

bool was_held_lately(std::int64_t id, Text indicator, Micros ago) {
    return pg::execute(held_statement, {pg::integer(id), pg::text(indicator), pg::integer(ago)}) > 0;
}

void set_bounds_attempts(std::int64_t id, int attempts) {
    pg::execute(bounds_statement, {pg::integer(id), pg::integer(attempts)});
}
void count_job(std::int64_t id) { check_exists(pg::execute(more_jobs_statement, {pg::integer(id)}) == 1); }

void count_rows(std::int64_t id, std::int64_t rows_affected) {
    pg::execute(more_rows_statement, {pg::integer(id), pg::integer(rows_affected)});
}

void set_used_columns(std::int64_t id, Key used_columns) {
    pg::execute(columns_statement, {pg::integer(id), pg::key(used_columns)});
}

void accept_leaves(std::int64_t id) { pg::execute(accept_statement, {pg::integer(id)}); }

void settle_leaves(std::int64_t id) { pg::execute(settled_statement, {pg::integer(id)}); }

void forget_state_of_tables(std::int64_t id) { pg::execute(forget_statement, {pg::integer(id)}); }

void set_table_name(const Migration &migration, Text table_name) {
    pg::execute(table_name_statement, {pg::integer(migration.id), pg::text(table_name)});
}

void set_table_root(std::int64_t id, std::uint32_t root) {
    pg::execute(root_statement, {pg::integer(id), pg::integer(root)});
}

void retire(std::int64_t id) { pg::execute(retire_statement, {pg::integer(id)}); }

NewMigration copy_of(const Migration &migration, Arena arena) {
    NewMigration fresh = {migration, {}, 0, -1, {}};
    pg::query(copy_statement, {pg::integer(migration.id)}, [&](pg::Row row) {
        fresh.operation_name = row.text(1, arena);
        fresh.priority = static_cast<int>(row.integer(2));
    });
    return fresh;
}

bool adopt(std::int64_t id, std::uint32_t owner) {
    return pg::execute(adopt_statement, {pg::integer(id), pg::integer(pg::system_identifier()),
                                         pg::integer(pg::current_database()), pg::integer(owner)}) == 1;
}

void delete_migration(std::int64_t id) { pg::execute(delete_statement, {pg::integer(id)}); }

Text latest_reason(std::int64_t id, Arena arena) {
    Text reason;
    pg::query(reason_statement, {pg::integer(id)}, [&](pg::Row row) { reason = row.text(1, arena); });
    return reason;
}

std::optional<Failure> last_failure(std::int64_t id, Arena arena) {
    std::optional<Failure> failure;
    pg::query(last_failure_statement, {pg::integer(id)}, [&](pg::Row row) {
        failure =
            Failure{row.text(1, arena), row.text(2, arena), row.text(3, arena), row.text(4, arena), row.text(5, arena)};
    });
    return failure;
}

std::optional<Observed> observe(std::int64_t id, Arena arena) {
    std::optional<Observed> observed;
    pg::query(observe_statement, {pg::integer(id)}, [&](pg::Row row) {
        observed = Observed{parse_migration_status(row.text(1, arena)).value_or(MigrationStatus::paused),
                            static_cast<std::uint32_t>(row.integer(2)),
                            {},
                            row.integer(4)};
        if (!row.is_null(3))
            observed->progress = row.real(3);
    });
    return observed;
}

} // namespace bbm::store
