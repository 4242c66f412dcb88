#include "pg/key_value.hpp"

#include "pg/report.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace bbm::pg {

namespace {

constexpr char kWrongValue[] = "22023";

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

} // namespace

int fix_text_forms() {
    const int level = NewGUCNestLevel();
    static constexpr const char *forms[][2] = {
        {"datestyle", "ISO, YMD"}, {"intervalstyle", "postgres"}, {"extra_float_digits", "3"}, {"bytea_output", "hex"},
        {"lc_monetary", "C"},      {"timezone", "UTC"},           {"array_nulls", "on"}};
    for (const auto &[name, value] : forms)
        (void)set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return level;
}

void end_text_forms(int level) {
    if (level != 0)
        AtEOXact_GUC(false, level);
}

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

Key key_texts(std::span<const KeyColumn> key, const Value *values, Arena arena) {
    const auto parts = make_array<Text>(arena, key.size());
    const int level = fix_text_forms_of(key);
    for (std::size_t i = 0; i < key.size(); ++i)
        parts[i] = copy(text_of(key[i], values[i]), arena);
    end_text_forms(level);
    return parts;
}

int compare(const KeyColumn &column, Value a, Value b) {
    const Oid procedure = get_opfamily_proc(column.family, column.compared_as, column.compared_as, BTORDER_PROC);
    return DatumGetInt32(OidFunctionCall2Coll(procedure, column.collation, a, b));
}

Key read_key(Text text, const TableKey &key) {
    const std::size_t count = key.columns.size();
    Key given = std::span<const Text>(&text, 1);
    if (count > 1)
        given = split(text);
    if (given.size() != count)
        raise(Refusal{kWrongValue,
                      format("a key of this migration has %d parts", static_cast<int>(count)),
                      {},
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
            return (order < 0) != key.walk_columns[i].is_descending;
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
