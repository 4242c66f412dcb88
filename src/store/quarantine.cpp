#include "store/quarantine.hpp"

#include "pg/spi.hpp"

namespace bbm::store {

namespace {

pg::Statement insert_statement = {
    "INSERT INTO bbm.quarantine AS q (migration_id, part_id, job_id, key, sqlstate, message, detail, hint, context,"
    " attempts) VALUES ($1, $10, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (migration_id, part_id, key) DO UPDATE"
    " SET job_id = excluded.job_id, sqlstate = excluded.sqlstate, message = excluded.message,"
    " detail = excluded.detail, hint = excluded.hint, context = excluded.context,"
    " attempts = q.attempts + excluded.attempts, quarantined_at = excluded.quarantined_at"};
pg::Statement count_statement = {"SELECT pg_catalog.count(*) FROM bbm.quarantine WHERE migration_id = $1"};
pg::Statement lock_statement = {"SELECT id, key FROM bbm.quarantine WHERE migration_id = $1 AND part_id = $2 ORDER BY id FOR UPDATE"};
pg::Statement delete_statement = {"DELETE FROM bbm.quarantine WHERE id = $1"};

} // namespace

void insert_quarantined(const Job &job, Key key, const Failure &failure) {
    pg::execute(insert_statement, {pg::integer(job.migration_id), pg::integer(job.id), pg::key(key),
                                   pg::text(failure.sqlstate), pg::text(failure.message), pg::text(failure.detail),
                                   pg::text(failure.hint), pg::text(failure.context), pg::integer(job.attempts),
                                   pg::integer(job.part_id)});
}

std::int64_t count_quarantined(std::int64_t migration_id) {
    std::int64_t count = 0;
    pg::query(count_statement, {pg::integer(migration_id)}, [&](pg::Row row) { count = row.integer(1); });
    return count;
}

Vector<Quarantined> &lock_quarantined(std::int64_t migration_id, std::int64_t part_id, Arena arena) {
    auto &rows = make<Vector<Quarantined>>(arena);
    pg::query(lock_statement, {pg::integer(migration_id), pg::integer(part_id)}, [&](pg::Row row) {
        rows.push_back({row.integer(1), row.key(2, arena)});
    });
    return rows;
}

void delete_quarantined(std::int64_t id) { pg::execute(delete_statement, {pg::integer(id)}); }

} // namespace bbm::store
