#include "pg/table_key.hpp"

#include "pg/catalog.hpp"
#include "pg/key_value.hpp"
#include "pg/report.hpp"

#include <algorithm>
#include <iterator>

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/nbtree.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

constexpr char kUndefinedColumn[] = "42703";
constexpr char kNoUsableKey[] = "42P16"; // invalid_table_definition
constexpr char kWrongValue[] = "22023";

// Is every row in the index, in one place, at every moment?
bool is_usable(Relation index) {
    const Form_pg_index form = index->rd_index;
    const int16 *columns = form->indkey.values;
    return form->indisunique && form->indimmediate && form->indisvalid && form->indislive &&
           index->rd_rel->relam == BTREE_AM_OID && std::find(columns, columns + form->indnkeyatts, 0) == columns + form->indnkeyatts &&
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
Text operator_class(Relation index, int i, Oid type) {
    bool is_null;
    const Datum classes = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, Anum_pg_index_indclass, &is_null);
    const Oid number = reinterpret_cast<oidvector *>(DatumGetPointer(classes))->values[i];
    if (number == GetDefaultOpClass(type, BTREE_AM_OID))
        return {};
    HeapTuple tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(number));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for operator class %u", number);
    const Text name(pstrdup(NameStr(reinterpret_cast<Form_pg_opclass>(GETSTRUCT(tuple))->opcname)));
    ReleaseSysCache(tuple);
    return name;
}

Text type_and_order(Relation index, int i, Oid type) {
    String &out = make<String>(current_arena());
    out.append(format_type_be(type));
    if (const Oid collation = index->rd_indcollation[i]; collation != get_typcollation(type)) {
        const Text name = qualified_collation(collation);
        out.append(" COLLATE ");
        out.append(name.data(), name.size());
    }
    if (const Text name = operator_class(index, i, type); !name.empty()) {
        out.push_back(' ');
        out.append(name.data(), name.size());
    }
    return view(out);
}

// Numbers without a point, text and the like look the same everywhere; dates, floats, and whatever contains them do not.
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

struct Columns {
    std::span<KeyColumn> columns;
    std::span<WalkColumn> walk;
    std::span<Text> names;
    std::span<Text> type_names;
};

void describe_column(Relation table, Relation index, int i, Columns &out) {
    const AttrNumber number = index->rd_index->indkey.values[i];
    const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), number - 1);
    const Oid family = index->rd_opfamily[i], compared_as = index->rd_opcintype[i], collation = index->rd_indcollation[i];
    const auto at = static_cast<std::size_t>(i);
    // Bounds are no values of a domain: theirs would be its collation, which may not be that of the column.
    const Oid type = getBaseType(attribute->atttypid);
    out.columns[at] = {type, number, family, compared_as, collation, attribute->attcollation, needs_settings(type)};
    out.names[at] = Text(pstrdup(NameStr(attribute->attname)));
    out.type_names[at] = type_and_order(index, i, attribute->atttypid);
    const auto op = [&](StrategyNumber strategy) { return qualified_operator(family, compared_as, strategy); };
    out.walk[at] = {out.names[at],
                    // TYPEMOD_GIVEN: otherwise character and bit come without a length, which means 1.
                    Text(format_type_extended(type, -1,
                                              FORMAT_TYPE_FORCE_QUALIFY | FORMAT_TYPE_TYPEMOD_GIVEN)),
                    // Said even where it is the column's own: the column's may become another one in the middle of a walk.
                    OidIsValid(collation) ? qualified_collation(collation) : Text(),
                    op(BTLessStrategyNumber),
                    op(BTLessEqualStrategyNumber),
                    op(BTEqualStrategyNumber),
                    op(BTGreaterEqualStrategyNumber),
                    op(BTGreaterStrategyNumber),
                    (index->rd_indoption[i] & INDOPTION_DESC) != 0,
                    (index->rd_indoption[i] & INDOPTION_NULLS_FIRST) != 0};
}

