#include "command/plan.hpp"

#include "core/command_rules.hpp"
#include "core/job_class.hpp"
#include "core/keyset.hpp"
#include "core/lifecycle.hpp"
#include "core/optimizer.hpp"
#include "core/sql_text.hpp"
#include "core/walk_rules.hpp"
#include "pg/catalog.hpp"
#include "pg/identity.hpp"
#include "pg/key_query.hpp"
#include "pg/memory.hpp"
#include "pg/strategy_function.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/job_classes.hpp"
#include "store/parts.hpp"
#include "worker/part_plan.hpp"
#include "worker/parts.hpp"

#include <algorithm>

namespace bbm {

namespace {

Key single(Text part) {
    const auto parts = pg::make_array<Text>(pg::current_arena(), 1);
    parts[0] = part;
    return parts;
}

[[noreturn]] void refuse_value(Text message, Text hint = {}) { pg::raise(Refusal{"22023", message, {}, hint}); }

void check_caller() {
    if (pg::in_recovery())
        pg::raise(Refusal{"25006", "cannot queue a migration during recovery", {}, "Connect to the primary server."});
    const pg::Role role = pg::current_role();
    if (pg::is_superuser(role.oid) && !pg::settings().allow_superuser_migrations)
        pg::raise(Refusal{"42501",
                          "superusers cannot queue migrations here",
                          {},
                          "Queue as the owner of the table; see the setting bbm.allow_superuser_migrations."});
    if (!pg::can_log_in(role.oid) && pg::settings().max_workers > 0)
        pg::raise(Refusal{"55000", pg::format("role \"%s\" cannot log in", role.name.data()),
                          "The background worker's session is that of the role that queued the migration.",
                          "Queue as a role with LOGIN that may change the table."});
}

void check_strategy(const QueueRequest &request) {
    const Text strategy = request.batching_strategy;
    const bool has_columns = !request.column_name.empty() || !request.cursor_columns.empty();
    if (pg::names_function(strategy))
        pg::check_strategy_function(strategy);
    else if (strategy != kByPrimaryKey && strategy != kByValues && strategy != kByBlocks)
        refuse_value(
            pg::format("unrecognized batching strategy \"%.*s\"", pg::width(strategy), strategy.data()),
            "Available strategies: primary_key, loose_index_scan, ctid, or a function, named with its schema.");
    if (strategy == kByValues && !has_columns)
        refuse_value("batching strategy loose_index_scan needs column_name", "Name a column with an index.");
    if (strategy == kByBlocks && has_columns)
        refuse_value("batching strategy ctid takes no column_name", "It walks the blocks of the table.");
    const bool has_bounds = request.batch_min_value.data() != nullptr || request.batch_max_value.data() != nullptr;
    if (has_bounds && strategy == kByBlocks)
        refuse_value("batching strategy ctid takes no bounds", "Rows move from block to block: use a condition.");
    if (has_bounds && request.with_nulls)
        refuse_value("with_nulls cannot be combined with bounds", "A NULL lies within no bounds: use a condition.");
    if (request.with_nulls && strategy != kByValues)
        refuse_value("with_nulls is for batching strategy loose_index_scan", "A key has no NULLs.");
}

void check_numbers(const QueueRequest &request) {
    check_positive("batch_size", request.batch_size);
    check_positive("sub_batch_size", request.sub_batch_size);
    check_positive("max_batch_size", request.max_batch_size);
    check_positive("workers", request.workers);
    check_duration("job_interval", request.job_interval);
    check_duration("pause", request.pause);
    if (request.finish_within && *request.finish_within <= 0)
        refuse_value("finish_within must be greater than zero");
    if (request.finish_within && (request.job_interval || request.batch_size))
        refuse_value("finish_within cannot be combined with job_interval or batch_size", "It chooses both of them.");
    check_sizes(request.batch_size.value_or(0), request.sub_batch_size.value_or(0), request.max_batch_size.value_or(0));
    if (request.job_class_name.empty())
        refuse_value("job_class_name must not be empty");
    if (!parse_on_data_error(request.on_data_error))
        refuse_value(pg::format("unrecognized value for on_data_error: \"%.*s\"", pg::width(request.on_data_error),
                                request.on_data_error.data()),
                     "Available values: fail, quarantine.");
    check_strategy(request);
}

pg::TableKey find_key(const QueueRequest &request) {
    Key wanted = request.cursor_columns;
    if (wanted.empty() && !request.column_name.empty())
        wanted = single(request.column_name);
    return find_key_to_walk_by(request.table, walk_of_strategy(request.batching_strategy), wanted);
}

// A command given here is a job class of its own, without arguments.
store::JobClass find_job_class(const QueueRequest &request) {
    if (request.command.data() != nullptr)
        return {request.job_class_name, request.command, {}, {}, "update_all", 0, {}};
    const auto found = store::load_job_class(request.job_class_name, pg::current_arena());
    if (!found)
        pg::raise(Refusal{"42704",
                          pg::format("job class \"%.*s\" does not exist", pg::width(request.job_class_name),
                                     request.job_class_name.data()),
                          {},
                          "Give the DML with command => '...', or define the job class with bbm.define()."});
    if (found->owner_oid != 0 && !pg::trusts_author(found->owner_oid, found->owner_name))
        pg::raise(Refusal{
            "42501",
            pg::format("job class \"%.*s\" belongs to another role", pg::width(found->name), found->name.data()),
            "Its command would run with your rights.",
            "Define one of your own, or give the DML with command => '...'."});
    return *found;
}

Text render_statement(const QueueRequest &request, const store::JobClass &job_class, const pg::TableKey &key) {
    const Arena arena = pg::current_arena();
    const auto &arguments = store::split_arguments(request.job_arguments, job_class.job_arguments, arena);
    pg::raise_if(check_argument_count(request.job_class_name, static_cast<int>(arguments.size()),
                                      static_cast<int>(job_class.job_arguments.size()), arena));
    if (request.command.data() != nullptr)
        return request.command; // plain SQL: braces in it are braces
    String &column = make<String>(arena);
    for (const Text name : key.names) {
        if (!column.empty())
            column.append(", ");
        append_identifier(column, name);
    }
    String &statement = make<String>(arena);
    pg::raise_if(
        render({job_class.command, pg::table_name(request.table), view(column), {arguments.data(), arguments.size()}},
               statement, arena));
    return view(statement);
}

// Both conditions hold: that of the job class and that of this migration.
Text combine_scopes(Text of_class, Text of_request) {
    if (of_class.empty() || of_request.empty())
        return of_class.empty() ? of_request : of_class;
    pg::check_condition(of_class); // each on its own: together they may be another condition
    pg::check_condition(of_request);
    return both_conditions(of_class, of_request, pg::current_arena());
}

// In the key type's own form; empty where nothing was given.
Range given_range(const QueueRequest &request, const pg::TableKey &key) {
    const auto bound = [&](Text given) { return given.data() == nullptr ? Key{} : pg::read_key(given, key); };
    return {bound(request.batch_min_value), bound(request.batch_max_value)};
}

// What the user calls it; for a key of several columns their names, if he says nothing.
Text column_name(const QueueRequest &request, const pg::TableKey &key) {
    return request.column_name.empty() || key.names.size() == 1 ? pg::key_text(key.names) : request.column_name;
}

Migration describe(const QueueRequest &request, const pg::TableKey &key) {
    const pg::Role owner = pg::current_role();
    Migration m;
    m.job_class_name = request.job_class_name;
    m.table_oid = request.table;
    m.table_name = pg::table_name(request.table);
    m.known_as = last_part(m.table_name);
    m.column_name = column_name(request, key);
    m.job_arguments = request.job_arguments;
    m.cursor_columns = key.names;
    m.batching_strategy = request.batching_strategy;
    m.with_nulls = request.with_nulls;
    m.workers = request.workers.value_or(1);
    m.table_root = pg::table_root(request.table);
    m.given = given_range(request, key);
    m.on_data_error = parse_on_data_error(request.on_data_error).value_or(OnDataError::fail);
    m.pace = {request.job_interval.value_or(0), request.pause.value_or(0),          0,
              request.batch_size.has_value(),   request.sub_batch_size.value_or(0), request.max_batch_size.value_or(0)};
    m.pace.batch_size = request.batch_size.value_or(default_batch_size(m.pace.job_interval, m.pace.max_batch_size));
    m.owner_oid = owner.oid;
    m.owner_name = owner.name;
    m.search_path = pg::current_search_path();
    return m;
}

} // namespace

void check_positive(Text what, std::optional<int> value) {
    if (value && *value <= 0)
        refuse_value(pg::format("%s must be greater than zero", what.data()));
}

void check_sizes(int batch_size, int sub_batch_size, int max_batch_size) {
    if (batch_size > 0 && max_batch_size > 0 && batch_size > max_batch_size)
        refuse_value("batch_size must not be greater than max_batch_size");
    if (batch_size > 0 && sub_batch_size > batch_size)
        refuse_value("sub_batch_size must not be greater than batch_size");
}

void check_duration(Text what, std::optional<Micros> value) {
    if (value && *value < 0)
        refuse_value(pg::format("%s must not be negative", what.data()));
}

bool has_rows(const Vector<Part> &parts) {
    return std::any_of(parts.begin(), parts.end(), [](const Part &part) { return part.range.has_value(); });
}

std::int64_t estimated_rows(const Vector<Part> &parts) {
    std::int64_t rows = 0;
    for (const Part &part : parts) {
        if (part.total_rows < 0)
            return -1;
        rows += part.total_rows;
    }
    return rows;
}

Planned plan_migration(const QueueRequest &request) {
    check_caller();
    check_numbers(request);
    const pg::TableKey key = find_key(request);
    const store::JobClass job_class = find_job_class(request);
    Migration migration = describe(request, key);
    migration.statement = render_statement(request, job_class, key);
    migration.scope_to = combine_scopes(job_class.scope_to, request.scope_to);
    if (job_class.needs_scope && migration.scope_to.empty())
        refuse_value(pg::format("job class \"%.*s\" needs scope_to", pg::width(job_class.name), job_class.name.data()),
                     "Say which rows: scope_to => 'expires_at < now()'. All of them are 'true'.");
    return {migration, key, job_class.operation_name};
}

void check_plan(Planned &planned) {
    Migration &migration = planned.migration;
    const Range &given = migration.given;
    if (!given.min.empty() && !given.max.empty() && !pg::is_ordered(given.min, given.max, planned.key))
        refuse_value("batch_min_value must not be greater than batch_max_value");
    (void)choose_walk(migration, planned.key);
    planned.parts = &plan_parts(migration, planned.key, pg::current_arena());
}

} // namespace bbm
