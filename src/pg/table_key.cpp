#include "pg/table_key.hpp"

#include "pg/catalog.hpp"
#include "pg/key_column.hpp"
#include "pg/report.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

constexpr char kUndefinedColumn[] = "42703";
constexpr char kNoUsableKey[] = "42P16"; // invalid_table_definition
constexpr Oid kPosixCollation = 951;     // newer servers have no symbol for it

bool is_complete(Relation index) {
    const Form_pg_index form = index->rd_index;
    return form->indisvalid && form->indislive && index->rd_rel->relam == BTREE_AM_OID &&
           heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
}

// Is every row in the index, in one place, at every moment?
bool is_usable(Relation index) {
    const Form_pg_index form = index->rd_index;
    const int16 *columns = form->indkey.values;
    return is_complete(index) && form->indisunique && form->indimmediate &&
           std::find(columns, columns + form->indnkeyatts, 0) == columns + form->indnkeyatts;
}

bool has_column(Relation index, AttrNumber column) {
    const int16 *columns = index->rd_index->indkey.values, *end = columns + index->rd_index->indnkeyatts;
    return std::find(columns, end, column) != end;
}

bool is_over(Relation index, std::span<const AttrNumber> wanted) {
    return static_cast<std::size_t>(index->rd_index->indnkeyatts) == wanted.size() &&
           std::all_of(wanted.begin(), wanted.end(), [&](AttrNumber column) { return has_column(index, column); });
}

// 0: not at all. Among several over the same columns the order of the columns counts first, then a primary key.
int fitness(Relation index, std::span<const AttrNumber> wanted) {
    const bool is_primary = index->rd_index->indisprimary;
    if (!is_usable(index) || !(wanted.empty() ? is_primary : is_over(index, wanted)))
        return 0;
    return 1 + is_primary + 2 * std::equal(wanted.begin(), wanted.end(), index->rd_index->indkey.values);
}

// The fewer columns it has the smaller it is.
int fitness_for_values(Relation index, std::span<const AttrNumber> wanted) {
    const int columns = index->rd_index->indnkeyatts;
    const bool begins_with_them = columns >= static_cast<int>(wanted.size()) &&
                                  std::equal(wanted.begin(), wanted.end(), index->rd_index->indkey.values);
    return is_complete(index) && begins_with_them ? 1 + INDEX_MAX_KEYS - columns : 0;
}

using Fitness = int (*)(Relation index, std::span<const AttrNumber> wanted);

// The index to walk by, or none.
Oid choose_index(Relation table, std::span<const AttrNumber> wanted, Fitness fitness_of) {
    Oid chosen = InvalidOid;
    int best = 0;
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;
    foreach (cell, indexes) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        const int found = fitness_of(index, wanted);
        if (found > best)
            chosen = RelationGetRelid(index);
        best = std::max(best, found);
        index_close(index, AccessShareLock);
    }
    list_free(indexes);
    return chosen;
}

ColumnOrder order_of(Relation index, int i) {
    bool is_null;
    const Datum classes = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, Anum_pg_index_indclass, &is_null);
    const int16 options = index->rd_indoption[i];
    return {reinterpret_cast<oidvector *>(DatumGetPointer(classes))->values[i], index->rd_indcollation[i],
            (options & INDOPTION_DESC) != 0, (options & INDOPTION_NULLS_FIRST) != 0, false};
}

Form_pg_attribute attribute_of(Relation table, AttrNumber column) {
    return TupleDescAttr(RelationGetDescr(table), column - 1);
}

Refusal unusable_column(Relation table, AttrNumber column, Text reason, Text hint) {
    return {kNoUsableKey,
            format("column \"%s\" of table \"%s\" cannot be batched over",
                   NameStr(attribute_of(table, column)->attname), RelationGetRelationName(table)),
            reason, hint};
}

Refusal require_not_null(Relation table, AttrNumber column) {
    const Form_pg_attribute attribute = attribute_of(table, column);
    if (attribute->attnotnull)
        return {};
    return unusable_column(table, column, "It may be NULL, and a row without a key is in no range.",
                           format("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;",
                                  table_name(RelationGetRelid(table)).data(),
                                  quote_identifier(NameStr(attribute->attname))));
}

// A value of several fields can be NULL in part, which SQL and an index call by different names.
Refusal require_plain_if_null(Relation table, AttrNumber column) {
    const Form_pg_attribute attribute = attribute_of(table, column);
    if (attribute->attnotnull || !type_is_rowtype(attribute->atttypid))
        return {};
    return unusable_column(table, column, "It may be NULL, and its values have several fields.", {});
}

std::size_t key_columns_of(Oid index_number) {
    Relation index = index_open(index_number, AccessShareLock);
    const auto count = static_cast<std::size_t>(index->rd_index->indnkeyatts);
    index_close(index, AccessShareLock);
    return count;
}

