#include "pg/done_rows.hpp"

#include "pg/expression.hpp"
#include "pg/folding.hpp"
#include "pg/never_null.hpp"
#include "pg/walker.hpp"

#include <limits>

extern "C" {
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/bitmapset.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace bbm::pg {

// An expression is turned into what it is for a row that has just been changed. What is not known stays open: a
// parameter that has no value. If the server's own folding of constants then comes to FALSE or NULL, it does so for
// every row.
//
// Open are: other tables, system columns, generated columns, everything that is not a comparison or harmless to work
// out, and constants that another session may read otherwise (dates, names of tables).

namespace {

struct Rewriting {
    const Assignments *assignments;
    bool is_new_row; // outside of an assigned value, which sees the row as it was
    int open;
};

// Numbers of parameters tell what is known about them. No statement has that many of its own.
constexpr int kOpen = 1'000'000;
constexpr int kOpenNotNull = 2'000'000;

Node *rewrite(Node *node, void *context);

Node *leave_open(Node *node, Rewriting &rewriting) {
    auto *parameter = makeNode(Param);
    parameter->paramkind = PARAM_EXTERN;
    parameter->paramid = (is_never_null(node) ? kOpenNotNull : kOpen) + ++rewriting.open;
    parameter->paramtype = exprType(node);
    parameter->paramtypmod = exprTypmod(node);
    parameter->paramcollid = exprCollation(node);
    parameter->location = -1;
    return reinterpret_cast<Node *>(parameter);
}

// Of a node that was rewritten.
bool is_known_not_null(const Node *node) {
    if (IsA(node, Param))
        return reinterpret_cast<const Param *>(node)->paramid > kOpenNotNull;
    if (IsA(node, RelabelType))
        return is_known_not_null(reinterpret_cast<const Node *>(reinterpret_cast<const RelabelType *>(node)->arg));
    if (IsA(node, CoalesceExpr)) {
        ListCell *cell;
        foreach (cell, reinterpret_cast<const CoalesceExpr *>(node)->args)
            if (is_known_not_null(static_cast<Node *>(lfirst(cell))))
                return true;
    }
    return IsA(node, Const) && !reinterpret_cast<const Const *>(node)->constisnull;
}

Node *value_of(const Assignments &assignments, const Var *column) {
    const auto at = static_cast<std::size_t>(column->varattno);
    const bool is_ours = column->varlevelsup == 0 &&
                         static_cast<int>(column->varno) == assignments.query->resultRelation && column->varattno > 0;
    return is_ours && at < assignments.values.size() ? assignments.values[at] : nullptr;
}

Node *strip(Node *node) {
    while (node != nullptr && IsA(node, RelabelType))
        node = reinterpret_cast<Node *>(reinterpret_cast<RelabelType *>(node)->arg);
    return node;
}

bool find_loose_constant(Node *node, void *) {
    if (node == nullptr)
        return false;
    if (IsA(node, Param))
        return true;
    if (IsA(node, Const))
        return how_read(reinterpret_cast<Const *>(node)->consttype) != Reading::fixed;
    return expression_tree_walker(node, walker(find_loose_constant), nullptr);
}

// Of the changed row alone it makes what it made of the row before, now and later.
bool stays_as_it_is(const Assignments &assignments, Node *node) {
    const Bitmapset *only = bms_make_singleton(assignments.query->resultRelation);
    return find_call(node, Calls::immutable).empty() && bms_is_subset(pull_varnos(nullptr, node), only) &&
           !find_written(assignments, node) && !find_loose_constant(node, nullptr);
}

// `column IS DISTINCT FROM expression`, where that is what has been assigned.
bool is_distinct_from_itself(const Assignments &assignments, const DistinctExpr *distinct) {
    const auto *equality = lookup_type_cache(exprType(static_cast<Node *>(linitial(distinct->args))), TYPECACHE_EQ_OPR);
    if (equality->eq_opr != distinct->opno) // of others it is not known that everything equals itself
        return false;
    for (const int side : {0, 1}) {
        Node *column = strip(static_cast<Node *>(list_nth(distinct->args, side)));
        Node *other = strip(static_cast<Node *>(list_nth(distinct->args, 1 - side)));
        Node *value = IsA(column, Var) ? strip(value_of(assignments, reinterpret_cast<Var *>(column))) : nullptr;
        if (value != nullptr && equal(value, other) && stays_as_it_is(assignments, other))
            return true;
    }
    return false;
}

Node *rewrite_parts(Node *node, Rewriting &rewriting) {
    return expression_tree_mutator(node, mutator(rewrite), &rewriting);
}

// The length of a text, where too long a one raises: cut off instead. A row that the command cannot change is not done.
Node *rewrite_length(FuncExpr *call, Rewriting &rewriting) {
    auto *cut = reinterpret_cast<FuncExpr *>(rewrite_parts(reinterpret_cast<Node *>(call), rewriting));
    lthird(cut->args) = makeBoolConst(true, false);
    return reinterpret_cast<Node *>(cut);
}

// As an integer literal comes into a smallint.
Node *rewrite_narrowing(FuncExpr *call, Rewriting &rewriting) {
    Node *wide = rewrite(static_cast<Node *>(linitial(call->args)), &rewriting);
    if (!IsA(wide, Const))
        return leave_open(reinterpret_cast<Node *>(call), rewriting);
    const auto *number = reinterpret_cast<Const *>(wide);
    if (number->constisnull)
        return reinterpret_cast<Node *>(makeNullConst(INT2OID, -1, InvalidOid));
    const int32 value = DatumGetInt32(number->constvalue);
    if (value < std::numeric_limits<int16>::min() || value > std::numeric_limits<int16>::max())
        return leave_open(reinterpret_cast<Node *>(call), rewriting);
    return reinterpret_cast<Node *>(
        makeConst(INT2OID, -1, InvalidOid, sizeof(int16), Int16GetDatum(static_cast<int16>(value)), false, true));
}

Node *rewrite_call(FuncExpr *call, Rewriting &rewriting) {
    switch (call->funcid) {
    case F_VARCHAR_VARCHAR_INT4_BOOL:
    case F_BPCHAR_BPCHAR_INT4_BOOL:
        return rewrite_length(call, rewriting);
    case F_INT2_INT4:
        return rewrite_narrowing(call, rewriting);
    default:
        break;
    }
    Node *node = reinterpret_cast<Node *>(call);
    return can_fold_function(call->funcid) && !call->funcretset ? rewrite_parts(node, rewriting)
                                                                : leave_open(node, rewriting);
}

Node *rewrite_column(Var *column, Rewriting &rewriting) {
    Node *node = reinterpret_cast<Node *>(column);
    Node *value = rewriting.is_new_row ? value_of(*rewriting.assignments, column) : nullptr;
    if (value == nullptr)
        return leave_open(node, rewriting);
    rewriting.is_new_row = false;
    value = rewrite(value, &rewriting);
    rewriting.is_new_row = true;
    return value;
}

// A row IS NULL when all of its columns are.
Node *rewrite_null_test(NullTest *test, Rewriting &rewriting) {
    Node *node = reinterpret_cast<Node *>(test);
    if (test->argisrow)
        return leave_open(node, rewriting);
    auto *rewritten = reinterpret_cast<NullTest *>(rewrite_parts(node, rewriting));
    if (is_known_not_null(reinterpret_cast<Node *>(rewritten->arg)))
        return makeBoolConst(test->nulltesttype == IS_NOT_NULL, false);
    return reinterpret_cast<Node *>(rewritten);
}

Node *rewrite_constant(Const *constant, Rewriting &rewriting) {
    Node *node = reinterpret_cast<Node *>(constant);
    const bool is_fixed = constant->constisnull || how_read(constant->consttype) == Reading::fixed;
    return is_fixed ? static_cast<Node *>(copyObjectImpl(node)) : leave_open(node, rewriting);
}

// IN over a list of varchar: each is taken for a text.
Node *rewrite_relabelled_array(ArrayCoerceExpr *array, Rewriting &rewriting) {
    Node *node = reinterpret_cast<Node *>(array);
    Node *element = reinterpret_cast<Node *>(array->elemexpr);
    if (!IsA(element, RelabelType) || !IsA(reinterpret_cast<RelabelType *>(element)->arg, CaseTestExpr))
        return leave_open(node, rewriting);
    auto *rewritten = static_cast<ArrayCoerceExpr *>(copyObjectImpl(array));
    rewritten->arg = reinterpret_cast<Expr *>(rewrite(reinterpret_cast<Node *>(array->arg), &rewriting));
    return reinterpret_cast<Node *>(rewritten);
}

Node *rewrite_comparison(Node *node, Oid operator_, Oid collation, Rewriting &rewriting) {
    return can_fold_operator(operator_, collation) ? rewrite_parts(node, rewriting) : leave_open(node, rewriting);
}

Node *rewrite_distinct(DistinctExpr *distinct, Rewriting &rewriting) {
    if (rewriting.is_new_row && is_distinct_from_itself(*rewriting.assignments, distinct))
        return makeBoolConst(false, false);
    return rewrite_comparison(reinterpret_cast<Node *>(distinct), distinct->opno, distinct->inputcollid, rewriting);
}

Node *rewrite(Node *node, void *context) {
    if (node == nullptr)
        return nullptr;
    auto &rewriting = *static_cast<Rewriting *>(context);
    switch (nodeTag(node)) {
    case T_List:
    case T_BoolExpr:
    case T_BooleanTest:
    case T_CoalesceExpr:
    case T_RelabelType:
    case T_CollateExpr:
    case T_ArrayExpr:
        return rewrite_parts(node, rewriting);
    case T_Var:
        return rewrite_column(reinterpret_cast<Var *>(node), rewriting);
    case T_Const:
        return rewrite_constant(reinterpret_cast<Const *>(node), rewriting);
    case T_NullTest:
        return rewrite_null_test(reinterpret_cast<NullTest *>(node), rewriting);
    case T_FuncExpr:
        return rewrite_call(reinterpret_cast<FuncExpr *>(node), rewriting);
    case T_DistinctExpr:
        return rewrite_distinct(reinterpret_cast<DistinctExpr *>(node), rewriting);
    case T_OpExpr: {
        const auto *operation = reinterpret_cast<OpExpr *>(node);
        return rewrite_comparison(node, operation->opno, operation->inputcollid, rewriting);
    }
    case T_ScalarArrayOpExpr: {
        const auto *operation = reinterpret_cast<ScalarArrayOpExpr *>(node);
        return rewrite_comparison(node, operation->opno, operation->inputcollid, rewriting);
    }
    case T_ArrayCoerceExpr:
        return rewrite_relabelled_array(reinterpret_cast<ArrayCoerceExpr *>(node), rewriting);
    case T_CoerceToDomain: // what is stored has passed its constraints
        return rewrite(reinterpret_cast<Node *>(reinterpret_cast<CoerceToDomain *>(node)->arg), context);
    default:
        return leave_open(node, rewriting);
    }
}

bool is_refuted(const Assignments &assignments, Node *condition) {
    if (condition == nullptr)
        return false;
    // Any of its parts that all have to hold.
    if (IsA(condition, BoolExpr) && reinterpret_cast<BoolExpr *>(condition)->boolop == AND_EXPR) {
        ListCell *cell;
        foreach (cell, reinterpret_cast<BoolExpr *>(condition)->args)
            if (is_refuted(assignments, static_cast<Node *>(lfirst(cell))))
                return true;
        return false;
    }
    Rewriting rewriting = {&assignments, true, 0};
    const Node *folded = eval_const_expressions(nullptr, rewrite(condition, &rewriting));
    if (!IsA(folded, Const))
        return false;
    const auto *verdict = reinterpret_cast<const Const *>(folded);
    return verdict->constisnull || !DatumGetBool(verdict->constvalue);
}

} // namespace

bool excludes_done_rows(const Assignments &assignments) {
    return is_refuted(assignments, assignments.query->jointree->quals);
}

std::optional<int> find_written(const Assignments &assignments, Node *expression) {
    Bitmapset *reads = nullptr;
    pull_varattnos(expression, static_cast<Index>(assignments.query->resultRelation), &reads);
    for (int at = bms_next_member(reads, -1); at >= 0; at = bms_next_member(reads, at)) {
        const int column = at + FirstLowInvalidHeapAttributeNumber;
        if (column <= 0 || bms_is_member(at, assignments.written))
            return column;
    }
    return std::nullopt;
}

} // namespace bbm::pg
