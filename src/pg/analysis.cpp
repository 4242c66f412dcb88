#include "pg/analysis.hpp"

#include "pg/memory.hpp"
#include "pg/report.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_param.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
}

// Before 16 the walkers are declared without parameters, which C++ reads as "none".
#if PG_VERSION_NUM >= 160000
#define BBM_WALKER(function) function
#else
#define BBM_WALKER(function) reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(function))
#endif

namespace bbm::pg {

namespace {

Watch *lasting_watch = nullptr;
Watch *passing_watch = nullptr;

post_parse_analyze_hook_type next_hook = nullptr;

// Where the range goes: a query and the index of the migration's table in it.
struct Target {
    Query *query;
    int index;
};

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

// A query without an index: the command does not work on the migration's table.
Target find_target(Query *query, Oid table) {
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

// The statement names the key column now, so its user must be allowed to read it.
void require_select(Query *query, int index, Bitmapset *columns) {
    RangeTblEntry *entry = rt_fetch(index, query->rtable);
#if PG_VERSION_NUM >= 160000
    RTEPermissionInfo *permissions = getRTEPermissionInfo(query->rteperminfos, entry);
#else
    RangeTblEntry *permissions = entry;
#endif
    permissions->requiredPerms |= ACL_SELECT;
    permissions->selectedCols = bms_add_members(permissions->selectedCols, columns);
}

void add_condition(Query *query, Node *condition) {
    query->jointree->quals = make_and_qual(query->jointree->quals, condition);
}

// An error's position is one in the text that is parsed here, not in the statement that the client sent.
void point_into_text(void *text) {
    const int position = geterrposition();
    if (position <= 0)
        return;
    errposition(0);
    internalerrposition(position);
    internalerrquery(static_cast<const char *>(text));
}

ErrorContextCallback push_text(const char *text) {
    return {error_context_stack, point_into_text, const_cast<char *>(text)};
}

bool is_star(const Node *value) {
    return IsA(value, ColumnRef) && IsA(llast(reinterpret_cast<const ColumnRef *>(value)->fields), A_Star);
}

// The expression that `scope_to` consists of, and nothing behind it.
Node *parse_condition(const char *scope) {
    const List *statements = raw_parser(scope, RAW_PARSE_PLPGSQL_EXPR);
    const auto *select = reinterpret_cast<SelectStmt *>(linitial_node(RawStmt, statements)->stmt);
    const bool plain = list_length(statements) == 1 && list_length(select->targetList) == 1 &&
                       select->fromClause == NIL && select->whereClause == nullptr && select->groupClause == NIL &&
                       select->havingClause == nullptr && select->windowClause == NIL && select->sortClause == NIL &&
                       select->limitCount == nullptr && select->limitOffset == nullptr &&
                       select->lockingClause == NIL && select->op == SETOP_NONE && select->distinctClause == NIL;
    const auto *only = plain ? linitial_node(ResTarget, select->targetList) : nullptr;
    if (!plain || only->name != nullptr || is_star(only->val))
        raise(Refusal{"42601", format("scope_to is not a condition: %s", scope), {}, {}});
    return only->val;
}

// Analysed against the table alone, so that other tables of the command cannot make its names ambiguous. Parameters have
// the types of the key: those of the first key, then those of the last.
void add_text(const RangeCommand &command, Target target, const char *text, Oid *types, const char *what) {
    Relation relation = table_open(command.table, AccessShareLock);
    ParseState *state = make_parsestate(nullptr);
    state->p_sourcetext = text;
    if (types != nullptr)
        setup_parse_fixed_parameters(state, types, static_cast<int>(2 * command.key.columns.size()));
    ErrorContextCallback context = push_text(text);
    error_context_stack = &context;
    ParseNamespaceItem *item = addRangeTableEntryForRelation(state, relation, AccessShareLock, nullptr, false, true);
    addNSItemToQuery(state, item, false, true, true);
    Node *condition = transformExpr(state, parse_condition(text), EXPR_KIND_WHERE);
    condition = coerce_to_boolean(state, condition, what);
    assign_expr_collations(state, condition);
    error_context_stack = context.previous;
    ChangeVarNodes(condition, 1, target.index, 0);
    add_condition(target.query, condition);
    target.query->hasSubLinks = target.query->hasSubLinks || state->p_hasSubLinks;
#if PG_VERSION_NUM >= 160000
    require_select(target.query, target.index, item->p_perminfo->selectedCols);
#else
    require_select(target.query, target.index, item->p_rte->selectedCols);
#endif
    table_close(relation, AccessShareLock);
}

void add_range(const RangeCommand &command, Target target) {
    const auto key = command.key.columns;
    Oid types[2 * kMostKeyColumns];
    for (std::size_t i = 0; i < key.size(); ++i)
        types[i] = types[key.size() + i] = key[i].type;
    const Text condition = range_condition(walk_of({}, command.key), current_arena());
    add_text(command, target, c_string(condition), types, "the range of the key");
}

void add_scope(const RangeCommand &command, Target target) {
    add_text(command, target, c_string(command.scope), nullptr, "scope_to");
}

void restrict_to_range(const Watch &watch, Target target) {
    const RangeCommand &command = *watch.command;
    if (target.index != 0) {
        add_range(command, target);
        if (!command.scope.empty())
            add_scope(command, target);
    } else if (watch.facts == nullptr) {
        // Whoever asks for facts will refuse it. Here it is about to run, over all of whatever table has the name now.
        raise(Refusal{"42P01",
                      "the command of the migration does not work on the migration's table any more",
                      "The table was renamed, moved or replaced.",
                      {}});
    }
}

void on_watched(Watch &watch, Query *query) {
    ++watch.times;
    // EXPLAIN: the statement inside comes by on its own when it is explained.
    if (query->commandType == CMD_UTILITY)
        return;
    const Target target = find_target(query, watch.command->table);
    if (watch.facts != nullptr)
        collect(query, target, *watch.command, *watch.facts);
    if (!watch.command->has_placeholders)
        restrict_to_range(watch, target);
}

bool is_text_of(const Watch *watch, const char *text) {
    return watch != nullptr && text != nullptr && std::strcmp(watch->text, text) == 0;
}

void after_analysis(ParseState *state, Query *query, JumbleState *jumble) {
    if (next_hook != nullptr)
        next_hook(state, query, jumble);
    for (Watch *watch : {passing_watch, lasting_watch})
        if (is_text_of(watch, state->p_sourcetext))
            return on_watched(*watch, query);
}

// What is watched lives in frames and contexts that an abort leaves behind.
void at_abort(XactEvent event, void *) {
    if (event == XACT_EVENT_ABORT)
        lasting_watch = passing_watch = nullptr;
}

void at_subtransaction_abort(SubXactEvent event, SubTransactionId, SubTransactionId, void *) {
    if (event == SUBXACT_EVENT_ABORT_SUB)
        passing_watch = nullptr;
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
        return expression_tree_walker(node, BBM_WALKER(count_in), context);
    auto *query = reinterpret_cast<Query *>(node);
    ListCell *cell;
    foreach (cell, query->rtable) {
        const auto *entry = static_cast<RangeTblEntry *>(lfirst(cell));
        count->references += entry->rtekind == RTE_RELATION && entry->relid == count->table;
    }
    return query_tree_walker(query, BBM_WALKER(count_in), context, 0);
}

// Which of the parameters of a range a query or a statement uses; `others` are beyond them.
struct Parameters {
    std::size_t key_columns;
    bool is_used[2 * kMostKeyColumns];
    bool others;

    void see(int number) {
        const auto at = static_cast<std::size_t>(number) - 1;
        if (number <= 0 || at >= 2 * key_columns)
            others = true;
        else
            is_used[at] = true;
    }
    bool uses_all(std::size_t from) const {
        return std::all_of(is_used + from, is_used + from + key_columns, [](bool used) { return used; });
    }
    bool uses_any() const {
        return others || std::any_of(is_used, is_used + 2 * key_columns, [](bool used) { return used; });
    }
};

bool find_bounds(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, Query))
        return query_tree_walker(reinterpret_cast<Query *>(node), BBM_WALKER(find_bounds), context, 0);
    if (IsA(node, Param)) {
        const auto *parameter = reinterpret_cast<Param *>(node);
        if (parameter->paramkind == PARAM_EXTERN)
            static_cast<Parameters *>(context)->see(parameter->paramid);
    }
    return expression_tree_walker(node, BBM_WALKER(find_bounds), context);
}

bool find_parameters(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, ParamRef)) {
        static_cast<Parameters *>(context)->see(reinterpret_cast<ParamRef *>(node)->number);
        return false;
    }
    return raw_expression_tree_walker(node, BBM_WALKER(find_parameters), context);
}

