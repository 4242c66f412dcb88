#include "worker/part_plan.hpp"

#include "core/command_rules.hpp"
#include "core/keyset.hpp"
#include "core/lifecycle.hpp"
#include "core/mentions.hpp"
#include "core/walk_rules.hpp"
#include "pg/catalog.hpp"
#include "pg/key_query.hpp"
#include "pg/mentions.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/table_file.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"
#include "worker/parts.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Each finds what was changed while the one before it looked. More than these do not come to an end.
constexpr int kMostSweeps = 10;

// The table as a whole, for a look at the command before there are parts.
Part whole_table(const Migration &migration) {
    Part whole;
    whole.table_oid = migration.table_oid;
    whole.table_name = migration.table_name;
    return whole;
}

// The cheap questions first: what follows analyses and plans the command.
CommandFacts check_command_text(const pg::RangeCommand &command) {
    CommandFacts facts = pg::parse_command(command.text, command.key.columns.size());
    const bool has_scope = !command.scope.empty();
    if (facts.statements != 1 || facts.kind == CommandFacts::Kind::other || facts.uses_parameters)
        pg::raise_if(check_command(facts, has_scope));
    pg::RangeCommand inspected = command;
    inspected.has_placeholders = facts.uses_parameters;
    pg::inspect(inspected, facts);
    pg::raise_if(check_command(facts, has_scope));
    pg::check_privileges(inspected);
    return facts;
}

std::span<const int> packed(std::span<const Mention> mentions) {
    const auto &list = pack(mentions, pg::current_arena());
    return {list.data(), list.size()};
}

// By the owner's search_path, which is the migration's. Where a place cannot be given another name, none is.
void note_mentions(Migration &migration) {
    const auto in_statement = pg::find_mentions(migration.statement, migration.table_oid);
    const auto in_scope = migration.scope_to.empty()
                              ? std::optional(std::span<const Mention>())
                              : pg::find_mentions_in_condition(migration.scope_to, migration.table_oid);
    if (!in_statement || !in_scope)
        return;
    migration.mentions = packed(*in_statement);
    migration.scope_mentions = packed(*in_scope);
}

// Does the command say ONLY wherever it names the table?
bool names_only(const Migration &migration) {
    const auto &mentions = unpack(migration.mentions, pg::current_arena());
    return std::any_of(mentions.begin(), mentions.end(), [](const Mention &one) { return one.is_only; }) &&
           std::all_of(mentions.begin(), mentions.end(),
                       [](const Mention &one) { return one.is_only || one.is_qualifier; });
}

WalkFacts look_at_table(const Migration &migration) {
    const pg::TableKind kind = pg::kind_of_table(migration.table_oid);
    const Walk walk = walk_of_strategy(migration.batching_strategy);
    pg::TableKey key;
    const auto &leaves = pg::leaves_of(migration.table_oid, pg::current_arena());
    return {.walk = walk,
            .has_leaves = kind == pg::TableKind::partitioned || kind == pg::TableKind::parent,
            .is_partitioned = kind == pg::TableKind::partitioned,
            .has_key = kind != pg::TableKind::partitioned ||
                       !find_key(migration.table_oid, walk, migration.cursor_columns, key),
            .has_statement_triggers = pg::has_statement_triggers(migration.table_oid) ||
                                      std::any_of(leaves.begin(), leaves.end(), pg::has_statement_triggers),
            .is_foreign =
                std::any_of(leaves.begin(), leaves.end(),
                            [](std::uint32_t leaf) { return pg::kind_of_table(leaf) == pg::TableKind::foreign; }),
            .names_only = names_only(migration),
            .can_be_aimed = !migration.mentions.empty(),
            .quarantines = migration.on_data_error == OnDataError::quarantine};
}

