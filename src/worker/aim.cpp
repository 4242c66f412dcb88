#include "worker/aim.hpp"

#include "core/batching.hpp"
#include "core/walk_rules.hpp"
#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/locks.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/stride_facts.hpp"
#include "pg/table_file.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"
#include "worker/parts.hpp"
#include "worker/stride_choice.hpp"

namespace bbm {

namespace {

// Plans follow changes of tables by themselves, but not growth that no ANALYZE has seen yet.
constexpr Micros kPlanLifetime = 10'000'000;

// A table by the name that the command was prepared with.
struct Named {
    std::uint32_t table;
    Text name;
    bool is_called_so() const { return pg::table_name(table) == name; }
};

// After an error nobody has to tidy up.
struct Aimed {
    pg::KeyQueries keys;
    pg::KeyQueries bounds;
    pg::Context room;    // of the names
    Named table;         // of the part
    Named whole;         // of the migration
    std::uint32_t file;  // of the part's table, as pg::file_number
    std::uint32_t index; // that keys are unique by; 0: none
    bool filters_bounds; // bounds differs from keys
    Strides strides;
    StrideCourse course;
    Patience patience;
    std::int64_t course_part; // that it was taken on
    std::int64_t part;        // 0: at nothing
    Micros prepared_at;       // by the stopwatch
};
Aimed aimed = {};

bool is_fresh(const Part &part, bool filters) {
    return still_aims_at(part) && pg::stopwatch() - aimed.prepared_at < kPlanLifetime &&
           aimed.filters_bounds == filters;
}

void keep_names(const Migration &migration, const Part &part) {
    if (aimed.room.context == nullptr)
        aimed.room = pg::make_context("bbm aim");
    aimed.room.reset();
    aimed.table = {part.table_oid, pg::copy(part.table_name, aimed.room.arena())};
    aimed.whole = {migration.table_oid, pg::copy(migration.table_name, aimed.room.arena())};
}

void remember_file(Part &part, const TableFile &file) {
    part.table_file = table_file_texts(file, pg::current_arena());
    store::set_table_file(part.id, part.table_file);
}

[[noreturn]] void raise_moved(const Part &part, std::int64_t id) {
    pg::raise(Refusal{"55000",
                      pg::format("table %s was rewritten, and its rows have other places", part.table_name.data()),
                      "It is walked by ctid.",
                      pg::format("Begin anew with SELECT bbm.requeue(%lld);  Rows that are done are left alone.",
                                 static_cast<long long>(id))});
}

// Walked as a whole: whether rows of a leaf are done, its key alone says, and not where it came from.
[[noreturn]] void raise_other_leaves(const Part &part, std::int64_t id) {
    const auto number = static_cast<long long>(id);
    pg::raise(
        Refusal{"55000", pg::format("the partitions of table %s are not what they were", part.table_name.data()),
                "One was attached, detached, dropped, truncated or rewritten while the table was walked as a whole.",
                pg::format("To go on behind the keys that are done, run: SELECT bbm.retry(%lld);  To handle all "
                           "rows: SELECT bbm.requeue(%lld);",
                           number, number)});
}

// Rewritten it goes on. Emptied it stops: rows that were loaded since may have keys behind the cursor.
void follow_file(const Migration &migration, Part &part) {
    const TableFile now = pg::table_file(part.table_oid);
    const auto known = parse_table_file(part.table_file);
    // What was looked at lately tells rows that are older from those that are newer.
    if (!known || is_same_file(*known, now))
        return remember_file(part, now);
    if (pg::kind_of_table(part.table_oid) == pg::TableKind::partitioned)
        raise_other_leaves(part, migration.id);
    const pg::FileNews news = pg::look_at_file(part.table_oid, *known, pg::settings().sub_batch_timeout());
    if (news.change == FileChange::emptied || news.change == FileChange::unclear)
        pg::raise(pg::file_refusal(news.change, part.table_oid, migration.id));
    if (news.change == FileChange::rewritten && part.walk == Walk::blocks)
        raise_moved(part, migration.id);
    remember_file(part, news.file);
    if (news.change == FileChange::rewritten)
        store::record_event(migration, "rewrite", {.reason = pg::format("%s has another file", part.table_name.data())},
                            name(migration.status));
}

// What the command is now, and how it is to be run: one of its tables may have got a partition on another server.
Strides look_at_command(Migration &migration, pg::RangeCommand &command) {
    CommandFacts facts;
    pg::inspect(command, facts);
    pg::raise_if(check_rules(facts));
    pg::raise_if(check_two_commits(facts));
    const Strides strides =
        choose_strides(pg::stride_facts(command, facts), pg::settings().passes, pg::current_arena());
    if (!migration.used_columns.empty())
        return strides;
    // A person has looked at them: from now on they are to stay as they are.
    migration.used_columns = command.used_columns = facts.used_columns;
    store::set_used_columns(migration.id, migration.used_columns);
    return strides;
}

void record_walk(const Migration &migration, const Part &part, const Strides &strides) {
    const Text walk = walk_text(strides);
    store::record_event(
        migration, "walk",
        {.reason = pg::format("%s is walked %.*s", part.table_name.data(), pg::width(walk), walk.data())},
        name(migration.status));
}

// The key may have changed since the migration was queued; then it is refused here and the migration fails.
void prepare(Migration &migration, Part &part) {
    const bool filters = search_for_bounds(migration).filters;
    if (is_fresh(part, filters))
        return;
    lose_aim();
    const pg::TableKey key = key_of(part); // first: its reason says more
    // Two columns may have changed their names.
    if (aimed.course_part == part.id && aimed.keys.table == part.table_oid)
        pg::check_columns(part.table_oid, aimed.keys.key());
    follow_file(migration, part);
    const Text table = walked_table(migration, part);
    pg::prepare_key_queries(aimed.keys, table, key);
    aimed.filters_bounds = filters;
    if (filters)
        pg::prepare_key_queries(aimed.bounds, table, key, condition_of(migration, part));
    pg::RangeCommand command = command_of(migration, part, key);
    const Strides strides = look_at_command(migration, command);
    command.reads_windows = strides.passes > 1;
    pg::prepare_command(command);
    keep_names(migration, part);
    if (aimed.course_part != part.id)
        aimed.course = {}, aimed.patience = {};
    aimed.course_part = part.id;
    if (strides.passes > 1 && part.frontier.empty())
        record_walk(migration, part, strides);
    aimed.strides = strides;
    aimed.strides.because = pg::copy(strides.because, aimed.room.arena());
    aimed.file = pg::file_number(part.table_oid);
    aimed.index = key.index;
    aimed.part = part.id;
    aimed.prepared_at = pg::stopwatch();
}

void record_rename(const Migration &migration, Text was, Text now) {
    const Text reason = pg::format("%s -> %s", was.data(), now.data());
    store::record_event(migration, "rename", {.reason = reason}, name(migration.status));
}

// The migration's own rename has been recorded.
void follow_rename_of(const Migration &migration, Part &part, Text now) {
    if (now == part.table_name)
        return;
    store::set_table_name(part, now);
    if (part.table_oid != migration.table_oid)
        record_rename(migration, part.table_name, now);
    part.table_name = now;
}

[[noreturn]] void raise_gone(const Part &part) {
    pg::raise(Refusal{
        "42P01", pg::format("table %s of the migration does not exist any more", part.table_name.data()), {}, {}});
}

} // namespace

BoundsSearch search_for_bounds(const Migration &migration) {
    return bounds_search(migration.pace.batch_size, migration.bounds_attempts, counts_filtered_rows(migration));
}

void follow_rename(Migration &migration) {
    const Text now = name_now(migration, migration.table_oid, migration.table_name);
    if (now.empty() || now == migration.table_name)
        return;
    store::set_table_name(migration, now);
    record_rename(migration, migration.table_name, now);
    migration.table_name = now;
}

Aim aim_at(Migration &migration, Part &part) {
    if (!pg::try_lock_table(part.table_oid))
        return Aim::locked;
    const Text name = name_now(migration, part.table_oid, part.table_name);
    if (name.empty() && part.table_oid == migration.table_oid)
        raise_gone(part);
    if (name.empty())
        return Aim::gone;
    follow_rename_of(migration, part, name);
    prepare(migration, part);
    return Aim::ready;
}

const pg::KeyQueries &keys_of_aim() { return aimed.keys; }
const pg::KeyQueries &bounds_of_aim() { return aimed.filters_bounds ? aimed.bounds : aimed.keys; }

const Strides &strides_of_aim() { return aimed.strides; }
StrideCourse &course_of_aim() { return aimed.course; }
Patience &patience_of_aim() { return aimed.patience; }

bool still_aims_at(const Part &part) {
    return aimed.part == part.id && aimed.file == pg::file_number(part.table_oid) &&
           (aimed.index == 0 || pg::is_index(aimed.index)) && aimed.table.is_called_so() && aimed.whole.is_called_so();
}

void lose_aim() { aimed.part = 0; }

void release_aim() {
    lose_aim();
    pg::release_command();
    pg::release_key_queries(aimed.keys);
    pg::release_key_queries(aimed.bounds);
}

} // namespace bbm
