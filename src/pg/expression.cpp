#include "pg/expression.hpp"

#include "core/clock_words.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/walker.hpp"

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/typcache.h"
}

namespace {

// Here String is the server's. Not const: with assertions the server's casts take no such pointer.
const char *text_of(A_Const *constant) {
    return !constant->isnull && IsA(&constant->val, String) ? strVal(&constant->val) : "";
}

} // namespace

namespace bbm::pg {

namespace {

struct Search {
    Calls allowed;
    bool with_draws;
    Text found;
};

bool search_in(Node *node, void *context);

// table_to_xml and its like are stable.
bool may_read_tables(Oid function) { return !is_builtin(function) || get_func_rettype(function) == XMLOID; }

bool is_beyond(Oid function, void *context) {
    auto &search = *static_cast<Search *>(context);
    const char volatility = func_volatile(function);
    if (volatility == PROVOLATILE_IMMUTABLE || (search.with_draws && is_draw(function)))
        return false;
    const bool reads = may_read_tables(function);
    if (volatility == PROVOLATILE_STABLE &&
        (search.allowed == Calls::harmless || (search.allowed == Calls::no_tables && !reads)))
        return false;
    search.found = format("calls %s, which %s", format_procedure(function),
                          volatility == PROVOLATILE_VOLATILE   ? "is volatile"
                          : search.allowed == Calls::immutable ? "is stable, not immutable"
                                                               : "may read the table");
    return true;
}

bool find(Search &search, Text what) {
    search.found = what;
    return true;
}

// An aggregate is immutable by declaration, whatever its transition function is.
bool is_opaque_aggregate(Node *node) {
    if (IsA(node, Aggref))
        return !is_builtin(reinterpret_cast<Aggref *>(node)->aggfnoid);
    return IsA(node, WindowFunc) && !is_builtin(reinterpret_cast<WindowFunc *>(node)->winfnoid);
}

// Its constraints are run with every value that comes by. They do not change it.
bool search_in_domain(Oid domain, Search &search) {
    // The memory context calls back to it when it ends.
    auto *constraints = static_cast<DomainConstraintRef *>(palloc0(sizeof(DomainConstraintRef)));
    InitDomainConstraintRef(domain, constraints, CurrentMemoryContext, false);
    ListCell *cell;
    foreach (cell, constraints->constraints) {
        const auto *constraint = static_cast<DomainConstraintState *>(lfirst(cell));
        Search inside = {Calls::harmless, false, {}};
        if (constraint->check_expr != nullptr && search_in(reinterpret_cast<Node *>(constraint->check_expr), &inside))
            return find(search, inside.found);
    }
    return false;
}

bool search_in_query(Query *query, Search &search) {
    if (query->commandType != CMD_SELECT)
        return find(search, "changes data in a WITH clause");
    Search inside = {search.allowed, false, {}};
    if (!query_tree_walker(query, walker(search_in), &inside, 0))
        return false;
    return find(search, inside.found);
}

bool is_known_to_be_plain(const Node *node) {
    switch (nodeTag(node)) {
    case T_List:
    case T_Var:
    case T_Const:
    case T_Param:
    case T_FuncExpr:
    case T_NamedArgExpr:
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
    case T_ScalarArrayOpExpr:
    case T_BoolExpr:
    case T_BooleanTest:
    case T_NullTest:
    case T_CaseExpr:
    case T_CaseWhen:
    case T_CaseTestExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_RelabelType:
    case T_CollateExpr:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_ConvertRowtypeExpr:
    case T_CoerceToDomain:
    case T_FieldSelect:
    case T_FieldStore:
    case T_SubscriptingRef:
    case T_ArrayExpr:
    case T_RowExpr:
    case T_RowCompareExpr:
        return true;
    default:
        return false;
    }
}

bool search_in(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto &search = *static_cast<Search *>(context);
    if (IsA(node, Query))
        return search_in_query(reinterpret_cast<Query *>(node), search);
    if (IsA(node, NextValueExpr))
        return !search.with_draws && find(search, "draws from a sequence");
    if (IsA(node, CurrentOfExpr))
        return find(search, "uses WHERE CURRENT OF");
    if (is_opaque_aggregate(node))
        return find(search, "calls an aggregate of the user's, whose functions may do anything");
    if (search.allowed == Calls::immutable && IsA(node, SQLValueFunction))
        return find(search, "uses CURRENT_TIMESTAMP, CURRENT_USER or the like, which are stable, not immutable");
    if (search.allowed == Calls::immutable && !is_known_to_be_plain(node))
        return find(search, "uses a sub-query or another expression that is not known to be immutable");
    if (IsA(node, CoerceToDomain) && search_in_domain(reinterpret_cast<CoerceToDomain *>(node)->resulttype, search))
        return true;
    if (IsA(node, MinMaxExpr)) {
        const Oid compare = lookup_type_cache(exprType(node), TYPECACHE_CMP_PROC)->cmp_proc;
        if (OidIsValid(compare) && is_beyond(compare, context))
            return true;
    }
    return check_functions_in_node(node, is_beyond, context) ||
           expression_tree_walker(node, walker(search_in), context);
}

bool find_clock_word(Node *node, void *) {
    if (node == nullptr)
        return false;
    if (IsA(node, A_Const))
        return names_the_clock(text_of(reinterpret_cast<A_Const *>(node)));
    return raw_expression_tree_walker(node, walker(find_clock_word), nullptr);
}

// The value of such a constant is what the clock said when the command was analysed; its text has to be looked at.
bool has_clock_word(Text command) {
    ListCell *cell;
    foreach (cell, raw_parser(c_string(command), RAW_PARSE_DEFAULT))
        if (find_clock_word(lfirst_node(RawStmt, cell)->stmt, nullptr))
            return true;
    return false;
}

struct Literals {
    Text command;
    Text found;
};

bool find_literal(Node *node, void *context) {
    if (node == nullptr)
        return false;
    auto &literals = *static_cast<Literals *>(context);
    if (IsA(node, Param))
        literals.found = format("a parameter");
    if (IsA(node, Const) && !reinterpret_cast<Const *>(node)->constisnull) {
        const Oid type = reinterpret_cast<Const *>(node)->consttype;
        const Reading reading = how_read(type);
        if (reading == Reading::unknown || (reading == Reading::by_clock && has_clock_word(literals.command)))
            literals.found =
                format("a constant of type %s, which may be read as another value the next time", format_type_be(type));
    }
    return !literals.found.empty() || expression_tree_walker(node, walker(find_literal), context);
}

} // namespace

Text find_call(Node *expression, Calls allowed) {
    Search search = {allowed, false, {}};
    (void)search_in(expression, &search);
    return search.found;
}

Text find_call_beside_draws(Node *expression) {
    Search search = {Calls::harmless, true, {}};
    (void)search_in(expression, &search);
    return search.found;
}

Text find_loose_literal(Node *expression, Text command) {
    Literals literals = {command, {}};
    (void)find_literal(expression, &literals);
    return literals.found;
}

bool is_draw(std::uint32_t function) {
    return function == F_NEXTVAL || function == F_GEN_RANDOM_UUID || function == F_CLOCK_TIMESTAMP;
}

bool is_builtin(std::uint32_t function) { return function < FirstNormalObjectId; }

Reading how_read(std::uint32_t type) {
    const Oid base = getBaseType(type);
    for (const Oid part : {get_base_element_type(base), get_range_subtype(base), get_multirange_range(base)})
        if (OidIsValid(part))
            return how_read(part);
    switch (base) {
    case DATEOID:
    case TIMEOID:
    case TIMETZOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
        return Reading::by_clock;
    case INTERVALOID:
    case REGCLASSOID:
    case REGCOLLATIONOID:
    case REGCONFIGOID:
    case REGDICTIONARYOID:
    case REGNAMESPACEOID:
    case REGOPERATOROID:
    case REGOPEROID:
    case REGPROCEDUREOID:
    case REGPROCOID:
    case REGROLEOID:
    case REGTYPEOID:
        return Reading::by_settings;
    default:
        break;
    }
    if (get_typtype(base) == TYPTYPE_ENUM)
        return Reading::fixed;
    Oid input, parameter;
    getTypeInputInfo(base, &input, &parameter);
    return func_volatile(input) == PROVOLATILE_IMMUTABLE ? Reading::fixed : Reading::unknown;
}

} // namespace bbm::pg
