#include "pg/merge_source.hpp"

extern "C" {
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/rel.h"
}

namespace bbm::pg {

namespace {

#if PG_VERSION_NUM >= 160000
using Permissions = RTEPermissionInfo;
Permissions *permissions_of(Query *query, int index) {
    return getRTEPermissionInfo(query->rteperminfos, rt_fetch(index, query->rtable));
}
#else
using Permissions = RangeTblEntry;
Permissions *permissions_of(Query *query, int index) { return rt_fetch(index, query->rtable); }
#endif

bool is_merge_source(Target target) {
    return target.query->commandType == CMD_MERGE && target.index != target.query->resultRelation;
}

bool is_read(const Bitmapset *columns, int number) {
    return bms_is_member(number - FirstLowInvalidHeapAttributeNumber, columns);
}

bool reads_system_columns(const Bitmapset *columns) {
    for (int number = FirstLowInvalidHeapAttributeNumber + 1; number < 0; ++number)
        if (is_read(columns, number))
            return true;
    return false;
}

bool is_matched(const MergeAction *action) {
#if PG_VERSION_NUM >= 170000
    return action->matchKind == MERGE_WHEN_MATCHED;
#else
    return action->matched;
#endif
}

bool has_unmatched(const Query *merge) {
    ListCell *cell;
    foreach (cell, merge->mergeActionList)
        if (!is_matched(lfirst_node(MergeAction, cell)))
            return true;
    return false;
}

// All columns, so that they keep their numbers; what nobody reads is not read here either, and needs no privilege.
List *columns_of(Relation relation, const Bitmapset *read) {
    List *list = NIL;
    const TupleDesc columns = RelationGetDescr(relation);
    for (int i = 0; i < columns->natts; ++i) {
        const FormData_pg_attribute *column = TupleDescAttr(columns, i);
        const auto number = static_cast<AttrNumber>(i + 1);
        const bool shown = !column->attisdropped && (is_read(read, number) || is_read(read, 0));
        Expr *value = shown ? reinterpret_cast<Expr *>(
                                  makeVar(1, number, column->atttypid, column->atttypmod, column->attcollation, 0))
                            : reinterpret_cast<Expr *>(makeNullConst(INT4OID, -1, InvalidOid));
        list = lappend(list, makeTargetEntry(value, number, pstrdup(NameStr(column->attname)), false));
    }
    return list;
}

Query *select_columns(Relation relation, RangeTblEntry *entry, const Bitmapset *read) {
    ParseState *state = make_parsestate(nullptr);
    (void)addRangeTableEntryForRelation(state, relation, AccessShareLock, entry->alias, entry->inh, true);
    Query *query = makeNode(Query);
    query->commandType = CMD_SELECT;
    query->canSetTag = true;
    query->rtable = state->p_rtable;
#if PG_VERSION_NUM >= 160000
    query->rteperminfos = state->p_rteperminfos;
#endif
    RangeTblRef *reference = makeNode(RangeTblRef);
    reference->rtindex = 1;
    query->jointree = makeFromExpr(list_make1(reference), nullptr);
    query->targetList = columns_of(relation, read);
    permissions_of(query, 1)->selectedCols = bms_copy(read);
    return query;
}

// The table's privileges are asked for in the subquery from now on.
void become_subquery(RangeTblEntry *entry, Query *query) {
    entry->rtekind = RTE_SUBQUERY;
    entry->subquery = query;
    entry->relid = InvalidOid;
    entry->relkind = 0;
    entry->rellockmode = 0;
    entry->inh = false;
#if PG_VERSION_NUM >= 160000
    entry->perminfoindex = 0;
#else
    entry->requiredPerms = 0;
    entry->selectedCols = nullptr;
#endif
}

} // namespace

bool is_unmatched_by_source([[maybe_unused]] const Query *merge) {
#if PG_VERSION_NUM >= 170000
    ListCell *cell;
    foreach (cell, merge->mergeActionList)
        if (lfirst_node(MergeAction, cell)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
            return true;
#endif
    return false;
}

bool can_take_range(Target target, CommandFacts &facts) {
    if (!is_merge_source(target)) {
        facts.has_unmatched = target.query->commandType == CMD_MERGE && has_unmatched(target.query);
        return true;
    }
    facts.needs_subquery = rt_fetch(target.index, target.query->rtable)->tablesample != nullptr ||
                           reads_system_columns(permissions_of(target.query, target.index)->selectedCols);
    return !facts.needs_subquery;
}

Target wrap_merge_source(Target target) {
    if (!is_merge_source(target))
        return target;
    RangeTblEntry *entry = rt_fetch(target.index, target.query->rtable);
    Relation relation = table_open(entry->relid, AccessShareLock);
    Query *query = select_columns(relation, entry, permissions_of(target.query, target.index)->selectedCols);
    table_close(relation, AccessShareLock);
    become_subquery(entry, query);
    return {query, 1};
}

// The range of a table that is merged into belongs to what a match is.
void add_condition(Query *query, Node *condition) {
#if PG_VERSION_NUM >= 170000
    if (query->commandType == CMD_MERGE) {
        query->mergeJoinCondition = make_and_qual(query->mergeJoinCondition, condition);
        return;
    }
#endif
    query->jointree->quals = make_and_qual(query->jointree->quals, condition);
}

} // namespace bbm::pg