// An index that descends in its first column is walked from its other end: that is the same order for DESC, DESC as for
// ASC, ASC, and for DESC, ASC as for ASC, DESC.
void normalize_directions(Columns &out) {
    if (out.walk.front().is_descending)
        for (WalkColumn &column : out.walk) {
            column.is_descending = !column.is_descending;
            column.nulls_first = !column.nulls_first;
        }
    for (std::size_t i = 0; i < out.walk.size(); ++i)
        if (out.walk[i].is_descending)
            out.type_names[i] = format("%.*s DESC", width(out.type_names[i]), out.type_names[i].data());
}

Refusal describe(Relation table, Oid index_number, TableKey &key) {
    Relation index = index_open(index_number, AccessShareLock);
    const auto count = static_cast<std::size_t>(index->rd_index->indnkeyatts);
    const Arena arena = current_arena();
    Columns out = {make_array<KeyColumn>(arena, count), make_array<WalkColumn>(arena, count),
                   make_array<Text>(arena, count), make_array<Text>(arena, count)};
    Refusal refusal;
    for (int i = 0; i < static_cast<int>(count) && !refusal; ++i) {
        const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), index->rd_index->indkey.values[i] - 1);
        describe_column(table, index, i, out);
        if (!attribute->attnotnull)
            refusal = {kNoUsableKey,
                       format("column \"%s\" of table \"%s\" cannot be batched over", NameStr(attribute->attname),
                              RelationGetRelationName(table)),
                       "It may be NULL, and a row without a key is in no range.",
                       format("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL;", table_name(RelationGetRelid(table)).data(),
                              quote_identifier(NameStr(attribute->attname)))};
    }
    index_close(index, AccessShareLock);
    normalize_directions(out);
    key = {out.columns, out.walk, out.names, out.type_names, RelationGetRelid(table)};
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
                   is_one ? format("\"%.*s\"", width(wanted[0]), wanted[0].data()).data() : columns.c_str(), table_text),
            format("%s no unique index of %s own that is valid, complete and not deferrable.", is_one ? "It has" : "They have",
                   is_one ? "its" : "their"),
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

// Settings cost more than most values do.
int fix_text_forms_of(std::span<const KeyColumn> key) {
    const auto depends = [](const KeyColumn &column) { return column.needs_settings; };
    return std::any_of(key.begin(), key.end(), depends) ? fix_text_forms() : 0;
}

Value value_of(const KeyColumn &column, Text text) {
    Oid input, argument;
    getTypeInputInfo(column.type, &input, &argument);
    return OidInputFunctionCall(input, c_string(text), argument, -1);
}

Text text_of(const KeyColumn &column, Datum value) {
    Oid output;
    bool is_varlena;
    getTypeOutputInfo(column.type, &output, &is_varlena);
    return Text(OidOutputFunctionCall(output, value));
}

Key split(Text list) {
    Oid input, argument;
    getTypeInputInfo(TEXTARRAYOID, &input, &argument);
    Datum *items;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(OidInputFunctionCall(input, c_string(list), argument, -1)), TEXTOID, -1, false,
                      TYPALIGN_INT, &items, &nulls, &count);
    const auto parts = make_array<Text>(current_arena(), static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        parts[static_cast<std::size_t>(i)] = nulls[i] ? Text() : Text(TextDatumGetCString(items[i]));
    return parts;
}

int compare(const KeyColumn &column, Value a, Value b) {
    const Oid procedure = get_opfamily_proc(column.family, column.compared_as, column.compared_as, BTORDER_PROC);
    return DatumGetInt32(OidFunctionCall2Coll(procedure, column.collation, a, b));
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
        for (const auto part : {&WalkColumn::name, &WalkColumn::type, &WalkColumn::collation, &WalkColumn::less,
                                &WalkColumn::less_or_equal, &WalkColumn::equal, &WalkColumn::greater_or_equal,
                                &WalkColumn::greater})
            walk[i].*part = copy(key.walk[i].*part, arena);
    }
    return {columns, walk, copy(key.names, arena), copy(key.type_names, arena), key.table};
}

