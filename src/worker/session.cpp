#include "worker/session.hpp"

#include "pg/catalog.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"

namespace bbm {

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
