#include "pg/target.hpp"

#include "pg/walker.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/plancache.h"
}

namespace bbm::pg {

namespace {

enum class Side { absent, inner, outer };

// On which side of outer joins does the range table entry stand? A row of the nullable side may be missing from the
// join, so that filtering it does not restrict the result.
Side side_of(Node *node, int index) {
    if (IsA(node, RangeTblRef))
        return reinterpret_cast<RangeTblRef *>(node)->rtindex == index ? Side::inner : Side::absent;
    if (IsA(node, FromExpr)) {
        ListCell *cell;
        foreach (cell, reinterpret_cast<FromExpr *>(node)->fromlist) {
            const Side side = side_of(static_cast<Node *>(lfirst(cell)), index);
            if (side != Side::absent)
                return side;
        }
        return Side::absent;
    }
    if (!IsA(node, JoinExpr))
        return Side::absent;
    const auto *join = reinterpret_cast<JoinExpr *>(node);
    const Side left = side_of(join->larg, index);
    const Side side = left != Side::absent ? left : side_of(join->rarg, index);
    if (side == Side::absent || join->jointype == JOIN_INNER)
        return side;
    const bool kept =
        (left != Side::absent && join->jointype == JOIN_LEFT) || (left == Side::absent && join->jointype == JOIN_RIGHT);
    return kept ? side : Side::outer;
}

int index_of_table(Query *query, Oid table) {
    for (int i = 1; i <= list_length(query->rtable); ++i) {
        const RangeTblEntry *entry = rt_fetch(i, query->rtable);
        if (entry->rtekind == RTE_RELATION && entry->relid == table)
            return i;
    }
    return 0;
}

// The SELECT of an INSERT ... SELECT, or nothing.
Query *select_of_insert(Query *insert) {
    if (list_length(insert->jointree->fromlist) != 1)
        return nullptr;
    Node *item = static_cast<Node *>(linitial(insert->jointree->fromlist));
    if (!IsA(item, RangeTblRef))
        return nullptr;
    const RangeTblEntry *entry = rt_fetch(reinterpret_cast<RangeTblRef *>(item)->rtindex, insert->rtable);
    return entry->rtekind == RTE_SUBQUERY ? entry->subquery : nullptr;
}

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

bool assigns(Query *query, const RangeCommand &command) {
    if (query->commandType != CMD_UPDATE || rt_fetch(query->resultRelation, query->rtable)->relid != command.table)
        return false;
    ListCell *cell;
    foreach (cell, query->targetList) {
        const auto *entry = static_cast<TargetEntry *>(lfirst(cell));
        const auto is_assigned = [&](const KeyColumn &column) { return entry->resno == column.number; };
        if (!entry->resjunk && std::any_of(command.key.columns.begin(), command.key.columns.end(), is_assigned))
            return true;
    }
    return false;
}

struct ReferenceCount {
    Oid table;
    int references;
    bool has_cursor_position;
};

bool count_in(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto *count = static_cast<ReferenceCount *>(context);
    count->has_cursor_position = count->has_cursor_position || IsA(node, CurrentOfExpr);
    if (!IsA(node, Query))
        return expression_tree_walker(node, walker(count_in), context);
    auto *query = reinterpret_cast<Query *>(node);
    ListCell *cell;
    foreach (cell, query->rtable) {
        const auto *entry = static_cast<RangeTblEntry *>(lfirst(cell));
        count->references += entry->rtekind == RTE_RELATION && entry->relid == count->table;
    }
    return query_tree_walker(query, walker(count_in), context, 0);
}

} // namespace

Target find_target(Query *query, std::uint32_t table) {
    if (query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE) {
        const bool is_target = rt_fetch(query->resultRelation, query->rtable)->relid == table;
        return {query, is_target ? query->resultRelation : 0};
    }
    if (query->commandType != CMD_INSERT)
        return {query, 0};
    Query *select = select_of_insert(query);
    if (select == nullptr)
        return {query, 0};
    const int index = index_of_table(select, table);
    return {select,
            index != 0 && side_of(reinterpret_cast<Node *>(select->jointree), index) != Side::absent ? index : 0};
}

void collect(Query *query, Target target, const RangeCommand &command, CommandFacts &facts) {
    facts.kind = kind_of(query);
    facts.assigns_key = assigns(query, command);
    facts.drives_table = target.index != 0;
    facts.has_modifying_cte = query->hasModifyingCTE;
    facts.has_set_operations = target.query->setOperations != nullptr;
    if (target.index == 0)
        return;
    const Query *driver = target.query;
    facts.on_outer_side = side_of(reinterpret_cast<Node *>(driver->jointree), target.index) == Side::outer;
    facts.has_limit = driver->limitCount != nullptr || driver->limitOffset != nullptr;
    facts.has_aggregates = driver->hasAggs || driver->groupClause != NIL || driver->groupingSets != NIL ||
                           driver->distinctClause != NIL || driver->havingQual != nullptr;
    facts.has_windows = driver->hasWindowFuncs;
    facts.has_row_locks = driver->rowMarks != NIL;
}

void count_references(void *plan, std::uint32_t table, CommandFacts &facts) {
    ReferenceCount count{table, 0, false};
    ListCell *source_cell;
    foreach (source_cell, SPI_plan_get_plan_sources(static_cast<SPIPlanPtr>(plan))) {
        const auto *source = static_cast<CachedPlanSource *>(lfirst(source_cell));
        facts.is_rewritten = facts.is_rewritten || list_length(source->query_list) != 1;
        ListCell *cell;
        foreach (cell, source->query_list) {
            auto *query = lfirst_node(Query, cell);
            facts.is_rewritten = facts.is_rewritten || query->querySource != QSRC_ORIGINAL;
            (void)count_in(reinterpret_cast<Node *>(query), &count);
        }
    }
    facts.references = count.references;
    facts.has_cursor_position = count.has_cursor_position;
}

} // namespace bbm::pg
