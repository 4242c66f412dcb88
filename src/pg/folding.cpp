#include "pg/folding.hpp"

#include "pg/expression.hpp"

extern "C" {
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
}

namespace bbm::pg {

namespace {

bool sorts(Oid comparison, Oid type) {
    Oid family, input;
#if PG_VERSION_NUM >= 180000
    CompareType strategy;
#else
    int16 strategy;
#endif
    return op_mergejoinable(comparison, type) || get_ordering_op_properties(comparison, &family, &input, &strategy);
}

// The server's own order of its own types: it raises no error. Values that hold others call whatever compares those.
bool is_plain_comparison(Oid comparison, Oid collation) {
    Oid left, right;
    op_input_types(comparison, &left, &right);
    const auto is_plain = [&](Oid type) {
        return !(IsPolymorphicType(type) && type != ANYENUMOID) && type != RECORDOID && type != RECORDARRAYOID &&
               (!type_is_collatable(type) || OidIsValid(collation));
    };
    if (!OidIsValid(left) || !OidIsValid(right) || !is_plain(left) || !is_plain(right))
        return false;
    const Oid negator = get_negator(comparison);
    return sorts(comparison, left) || (OidIsValid(negator) && sorts(negator, left));
}

} // namespace

// A function that promises to tell nothing of its arguments raises no error that depends on them.
bool can_fold_function(std::uint32_t function) {
    return is_builtin(function) && func_volatile(function) == PROVOLATILE_IMMUTABLE && get_func_leakproof(function);
}

bool can_fold_operator(std::uint32_t operator_, std::uint32_t collation) {
    const Oid function = get_opcode(operator_);
    return can_fold_function(function) || (is_builtin(function) && func_volatile(function) == PROVOLATILE_IMMUTABLE &&
                                           is_plain_comparison(operator_, collation));
}

} // namespace bbm::pg