void check_columns(std::uint32_t table, std::span<const KeyColumn> key) {
    if (std::all_of(key.begin(), key.end(), [&](const KeyColumn &column) { return is_as_it_was(table, column); }))
        return;
    raise(Refusal{kNoUsableKey,
                  format("the key of table %s is not what it was", table_name(table).data()),
                  "A column of it has another type or another collation, or is gone.",
                  "Delete the migration and queue it anew, with a condition that leaves out what is done."});
}

int fix_text_forms() {
    const int level = NewGUCNestLevel();
    static constexpr const char *forms[][2] = {{"datestyle", "ISO, YMD"}, {"intervalstyle", "postgres"},
                                               {"extra_float_digits", "3"}, {"bytea_output", "hex"},
                                               {"lc_monetary", "C"},        {"timezone", "UTC"},
                                               {"array_nulls", "on"}};
    for (const auto &[name, value] : forms)
        (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return level;
}

void end_text_forms(int level) {
    if (level != 0)
        AtEOXact_GUC(false, level);
}

KeyWalk walk_of(Text table, const TableKey &key, Text scope) { return {table, key.walk, scope}; }

void key_values(std::span<const KeyColumn> key, Key texts, Value *values) {
    const int level = fix_text_forms_of(key);
    for (std::size_t i = 0; i < key.size(); ++i)
        values[i] = value_of(key[i], texts[i]);
    end_text_forms(level);
}

Key key_of_row(std::span<const KeyColumn> key, void *row, void *description, int first, Arena arena) {
    const auto parts = make_array<Text>(arena, key.size());
    const int level = fix_text_forms_of(key);
    for (std::size_t i = 0; i < key.size(); ++i) {
        bool is_null;
        const Datum value = heap_getattr(static_cast<HeapTuple>(row), first + static_cast<int>(i),
                                         static_cast<TupleDesc>(description), &is_null);
        if (is_null) {
            end_text_forms(level);
            return {};
        }
        parts[i] = copy(text_of(key[i], value), arena);
    }
    end_text_forms(level);
    return parts;
}

Key read_key(Text text, const TableKey &key) {
    const std::size_t count = key.columns.size();
    Key given = std::span<const Text>(&text, 1);
    if (count > 1)
        given = split(text);
    if (given.size() != count)
        raise(Refusal{kWrongValue, format("a key of this migration has %d parts", static_cast<int>(count)), {},
                      "Give them as a text array, in the order of cursor_columns."});
    const auto parts = make_array<Text>(current_arena(), count);
    const auto values = make_array<Value>(current_arena(), count);
    for (const Text part : given)
        if (part.data() == nullptr)
            raise(Refusal{"22004", "a part of a key must not be null", {}, {}});
    // Read as the session writes values, written as keys are.
    for (std::size_t i = 0; i < count; ++i)
        values[i] = value_of(key.columns[i], given[i]);
    const int level = fix_text_forms_of(key.columns);
    for (std::size_t i = 0; i < count; ++i)
        parts[i] = text_of(key.columns[i], values[i]);
    end_text_forms(level);
    return parts;
}

bool is_ordered(Key a, Key b, const TableKey &key) {
    Value lower[kMostKeyColumns], upper[kMostKeyColumns];
    key_values(key.columns, a, lower);
    key_values(key.columns, b, upper);
    for (std::size_t i = 0; i < key.columns.size(); ++i) {
        const int order = compare(key.columns[i], lower[i], upper[i]);
        if (order != 0)
            return (order < 0) != key.walk[i].is_descending;
    }
    return true;
}

Text key_text(Key key) {
    String &out = make<String>(current_arena());
    for (std::size_t i = 0; i < key.size(); ++i) {
        out.append(i == 0 ? "" : ", ");
        out.append(key[i].data(), key[i].size());
    }
    out.push_back('\0'); // for "%s"
    return {out.data(), out.size() - 1};
}

} // namespace bbm::pg
