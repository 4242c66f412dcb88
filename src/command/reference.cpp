#include "command/reference.hpp"

#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "store/migrations.hpp"

namespace bbm {

namespace {

[[noreturn]] void refuse_unknown(Text message, Text job_class_name) {
    const Text similar = store::similar_name(job_class_name, pg::current_arena());
    const Text hint = similar.empty() || similar == job_class_name
                          ? Text("The queue is shown by: SELECT * FROM bbm.status;")
                          : pg::format("Perhaps you meant to reference the migration \"%s\".", similar.data());
    pg::raise(Refusal{"42704", message, {}, hint});
}

Migration check(std::optional<Migration> migration, std::int64_t id) {
    if (!migration)
        refuse_unknown_id(id);
    if (!migration->is_home)
        pg::raise(Refusal{
            "55000", pg::format("%s was queued on another server or in another database", label(*migration).data()),
            "It came with a restore, a clone or an upgrade, and runs nothing here.",
            pg::format("To let it run here: SELECT bbm.adopt(%lld);", static_cast<long long>(id))});
    if (!pg::may_act_as(migration->owner_oid))
        pg::raise(Refusal{"42501",
                          pg::format("permission denied for %s", label(*migration).data()),
                          "You must have the rights of its owner.",
                          {}});
    return *migration;
}

} // namespace

bool exists(std::int64_t id) { return store::load_migration(id, pg::current_arena()).has_value(); }

std::int64_t find_name(Text job_class_name) {
    std::int64_t id = 0;
    const int found = store::find_by_name(job_class_name, id);
    if (found > 1)
        pg::raise(Refusal{
            "42725",
            pg::format("migration name \"%.*s\" is not unique", pg::width(job_class_name), job_class_name.data()),
            pg::format("%d migrations have it.", found), "Use the id that bbm.status shows."});
    return id;
}

std::int64_t find_identity(Text job_class_name, std::uint32_t table, Text column_name, Text job_arguments) {
    return store::find_by_identity({job_class_name, table, column_name, job_arguments}).value_or(0);
}

void refuse_unknown_id(std::int64_t id) {
    pg::raise(Refusal{"42704",
                      pg::format("migration %lld does not exist", static_cast<long long>(id)),
                      {},
                      "The queue is shown by: SELECT * FROM bbm.status;"});
}

void refuse_unknown_name(Text job_class_name) {
    refuse_unknown(pg::format("migration \"%.*s\" does not exist", pg::width(job_class_name), job_class_name.data()),
                   job_class_name);
}

void refuse_unknown_identity(Text job_class_name, std::uint32_t table, Text column_name, Text job_arguments) {
    refuse_unknown(pg::format("migration \"%.*s\" on table %s, column \"%.*s\" with job arguments %.*s does not exist",
                              pg::width(job_class_name), job_class_name.data(), pg::table_name(table).data(),
                              pg::width(column_name), column_name.data(), pg::width(job_arguments),
                              job_arguments.data()),
                   job_class_name);
}

Migration require(std::int64_t id) { return check(store::load_migration(id, pg::current_arena()), id); }

Migration lock_for_change(std::int64_t id) {
    if (pg::in_recovery())
        pg::raise(Refusal{"25006", "cannot change a migration during recovery", {}, "Connect to the primary server."});
    (void)require(id); // who may not change it may not hold its row either
    return check(store::lock_migration(id, pg::current_arena()), id);
}

Migration lock_current(std::int64_t id) {
    const Migration migration = lock_for_change(id);
    refuse_history(migration);
    return migration;
}

void refuse_history(const Migration &migration) {
    if (migration.is_current)
        return;
    pg::raise(Refusal{
        "55000",
        pg::format("%s, number %lld, was queued again", label(migration).data(), static_cast<long long>(migration.id)),
        pg::format("It is generation %d, and a newer one has taken its place.", migration.generation),
        "The newest generation is shown by: SELECT * FROM bbm.status;"});
}

Text configuration(const Migration &migration) {
    return pg::format("job_class_name: %s, table_name: %s, column_name: %s, job_arguments: %s",
                      migration.job_class_name.data(), migration.table_name.data(), migration.column_name.data(),
                      migration.job_arguments.data());
}

Text label(const Migration &migration) {
    return pg::format("migration \"%.*s\"", pg::width(migration.job_class_name), migration.job_class_name.data());
}

Refusal has_failed(const Migration &migration) {
    const auto failure = store::last_failure(migration.id, pg::current_arena());
    const Text reason = store::latest_reason(migration.id, pg::current_arena());
    const bool says_more = failure && !reason.empty() && reason.find(failure->message) == Text::npos;
    const Text detail = !failure
                            ? Text("See bbm.events for the reason.")
                            : pg::format("%s%sThe last error was: %s (SQLSTATE %s).", says_more ? reason.data() : "",
                                         says_more ? ".  " : "", failure->message.data(), failure->sqlstate.data());
    const auto id = static_cast<long long>(migration.id);
    return {"55000", pg::format("%s has failed", label(migration).data()), detail,
            pg::format("See SELECT * FROM bbm.failures WHERE migration_id = %lld;  then run SELECT bbm.retry(%lld);",
                       id, id)};
}

void refuse_transition(const Migration &migration, MigrationEvent event, Text hint) {
    pg::raise(Refusal{"55000",
                      pg::format("cannot %s %s in status \"%s\"", name(event).data(), label(migration).data(),
                                 name(migration.status).data()),
                      {},
                      hint});
}

} // namespace bbm