// Those of its keys that are within the bounds that a person gave, or nothing.
std::optional<Range> range_of(const Migration &migration, const Part &part, const pg::TableKey &key) {
    const auto whole = pg::find_whole_range(walked_table(migration, part), key, pg::current_arena());
    if (!whole)
        return std::nullopt;
    if (!pg::is_ordered(whole->min, whole->max, key)) // on another server
        pg::raise(Refusal{"42P16",
                          pg::format("the keys of table %s are in another order there", part.table_name.data()),
                          "Its first key sorts behind its last one here.",
                          "Declare the collation that the other server has, or batch over another column."});
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

// One kind of walk over a table.
Part describe_part(const Migration &migration, std::uint32_t table, const pg::TableKey &key, Text condition = {}) {
    Part part;
    part.table_oid = table;
    part.table_name = pg::table_name(table);
    part.walk = key.walk;
    // What had no children when it was queued is walked without those that come.
    part.is_only = pg::kind_of_table(table) != pg::TableKind::partitioned;
    part.condition = condition;
    part.cursor_columns = key.names;
    part.cursor_types = key.type_names;
    part.bound = pg::partition_bound(table);
    part.table_file = table_file_texts(pg::table_file(table), pg::current_arena());
    part.range = range_of(migration, part, key);
    part.total_rows = estimated_rows_of(migration, part, key);
    return part;
}

// Rows without a key have no place in a walk over values. By the primary key they have.
void add_nulls(const Migration &migration, std::uint32_t table, const pg::TableKey &values, Vector<Part> &parts) {
    if (!values.may_be_null)
        return;
    const Text condition = null_condition(pg::walk_of({}, values), pg::current_arena());
    if (!migration.with_nulls) {
        if (pg::has_row({.table = walked_table(migration, parts.back()), .columns = {}, .scope = condition}))
            pg::report(
                pg::Level::notice, pg::format("rows of %s without a value are left out", pg::table_name(table).data()),
                pg::format("There are rows where %s.", condition.data()), "They are handled with with_nulls => true.");
        return;
    }
    pg::TableKey key;
    pg::raise_if(find_key(table, Walk::keys, {}, key));
    parts.push_back(describe_part(migration, table, key, condition));
    (void)check_command_text(command_of(migration, parts.back(), key)); // it may assign this key
}

void add_leaf(const Migration &migration, std::uint32_t leaf, Vector<Part> &parts) {
    pg::TableKey key;
    pg::raise_if(find_key(leaf, walk_of_strategy(migration.batching_strategy), migration.cursor_columns, key));
    const Part &part = parts.emplace_back(describe_part(migration, leaf, key));
    // A leaf may have rules, privileges and generated columns that the table has not.
    (void)check_command_text(command_of(migration, part, key));
    if (key.walk == Walk::values)
        add_nulls(migration, leaf, key, parts);
}

// They were done to their end: their rows were the table's when the migration was queued.
void tell_of_detached(const Migration &migration, const Vector<Part> &known, const Vector<std::uint32_t> &leaves) {
    for (const Part &part : known) {
        const bool is_leaf = std::find(leaves.begin(), leaves.end(), part.table_oid) != leaves.end();
        if (is_leaf || part.is_detached || pg::table_name(part.table_oid).empty())
            continue;
        store::mark_detached(part.id);
        const Text reason = pg::format("%s belongs to the table no more", part.table_name.data());
        store::record_event(migration, "detach", {.reason = reason}, name(migration.status));
    }
}

// May rows of a new leaf have been in the table before, and be done? Not as long as all leaves stand where they stood:
// bounds of partitions exclude each other. But a default partition has rows for any of them, and children have no
// bounds.
bool rows_may_have_moved(const Vector<Part> &known, const Vector<std::uint32_t> &leaves) {
    return std::any_of(known.begin(), known.end(), [&](const Part &part) {
        const bool is_leaf = std::find(leaves.begin(), leaves.end(), part.table_oid) != leaves.end();
        return !is_leaf || part.bound.empty() || part.bound == pg::kDefaultBound ||
               part.bound != pg::partition_bound(part.table_oid);
    });
}

[[noreturn]] void refuse_moved_rows(const Migration &migration, const Part &part) {
    const auto id = static_cast<long long>(migration.id);
    pg::raise(Refusal{"55000", pg::format("%s %s", part.table_name.data(), kRowsMayBeDone.data()),
                      "They may have been moved there from a partition or child that was walked.",
                      pg::format("To handle all of its rows, run: SELECT bbm.retry(%lld);  To leave them alone: SELECT "
                                 "bbm.mark_finished(%lld, '...');",
                                 id, id)});
}

// A statement trigger came with it or after the others: it would fire for the leaf, or not fire for the table.
[[noreturn]] void refuse_to_walk(const Migration &migration, const Part &leaf) {
    const auto id = static_cast<long long>(migration.id);
    pg::raise(Refusal{"0A000",
                      pg::format("%s cannot be walked as the leaves before it were", leaf.table_name.data()),
                      "A trigger that fires once a statement is not that of the table which the command names.",
                      pg::format("Disable the trigger, then run: SELECT bbm.retry(%lld);", id)});
}

// Up to the last block that any table may have: rows may move behind the end while it is swept.
Range whole_of_any_table() {
    const auto ends = pg::make_array<Text>(pg::current_arena(), 2);
    ends[0] = "(0,0)";
    ends[1] = "(4294967294,65535)";
    return {{&ends[0], 1}, {&ends[1], 1}};
}

} // namespace

