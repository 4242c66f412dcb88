#include "worker/session.hpp"

#include "pg/catalog.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"

#include <algorithm>
#include <iterator>

namespace bbm {

namespace {

// A walk goes on over another type only if both have the same order and the same text: integers of any width.
bool sort_alike(Text a, Text b) {
    constexpr Text integers[] = {"smallint", "integer", "bigint"};
    const auto is_integer = [&](Text type) { return std::find(std::begin(integers), std::end(integers), type) != std::end(integers); };
    return a == b || (is_integer(a) && is_integer(b));
}

} // namespace

pg::TableKey key_of(const Migration &migration) {
    pg::TableKey key;
    pg::raise_if(pg::find_key(migration.table_oid, migration.cursor_columns, key));
    for (std::size_t i = 0; i < key.names.size(); ++i)
        if (key.names[i] != migration.cursor_columns[i] || !sort_alike(key.type_names[i], migration.cursor_types[i]))
            pg::raise(Refusal{"42P16",
                              pg::format("the key of table %s is not what it was", migration.table_name.data()),
                              pg::format("It was (%s) of type (%s), and is (%s) of type (%s).",
                                         pg::key_text(migration.cursor_columns).data(),
                                         pg::key_text(migration.cursor_types).data(), pg::key_text(key.names).data(),
                                         pg::key_text(key.type_names).data()),
                              "Delete the migration and queue it anew, with a condition that leaves out what is done."});
    return key;
}

pg::RangeCommand command_of(const Migration &migration, const pg::TableKey &key) {
    return {migration.statement, migration.table_oid, key, migration.scope_to, migration.has_placeholders};
}

void check_table_name(const Migration &migration) {
    const Text name = pg::table_name(migration.table_oid);
    if (name == migration.table_name)
        return;
    if (name.empty())
        pg::raise(Refusal{"42P01",
                          pg::format("table %s of the migration does not exist any more", migration.table_name.data()),
                          {},
                          {}});
    pg::raise(
        Refusal{"42P01",
                pg::format("table %s of the migration is called %s now", migration.table_name.data(), name.data()),
                {},
                "Give it back its name and run bbm.retry(), or delete the migration and queue it anew."});
}

void require_extension(const Session &session) {
    if (pg::lock_extension())
        return;
    if (session.cancel == pg::Cancel::ignored)
        pg::leave();
    pg::raise(Refusal{"55000", "extension \"bbm\" was dropped", {}, {}});
}

void begin_as_owner(const Session &session, const Migration &migration) {
    pg::begin_transaction();
    require_extension(session);
    if (session.settings == pg::Scope::transaction)
        pg::apply_owners_settings(migration.search_path, pg::settings().lock_timeout(), session.settings);
}

} // namespace bbm
