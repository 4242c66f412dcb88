#include "pg/row_place.hpp"

extern "C" {
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

namespace bbm::pg {

namespace {

Relation open(const char *table) {
    return table_open(get_relname_relid(table, get_namespace_oid("bbm", false)), AccessShareLock);
}

} // namespace

RowPlace newest_place(const char *table, RowPlace place) {
    Relation relation = open(table);
    const Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
    TableScanDesc scan = table_beginscan_tid(relation, snapshot);
    ItemPointerData tid;
    ItemPointerSet(&tid, static_cast<BlockNumber>(place >> 16), static_cast<OffsetNumber>(place & 0xFFFF));
    if (table_tuple_tid_valid(scan, &tid)) // the file may have become shorter
        table_tuple_get_latest_tid(scan, &tid);
    table_endscan(scan);
    UnregisterSnapshot(snapshot);
    table_close(relation, AccessShareLock);
    return static_cast<RowPlace>(ItemPointerGetBlockNumber(&tid)) << 16 | ItemPointerGetOffsetNumber(&tid);
}

void prune_page(const char *table, RowPlace place) {
    Relation relation = open(table);
    const auto block = static_cast<BlockNumber>(place >> 16);
    if (block < RelationGetNumberOfBlocks(relation)) {
        const Buffer buffer = ReadBuffer(relation, block);
        heap_page_prune_opt(relation, buffer);
        ReleaseBuffer(buffer);
    }
    table_close(relation, AccessShareLock);
}

} // namespace bbm::pg