CommandFacts choose_walk(Migration &migration, const pg::TableKey &key) {
    const CommandFacts facts = check_command_text(command_of(migration, whole_table(migration), key));
    migration.has_placeholders = facts.uses_parameters;
    migration.used_columns = facts.used_columns;
    if (migration.mentions.empty())
        note_mentions(migration);
    const WalkChoice choice = choose_walk(facts, look_at_table(migration));
    pg::raise_if(choice.refusal);
    migration.walks_leaves = choice.walks_leaves;
    return facts;
}

Vector<Part> &plan_parts(const Migration &migration, const pg::TableKey &key, Arena arena) {
    auto &parts = make<Vector<Part>>(arena);
    if (migration.walks_leaves) {
        for (const std::uint32_t leaf : pg::leaves_of(migration.table_oid, arena))
            add_leaf(migration, leaf, parts);
        return parts;
    }
    parts.push_back(describe_part(migration, migration.table_oid, key));
    if (key.walk == Walk::values)
        add_nulls(migration, migration.table_oid, key, parts);
    return parts;
}

bool add_new_leaves(const Migration &migration) {
    if (!migration.walks_leaves)
        return false;
    const Arena arena = pg::current_arena();
    const auto &known = store::parts_of(migration.id, arena);
    auto &fresh = make<Vector<Part>>(arena);
    const auto &leaves = pg::leaves_of(migration.table_oid, arena);
    tell_of_detached(migration, known, leaves);
    for (const std::uint32_t leaf : leaves)
        if (std::none_of(known.begin(), known.end(), [&](const Part &part) { return part.table_oid == leaf; }))
            add_leaf(migration, leaf, fresh);
    if (fresh.empty())
        return false;
    // What was allowed for the leaves that there were may not be for these.
    Migration now = migration;
    const CommandFacts facts = choose_walk(now, key_of(fresh.front()));
    if (!now.walks_leaves)
        refuse_to_walk(migration, fresh.front());
    if (!facts.is_repeatable && !migration.accepts_leaves && rows_may_have_moved(known, leaves))
        for (const Part &part : fresh)
            if (part.range)
                refuse_moved_rows(migration, part);
    store::settle_leaves(migration.id);
    for (Part &part : fresh) {
        store::insert_part(migration.id, part);
        const Text reason = pg::format("%s belongs to the table now", part.table_name.data());
        store::record_event(migration, "attach", {.reason = reason}, name(migration.status));
    }
    return true;
}

bool add_sweeps(const Migration &migration) {
    bool added = false;
    for (const store::Swept &swept : store::swept_tables(migration.id, pg::current_arena())) {
        if (swept.rows == 0 || pg::table_name(swept.table).empty()) // a leaf that was dropped
            continue;
        if (swept.sweeps >= kMostSweeps)
            pg::raise(Refusal{
                "55000", pg::format("table %s is changed faster than it is swept", pg::table_name(swept.table).data()),
                pg::format("The last of %d sweeps found %lld rows.", swept.sweeps, static_cast<long long>(swept.rows)),
                "Let the application write rows that are done, then run bbm.retry()."});
        pg::TableKey key;
        pg::raise_if(find_key(swept.table, Walk::sweep, migration.cursor_columns, key));
        Part part = describe_part(migration, swept.table, key);
        part.range = whole_of_any_table();
        store::insert_part(migration.id, part);
        added = true;
    }
    return added;
}

} // namespace bbm