// SELECT INTO, which creates a table. Of a UNION the first SELECT has the INTO.
bool creates_table(const Node *statement) {
    if (!IsA(statement, SelectStmt))
        return false;
    const auto *select = reinterpret_cast<const SelectStmt *>(statement);
    while (select->op != SETOP_NONE)
        select = select->larg;
    return select->intoClause != nullptr;
}

bool can_be_walked(const Node *statement) {
    return (IsA(statement, SelectStmt) && !creates_table(statement)) || IsA(statement, InsertStmt) ||
           IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt) || IsA(statement, MergeStmt);
}

} // namespace

void install_command_hook() {
    next_hook = post_parse_analyze_hook;
    post_parse_analyze_hook = after_analysis;
    RegisterXactCallback(at_abort, nullptr);
    RegisterSubXactCallback(at_subtransaction_abort, nullptr);
}

void watch_prepared(Watch *watch) { lasting_watch = watch; }
Watch *prepared_watch() { return lasting_watch; }
void watch_in_passing(Watch *watch) { passing_watch = watch; }
bool is_watched(const Watch &watch) { return lasting_watch == &watch || passing_watch == &watch; }

CommandFacts parse_command(Text command, std::size_t key_columns) {
    CommandFacts facts;
    const char *text = c_string(command);
    ErrorContextCallback context = push_text(text);
    error_context_stack = &context;
    List *statements = raw_parser(text, RAW_PARSE_DEFAULT);
    error_context_stack = context.previous;
    facts.statements = list_length(statements);
    if (facts.statements != 1)
        return facts;
    Node *statement = linitial_node(RawStmt, statements)->stmt;
    if (!can_be_walked(statement))
        return facts;
    facts.kind = CommandFacts::Kind::select; // one that can be analysed; which one is told then
    Parameters parameters = {key_columns, {}, false};
    (void)find_parameters(statement, &parameters);
    facts.uses_parameters = parameters.uses_any();
    facts.uses_lower = parameters.uses_all(0);
    facts.uses_upper = parameters.uses_all(key_columns);
    facts.has_other_placeholders = parameters.others;
    return facts;
}

void check_condition(Text scope) {
    const char *text = c_string(scope);
    ErrorContextCallback context = push_text(text);
    error_context_stack = &context;
    (void)parse_condition(text);
    error_context_stack = context.previous;
}

bool takes_range(void *plan, std::size_t key_columns) {
    Parameters found = {key_columns, {}, false};
    ListCell *source_cell;
    foreach (source_cell, SPI_plan_get_plan_sources(static_cast<SPIPlanPtr>(plan))) {
        ListCell *cell;
        foreach (cell, static_cast<CachedPlanSource *>(lfirst(source_cell))->query_list)
            (void)find_bounds(static_cast<Node *>(lfirst(cell)), &found);
    }
    return found.uses_all(0) && found.uses_all(key_columns);
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
