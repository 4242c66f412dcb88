#include "worker/session.hpp"

#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"

namespace bbm {

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
