#include "pg/never_null.hpp"

#include "pg/expression.hpp"

#include <algorithm>
#include <iterator>

extern "C" {
#include "postgres.h"

#include "nodes/primnodes.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace bbm::pg {

namespace {

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
    return is_draw(call->funcid) ? all_never_null(call->args) : is_one_of(kClocks, call->funcid);
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

} // namespace bbm::pg
