#include "pg/table_key.hpp"

#include "pg/catalog.hpp"
#include "pg/key_column.hpp"
#include "pg/report.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

constexpr char kUndefinedColumn[] = "42703";
constexpr char kNoUsableKey[] = "42P16"; // invalid_table_definition

// Is every row in the index, in one place, at every moment?
bool is_usable(Relation index) {
    const Form_pg_index form = index->rd_index;
    const int16 *columns = form->indkey.values;
    return form->indisunique && form->indimmediate && form->indisvalid && form->indislive &&
           index->rd_rel->relam == BTREE_AM_OID &&
           std::find(columns, columns + form->indnkeyatts, 0) == columns + form->indnkeyatts &&
           heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, nullptr);
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

// The index to walk by, or none.
Oid choose_index(Relation table, std::span<const AttrNumber> wanted) {
    Oid chosen = InvalidOid;
    int best = 0;
    List *indexes = RelationGetIndexList(table);
    ListCell *cell;
    foreach (cell, indexes) {
        Relation index = index_open(lfirst_oid(cell), AccessShareLock);
        const int found = fitness(index, wanted);
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
            (options & INDOPTION_DESC) != 0, (options & INDOPTION_NULLS_FIRST) != 0};
}

Refusal require_not_null(Relation table, AttrNumber column) {
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), column - 1);
    if (attribute->attnotnull)
        return {};
    return {kNoUsableKey,
            format("column \"%s\" of table \"%s\" cannot be batched over", NameStr(attribute->attname),
                   RelationGetRelationName(table)),
            "It may be NULL, and a row without a key is in no range.",
            format("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;", table_name(RelationGetRelid(table)).data(),
                   quote_identifier(NameStr(attribute->attname)))};
}

Refusal describe(Relation table, Oid index_number, TableKey &key) {
    Relation index = index_open(index_number, AccessShareLock);
    const auto count = static_cast<std::size_t>(index->rd_index->indnkeyatts);
    const KeyParts parts = make_parts(count);
    Refusal refusal;
    for (std::size_t i = 0; i < count && !refusal; ++i) {
        const AttrNumber column = index->rd_index->indkey.values[i];
        describe_column(parts, i, RelationGetRelid(table), column, order_of(index, static_cast<int>(i)));
        refusal = require_not_null(table, column);
    }
    index_close(index, AccessShareLock);
    if (!refusal)
        key = finish(parts, RelationGetRelid(table));
    return refusal;
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
    String &columns = make<String>(current_arena());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        columns.append(i == 0 ? "" : ", ");
        columns.append(quote_identifier(c_string(wanted[i])));
    }
    const bool is_one = wanted.size() == 1;
    return {kNoUsableKey,
            format("%s %s of table \"%s\" cannot be batched over", is_one ? "column" : "columns",
                   is_one ? format("\"%.*s\"", width(wanted[0]), wanted[0].data()).data() : columns.c_str(),
                   table_text),
            format("%s no unique index of %s own that is valid, complete and not deferrable.",
                   is_one ? "It has" : "They have", is_one ? "its" : "their"),
            format("CREATE UNIQUE INDEX CONCURRENTLY ON %s (%s);", table_name(RelationGetRelid(table)).data(),
                   columns.c_str())};
}

Refusal find_key_in(Relation table, Key wanted, TableKey &key) {
    const auto numbers = make_array<AttrNumber>(current_arena(), wanted.size());
    if (Refusal refusal = find_columns(table, wanted, numbers))
        return refusal;
    const Oid index = choose_index(table, numbers);
    if (OidIsValid(index))
        return describe(table, index, key);
    return no_key(table, wanted);
}

bool is_integer(Oid type) { return type == INT2OID || type == INT4OID || type == INT8OID; }

bool is_as_it_was(Oid table, const KeyColumn &column) {
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table), Int16GetDatum(column.number));
    if (!HeapTupleIsValid(tuple))
        return false;
    const auto *attribute = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    const Oid type = attribute->attisdropped ? InvalidOid : getBaseType(attribute->atttypid);
    const bool same_type = type == column.type || (is_integer(type) && is_integer(column.type));
    const bool same_collation = attribute->attcollation == column.own_collation;
    ReleaseSysCache(tuple);
    return same_type && same_collation;
}

} // namespace

Refusal find_key(std::uint32_t table, Key wanted, TableKey &key) {
    Relation relation = relation_open(table, AccessShareLock);
    const Refusal refusal = find_key_in(relation, wanted, key);
    relation_close(relation, AccessShareLock);
    return refusal;
}

TableKey copy(const TableKey &key, Arena arena) {
    const std::size_t count = key.columns.size();
    const auto columns = make_array<KeyColumn>(arena, count);
    std::copy(key.columns.begin(), key.columns.end(), columns.begin());
    const auto walk = make_array<WalkColumn>(arena, count);
    for (std::size_t i = 0; i < count; ++i) {
        walk[i] = key.walk[i];
        for (const auto part :
             {&WalkColumn::name, &WalkColumn::type, &WalkColumn::collation, &WalkColumn::less,
              &WalkColumn::less_or_equal, &WalkColumn::equal, &WalkColumn::greater_or_equal, &WalkColumn::greater})
            walk[i].*part = copy(key.walk[i].*part, arena);
    }
    return {columns, walk, copy(key.names, arena), copy(key.type_names, arena), key.table};
}

void check_columns(std::uint32_t table, std::span<const KeyColumn> key) {
    if (std::all_of(key.begin(), key.end(), [&](const KeyColumn &column) { return is_as_it_was(table, column); }))
        return;
    raise(Refusal{kNoUsableKey, format("the key of table %s is not what it was", table_name(table).data()),
                  "A column of it has another type or another collation, or is gone.",
                  "Delete the migration and queue it anew, with a condition that leaves out what is done."});
}

KeyWalk walk_of(Text table, const TableKey &key, Text scope) { return {table, key.walk, scope}; }

} // namespace bbm::pg
