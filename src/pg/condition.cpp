#include "pg/condition.hpp"

#include "pg/memory.hpp"
#include "pg/merge_source.hpp"
#include "pg/report.hpp"
#include "pg/text_position.hpp"

extern "C" {
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "parser/parse_param.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/varlena.h"
}

namespace bbm::pg {

namespace {

constexpr char kScope[] = "scope_to";

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

bool is_star(const Node *value) {
    return IsA(value, ColumnRef) && IsA(llast(reinterpret_cast<const ColumnRef *>(value)->fields), A_Star);
}

// The expression that the text consists of, and nothing behind it.
Node *parse_condition(const char *text, const char *what) {
    const List *statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
    const auto *select = reinterpret_cast<SelectStmt *>(linitial_node(RawStmt, statements)->stmt);
    const bool plain = list_length(statements) == 1 && list_length(select->targetList) == 1 &&
                       select->fromClause == NIL && select->whereClause == nullptr && select->groupClause == NIL &&
                       select->havingClause == nullptr && select->windowClause == NIL && select->sortClause == NIL &&
                       select->limitCount == nullptr && select->limitOffset == nullptr &&
                       select->lockingClause == NIL && select->op == SETOP_NONE && select->distinctClause == NIL;
    const auto *only = plain ? linitial_node(ResTarget, select->targetList) : nullptr;
    if (!plain || only->name != nullptr || is_star(only->val))
        raise(Refusal{"42601", format("%s is not a condition: %s", what, text), {}, {}});
    return only->val;
}

// Nothing where the table goes by its own name.
Alias *alias_of(const RangeCommand &command) {
    List *names = NIL;
    if (!command.known_as.empty())
        (void)SplitIdentifierString(c_string(command.known_as), '.', &names);
    return names == NIL ? nullptr : makeAlias(static_cast<char *>(linitial(names)), NIL);
}

// Analysed against the table alone, so that other tables of the command cannot make its names ambiguous. Parameters
// have the types of the key: those of the first key, then those of the last.
void add_text(const RangeCommand &command, Target target, const char *text, Oid *types, const char *what) {
    Relation relation = table_open(command.table, AccessShareLock);
    ParseState *state = make_parsestate(nullptr);
    state->p_sourcetext = text;
    if (types != nullptr)
        setup_parse_fixed_parameters(state, types, static_cast<int>(2 * command.key.columns.size()));
    ErrorContextCallback frame;
    push_text(frame, text);
    ParseNamespaceItem *item =
        addRangeTableEntryForRelation(state, relation, AccessShareLock, alias_of(command), false, true);
    addNSItemToQuery(state, item, false, true, true);
    Node *condition = transformExpr(state, parse_condition(text, what), EXPR_KIND_WHERE);
    condition = coerce_to_boolean(state, condition, what);
    assign_expr_collations(state, condition);
    pop_text(frame);
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

} // namespace

void add_scope(const RangeCommand &command, Target target) {
    if (!command.scope.empty())
        add_text(command, target, c_string(command.scope), nullptr, kScope);
}

void add_conditions(const RangeCommand &command, Target target) {
    const Target taker = wrap_merge_source(target);
    add_range(command, taker);
    add_scope(command, taker);
}

void check_condition(Text scope) {
    const char *text = c_string(scope);
    ErrorContextCallback frame;
    push_text(frame, text);
    (void)parse_condition(text, kScope);
    pop_text(frame);
}

} // namespace bbm::pg
