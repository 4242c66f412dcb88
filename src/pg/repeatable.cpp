#include "pg/repeatable.hpp"

#include "pg/catalog.hpp"
#include "pg/done_rows.hpp"
#include "pg/expression.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/table_effects.hpp"
#include "pg/walker.hpp"

extern "C" {
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
}

// What is to be proven: run any number of times over a row that nobody else changes meanwhile, the command does to it,
// and to everything else, what it does in the first run that the row meets its conditions in.
//
// 1. DELETE. A deleted row is not met again. Left are rows that stay: their conditions are asked again, which must have
// no
//    effects (no volatile function), and must not be answered otherwise because of the command's own deletions (it
//    reads its table nowhere else, and no foreign key sets columns of it).
//
// 2. UPDATE with a condition that is FALSE or NULL for every row it has just changed. Such a row is not changed again,
// so
//    what is assigned may be anything without effects beyond the row.
//
// 3. UPDATE whose assigned values are immutable functions of columns that it leaves alone. f(f(row)) = f(row), whatever
// the
//    condition says the second time: if it lets the row pass, the same values are assigned again. The condition is
//    immutable as well, so that it does not even choose other rows.
//
// In all cases nothing else may hang on the change: no triggers of users, no rules, no policies, no check with effects,
// no foreign key that passes a written column on. INSERT adds a row each time. ON CONFLICT DO NOTHING would make it
// repeatable as long as the row keeps the columns of the key, which nobody promises where rows are met twice.
//
// Functions are taken for what they are declared to be: who says IMMUTABLE of a function that is not has said so to the
// server, too.

namespace bbm::pg {

namespace {

Repeatable refuse(Text reason) { return {.why_not = reason}; }
Text with_subject(Text reason) { return format("it %.*s", width(reason), reason.data()); }

// What sub-queries and joined tables have that decides about repeating, beside functions.
struct TableSearch {
    const Query *command;
    const List *own; // the table and those below it, where they must not be read
    Text found;
};

bool find_table(Node *node, void *context);

// Does it have rows of one of them?
bool shows_rows_of(const List *tables, Oid table) {
    ListCell *cell;
    foreach (cell, find_all_inheritors(table, NoLock, nullptr))
        if (list_member_oid(tables, lfirst_oid(cell)))
            return true;
    return false;
}

Text check_entry(const RangeTblEntry *entry, const TableSearch &search) {
    if (entry->rtekind != RTE_RELATION)
        return {};
    const Text table = table_name(entry->relid);
    if (get_rel_relkind(entry->relid) == RELKIND_VIEW)
        return format("reads the view %.*s, which may do anything", width(table), table.data());
    if (search.own != NIL && shows_rows_of(search.own, entry->relid))
        return format("reads %.*s in another place, where its own changes show", width(table), table.data());
    if (search.own != NIL && get_rel_relkind(entry->relid) == RELKIND_FOREIGN_TABLE)
        return format("reads the foreign table %.*s, which may be the same", width(table), table.data());
    if (check_enable_rls(entry->relid, InvalidOid, true) == RLS_ENABLED)
        return format("reads %.*s, which has policies of row security", width(table), table.data());
    return {};
}

bool find_table_in_query(Query *query, TableSearch &search) {
    for (int i = 1; i <= list_length(query->rtable); ++i) {
        if (query == search.command && i == query->resultRelation)
            continue;
        search.found = check_entry(rt_fetch(i, query->rtable), search);
        if (!search.found.empty())
            return true;
    }
    return query_tree_walker(query, walker(find_table), &search, 0);
}

bool find_table(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, Query))
        return find_table_in_query(reinterpret_cast<Query *>(node), *static_cast<TableSearch *>(context));
    return expression_tree_walker(node, walker(find_table), context);
}

// The command without what it assigns.
Text find_call_elsewhere(const Query *query, Calls allowed) {
    auto *rest = static_cast<Query *>(palloc(sizeof(Query)));
    *rest = *query;
    rest->targetList = NIL;
    rest->commandType = CMD_SELECT;
    return find_call(reinterpret_cast<Node *>(rest), allowed);
}

// `SET c = DEFAULT` is resolved when the query is rewritten.
Node *default_of(Relation relation, AttrNumber column) {
    Node *value = build_column_default(relation, column);
    const auto *attribute = TupleDescAttr(RelationGetDescr(relation), column - 1);
    if (value != nullptr)
        return value;
    return reinterpret_cast<Node *>(makeNullConst(attribute->atttypid, attribute->atttypmod, attribute->attcollation));
}

bool is_generated(Relation relation, AttrNumber column) {
    return TupleDescAttr(RelationGetDescr(relation), column - 1)->attgenerated != '\0';
}

// By number of the column. One that is assigned in parts has one of them, which reads the column.
std::span<Node *> values_of(const Query *query, Oid table) {
    Relation relation = table_open(table, NoLock);
    const auto values = make_array<Node *>(current_arena(), RelationGetDescr(relation)->natts + 1);
    ListCell *cell;
    foreach (cell, query->targetList) {
        const auto *entry = lfirst_node(TargetEntry, cell);
        if (entry->resjunk || is_generated(relation, entry->resno)) // that has DEFAULT
            continue;
        Node *value = reinterpret_cast<Node *>(entry->expr);
        values[static_cast<std::size_t>(entry->resno)] =
            IsA(value, SetToDefault) ? default_of(relation, entry->resno) : value;
    }
    table_close(relation, NoLock);
    return values;
}

