#include "pg/flow.hpp"

#include "pg/merge_source.hpp"

#include <cstring>
#include <new>

extern "C" {
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parsetree.h"
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

// A query of a WITH clause that the rows flow through.
struct Fed {
    const CommonTableExpr *query;
    int readers; // seen in FROM clauses
};

struct Flow {
    Oid table;
    Target target;
    CommandFacts &facts;
    List *fed;           // of Fed
    bool is_live;        // a query that is run for its effects has the rows
    bool leaves_out_one; // another one has not
};

// A query and those around it, whose WITH clauses it can read.
struct Scope {
    Query *query;
    const Scope *outer;
};

Fed *find_fed(const Scope &scope, const RangeTblEntry *entry, Flow &flow) {
    const Scope *owner = &scope;
    for (Index level = 0; level < entry->ctelevelsup && owner != nullptr; ++level)
        owner = owner->outer;
    if (owner == nullptr || entry->self_reference)
        return nullptr;
    ListCell *cell;
    foreach (cell, owner->query->cteList) {
        const auto *cte = lfirst_node(CommonTableExpr, cell);
        if (std::strcmp(cte->ctename, entry->ctename) != 0)
            continue;
        ListCell *fed_cell;
        foreach (fed_cell, flow.fed)
            if (static_cast<Fed *>(lfirst(fed_cell))->query == cte)
                return static_cast<Fed *>(lfirst(fed_cell));
    }
    return nullptr;
}

bool is_fed(Query *query, const Scope *outer, Flow &flow);

// UPDATE or DELETE of another table that only joins this one is a mistake in the migration's table more often than meant.
// Who means it reads the table in a subquery.
bool may_read_table(const Query *query, int index) {
    switch (query->commandType) {
    case CMD_SELECT:
    case CMD_MERGE:
        return true;
    case CMD_UPDATE:
    case CMD_DELETE:
        return index == query->resultRelation;
    default:
        return false;
    }
}

bool has_table(const Query *query, int index, Flow &flow) {
    const RangeTblEntry *entry = rt_fetch(index, query->rtable);
    return entry->rtekind == RTE_RELATION && entry->relid == flow.table && may_read_table(query, index);
}

// The target of a MERGE is in no FROM clause.
Side side_in(const Query *query, int index) {
    if (query->commandType == CMD_MERGE && index == query->resultRelation)
        return Side::inner;
    return side_of(reinterpret_cast<Node *>(query->jointree), index);
}

// Do the rows come by the range table entry?
bool brings_rows(const Scope &scope, int index, Flow &flow) {
    Query *query = scope.query;
    const RangeTblEntry *entry = rt_fetch(index, query->rtable);
    bool brings = false;
    if (entry->rtekind == RTE_SUBQUERY) {
        brings = is_fed(entry->subquery, &scope, flow);
    } else if (entry->rtekind == RTE_CTE) {
        Fed *fed = find_fed(scope, entry, flow);
        brings = fed != nullptr;
        if (brings)
            ++fed->readers;
    } else if (has_table(query, index, flow)) {
        brings = side_in(query, index) != Side::absent;
        if (brings)
            flow.target = {query, index};
    }
    if (brings && side_in(query, index) == Side::outer)
        flow.facts.on_outer_side = true;
    return brings;
}

// What a query may not do with the rows that flow through it, for it would do it for each range.
void note_shape(const Query *query, CommandFacts &facts) {
    facts.has_set_operations |= query->setOperations != nullptr;
    facts.has_limit |= query->limitCount != nullptr || query->limitOffset != nullptr;
    facts.has_aggregates |= query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
                            query->distinctClause != NIL || query->havingQual != nullptr;
    facts.has_windows |= query->hasWindowFuncs;
    facts.has_row_locks |= query->rowMarks != NIL;
    facts.has_unmatched_by_source |= is_unmatched_by_source(query);
}

void see_effects(bool fed, Flow &flow) {
    if (fed)
        flow.is_live = true;
    else
        flow.leaves_out_one = true;
}

// Each query of a WITH clause sees those before it. (Of a recursive clause, too: the server has sorted them.)
void follow_with_clause(const Scope &scope, Flow &flow) {
    ListCell *cell;
    foreach (cell, scope.query->cteList) {
        const auto *cte = lfirst_node(CommonTableExpr, cell);
        auto *query = castNode(Query, cte->ctequery);
        const bool fed = is_fed(query, &scope, flow);
        if (fed)
            flow.fed = lappend(flow.fed, new (palloc(sizeof(Fed))) Fed{cte, 0});
        if (query->commandType != CMD_SELECT)
            see_effects(fed, flow);
    }
}

bool is_fed(Query *query, const Scope *outer, Flow &flow) {
    check_stack_depth();
    const Scope scope = {query, outer};
    follow_with_clause(scope, flow);
    int sources = 0;
    for (int i = 1; i <= list_length(query->rtable); ++i)
        sources += brings_rows(scope, i, flow);
    if (sources == 0)
        return false;
    note_shape(query, flow.facts);
    flow.facts.joins_itself |= sources > 1 && query->setOperations == nullptr;
    return true;
}

// Readers in expressions: they would see one range instead of all rows.
bool has_other_readers(const Flow &flow) {
    ListCell *cell;
    foreach (cell, flow.fed) {
        const auto *fed = static_cast<Fed *>(lfirst(cell));
        if (fed->query->cterefcount != fed->readers)
            return true;
    }
    return false;
}

} // namespace

Target find_target(Query *query, std::uint32_t table, CommandFacts &facts) {
    Flow flow = {table, {query, 0}, facts, NIL, false, false};
    see_effects(is_fed(query, nullptr, flow), flow);
    if (!flow.is_live)
        flow.target.index = 0;
    if (flow.target.index != 0 && !can_take_range(flow.target, facts))
        flow.target.index = 0;
    facts.drives_table = flow.is_live;
    facts.has_idle_part = flow.leaves_out_one;
    facts.reads_elsewhere = has_other_readers(flow);
    return flow.target;
}

} // namespace bbm::pg
