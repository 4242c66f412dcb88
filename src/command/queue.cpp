#include "command/queue.hpp"

#include "command/estimate.hpp"
#include "command/reference.hpp"
#include "core/command_rules.hpp"
#include "core/job_class.hpp"
#include "core/keyset.hpp"
#include "core/lifecycle.hpp"
#include "core/mentions.hpp"
#include "core/optimizer.hpp"
#include "core/sql_text.hpp"
#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/key_query.hpp"
#include "pg/memory.hpp"
#include "pg/mentions.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/workers.hpp"
#include "store/job_classes.hpp"
#include "store/parts.hpp"
#include "worker/parts.hpp"
#include "worker/stride_choice.hpp"

#include <algorithm>

namespace bbm {

namespace {

[[noreturn]] void refuse_value(Text message, Text hint = {}) { pg::raise(Refusal{"22023", message, {}, hint}); }

MigrationStatus first_status(const Vector<Part> &parts, bool start) {
    if (!has_rows(parts))
        return MigrationStatus::finished;
    return start ? MigrationStatus::active : MigrationStatus::paused;
}

std::int64_t already_queued(const QueueRequest &request, const Migration &migration, std::int64_t id) {
    const Text message = pg::format("Batched background migration not enqueued because it already exists: %s",
                                    configuration(migration).data());
    const auto number = static_cast<long long>(id);
    const Text detail = pg::format("It has number %lld.", number);
    if (!request.if_not_exists)
        pg::raise(Refusal{"42710", message, detail,
                          pg::format("Use if_not_exists => true, or run it once more after its end: "
                                     "SELECT bbm.requeue(%lld);",
                                     number)});
    pg::report(pg::Level::notice, message, detail);
    return id;
}

// Once a session: without the launcher nobody resumes after a restart of the server.
void say_what_preloading_is_for() {
    static bool said = false;
    if (said || pg::is_preloaded() || pg::settings().max_workers == 0)
        return;
    said = true;
    pg::report(pg::Level::notice, "bbm is not loaded via \"shared_preload_libraries\"",
               "Migrations stop at a restart of the server.",
               "Add bbm to \"shared_preload_libraries\", or run SELECT bbm.ensure_running(); after a restart.");
}

void say_queued(const Migration &migration, std::int64_t id) {
    const std::int64_t rows = pg::estimated_rows(migration.table_oid);
    const Text size = rows < 0 ? Text("") : pg::format(" has about %lld rows and", static_cast<long long>(rows));
    const Text detail = pg::format("Table %s%s is walked by column \"%s\".", migration.table_name.data(), size.data(),
                                   migration.column_name.data());
    Text hint = "It starts after COMMIT.  To monitor progress, run: SELECT * FROM bbm.status;";
    if (migration.status == MigrationStatus::finished)
        hint = "The table has no rows to handle: the migration is finished.";
    if (migration.status == MigrationStatus::paused)
        hint = pg::format("To start it, run: SELECT bbm.resume(%lld);", static_cast<long long>(id));
    pg::report(pg::Level::notice,
               pg::format("queued %s as number %lld", label(migration).data(), static_cast<long long>(id)), detail,
               hint);
}

// An index over what is written makes an entry for every row in every index of the table, and makes the table grow.
// Said where nothing else stands in the way: in a table that is too small for passes it does not matter.
void say_what_indexes_cost(const Migration &migration, const Vector<Part> &parts) {
    const auto part = std::find_if(parts.begin(), parts.end(), [](const Part &one) { return one.range.has_value(); });
    if (part == parts.end())
        return;
    StrideFacts facts = look_at_strides(command_of(migration, *part, key_of(*part)));
    const Text index = facts.index_name, column = facts.indexed_column;
    facts.indexed_column = {};
    if (column.empty() || choose_strides(facts, 0, pg::current_arena()).passes == 1)
        return;
    pg::report(pg::Level::notice,
               pg::format("index \"%.*s\" uses column \"%.*s\", which the migration writes", pg::width(index),
                          index.data(), pg::width(column), column.data()),
               "Each row that is changed gets a new entry in every index of the table.",
               "If nobody needs that index yet, drop it, and build it when the migration is finished.");
}

// Fills the command in with any values, so that a mistyped name is found here and not when it is first used.
void check_template(const DefineRequest &request) {
    const Arena arena = pg::current_arena();
    static constexpr Text any[] = {"any"};
    auto &arguments = make<Vector<Argument>>(arena);
    for (const Text name : request.job_arguments) {
        for (const Argument &earlier : arguments)
            if (earlier.name == name)
                refuse_value(pg::format("job argument \"%.*s\" is declared twice", pg::width(name), name.data()));
        arguments.push_back({name, any});
    }
    pg::raise_if(
        render({request.command, any[0], any[0], {arguments.data(), arguments.size()}}, make<String>(arena), arena));
}

} // namespace

std::int64_t insert_with_parts(const store::NewMigration &fresh, Vector<Part> &parts) {
    const std::int64_t id = store::insert_migration(fresh);
    if (id != 0)
        for (Part &part : parts)
            store::insert_part(id, part);
    return id;
}

std::int64_t queue(const QueueRequest &request) {
    Planned planned = plan_migration(request);
    Migration &migration = planned.migration;
    const store::Identity identity = {migration.job_class_name, migration.table_oid, migration.column_name,
                                      migration.job_arguments};
    if (const auto existing = store::find_by_identity(identity))
        return already_queued(request, migration, *existing);
    check_plan(planned);
    if (request.finish_within)
        migration.pace = pace_to_finish_within(migration, *planned.parts, *request.finish_within);
    migration.status = first_status(*planned.parts, request.start);
    const std::int64_t id = insert_with_parts(
        {migration, planned.operation_name, request.priority, estimated_rows(*planned.parts), {}}, *planned.parts);
    if (id == 0) // queued by somebody else in this moment
        return already_queued(request, migration, store::find_by_identity(identity).value_or(0));
    say_queued(migration, id);
    say_what_indexes_cost(migration, *planned.parts);
    say_what_preloading_is_for();
    if (migration.status == MigrationStatus::active)
        pg::start_scheduler_at_commit();
    return id;
}

void define(const DefineRequest &request) {
    if (request.name.empty() || request.command.empty())
        refuse_value("a job class needs a name and a command");
    for (Text argument : request.job_arguments)
        if (argument.empty() || argument == "table" || argument == "column")
            refuse_value(pg::format("job argument \"%.*s\" cannot be declared", pg::width(argument), argument.data()),
                         "{table} and {column} are the migration's own.");
    check_template(request);
    const Text operation = request.operation_name.empty() ? Text("update_all") : request.operation_name;
    const pg::Role owner = pg::current_role();
    if (!store::insert_job_class(
            {request.name, request.command, request.job_arguments, request.scope_to, operation, owner.oid, owner.name}))
        pg::raise(Refusal{"42710",
                          pg::format("job class \"%.*s\" already exists", pg::width(request.name), request.name.data()),
                          {},
                          "Queued migrations keep their definition: remove the old one with bbm.undefine() first."});
}

bool undefine(Text name) {
    const auto job_class = store::load_job_class(name, pg::current_arena());
    if (!job_class) {
        pg::report(pg::Level::notice,
                   pg::format("job class \"%.*s\" does not exist, skipping", pg::width(name), name.data()));
        return false;
    }
    const std::uint32_t owner = job_class->owner_oid == 0 ? 0 : pg::role_named(job_class->owner_name);
    if (owner == 0 || !pg::may_act_as(owner))
        pg::raise(Refusal{
            "42501", pg::format("permission denied for job class \"%.*s\"", pg::width(name), name.data()), {}, {}});
    store::delete_job_class(name);
    return true;
}

} // namespace bbm
