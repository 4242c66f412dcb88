#include "command/ended.hpp"

#include "command/control.hpp"
#include "command/queue.hpp"
#include "command/reference.hpp"
#include "core/lifecycle.hpp"
#include "core/walk_rules.hpp"
#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/report.hpp"
#include "pg/workers.hpp"
#include "store/job_classes.hpp"
#include "store/migrations.hpp"
#include "worker/parts.hpp"

namespace bbm {

namespace {

bool has_ended(const Migration &migration) {
    return is_done(migration.status) || migration.status == MigrationStatus::failed;
}

void check_ended(const Migration &migration) {
    if (has_ended(migration))
        return;
    const auto id = static_cast<long long>(migration.id);
    pg::raise(Refusal{"55000",
                      pg::format("%s has not ended: it is %s", label(migration).data(), name(migration.status).data()),
                      {},
                      pg::format("Bring it to its end with SELECT bbm.finalize(%lld);  or give it up with "
                                 "SELECT bbm.delete(%lld);",
                                 id, id)});
}

// The table, its key and what the command means may have changed since. Looking runs functions of the owner's, with his
// rights.
Vector<Part> &look_again(Migration &migration) {
    Planned planned = {migration, {}, {}};
    Migration &now = planned.migration;
    planned.key = find_key_to_walk_by(now.table_oid, walk_of_strategy(now.batching_strategy), now.cursor_columns);
    now.table_name = name_now(now, now.table_oid, now.table_name);
    now.table_root = pg::table_root(now.table_oid);
    check_plan(planned);
    migration = now;
    return *planned.parts;
}

// Only what the caller may remove; migrations of other roles keep their own definition.
bool is_callers(const Migration &migration) { return migration.is_home && pg::may_act_as(migration.owner_oid); }

} // namespace

bool is_finished(std::int64_t id) { return is_done(require(id).status); }

std::int64_t requeue(std::int64_t id, Text reason) {
    const Migration old = lock_current(id);
    check_ended(old);
    store::NewMigration fresh = store::copy_of(old, pg::current_arena());
    Migration &next = fresh.migration;
    auto &parts = *pg::as_role(old.owner_oid, old.search_path, [&] { return &look_again(next); });
    fresh.total_rows = estimated_rows(parts);
    next.generation = old.generation + 1;
    next.status = has_rows(parts) ? MigrationStatus::active : MigrationStatus::finished;
    fresh.reason = reason;
    store::retire(id);
    const std::int64_t number = insert_with_parts(fresh, parts);
    pg::report(pg::Level::notice, pg::format("queued %s as number %lld, generation %d", label(next).data(),
                                             static_cast<long long>(number), next.generation));
    pg::start_scheduler_at_commit();
    return number;
}

int clean_up(Text job_class_name) {
    int removed = 0;
    for (const std::int64_t id : store::all_of_class(job_class_name, pg::current_arena())) {
        const auto migration = store::load_migration(id, pg::current_arena());
        if (!migration || !is_callers(*migration))
            continue;
        const auto locked = store::lock_migration(id, pg::current_arena()); // somebody may be starting it again
        if (!locked)
            continue;
        check_ended(*locked);
        remove(*locked, "cleanup");
        ++removed;
    }
    const auto job_class = store::load_job_class(job_class_name, pg::current_arena());
    const std::uint32_t owner = job_class && job_class->owner_oid != 0 ? pg::role_named(job_class->owner_name) : 0;
    if (owner != 0 && pg::may_act_as(owner))
        store::delete_job_class(job_class_name);
    return removed;
}

} // namespace bbm
