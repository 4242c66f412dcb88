#include "pg/table_file.hpp"

#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "access/heapam.h"
#include "access/relation.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "common/hashfn.h"
#include "pgstat.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

// Rows between two looks at the clock.
constexpr int kRowsAtOnce = 1000;

std::uint32_t number_of(Relation relation) {
#if PG_VERSION_NUM >= 160000
    return relation->rd_locator.relNumber;
#else
    return relation->rd_node.relNode;
#endif
}

std::int64_t next_transaction() {
    return static_cast<std::int64_t>(U64FromFullTransactionId(ReadNextFullTransactionId()));
}

// Every transaction before it has ended.
std::int64_t horizon() {
    const std::int64_t next = next_transaction();
    return next - static_cast<std::uint32_t>(static_cast<std::uint32_t>(next) - GetLatestSnapshot()->xmin);
}

RowStamp stamp_of(const HeapTupleHeaderData *row) {
    const bool has_command =
        !TransactionIdIsValid(HeapTupleHeaderGetRawXmax(row)) && (row->t_infomask & HEAP_COMBOCID) == 0;
    return {{HeapTupleHeaderGetRawXmin(row), HeapTupleHeaderGetRawCommandId(row)}, has_command};
}

std::optional<Stamp> stamp_in_catalog(Oid relation) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    if (!HeapTupleIsValid(tuple))
        return std::nullopt;
    const RowStamp stamp = stamp_of(tuple->t_data);
    ReleaseSysCache(tuple);
    return stamp.has_command ? std::optional(stamp.written) : std::nullopt;
}

Swap swap_of(Relation table, SinceLook since) {
    List *numbers = RelationGetIndexList(table);
    const auto indexes = make_array<Stamp>(current_arena(), static_cast<std::size_t>(list_length(numbers)));
    std::size_t count = 0;
    ListCell *cell;
    foreach (cell, numbers)
        if (const auto stamp = stamp_in_catalog(lfirst_oid(cell)))
            indexes[count++] = *stamp;
    list_free(numbers);
    const Oid toast = table->rd_rel->reltoastrelid;
    return find_swap(since, stamp_in_catalog(RelationGetRelid(table)),
                     OidIsValid(toast) ? stamp_in_catalog(toast) : std::nullopt, indexes.first(count));
}

// A row is seen after its transaction got its number, which may be a newer one than we know of.
RowAge age_of(const RowStamp &row, SinceLook &since, const Swap &swap) {
    const RowAge age = row_age(row, since, swap);
    if (age != RowAge::older)
        return age;
    since.next = next_transaction();
    return row_age(row, since, swap);
}

// Dead rows count as well: they were in the table once.
RowsFound read_rows(Relation table, SinceLook since, Micros limit) {
    RowsFound found;
    found.estimate = std::max<std::int64_t>(static_cast<std::int64_t>(table->rd_rel->reltuples), 0);
    found.is_complete = table->rd_rel->relam == HEAP_TABLE_AM_OID; // others have no such rows
    if (!found.is_complete)
        return found;
    const Swap swap = swap_of(table, since);
    const Micros deadline = stopwatch() + limit;
    TableScanDesc scan = table_beginscan(table, SnapshotAny, 0, nullptr);
    int rows = 0;
    while (HeapTuple row = heap_getnext(scan, ForwardScanDirection)) {
        add(found, age_of(stamp_of(row->t_data), since, swap));
        if (is_decided(found))
            break;
        if (++rows % kRowsAtOnce == 0 && stopwatch() > deadline) {
            found.is_complete = false;
            break;
        }
    }
    table_endscan(scan);
    return found;
}

// One that changes when a leaf comes, goes or gets another file.
std::uint32_t number_of_leaves(Oid table) {
    std::uint32_t number = 1;
    ListCell *cell;
    foreach (cell, find_all_inheritors(table, NoLock, nullptr)) {
        HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(lfirst_oid(cell)));
        if (!HeapTupleIsValid(tuple))
            continue;
        number = hash_combine(number, lfirst_oid(cell));
        number = hash_combine(number, reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relfilenode);
        ReleaseSysCache(tuple);
    }
    return number;
}

std::uint32_t number_of_any(Relation table) {
    if (table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
        return number_of_leaves(RelationGetRelid(table));
    return RELKIND_HAS_STORAGE(table->rd_rel->relkind) ? number_of(table) : 0;
}

TableFile file_of(Relation table) {
    TableFile file;
    file.number = number_of_any(table);
    file.horizon = horizon();
    file.owner = table->rd_rel->relowner;
    if (const PgStat_StatTabEntry *counted = pgstat_fetch_stat_tabentry(RelationGetRelid(table)))
        file.inserted = counted->tuples_inserted;
    if (table->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
        file.recovered_at = pgstat_fetch_stat_wal()->stat_reset_timestamp;
    return file;
}

} // namespace

std::uint32_t file_number(std::uint32_t table) {
    Relation relation = RelationIdGetRelation(table);
    if (!RelationIsValid(relation))
        return 0;
    const std::uint32_t number = number_of_any(relation);
    RelationClose(relation);
    return number;
}

TableFile table_file(std::uint32_t table) {
    Relation relation = relation_open(table, AccessShareLock);
    const TableFile file = file_of(relation);
    relation_close(relation, AccessShareLock);
    return file;
}

FileNews look_at_file(std::uint32_t table, const TableFile &known, Micros limit) {
    Relation relation = relation_open(table, AccessShareLock);
    const TableFile file = file_of(relation);
    RowsFound found;
    if (!is_same_file(known, file) && file.number != 0)
        found = read_rows(relation, {known.horizon, next_transaction()}, limit);
    relation_close(relation, AccessShareLock);
    return {judge(known, file, found), file};
}

Refusal file_refusal(FileChange change, std::uint32_t table, std::int64_t migration_id) {
    const Text name = table_name(table);
    const auto id = static_cast<long long>(migration_id);
    if (change == FileChange::emptied)
        return {"55000", format("table %s was truncated", name.data()),
                "Rows that were loaded since may have keys behind those that are done, and would never be handled.",
                format("To handle all rows, run: SELECT bbm.requeue(%lld);  To go on behind the keys that are done: "
                       "SELECT bbm.retry(%lld);",
                       id, id)};
    return {"55000", format("table %s has another file", name.data()),
            "It may have been rewritten (as CLUSTER, ALTER TABLE and tools like pg_repack do) or truncated and loaded "
            "anew: none of its rows tells which.",
            format("If it was rewritten, go on with: SELECT bbm.retry(%lld);  Else handle all rows with: "
                   "SELECT bbm.requeue(%lld);",
                   id, id)};
}

} // namespace bbm::pg