// The first `count` columns of the index.
Refusal describe(Relation table, Oid index_number, std::size_t count, Walk walk, TableKey &key) {
    Relation index = index_open(index_number, AccessShareLock);
    const KeyParts parts = make_parts(count);
    Refusal refusal;
    for (std::size_t i = 0; i < count && !refusal; ++i) {
        const AttrNumber column = index->rd_index->indkey.values[i];
        ColumnOrder order = order_of(index, static_cast<int>(i));
        order.may_be_null = !attribute_of(table, column)->attnotnull;
        describe_column(parts, i, RelationGetRelid(table), column, order);
        refusal = walk == Walk::values ? require_plain_if_null(table, column) : require_not_null(table, column);
    }
    index_close(index, AccessShareLock);
    if (refusal)
        return refusal;
    key = finish(parts, RelationGetRelid(table), walk);
    key.index = index_number;
    return {};
}

Refusal find_columns(Relation table, Key wanted, std::span<AttrNumber> numbers) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        numbers[i] = get_attnum(RelationGetRelid(table), c_string(wanted[i]));
        if (numbers[i] <= 0)
            return {kUndefinedColumn,
                    format("column \"%.*s\" of relation \"%s\" does not exist", width(wanted[i]), wanted[i].data(),
                           RelationGetRelationName(table)),
                    {},
                    {}};
        if (std::find(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(i), numbers[i]) !=
            numbers.begin() + static_cast<std::ptrdiff_t>(i))
            return {"42701", format("column \"%.*s\" is named twice", width(wanted[i]), wanted[i].data()), {}, {}};
    }
    return {};
}

Text list_of(Key columns) {
    String &out = make<String>(current_arena());
    for (const Text column : columns) {
        out.append(out.empty() ? "" : ", ");
        out.append(quote_identifier(c_string(column)));
    }
    return Text(out.c_str());
}

Text not_batched_over(Relation table, Key wanted) {
    const char *name = RelationGetRelationName(table);
    if (wanted.size() == 1)
        return format("column \"%.*s\" of table \"%s\" cannot be batched over", width(wanted[0]), wanted[0].data(),
                      name);
    return format("columns %s of table \"%s\" cannot be batched over", list_of(wanted).data(), name);
}

Refusal no_key(Relation table, Key wanted) {
    const char *table_text = RelationGetRelationName(table);
    if (wanted.empty()) {
        Oid constraint;
        const bool has_one = get_primary_key_attnos(RelationGetRelid(table), true, &constraint) != nullptr;
        return {kNoUsableKey,
                has_one ? format("the primary key of table \"%s\" cannot be batched over", table_text)
                        : format("table \"%s\" has no primary key to batch over", table_text),
                has_one ? "It is deferrable: two rows may have one key for a while." : Text(),
                "Name columns with cursor_columns: they must be NOT NULL and have a unique index of their own."};
    }
    const bool is_one = wanted.size() == 1;
    const Text columns = list_of(wanted);
    return {kNoUsableKey, not_batched_over(table, wanted),
            format("%s no unique index of %s own that is valid, complete and not deferrable.",
                   is_one ? "It has" : "They have", is_one ? "its" : "their"),
            format("CREATE UNIQUE INDEX CONCURRENTLY ON %s (%s);", table_name(RelationGetRelid(table)).data(),
                   columns.data())};
}

Refusal no_value_key(Relation table, Key wanted) {
    return {
        kNoUsableKey, not_batched_over(table, wanted),
        format("No valid and complete btree index begins with %s.", wanted.size() == 1 ? "it" : "them, in that order"),
        format("CREATE INDEX CONCURRENTLY ON %s (%s);", table_name(RelationGetRelid(table)).data(),
               list_of(wanted).data())};
}

Refusal no_columns(Relation table, Text reason) {
    return {kNoUsableKey,
            format("table \"%s\" cannot be batched over without a column", RelationGetRelationName(table)), reason,
            "Name columns with cursor_columns."};
}

Refusal find_key_in(Relation table, Key wanted, TableKey &key) {
    const auto numbers = make_array<AttrNumber>(current_arena(), wanted.size());
    if (Refusal refusal = find_columns(table, wanted, numbers))
        return refusal;
    const Oid index = choose_index(table, numbers, fitness);
    if (!OidIsValid(index))
        return no_key(table, wanted);
    return describe(table, index, key_columns_of(index), Walk::keys, key);
}

Refusal find_value_key_in(Relation table, Key wanted, TableKey &key) {
    if (wanted.empty())
        return no_columns(table, "A loose index scan walks the distinct values of columns.");
    const auto numbers = make_array<AttrNumber>(current_arena(), wanted.size());
    if (Refusal refusal = find_columns(table, wanted, numbers))
        return refusal;
    const Oid index = choose_index(table, numbers, fitness_for_values);
    if (!OidIsValid(index))
        return no_value_key(table, wanted);
    return describe(table, index, wanted.size(), Walk::values, key);
}

