#include "store/work.hpp"

#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/spi.hpp"

namespace bbm::store {

namespace {

// The lock classes of pg/locks.hpp, as pg_locks shows them.
#define BBM_JOB_LOCKS                                                                                                  \
    "FROM pg_catalog.pg_locks AS l JOIN bbm.job AS j ON j.id = (l.classid::pg_catalog.int8 << 32 | "                   \
    "l.objid::pg_catalog.int8)"                                                                                        \
    " WHERE l.locktype = 'advisory' AND l.objsubid = 4 AND l.granted AND l.database = $1::pg_catalog.oid"

// A first start is no reason for suspicion while it runs, else whoever starts one job after the other would keep the
// true suspects from running.
// What holds the server holds all migrations, so that one on hold with its job in hand keeps its place; a vacuum of its
// table holds nobody else.
// A job that runs or is pending wants its worker now: the wait between jobs is for new ones.
pg::Statement candidates_statement = {
    "WITH live AS MATERIALIZED (SELECT j.migration_id, pg_catalog.count(*) AS workers " BBM_JOB_LOCKS " GROUP BY 1)"
    " SELECT m.id, m.table_root, m.owner_oid, coalesce(live.workers, 0),"
    " CASE WHEN m.on_hold_until > pg_catalog.now() AND m.status = 'active' THEN m.on_hold_until"
    " WHEN EXISTS (SELECT FROM bbm.job AS j WHERE j.migration_id = m.id AND j.status <> 'succeeded'"
    "                   AND j.status IN ('pending', 'running')) THEN NULL"
    " WHEN m.next_job_at IS NOT NULL THEN least(m.next_job_at, (SELECT pg_catalog.min(j.retry_at) FROM bbm.job AS j"
    "     WHERE j.migration_id = m.id AND j.status <> 'succeeded' AND j.status = 'failed')) END,"
    " EXISTS (SELECT FROM bbm.job AS j WHERE j.migration_id = m.id AND j.status <> 'succeeded'"
    "         AND j.unproven_starts > CASE WHEN live.workers > 0 THEN 1 ELSE 0 END),"
    " coalesce(m.on_hold_until > pg_catalog.now() AND m.status = 'active'"
    "   AND (live.workers IS NULL OR m.hold_reason = 'autovacuum'), false),"
    " greatest(1, least(m.workers, CASE WHEN (m.next_job_at IS NULL OR m.next_job_at <= pg_catalog.now()"
    "   OR m.status = 'finalizing') AND EXISTS (SELECT FROM bbm.part AS p WHERE p.migration_id = m.id AND NOT p.is_cut)"
    "  THEN m.workers ELSE (SELECT pg_catalog.count(*) FROM bbm.job AS j WHERE j.migration_id = m.id"
    "   AND j.status <> 'succeeded' AND (j.status <> 'failed' OR j.retry_at <= pg_catalog.now())) END))"
    " FROM bbm.migration AS m LEFT JOIN live ON live.migration_id = m.id"
    " WHERE m.status IN ('active', 'finalizing') AND m.home_system = $2 AND m.home_database = $1::pg_catalog.oid"
    " ORDER BY m.priority DESC, m.id"};

// A job without a row is deleted if an event says so, and else not committed yet.
pg::Statement live_statement = {
    "SELECT l.pid, l.job_id, j.migration_id, CASE WHEN j.id IS NULL"
    " THEN EXISTS (SELECT FROM bbm.event AS e WHERE e.event = 'delete' AND e.job_id = l.job_id)"
    " ELSE m.cancel_running AND m.status NOT IN ('active', 'finalizing') END,"
    " coalesce(m.on_hold_until > pg_catalog.now(), false)"
    " FROM (SELECT pid, classid::pg_catalog.int8 << 32 | objid::pg_catalog.int8 AS job_id FROM pg_catalog.pg_locks"
    " WHERE locktype = 'advisory' AND objsubid = 4 AND granted AND database = $1::pg_catalog.oid) AS l"
    " LEFT JOIN bbm.job AS j ON j.id = l.job_id LEFT JOIN bbm.migration AS m ON m.id = j.migration_id"};

pg::Statement processes_statement = {
    "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity AS s WHERE s.backend_type = 'bbm worker'"};

pg::Statement scheduler_statement = {
    "SELECT l.pid FROM pg_catalog.pg_locks AS l WHERE l.locktype = 'advisory' AND l.objsubid = 3 AND l.granted"
    " AND l.database = $1::pg_catalog.oid"};

pg::Statement blocked_statement = {"SELECT s.pid FROM pg_catalog.pg_stat_activity AS s WHERE s.backend_type = 'bbm "
                                   "worker' AND s.datid = $1::pg_catalog.oid"
                                   " AND $2::pg_catalog.int4 = ANY (pg_catalog.pg_blocking_pids(s.pid))"};

// From the few that work to their tables, and not from the table to all that were ever on it.
pg::Statement worked_on_statement = {
    "SELECT FROM bbm.migration AS m WHERE m.id = ANY (ARRAY(SELECT j.migration_id " BBM_JOB_LOCKS
    " AND j.status = 'running')) AND m.table_root = $2::pg_catalog.oid LIMIT 1",
    pg::Sees::latest};

// A running job counts as one that somebody works on: an orphan is found by the next claim.
pg::Statement others_wait_statement = {
    "WITH busy AS MATERIALIZED (SELECT DISTINCT m.id, m.table_root FROM bbm.job AS j JOIN bbm.migration AS m"
    "  ON m.id = j.migration_id WHERE j.status = 'running')"
    " SELECT FROM bbm.migration AS m WHERE m.status IN ('active', 'finalizing') AND m.id <> $3 AND m.home_system = $2"
    " AND m.home_database = $1::pg_catalog.oid AND (m.next_job_at IS NULL OR m.next_job_at <= pg_catalog.now())"
    " AND (m.on_hold_until IS NULL OR m.on_hold_until <= pg_catalog.now())"
    " AND m.table_root NOT IN (SELECT table_root FROM busy)"
    " AND (SELECT pg_catalog.count(*) FROM busy) < $4 LIMIT 1"};

pg::Statement earlier_statement = {
    "SELECT o.table_oid FROM bbm.migration AS m JOIN bbm.migration AS o ON o.table_root <> m.table_root"
    " AND o.status IN ('active', 'finalizing') AND (o.priority > m.priority OR o.priority = m.priority AND o.id < m.id)"
    " WHERE m.id = $1"};

pg::Statement has_work_statement = {
    "SELECT id FROM bbm.migration WHERE status IN ('active', 'finalizing') AND home_system = $2"
    " AND home_database = $1::pg_catalog.oid LIMIT 1"};

pg::Statement mine_statement = {
    "SELECT id FROM bbm.migration WHERE status IN ('active', 'finalizing') AND home_system = $2"
    " AND home_database = $1::pg_catalog.oid AND owner_oid = $3::pg_catalog.oid ORDER BY priority DESC, id"};

pg::Parameter database() { return pg::integer(pg::current_database()); }
pg::Parameter system() { return pg::integer(pg::system_identifier()); }

} // namespace

Vector<Candidate> &candidates(Arena arena) {
    auto &found = make<Vector<Candidate>>(arena);
    pg::query(candidates_statement, {database(), system()}, [&](pg::Row row) {
        found.push_back({row.integer(1), static_cast<std::uint32_t>(row.integer(2)),
                         static_cast<std::uint32_t>(row.integer(3)), static_cast<int>(row.integer(4)),
                         static_cast<int>(row.integer(8)), row.integer(5), row.boolean(6), row.boolean(7)});
    });
    return found;
}

Vector<Worker> &live_workers(Arena arena) {
    auto &workers = make<Vector<Worker>>(arena);
    pg::query(live_statement, {database()}, [&](pg::Row row) {
        workers.push_back({static_cast<int>(row.integer(1)), row.integer(2), row.integer(3), row.boolean(4),
                           row.boolean(5)});
    });
    return workers;
}

bool is_worked_on(std::uint32_t root) {
    return pg::execute(worked_on_statement, {database(), pg::integer(root)}) > 0;
}

int worker_processes() {
    std::int64_t count = 0;
    pg::query(processes_statement, {}, [&](pg::Row row) { count = row.integer(1); });
    return static_cast<int>(count);
}

int scheduler_process() {
    std::int64_t pid = 0;
    pg::query(scheduler_statement, {database()}, [&](pg::Row row) { pid = row.integer(1); });
    return static_cast<int>(pid);
}

bool is_blocked_by_me() {
    pg::forget_statistics(); // or the transaction would see for ever who was there when it looked first
    return pg::execute(blocked_statement, {database(), pg::integer(pg::process_id())}) > 0;
}

Vector<std::uint32_t> &earlier_tables(std::int64_t migration, Arena arena) {
    auto &tables = make<Vector<std::uint32_t>>(arena);
    pg::query(earlier_statement, {pg::integer(migration)},
              [&](pg::Row row) { tables.push_back(static_cast<std::uint32_t>(row.integer(1))); });
    return tables;
}

bool others_wait(std::int64_t migration, int max_running) {
    return pg::execute(others_wait_statement,
                       {database(), system(), pg::integer(migration), pg::integer(max_running)}) > 0;
}

bool has_work() { return pg::execute(has_work_statement, {database(), system()}) > 0; }

Vector<std::int64_t> &my_runnable(Arena arena) {
    auto &ids = make<Vector<std::int64_t>>(arena);
    pg::query(mine_statement, {database(), system(), pg::integer(pg::current_role().oid)},
              [&](pg::Row row) { ids.push_back(row.integer(1)); });
    return ids;
}

} // namespace bbm::store