Bitmapset *columns_of(std::span<Node *const> values) {
    Bitmapset *columns = nullptr;
    for (std::size_t i = 1; i < values.size(); ++i)
        if (values[i] != nullptr)
            columns = bms_add_member(columns, static_cast<int>(i) - FirstLowInvalidHeapAttributeNumber);
    return columns;
}

const char *column_name(Oid table, int column) {
    const char *column_name = column == 0 ? nullptr : get_attname(table, static_cast<AttrNumber>(column), true);
    return column_name == nullptr ? "the row as a whole" : quote_identifier(column_name);
}

// Why the value of a column may be another one the second time.
Text check_value(const Assignments &assignments, Oid table, std::size_t column, Text command) {
    Node *value = assignments.values[column];
    const char *target = column_name(table, static_cast<int>(column));
    if (const Text call = find_call(value, Calls::immutable); !call.empty())
        return format("what it assigns to %s %.*s", target, width(call), call.data());
    if (const auto read = find_written(assignments, value))
        return format("what it assigns to %s depends on %s, which it changes", target, column_name(table, *read));
    if (const Text literal = find_loose_literal(value, command); !literal.empty())
        return format("what it assigns to %s depends on %.*s", target, width(literal), literal.data());
    return {};
}

Text check_idempotent(const Assignments &assignments, Oid table, Text command) {
    const Query *query = assignments.query;
    if (list_length(query->rtable) != 1 || query->cteList != NIL || query->hasSubLinks)
        return "it reads other tables, whose rows may be others the next time";
    for (std::size_t column = 1; column < assignments.values.size(); ++column)
        if (assignments.values[column] != nullptr)
            if (const Text reason = check_value(assignments, table, column, command); !reason.empty())
                return reason;
    const Text call = find_call(query->jointree->quals, Calls::immutable);
    return call.empty() ? Text{} : format("its condition %.*s", width(call), call.data());
}

Text with_caveat(Text because, const TableEffects &effects) {
    if (!effects.is_remote)
        return because;
    return format("%.*s; triggers, rules and types of columns of the other server are not seen from here",
                  width(because), because.data());
}

Repeatable judge_update(const Query *query, Oid table, Text command) {
    const std::span<Node *const> values = values_of(query, table);
    const TableEffects effects = effects_of(query, columns_of(values));
    const Assignments assignments = {query, values, effects.written};
    if (!effects.obstacle.empty())
        return refuse(effects.obstacle);
    TableSearch search = {query, NIL, {}};
    if (find_table_in_query(const_cast<Query *>(query), search))
        return refuse(with_subject(search.found));
    Text call = find_call_elsewhere(query, Calls::harmless);
    for (std::size_t column = 1; column < values.size() && call.empty(); ++column)
        call = find_call_beside_draws(values[column]);
    if (call.empty())
        call = find_call_beside_draws(reinterpret_cast<Node *>(query->targetList)); // the sub-query of SET (a, b) = ...
    if (!call.empty())
        return refuse(with_subject(call));
    if (excludes_done_rows(assignments))
        return {true, with_caveat("rows that are done do not meet its condition any more", effects), {}, false};
    if (const Text reason = check_idempotent(assignments, table, command); !reason.empty())
        return refuse(format("%.*s, and no condition excludes rows that are done", width(reason), reason.data()));
    return {
        true,
        with_caveat("it assigns immutable expressions of columns that it leaves alone; what others assign to the same "
                    "columns meanwhile is overwritten",
                    effects),
        {},
        true};
}

Repeatable judge_delete(const Query *query) {
    const TableEffects effects = effects_of(query, nullptr);
    if (!effects.obstacle.empty())
        return refuse(effects.obstacle);
    TableSearch search = {query, effects.tables, {}};
    if (find_table_in_query(const_cast<Query *>(query), search))
        return refuse(with_subject(search.found));
    const Text call = find_call_elsewhere(query, Calls::no_tables);
    if (!call.empty())
        return refuse(with_subject(call));
    return {true, with_caveat("it deletes rows", effects), {}, false};
}

} // namespace

Repeatable judge_repeatable(const void *analysed, std::uint32_t table, Text command) {
    const auto *query = static_cast<const Query *>(analysed);
    switch (query->commandType) {
    case CMD_INSERT:
        return refuse(
            "it inserts rows: what is met twice is inserted twice, or as another row if it was changed meanwhile");
    case CMD_MERGE:
        return refuse("MERGE is not looked into");
    case CMD_SELECT:
        return refuse("what the functions of a SELECT do is not known");
    case CMD_UPDATE:
    case CMD_DELETE:
        break;
    default:
        return refuse("it is no UPDATE or DELETE");
    }
    if (rt_fetch(query->resultRelation, query->rtable)->relid != table)
        return refuse("it changes another table");
    if (query->hasModifyingCTE)
        return refuse("it changes data in a WITH clause");
    if (query->returningList != NIL)
        return refuse("it has a RETURNING clause");
    return query->commandType == CMD_UPDATE ? judge_update(query, table, command) : judge_delete(query);
}

} // namespace bbm::pg