// A walk compares here and sorts there.
Refusal require_same_order(Relation table, AttrNumber column) {
    const Form_pg_attribute attribute = attribute_of(table, column);
    const Oid collation = attribute->attcollation, type = getBaseType(attribute->atttypid);
    if (type >= FirstGenbkiObjectId || !OidIsValid(GetDefaultOpClass(type, BTREE_AM_OID)))
        return unusable_column(table, column, "Only types that every server has are sorted alike on a foreign one.",
                               {});
    if (OidIsValid(collation) && collation != C_COLLATION_OID && collation != kPosixCollation)
        return unusable_column(table, column, "The foreign server may sort it in another way.",
                               "Only collation \"C\" is the same everywhere: give it to the column here and there.");
    return {};
}

Refusal find_foreign_key_in(Relation table, Key wanted, TableKey &key) {
    if (wanted.empty())
        return no_columns(table, "A foreign table has no primary key.");
    const auto numbers = make_array<AttrNumber>(current_arena(), wanted.size());
    if (Refusal refusal = find_columns(table, wanted, numbers))
        return refusal;
    const KeyParts parts = make_parts(wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const Form_pg_attribute attribute = attribute_of(table, numbers[i]);
        if (Refusal refusal = require_same_order(table, numbers[i]))
            return refusal;
        if (Refusal refusal = require_not_null(table, numbers[i]))
            return refusal;
        describe_column(parts, i, RelationGetRelid(table), numbers[i],
                        {GetDefaultOpClass(attribute->atttypid, BTREE_AM_OID), attribute->attcollation});
    }
    key = finish(parts, RelationGetRelid(table), Walk::keys);
    return {};
}

bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

bool is_as_it_was(Oid table, const KeyColumn &column) {
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table), Int16GetDatum(column.number));
    if (!HeapTupleIsValid(tuple))
        return false;
    const auto *attribute = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    const Oid type = attribute->attisdropped ? InvalidOid : getBaseType(attribute->atttypid);
    const bool same_type = type == column.type || (is_integer(type) && is_integer(column.type));
    const bool is_same = same_type && attribute->attcollation == column.own_collation &&
                         attribute->attnotnull >= column.is_not_null &&
                         std::strcmp(NameStr(attribute->attname), column.name) == 0;
    ReleaseSysCache(tuple);
    return is_same;
}

using Finder = Refusal (*)(Relation table, Key wanted, TableKey &key);

Refusal find_in(Oid table, Key wanted, TableKey &key, Finder finder) {
    Relation relation = relation_open(table, AccessShareLock);
    const Refusal refusal = finder(relation, wanted, key);
    relation_close(relation, AccessShareLock);
    return refusal;
}

} // namespace

Refusal find_key(std::uint32_t table, Key wanted, TableKey &key) { return find_in(table, wanted, key, find_key_in); }

Refusal find_value_key(std::uint32_t table, Key wanted, TableKey &key) {
    return find_in(table, wanted, key, find_value_key_in);
}

Refusal find_foreign_key(std::uint32_t table, Key wanted, TableKey &key) {
    return find_in(table, wanted, key, find_foreign_key_in);
}

TableKey tid_key(std::uint32_t table, Walk walk) {
    const KeyParts parts = make_parts(1);
    describe_column(parts, 0, table, SelfItemPointerAttributeNumber,
                    {GetDefaultOpClass(TIDOID, BTREE_AM_OID), InvalidOid});
    return finish(parts, table, walk);
}

TableKey copy(const TableKey &key, Arena arena) {
    const std::size_t count = key.columns.size();
    const auto columns = make_array<KeyColumn>(arena, count);
    std::copy(key.columns.begin(), key.columns.end(), columns.begin());
    const auto walk = make_array<WalkColumn>(arena, count);
    for (std::size_t i = 0; i < count; ++i) {
        walk[i] = key.walk_columns[i];
        for (const auto part :
             {&WalkColumn::name, &WalkColumn::type, &WalkColumn::collation, &WalkColumn::less,
              &WalkColumn::less_or_equal, &WalkColumn::equal, &WalkColumn::greater_or_equal, &WalkColumn::greater})
            walk[i].*part = copy(key.walk_columns[i].*part, arena);
    }
    TableKey made = key;
    made.columns = columns;
    made.walk_columns = walk;
    made.names = copy(key.names, arena);
    made.type_names = copy(key.type_names, arena);
    return made;
}

void check_columns(std::uint32_t table, std::span<const KeyColumn> key) {
    if (std::all_of(key.begin(), key.end(), [&](const KeyColumn &column) { return is_as_it_was(table, column); }))
        return;
    raise(Refusal{kNoUsableKey, format("the key of table %s is not what it was", table_name(table).data()),
                  "A column of it has another name, type or collation, may be NULL now, or is gone.",
                  "Delete the migration and queue it anew, with a condition that leaves out what is done."});
}

bool is_index(std::uint32_t index) { return SearchSysCacheExists1(INDEXRELID, ObjectIdGetDatum(index)); }

KeyWalk walk_of(Text table, const TableKey &key, Text scope) { return {table, key.walk_columns, scope, key.walk}; }

} // namespace bbm::pg
