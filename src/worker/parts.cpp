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

Refusal refuse_foreign_blocks(std::uint32_t table) {
    return {"42809",
            pg::format("foreign table %s has no blocks to walk", pg::table_name(table).data()),
            {},
            "Batch over a key: name it with column_name or cursor_columns."};
}

} // namespace

Refusal find_key(std::uint32_t table, Walk walk, Key columns, pg::TableKey &key) {
    if (Refusal refusal = pg::check_table(table))
        return refusal;
    const bool is_foreign = pg::kind_of_table(table) == pg::TableKind::foreign;
    switch (walk) {
    case Walk::keys:
        return is_foreign ? pg::find_foreign_key(table, columns, key) : pg::find_key(table, columns, key);
    case Walk::values:
        return is_foreign ? pg::find_foreign_key(table, columns, key) : pg::find_value_key(table, columns, key);
    case Walk::blocks:
    case Walk::sweep:
        break;
    }
    key = pg::tid_key(table, walk);
    return is_foreign ? refuse_foreign_blocks(table) : Refusal{};
}

pg::TableKey find_key_to_walk_by(std::uint32_t table, Walk walk, Key columns) {
    pg::TableKey key;
    const Refusal refusal = find_key(table, walk, columns, key);
    if (refusal && pg::kind_of_table(table) == pg::TableKind::partitioned)
        for (const std::uint32_t leaf : pg::leaves_of(table, pg::current_arena()))
            if (!find_key(leaf, walk, columns, key))
                return key;
    pg::raise_if(refusal);
    return key;
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
    pg::raise(Refusal{"42P01", pg::format("table %s of the migration is called %s now", was.data(), name.data()),
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
            .has_placeholders = migration.has_placeholders,
            .used_columns = migration.used_columns,
            .meets_rows_twice = part.walk == Walk::blocks || part.walk == Walk::sweep};
}

} // namespace bbm
