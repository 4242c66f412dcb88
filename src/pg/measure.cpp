#include "pg/measure.hpp"

extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "executor/instrument.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"
}

namespace bbm::pg {

namespace {

std::int64_t blocks(Oid number) {
    Relation relation = relation_open(number, AccessShareLock);
    std::int64_t sum = RELKIND_HAS_STORAGE(relation->rd_rel->relkind) ? RelationGetNumberOfBlocks(relation) : 0;
    List *indexes = RelationGetIndexList(relation);
    ListCell *cell;
    foreach (cell, indexes) {
        Relation index = relation_open(lfirst_oid(cell), AccessShareLock);
        sum += RELKIND_HAS_STORAGE(index->rd_rel->relkind) ? RelationGetNumberOfBlocks(index) : 0;
        relation_close(index, AccessShareLock);
    }
    list_free(indexes);
    const Oid toast = relation->rd_rel->reltoastrelid;
    relation_close(relation, AccessShareLock);
    return OidIsValid(toast) ? sum + blocks(toast) : sum; // a TOAST table has none of its own
}

} // namespace

std::int64_t wal_bytes() { return static_cast<std::int64_t>(pgWalUsage.wal_bytes); }

std::int64_t size_in_bytes(std::uint32_t table) { return blocks(table) * BLCKSZ; }

Text duration_text(Micros duration) {
    Interval span = {duration, 0, 0};
    const Datum justified = DirectFunctionCall1(interval_justify_hours, IntervalPGetDatum(&span));
    return Text(DatumGetCString(DirectFunctionCall1(interval_out, justified)));
}

} // namespace bbm::pg
