#include "pg/facts.hpp"

#include "pg/memory.hpp"
#include "pg/walker.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rel.h"
}

namespace bbm::pg {

namespace {

CommandFacts::Kind kind_of(const Query *query) {
    switch (query->commandType) {
    case CMD_UPDATE:
        return CommandFacts::Kind::update;
    case CMD_DELETE:
        return CommandFacts::Kind::remove;
    case CMD_INSERT:
        return CommandFacts::Kind::insert;
    case CMD_SELECT:
        return CommandFacts::Kind::select;
    case CMD_MERGE:
        return CommandFacts::Kind::merge;
    default:
        return CommandFacts::Kind::other;
    }
}

// Is it a column of the partition key of the table? Its number may be another one there.
bool is_partition_key(Oid table, const char *column) {
    const AttrNumber number = get_attnum(table, column);
    if (number == InvalidAttrNumber)
        return false;
    Relation relation = table_open(table, AccessShareLock);
    bool in_expression = false;
    const bool found =
        has_partition_attrs(relation, bms_make_singleton(number - FirstLowInvalidHeapAttributeNumber), &in_expression);
    table_close(relation, AccessShareLock);
    return found;
}

bool moves_row(Oid table, const char *column) {
    if (is_partition_key(table, column))
        return true;
    ListCell *cell;
    foreach (cell, get_partition_ancestors(table))
        if (is_partition_key(lfirst_oid(cell), column))
            return true;
    return false;
}

// It, or a leaf of it.
bool is_foreign(Oid table) {
    ListCell *cell;
    foreach (cell, find_all_inheritors(table, NoLock, nullptr))
        if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
            return true;
    return false;
}

// Is a column of the key generated, and made of this one?
bool feeds_generated(Oid table, AttrNumber assigned, Key key) {
    Relation relation = table_open(table, AccessShareLock);
    bool feeds = false;
    for (const Text name : key) {
        const AttrNumber number = get_attnum(table, c_string(name));
        if (number <= 0 || TupleDescAttr(RelationGetDescr(relation), number - 1)->attgenerated == '\0')
            continue;
        Bitmapset *reads = nullptr;
        pull_varattnos(build_column_default(relation, number), 1, &reads);
        feeds |= bms_is_member(assigned - FirstLowInvalidHeapAttributeNumber, reads) ||
                 bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, reads);
    }
    table_close(relation, AccessShareLock);
    return feeds;
}

struct Rewritten {
    const RangeCommand &command;
    CommandFacts &facts;
};

// By name: the key may be that of a leaf, whose columns may have other numbers than those of its parent.
void note_assigned(const List *entries, const Rewritten &of) {
    const Key key = of.command.key.names;
    ListCell *cell;
    foreach (cell, entries) {
        const auto *entry = lfirst_node(TargetEntry, cell);
        const char *column = entry->resjunk ? nullptr : get_attname(of.command.table, entry->resno, true);
        if (column == nullptr)
            continue;
        of.facts.assigns_key |= std::find(key.begin(), key.end(), Text(column)) != key.end() ||
                                feeds_generated(of.command.table, entry->resno, key);
        of.facts.assigns_partition_key |= moves_row(of.command.table, column);
    }
}

void note_assignments(const Query *query, const Rewritten &of) {
    if (query->resultRelation == 0 || rt_fetch(query->resultRelation, query->rtable)->relid != of.command.table)
        return;
    if (query->commandType == CMD_UPDATE)
        note_assigned(query->targetList, of);
    if (query->onConflict != nullptr)
        note_assigned(query->onConflict->onConflictSet, of);
    ListCell *cell;
    foreach (cell, query->mergeActionList) {
        const auto *action = lfirst_node(MergeAction, cell);
        if (action->commandType == CMD_UPDATE)
            note_assigned(action->targetList, of);
    }
}

// In memory that outlives SPI_finish(), as the facts do.
Text keep(const char *name) {
    const std::size_t length = std::strlen(name);
    auto *bytes = static_cast<char *>(SPI_palloc(length + 1));
    std::copy_n(name, length + 1, bytes);
    return {bytes, length};
}

void note_update(const Query *query, const Rewritten &of) {
    const bool is_update = query->commandType == CMD_UPDATE;
    if (!is_update || rt_fetch(query->resultRelation, query->rtable)->relid != of.command.table)
        return;
    auto *names = static_cast<Text *>(SPI_palloc(static_cast<std::size_t>(list_length(query->targetList)) * sizeof(Text)));
    std::size_t count = 0;
    ListCell *cell;
    foreach (cell, query->targetList)
        if (const auto *entry = lfirst_node(TargetEntry, cell); !entry->resjunk)
            names[count++] = keep(get_attname(of.command.table, entry->resno, false));
    of.facts.updates_table = true;
    of.facts.assigned_columns = {names, count};
}

bool is_whole_row(const Node *node, Oid table) {
    const auto *column = reinterpret_cast<const Var *>(node);
    return IsA(node, Var) && column->varattno == 0 && column->vartype == get_rel_type_id(table);
}

// One that leaves out some rows and does nothing instead leaves no trace in the query but a condition.
bool has_rule(Oid table, CmdType event) {
    Relation relation = table_open(table, AccessShareLock);
    const RuleLock *rules = relation->rd_rules;
    bool found = false;
    for (int i = 0; rules != nullptr && i < rules->numLocks; ++i) {
        const RewriteRule *rule = rules->rules[i];
        found |= rule->event == event && rule->enabled != RULE_DISABLED && rule->enabled != RULE_FIRES_ON_REPLICA;
    }
    table_close(relation, NoLock);
    return found;
}

bool is_by_rule(const Query *query) {
    if (query->querySource != QSRC_ORIGINAL)
        return true;
    return query->resultRelation != 0 &&
           has_rule(rt_fetch(query->resultRelation, query->rtable)->relid, query->commandType);
}

bool look_at(Node *node, void *context) {
    if (node == nullptr)
        return false;
    const auto &of = *static_cast<Rewritten *>(context);
    of.facts.has_cursor_position |= IsA(node, CurrentOfExpr);
    of.facts.takes_all_columns |= is_whole_row(node, of.command.table);
    if (!IsA(node, Query))
        return expression_tree_walker(node, walker(look_at), context);
    auto *query = reinterpret_cast<Query *>(node);
    of.facts.is_rewritten |= is_by_rule(query);
    if (query->resultRelation != 0)
        of.facts.writes_foreign |= is_foreign(rt_fetch(query->resultRelation, query->rtable)->relid);
    note_assignments(query, of);
    ListCell *cell;
    foreach (cell, query->rtable) {
        const auto *entry = lfirst_node(RangeTblEntry, cell);
        of.facts.references += entry->rtekind == RTE_RELATION && entry->relid == of.command.table;
    }
    return query_tree_walker(query, walker(look_at), context, 0);
}

// The next column behind `number` that was not dropped, or nothing.
const FormData_pg_attribute *next_column(TupleDesc columns, int &number) {
    while (number < columns->natts) {
        const FormData_pg_attribute *column = TupleDescAttr(columns, number++);
        if (!column->attisdropped)
            return column;
    }
    return nullptr;
}

bool has_same_columns(TupleDesc a, TupleDesc b) {
    int at_a = 0, at_b = 0;
    while (true) {
        const auto *one = next_column(a, at_a);
        const auto *other = next_column(b, at_b);
        if (one == nullptr || other == nullptr)
            return one == other;
        if (namestrcmp(const_cast<Name>(&one->attname), NameStr(other->attname)) != 0)
            return false;
    }
}

bool leaves_differ(Oid table) {
    Relation whole = table_open(table, AccessShareLock);
    bool differ = false;
    ListCell *cell;
    foreach (cell, find_all_inheritors(table, AccessShareLock, nullptr)) {
        Relation leaf = table_open(lfirst_oid(cell), NoLock);
        differ = differ || !has_same_columns(RelationGetDescr(whole), RelationGetDescr(leaf));
        table_close(leaf, NoLock);
    }
    table_close(whole, NoLock);
    return differ;
}

// An UPDATE of the table that says DEFAULT. The server puts the expression there when it rewrites.
bool finds_default(Node *node, void *table) {
    if (node == nullptr)
        return false;
    if (!IsA(node, Query))
        return expression_tree_walker(node, walker(finds_default), table);
    auto *query = reinterpret_cast<Query *>(node);
    if (query->commandType == CMD_UPDATE &&
        rt_fetch(query->resultRelation, query->rtable)->relid == *static_cast<std::uint32_t *>(table)) {
        ListCell *cell;
        foreach (cell, query->targetList)
            if (IsA(lfirst_node(TargetEntry, cell)->expr, SetToDefault))
                return true;
    }
    return query_tree_walker(query, walker(finds_default), table, 0);
}

} // namespace

