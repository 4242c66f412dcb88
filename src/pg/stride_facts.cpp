#include "pg/stride_facts.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

// Sets of columns are numbered as pull_varattnos() does.
int position_of(AttrNumber column) { return column - FirstLowInvalidHeapAttributeNumber; }
AttrNumber column_at(int position) { return static_cast<AttrNumber>(position + FirstLowInvalidHeapAttributeNumber); }

Bitmapset *columns_named(Oid table, Key names) {
    Bitmapset *columns = nullptr;
    for (const Text name : names)
        columns = bms_add_member(columns, position_of(get_attnum(table, c_string(name))));
    return columns;
}

// Columns generated from those that are assigned, or from the whole row.
Bitmapset *generated_from(Relation table, Bitmapset *assigned) {
    const TupleDesc columns = RelationGetDescr(table);
    Bitmapset *generated = nullptr;
    for (int i = 0; i < columns->natts; ++i) {
        const FormData_pg_attribute &column = *TupleDescAttr(columns, i);
        if (column.attisdropped || column.attgenerated == '\0')
            continue;
        Bitmapset *reads = nullptr;
        pull_varattnos(build_column_default(table, column.attnum), 1, &reads);
        if (bms_overlap(reads, assigned) || bms_is_member(position_of(0), reads))
            generated = bms_add_member(generated, position_of(column.attnum));
    }
    return generated;
}

// Key, included columns, expressions and condition: a new version of the row that differs in any of them needs an
// entry.
Bitmapset *columns_of(Relation index) {
    Bitmapset *columns = nullptr;
    for (int i = 0; i < index->rd_index->indnatts; ++i)
        if (const AttrNumber column = index->rd_index->indkey.values[i]; column != 0)
            columns = bms_add_member(columns, position_of(column));
    pull_varattnos(reinterpret_cast<Node *>(RelationGetIndexExpressions(index)), 1, &columns);
    pull_varattnos(reinterpret_cast<Node *>(RelationGetIndexPredicate(index)), 1, &columns);
    return columns;
}

// Since 16 an index that says something about ranges of blocks, and not about rows, gets its entry without ado.
bool hinders_hot(Relation index) {
#if PG_VERSION_NUM >= 160000
    return !index->rd_indam->amsummarizing;
#else
    (void)index;
    return true;
#endif
}

void look_at_index(Relation table, Relation index, const Bitmapset *written, StrideFacts &facts) {
    // A BRIN index is a few pages; it costs next to nothing whatever happens to rows.
    facts.secondary_indexes += index->rd_rel->relam != BRIN_AM_OID;
    const int position = bms_next_member(bms_intersect(columns_of(index), written), -1);
    if (position < 0 || !hinders_hot(index) || !facts.indexed_column.empty())
        return;
    facts.indexed_column = Text(get_attname(RelationGetRelid(table), column_at(position), false));
    facts.index_name = Text(pstrdup(RelationGetRelationName(index)));
}

void look_at_indexes(Relation table, const Bitmapset *written, StrideFacts &facts) {
    facts.secondary_indexes = -1; // one is that of the key
    ListCell *cell;
    foreach (cell, RelationGetIndexList(table)) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        look_at_index(table, index, written, facts);
        index_close(index, AccessShareLock);
    }
    facts.secondary_indexes = std::max(facts.secondary_indexes, 0);
}

// UPDATE OF a, b: one of them must be assigned.
bool fires_for(const Trigger &trigger, const Bitmapset *assigned) {
    if (!TRIGGER_FOR_ROW(trigger.tgtype) || !TRIGGER_FOR_BEFORE(trigger.tgtype) || !TRIGGER_FOR_UPDATE(trigger.tgtype))
        return false;
    if (trigger.tgenabled == TRIGGER_DISABLED || trigger.tgenabled == TRIGGER_FIRES_ON_REPLICA)
        return false;
    return trigger.tgnattr == 0 ||
           std::any_of(trigger.tgattr, trigger.tgattr + trigger.tgnattr,
                       [&](AttrNumber column) { return bms_is_member(position_of(column), assigned); });
}

Text before_trigger(Relation table, const Bitmapset *assigned) {
    const TriggerDesc *triggers = table->trigdesc;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i)
        if (fires_for(triggers->triggers[i], assigned))
            return Text(pstrdup(triggers->triggers[i].tgname));
    return {};
}

void look_at_size(Relation table, StrideFacts &facts) {
    BlockNumber pages;
    double rows, share_of_visible_pages;
    estimate_rel_size(table, nullptr, &pages, &rows, &share_of_visible_pages);
    facts.rows = rows;
    // Never analysed: the server guesses by the types of columns, and texts may be short or long.
    const bool is_known = table->rd_rel->reltuples > 0 && table->rd_rel->relpages > 0;
    facts.rows_per_page = is_known ? table->rd_rel->reltuples / table->rd_rel->relpages : 0;
}

// Not a number where there are no statistics.
double correlation_of(const TableKey &key) {
    double correlation = std::numeric_limits<double>::quiet_NaN();
    HeapTuple tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(key.table),
                                      Int16GetDatum(key.columns.front().number), BoolGetDatum(false));
    if (!HeapTupleIsValid(tuple))
        return correlation;
    AttStatsSlot slot;
    if (get_attstatsslot(&slot, tuple, STATISTIC_KIND_CORRELATION, InvalidOid, ATTSTATSSLOT_NUMBERS)) {
        correlation = slot.nnumbers > 0 ? slot.numbers[0] : correlation;
        free_attstatsslot(&slot);
    }
    ReleaseSysCache(tuple);
    return correlation;
}

void look_at_heap(Relation table, const RangeCommand &command, Key assigned_columns, StrideFacts &facts) {
    Bitmapset *assigned = columns_named(command.table, assigned_columns);
    look_at_indexes(table, bms_union(assigned, generated_from(table, assigned)), facts);
    // The index that is walked has columns that nobody changes; any other one a trigger may know.
    if (facts.secondary_indexes > 0)
        facts.before_trigger = before_trigger(table, assigned);
    facts.fillfactor = RelationGetFillFactor(table, HEAP_DEFAULT_FILLFACTOR);
    facts.correlation = correlation_of(command.key);
    look_at_size(table, facts);
}

StrideFacts::Blocks blocks(const CommandFacts &facts) {
    if (!facts.is_repeatable)
        return StrideFacts::Blocks::no;
    return facts.repeating_overwrites ? StrideFacts::Blocks::with_condition : StrideFacts::Blocks::yes;
}

} // namespace

StrideFacts stride_facts(const RangeCommand &command, const CommandFacts &facts) {
    StrideFacts found = {.walk = command.key.walk,
                         .is_update = facts.updates_table,
                         .has_placeholders = command.has_placeholders,
                         .blocks = blocks(facts)};
    Relation table = table_open(command.table, AccessShareLock);
    found.is_heap = table->rd_rel->relkind == RELKIND_RELATION && table->rd_rel->relam == HEAP_TABLE_AM_OID;
    if (found.is_heap)
        look_at_heap(table, command, facts.assigned_columns, found);
    table_close(table, AccessShareLock);
    return found;
}

} // namespace bbm::pg
