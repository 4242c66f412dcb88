#include "worker/aim.hpp"

#include "core/batching.hpp"
#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/locks.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"
#include "worker/parts.hpp"

namespace bbm {

namespace {

// Plans follow changes of tables by themselves, but not growth that no ANALYZE has seen yet.
constexpr Micros kPlanLifetime = 10'000'000;

// After an error nobody has to tidy up.
struct Aimed {
    pg::KeyQueries keys;
    pg::KeyQueries bounds;
    bool filters_bounds; // bounds differs from keys
    std::int64_t part;   // 0: at nothing
    Micros prepared_at;  // by the stopwatch
};
Aimed aimed = {};

bool is_fresh(const Part &part, bool filters) {
    return aimed.part == part.id && pg::stopwatch() - aimed.prepared_at < kPlanLifetime &&
           aimed.filters_bounds == filters;
}

// The key may have changed since the migration was queued; then it is refused here and the migration fails.
void prepare(const Migration &migration, const Part &part) {
    const bool filters = search_for_bounds(migration).filters;
    if (is_fresh(part, filters))
        return;
    lose_aim();
    const pg::TableKey key = key_of(part);
    const Text table = walked_table(migration, part);
    pg::prepare_key_queries(aimed.keys, table, key);
    aimed.filters_bounds = filters;
    if (filters)
        pg::prepare_key_queries(aimed.bounds, table, key, condition_of(migration, part));
    pg::prepare_command(command_of(migration, part, key));
    aimed.part = part.id;
    aimed.prepared_at = pg::stopwatch();
}

// A table goes on under its new name: what is walked is the table, not the name.
void follow_name(const Migration &migration, Part &part, Text name) {
    if (name == part.table_name)
        return;
    const Text reason = pg::format("%s -> %s", part.table_name.data(), name.data());
    store::set_table_name(part.id, name);
    store::record_event(migration, "rename", {.reason = reason}, bbm::name(migration.status));
    part.table_name = name;
    lose_aim();
}

[[noreturn]] void raise_gone(const Part &part) {
    pg::raise(Refusal{
        "42P01", pg::format("table %s of the migration does not exist any more", part.table_name.data()), {}, {}});
}

} // namespace

BoundsSearch search_for_bounds(const Migration &migration) {
    return bounds_search(migration.pace.batch_size, migration.bounds_attempts, counts_filtered_rows(migration));
}

Aim aim_at(const Migration &migration, Part &part) {
    if (!pg::try_lock_table(part.table_oid))
        return Aim::locked;
    const Text name = pg::table_name(part.table_oid);
    if (name.empty() && part.table_oid == migration.table_oid)
        raise_gone(part);
    if (name.empty())
        return Aim::gone;
    follow_name(migration, part, name);
    prepare(migration, part);
    return Aim::ready;
}

const pg::KeyQueries &keys_of_aim() { return aimed.keys; }
const pg::KeyQueries &bounds_of_aim() { return aimed.filters_bounds ? aimed.bounds : aimed.keys; }

bool still_aims_at(const Part &part) {
    return aimed.part == part.id && pg::table_name(part.table_oid) == part.table_name;
}

void lose_aim() { aimed.part = 0; }

void release_aim() {
    lose_aim();
    pg::release_command();
    pg::release_key_queries(aimed.keys);
    pg::release_key_queries(aimed.bounds);
}

} // namespace bbm