void collect(Query *query, std::uint32_t table, CommandFacts &facts) {
    facts.kind = kind_of(query);
    facts.assigns_default = finds_default(reinterpret_cast<Node *>(query), &table);
}

void collect_rewritten(void *plan, const RangeCommand &command, CommandFacts &facts) {
    Rewritten of = {command, facts};
    facts.is_rewritten |= is_rewritten(plan);
    ListCell *source_cell;
    foreach (source_cell, SPI_plan_get_plan_sources(static_cast<SPIPlanPtr>(plan))) {
        const auto *source = static_cast<CachedPlanSource *>(lfirst(source_cell));
        ListCell *cell;
        foreach (cell, source->query_list) {
            note_update(lfirst_node(Query, cell), of);
            (void)look_at(static_cast<Node *>(lfirst(cell)), &of);
        }
    }
    facts.leaves_differ = leaves_differ(command.table);
}

bool is_rewritten(void *plan) {
    ListCell *cell;
    foreach (cell, SPI_plan_get_plan_sources(static_cast<SPIPlanPtr>(plan))) {
        const List *queries = static_cast<CachedPlanSource *>(lfirst(cell))->query_list;
        if (list_length(queries) != 1 || is_by_rule(linitial_node(Query, queries)))
            return true;
    }
    return false;
}

} // namespace bbm::pg
