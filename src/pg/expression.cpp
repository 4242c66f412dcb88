#include "pg/expression.hpp"

#include "pg/report.hpp"
#include "pg/walker.hpp"

#include <algorithm>
#include <iterator>

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/typcache.h"
}

namespace bbm::pg {

namespace {

struct Search {
    Calls allowed;
    bool with_draws;
    Text found;
};

constexpr Oid kDraws[] = {F_NEXTVAL, F_GEN_RANDOM_UUID, F_CLOCK_TIMESTAMP};
constexpr Oid kClocks[] = {F_NOW, F_TRANSACTION_TIMESTAMP, F_STATEMENT_TIMESTAMP};
// Of something that is not NULL they make something that is not NULL, or raise. (Casts to time do not: infinity has
// none.)
constexpr Oid kKeepers[] = {F_VARCHAR_VARCHAR_INT4_BOOL,
                            F_BPCHAR_BPCHAR_INT4_BOOL,
                            F_TEXT_BPCHAR,
                            F_TEXTCAT,
                            F_NUMERIC_NUMERIC_INT4,
                            F_NUMERIC_INT2,
                            F_NUMERIC_INT4,
                            F_NUMERIC_INT8,
                            F_INT2_INT4,
                            F_INT4_INT8,
                            F_INT8_INT2,
                            F_INT8_INT4,
                            F_TIMESTAMP_TIMESTAMP_INT4,
                            F_TIMESTAMPTZ_TIMESTAMPTZ_INT4,
                            F_DATE_TIMESTAMP,
                            F_DATE_TIMESTAMPTZ,
                            F_TIMESTAMP_DATE,
                            F_TIMESTAMP_TIMESTAMPTZ,
                            F_TIMESTAMPTZ_DATE,
                            F_TIMESTAMPTZ_TIMESTAMP};

template <std::size_t Size> bool is_one_of(const Oid (&list)[Size], Oid function) {
    return std::find(std::begin(list), std::end(list), function) != std::end(list);
}

bool search_in(Node *node, void *context);

// table_to_xml and its like are stable.
bool may_read_tables(Oid function) { return !is_builtin(function) || get_func_rettype(function) == XMLOID; }

bool is_beyond(Oid function, void *context) {
    auto &search = *static_cast<Search *>(context);
    const char volatility = func_volatile(function);
    if (volatility == PROVOLATILE_IMMUTABLE || (search.with_draws && is_one_of(kDraws, function)))
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
    DomainConstraintRef constraints;
    InitDomainConstraintRef(domain, &constraints, CurrentMemoryContext, false);
    ListCell *cell;
    foreach (cell, constraints.constraints) {
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

bool all_never_null(const List *list) {
    ListCell *cell;
    foreach (cell, list)
        if (!is_never_null(static_cast<Node *>(lfirst(cell))))
            return false;
    return true;
}

bool any_never_null(const List *list) {
    ListCell *cell;
    foreach (cell, list)
        if (is_never_null(static_cast<Node *>(lfirst(cell))))
            return true;
    return false;
}

bool is_call_never_null(const FuncExpr *call) {
    if (call->funcid == F_CONCAT)
        return !call->funcvariadic; // concat(VARIADIC NULL) is NULL
    if (is_one_of(kKeepers, call->funcid))
        return all_never_null(call->args);
    return is_one_of(kDraws, call->funcid) ? all_never_null(call->args) : is_one_of(kClocks, call->funcid);
}

bool is_case_never_null(const CaseExpr *expression) {
    ListCell *cell;
    foreach (cell, expression->args)
        if (!is_never_null(reinterpret_cast<Node *>(lfirst_node(CaseWhen, cell)->result)))
            return false;
    return is_never_null(reinterpret_cast<Node *>(expression->defresult));
}

bool is_clock(SQLValueFunctionOp operation) {
    switch (operation) {
    case SVFOP_CURRENT_DATE:
    case SVFOP_CURRENT_TIME:
    case SVFOP_CURRENT_TIME_N:
    case SVFOP_CURRENT_TIMESTAMP:
    case SVFOP_CURRENT_TIMESTAMP_N:
    case SVFOP_LOCALTIME:
    case SVFOP_LOCALTIME_N:
    case SVFOP_LOCALTIMESTAMP:
    case SVFOP_LOCALTIMESTAMP_N:
        return true;
    default:
        return false;
    }
}

template <class T> const T *as(const Node *node) { return reinterpret_cast<const T *>(node); }
template <class T> bool is_argument_never_null(const Node *node) {
    return is_never_null(reinterpret_cast<const Node *>(as<T>(node)->arg));
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

bool is_never_null(const Node *node) {
    if (node == nullptr)
        return false;
    switch (nodeTag(node)) {
    case T_Const:
        return !as<Const>(node)->constisnull;
    case T_NextValueExpr:
    case T_NullTest:
    case T_BooleanTest:
        return true;
    case T_SQLValueFunction:
        return is_clock(as<SQLValueFunction>(node)->op);
    case T_FuncExpr:
        return is_call_never_null(as<FuncExpr>(node));
    case T_OpExpr:
        return is_one_of(kKeepers, get_opcode(as<OpExpr>(node)->opno)) && all_never_null(as<OpExpr>(node)->args);
    case T_CoalesceExpr:
        return any_never_null(as<CoalesceExpr>(node)->args);
    case T_CaseExpr:
        return is_case_never_null(as<CaseExpr>(node));
    case T_RelabelType:
        return is_argument_never_null<RelabelType>(node);
    case T_CollateExpr:
        return is_argument_never_null<CollateExpr>(node);
    case T_CoerceViaIO: // the server raises where an input function makes NULL of a text
        return is_argument_never_null<CoerceViaIO>(node);
    case T_CoerceToDomain:
        return is_argument_never_null<CoerceToDomain>(node);
    default:
        return false;
    }
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
