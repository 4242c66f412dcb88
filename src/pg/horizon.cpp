#include "pg/horizon.hpp"

#include "pg/identity.hpp"
#include "pg/report.hpp"
#include "pg/spi.hpp"

extern "C" {
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"
}

namespace bbm::pg {

namespace {

// What the server asks itself when it prunes: a transaction number that is at work or whose owner's snapshot is that
// old. VACUUM is left out there, too. A second is more than an ordinary transaction takes, and as long as the windows
// of a walk, so whoever is older is met in all passes of one.
// A standby's feedback comes every ten seconds: it is always that old, whatever is read there.
Statement load_horizon = {"SELECT h.kind, h.age, coalesce(to_char(h.since, 'YYYY-MM-DD HH24:MI:SS'), '')"
                          " FROM (SELECT CASE WHEN a.backend_type = 'walsender' THEN 3 ELSE 0 END AS kind,"
                          "  greatest(age(a.backend_xid), age(a.backend_xmin)) AS age, a.xact_start AS since"
                          "  FROM pg_stat_get_activity(NULL) AS a"
                          "  WHERE a.pid <> $2::integer AND (a.backend_type = 'walsender'"
                          "   OR a.datid = $1::oid AND a.xact_start < clock_timestamp() - interval '1 second')"
                          "  AND a.pid NOT IN (SELECT p.pid FROM pg_stat_get_progress_info('VACUUM') AS p)"
                          " UNION ALL SELECT 1, age(p.transaction), p.prepared FROM pg_prepared_xact() AS p"
                          "  WHERE p.dbid = $1::oid AND p.prepared < clock_timestamp() - interval '1 second'"
                          " UNION ALL SELECT 2, age(s.xmin), NULL FROM pg_get_replication_slots() AS s"
                          " ) AS h WHERE h.age IS NOT NULL ORDER BY h.age DESC LIMIT 1"};

} // namespace

std::optional<Horizon> find_horizon(Arena arena) {
    std::optional<Horizon> found;
    query(load_horizon, {integer(current_database()), integer(process_id())}, [&](const Row &row) {
        found = Horizon{static_cast<Horizon::Kind>(row.integer(1)), row.integer(2), row.text(3, arena)};
    });
    return found;
}

std::uint32_t transaction_number() { return GetTopTransactionIdIfAny(); }

bool is_behind_horizon(std::uint32_t transaction) {
    return TransactionIdPrecedes(transaction, GetOldestNonRemovableTransactionId(nullptr));
}

bool is_behind_horizon_of(std::uint32_t table, std::uint32_t transaction) {
    Relation relation = table_open(table, AccessShareLock);
    const TransactionId horizon = GetOldestNonRemovableTransactionId(relation);
    table_close(relation, AccessShareLock);
    return TransactionIdPrecedes(transaction, horizon);
}

Text describe(const Horizon &horizon) {
    const auto age = static_cast<long long>(horizon.age);
    const Text since = horizon.since;
    switch (horizon.kind) {
    case Horizon::Kind::session:
        return format("a transaction is open since %.*s", width(since), since.data());
    case Horizon::Kind::prepared:
        return format("a transaction is prepared since %.*s", width(since), since.data());
    case Horizon::Kind::slot:
        return format("a replication slot is %lld transactions behind", age);
    case Horizon::Kind::standby:
        break;
    }
    return format("a standby with hot_standby_feedback is %lld transactions behind", age);
}

} // namespace bbm::pg
