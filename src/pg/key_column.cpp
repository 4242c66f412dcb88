#include "pg/key_column.hpp"

#include "pg/report.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

Text qualified_operator(Oid family, Oid type, StrategyNumber strategy) {
    const Oid number = get_opfamily_member(family, type, type, static_cast<int16>(strategy));
    HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(number));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "operator family %u lacks a btree operator of type %u", family, type);
    const auto *form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
    const Text name = format("%s.%s", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
    ReleaseSysCache(tuple);
    return name;
}

Text qualified_collation(Oid collation) {
    HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for collation %u", collation);
    const auto *form = reinterpret_cast<Form_pg_collation>(GETSTRUCT(tuple));
    const Text name(quote_qualified_identifier(get_namespace_name(form->collnamespace), NameStr(form->collname)));
    ReleaseSysCache(tuple);
    return name;
}

// Empty for the one that an index has when nothing is said.
Text name_of_class(Oid operator_class, Oid type) {
    if (operator_class == GetDefaultOpClass(type, BTREE_AM_OID))
        return {};
    HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(operator_class));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator class %u", operator_class);
    const Text name(pstrdup(NameStr(reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple))->opcname)));
    ReleaseSysCache(tuple);
    return name;
}

Text type_and_order(Oid type, const ColumnOrder &order) {
    String &out = make<String>(current_arena());
    out.append(format_type_be(type));
    if (order.collation != get_typcollation(type)) {
        const Text name = qualified_collation(order.collation);
        out.append(" COLLATE ");
        out.append(name.data(), name.size());
    }
    if (const Text name = name_of_class(order.operator_class, type); !name.empty()) {
        out.push_back(' ');
        out.append(name.data(), name.size());
    }
    return view(out);
}

// Numbers without a point, text and the like look the same everywhere; dates, floats, and whatever contains them do
// not.
bool needs_settings(Oid type) {
    switch (type) {
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case OIDOID:
    case NUMERICOID:
    case TEXTOID:
    case VARCHAROID:
    case BPCHAROID:
    case NAMEOID:
    case UUIDOID:
    case BOOLOID:
    case INETOID:
    case CIDROID:
        return false;
    default:
        return !type_is_enum(type);
    }
}

// An index that descends in its first column is walked from its other end: that is the same order for DESC, DESC as for
// ASC, ASC, and for DESC, ASC as for ASC, DESC.
void normalize_directions(const KeyParts &parts) {
    if (parts.walk.front().is_descending)
        for (WalkColumn &column : parts.walk) {
            column.is_descending = !column.is_descending;
            column.nulls_first = !column.nulls_first;
        }
    for (std::size_t i = 0; i < parts.walk.size(); ++i)
        if (parts.walk[i].is_descending)
            parts.type_names[i] = format("%.*s DESC", width(parts.type_names[i]), parts.type_names[i].data());
}

} // namespace

KeyParts make_parts(std::size_t columns) {
    const Arena arena = current_arena();
    return {make_array<KeyColumn>(arena, columns), make_array<WalkColumn>(arena, columns),
            make_array<Text>(arena, columns), make_array<Text>(arena, columns)};
}

void describe_column(const KeyParts &parts, std::size_t i, std::uint32_t table, std::int16_t number,
                     const ColumnOrder &order) {
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table), Int16GetDatum(number));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for column %d of relation %u", number, table);
    const auto *attribute = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    const Oid family = get_opclass_family(order.operator_class),
              compared_as = get_opclass_input_type(order.operator_class);
    // Bounds are no values of a domain: theirs would be its collation, which may not be that of the column.
    const Oid type = getBaseType(attribute->atttypid);
    KeyColumn &column = parts.columns[i];
    column = {type,
              number,
              family,
              compared_as,
              order.collation,
              attribute->attcollation,
              needs_settings(type),
              attribute->attnotnull};
    static_assert(sizeof column.name == NAMEDATALEN);
    std::copy_n(NameStr(attribute->attname), NAMEDATALEN, column.name);
    parts.names[i] = Text(pstrdup(NameStr(attribute->attname)));
    parts.type_names[i] = type_and_order(attribute->atttypid, order);
    ReleaseSysCache(tuple);
    const auto op = [&](StrategyNumber strategy) { return qualified_operator(family, compared_as, strategy); };
    WalkColumn &walk = parts.walk[i];
    walk.name = parts.names[i];
    // TYPEMOD_GIVEN: otherwise character and bit come without a length, which means 1.
    walk.type = Text(format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY | FORMAT_TYPE_TYPEMOD_GIVEN));
    // Said even where it is the column's own: the column's may become another one in the middle of a walk.
    if (OidIsValid(order.collation))
        walk.collation = qualified_collation(order.collation);
    walk.less = op(BTLessStrategyNumber);
    walk.less_or_equal = op(BTLessEqualStrategyNumber);
    walk.equal = op(BTEqualStrategyNumber);
    walk.greater_or_equal = op(BTGreaterEqualStrategyNumber);
    walk.greater = op(BTGreaterStrategyNumber);
    walk.is_descending = order.is_descending;
    walk.nulls_first = order.nulls_first;
    walk.may_be_null = order.may_be_null;
}

TableKey finish(const KeyParts &parts, std::uint32_t table, Walk walk) {
    normalize_directions(parts);
    const bool may_be_null =
        std::any_of(parts.walk.begin(), parts.walk.end(), [](const WalkColumn &column) { return column.may_be_null; });
    return {parts.columns, parts.walk, parts.names, parts.type_names, table, InvalidOid, walk, may_be_null};
}

} // namespace bbm::pg
