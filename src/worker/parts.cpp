#include "worker/parts.hpp"

#include "core/lifecycle.hpp"
#include "core/mentions.hpp"
#include "core/sql_text.hpp"
#include "pg/catalog.hpp"
#include "pg/key_query.hpp"
#include "pg/report.hpp"
#include "pg/table_file.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"

#include <algorithm>
#include <iterator>

namespace bbm {

namespace {

// A walk goes on over another type only if both have the same order and the same text: integers of any width.
bool sort_alike(Text a, Text b) {
    constexpr Text integers[] = {"smallint", "integer", "bigint"};
    const auto is_integer = [&](Text type) {
        return std::find(std::begin(integers), std::end(integers), type) != std::end(integers);
    };
    return a == b || (is_integer(a) && is_integer(b));
}

bool is_same_key(const pg::TableKey &key, const Part &part) {
    return same_key(key.names, part.cursor_columns) &&
           std::equal(key.type_names.begin(), key.type_names.end(), part.cursor_types.begin(), part.cursor_types.end(),
                      sort_alike);
}

// Those of its keys that are within the bounds that a person gave, or nothing.
std::optional<Range> range_of(const Migration &migration, const Part &part, const pg::TableKey &key) {
    const auto whole = pg::find_whole_range(walked_table(migration, part), key, pg::current_arena());
    if (!whole)
        return std::nullopt;
    const Range &given = migration.given;
    const Range range = {given.min.empty() ? whole->min : given.min, given.max.empty() ? whole->max : given.max};
    if (!pg::is_ordered(range.min, range.max, key))
        return std::nullopt; // a given bound lies beyond all rows
    return range;
}

std::int64_t estimated_rows_of(const Migration &migration, const Part &part, const pg::TableKey &key) {
    const bool is_bounded = part.range && (!migration.given.min.empty() || !migration.given.max.empty());
    const KeyWalk walk = pg::walk_of(walked_table(migration, part), key, condition_of(migration, part));
    return pg::estimated_rows(walk, part.table_oid, is_bounded ? &*part.range : nullptr);
}

// Does the part's table go by another name than the command knows?
bool is_renamed(const Migration &migration, const Part &part) {
    return last_part(part.table_name) != migration.known_as;
}

Text with_table(Text text, std::span<const int> packed, Text table, bool only) {
    const Arena arena = pg::current_arena();
    const auto &mentions = unpack(packed, arena);
    if (mentions.empty())
        return text;
    return with_table(text, {mentions.data(), mentions.size()}, table, only, arena);
}

} // namespace

Refusal find_key(std::uint32_t table, Walk, Key columns, pg::TableKey &key) {
    if (Refusal refusal = pg::check_table(table))
        return refusal;
    return pg::find_key(table, columns, key);
}

pg::TableKey key_of(const Part &part) {
    pg::TableKey key;
    pg::raise_if(find_key(part.table_oid, part.walk, part.cursor_columns, key));
    if (!is_same_key(key, part))
        pg::raise(Refusal{"42P16", pg::format("the key of table %s is not what it was", part.table_name.data()),
                          pg::format("It was (%s) of type (%s), and is (%s) of type (%s).",
                                     pg::key_text(part.cursor_columns).data(), pg::key_text(part.cursor_types).data(),
                                     pg::key_text(key.names).data(), pg::key_text(key.type_names).data()),
                          "Delete the migration and queue it anew, with a condition that leaves out what is done."});
    return key;
}

Text name_now(const Migration &migration, std::uint32_t table, Text was) {
    const Text name = pg::table_name(table);
    if (name.empty() || name == was || !migration.mentions.empty())
        return name;
    pg::raise(Refusal{"42P01",
                      pg::format("table %s of the migration is called %s now", was.data(), name.data()),
                      "Its command does not say in a way that bbm can follow where the table's name stands.",
                      "Give it back its name and run bbm.retry(), or delete the migration and queue it anew."});
}

void look_up_names(Migration &migration, Part &part) {
    const Text whole = name_now(migration, migration.table_oid, migration.table_name);
    const Text own = name_now(migration, part.table_oid, part.table_name);
    migration.table_name = whole.empty() ? migration.table_name : whole;
    part.table_name = own.empty() ? part.table_name : own;
}

Text walked_table(const Migration &migration, const Part &part) {
    const Text alias = is_renamed(migration, part) ? migration.known_as : Text();
    return pg::format("%s%.*s%s%.*s", part.is_only ? "ONLY " : "", pg::width(part.table_name), part.table_name.data(),
                      alias.empty() ? "" : " AS ", pg::width(alias), alias.data());
}

Text condition_of(const Migration &migration, const Part &part) {
    const Text scope = with_table(migration.scope_to, migration.scope_mentions, migration.table_name, false);
    return both_conditions(scope, part.condition, pg::current_arena());
}

pg::RangeCommand command_of(const Migration &migration, const Part &part, const pg::TableKey &key) {
    const Text text = with_table(migration.statement, migration.mentions, part.table_name, part.is_only);
    return {.text = text,
            .table = part.table_oid,
            .key = key,
            .scope = condition_of(migration, part),
            .known_as = is_renamed(migration, part) ? migration.known_as : Text(),
            .has_placeholders = migration.has_placeholders};
}

Part describe_part(const Migration &migration, std::uint32_t table, const pg::TableKey &key) {
    Part part;
    part.table_oid = table;
    part.table_name = pg::table_name(table);
    part.is_only = migration.walks_leaves;
    part.cursor_columns = key.names;
    part.cursor_types = key.type_names;
    part.table_file = table_file_texts(pg::table_file(table), pg::current_arena());
    part.range = range_of(migration, part, key);
    part.total_rows = estimated_rows_of(migration, part, key);
    return part;
}

Vector<Part> &plan_parts(const Migration &migration, const pg::TableKey &key, Arena arena) {
    auto &parts = make<Vector<Part>>(arena);
    if (!migration.walks_leaves) {
        parts.push_back(describe_part(migration, migration.table_oid, key));
        return parts;
    }
    for (const std::uint32_t leaf : pg::leaves_of(migration.table_oid, arena)) {
        pg::TableKey own;
        pg::raise_if(find_key(leaf, Walk::keys, migration.cursor_columns, own));
        parts.push_back(describe_part(migration, leaf, own));
    }
    return parts;
}

bool add_new_leaves(const Migration &migration) {
    if (!migration.walks_leaves)
        return false;
    const Arena arena = pg::current_arena();
    const auto &known = store::parts_of(migration.id, arena);
    bool added = false;
    for (const std::uint32_t leaf : pg::leaves_of(migration.table_oid, arena)) {
        if (std::any_of(known.begin(), known.end(), [&](const Part &part) { return part.table_oid == leaf; }))
            continue;
        pg::TableKey key;
        pg::raise_if(find_key(leaf, Walk::keys, migration.cursor_columns, key));
        Part part = describe_part(migration, leaf, key);
        store::insert_part(migration.id, part);
        const Text reason = pg::format("%s belongs to the table now", part.table_name.data());
        store::record_event(migration, "attach", {.reason = reason}, name(migration.status));
        added = true;
    }
    return added;
}

} // namespace bbm
