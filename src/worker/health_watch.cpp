#include "worker/health_watch.hpp"

#include "core/lifecycle.hpp"
#include "pg/clock.hpp"
#include "pg/health.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/workers.hpp"
#include "store/migrations.hpp"
#include "store/work.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Often enough to give way within a second or two; rare enough to cost a thousandth of the time.
constexpr Micros kBetweenLooks = 1'000'000;
// The documented hold. When it is over some work is done, whatever the indicators say: nothing stops for ever.
constexpr Micros kLongestHold = 600'000'000;
// What stands in the table is renewed as long as somebody watches: should he die, the hold is over soon after him.
constexpr Micros kLease = 15'000'000;
constexpr Micros kRenewBefore = 10'000'000;
// A rate limit switches on and off every other second: one pair of events in this time tells it as well.
constexpr Micros kBetweenEvents = 60'000'000;

// Of the process: a hint about its own past, never a fact about the migration.
struct Watch {
    pg::HealthSampler sampler;
    pg::Context room;
    Micros looked_at; // by the stopwatch; 0: never
};
Watch watch = {};

Arena open_room() {
    if (watch.room.context == nullptr)
        watch.room = pg::make_context("bbm health");
    watch.room.reset();
    return watch.room.arena();
}

// A vacuum is one of the part; the function of the user's is asked about the table that he has named.
std::optional<Stop> read_indicators(const Session &session, const Migration &migration, const Part &part) {
    const Arena arena = open_room();
    watch.looked_at = pg::stopwatch();
    std::optional<Stop> stop;
    begin_as_owner(session, migration);
    auto &readings = pg::read_health(watch.sampler, part.table_oid, arena);
    if (const auto users = pg::read_users_indicator(migration.table_oid, arena))
        readings.push_back(*users);
    if (const Reading *reading = find_stop(readings))
        stop = Stop{reading->indicator, reading->reason};
    pg::commit_transaction(pg::Durability::relaxed);
    return stop;
}

bool is_time_to_look() { return pg::stopwatch() - watch.looked_at >= kBetweenLooks || watch.looked_at == 0; }

// What is written down of a hold, and renewed.
struct Hold {
    Micros began;
    Micros until = 0;
    bool tells;
};

Micros next_lease(const Hold &hold) { return std::min(pg::now() + kLease, hold.began + kLongestHold); }

// False where there is nothing to hold any more: paused, deleted, finalizing, or held by a person.
bool write_hold(const Session &session, const Migration &migration, const Stop &stop, Hold &hold) {
    bool is_held = false;
    keep_books(session, pg::Durability::relaxed, [&] {
        const auto now = store::lock_migration(migration.id, pg::current_arena());
        if (!now || now->status != MigrationStatus::active || now->on_hold_until > pg::now())
            return;
        hold.until = next_lease(hold);
        hold.tells = !store::was_held_lately(now->id, stop.indicator, kBetweenEvents);
        store::set_hold(now->id, hold.until, stop.indicator);
        const Text data = pg::format("{\"indicator\": \"%s\"}", stop.indicator.data());
        if (hold.tells)
            store::record_event(*now, "hold", {.reason = stop.reason, .data = data}, name(now->status));
        is_held = true;
    });
    return is_held;
}

// False if somebody has ended the hold, or made another of it.
bool keep_hold(const Session &session, const Migration &migration, Hold &hold) {
    bool is_held = false;
    const bool renews = hold.until - pg::now() < kRenewBefore && hold.until < hold.began + kLongestHold;
    keep_books(session, pg::Durability::relaxed, [&] {
        const auto now = renews ? store::lock_migration(migration.id, pg::current_arena())
                                : store::load_migration(migration.id, pg::current_arena());
        is_held = now && now->status == MigrationStatus::active && now->on_hold_until == hold.until;
        if (!is_held || !renews)
            return;
        hold.until = next_lease(hold);
        store::set_hold(now->id, hold.until, now->hold_reason);
    });
    return is_held;
}

void release(const Session &session, const Migration &migration, const Hold &hold, Text why) {
    keep_books(session, pg::Durability::relaxed, [&] {
        const auto now = store::lock_migration(migration.id, pg::current_arena());
        if (!now || now->on_hold_until != hold.until)
            return;
        store::set_hold(now->id, 0, {});
        if (now->workers > 1) // the others have left
            pg::start_scheduler_at_commit();
        if (hold.tells)
            store::record_event(*now, "release", {.reason = why}, name(now->status));
    });
}

// Nobody else has taken the place while this migration was on hold. A client's session takes none.
bool has_place(const Session &session, const Migration &migration) {
    if (session.cancel == pg::Cancel::raises)
        return true;
    int others = 0;
    keep_books(session, pg::Durability::relaxed, [&] {
        const auto &workers = store::live_workers(pg::current_arena());
        for (auto one = workers.begin(); one != workers.end(); ++one) {
            const auto is_its_too = [&](const store::Worker &other) {
                return other.migration_id == one->migration_id && !other.is_held;
            };
            others +=
                one->migration_id != migration.id && !one->is_held && std::none_of(workers.begin(), one, is_its_too);
        }
    });
    return others < pg::settings().max_running_migrations;
}

// Why the wait is over.
Text wait_until_clear(const Session &session, const Migration &migration, const Part &part, Hold &hold) {
    const Micros deadline = std::min(hold.began + kLongestHold, session.deadline);
    for (;;) {
        watch.room.reset();
        watch.room.enter();
        pg::sleep_until(std::min(pg::now() + kBetweenLooks, deadline), session.cancel);
        if (!pg::settings().enabled)
            return "bbm.enabled is off";
        if (!keep_hold(session, migration, hold))
            return "ended by somebody";
        if (pg::now() >= deadline)
            return "the time is over";
        if (is_time_to_look() && !read_indicators(session, migration, part))
            return "the signal is clear";
    }
}

} // namespace

std::optional<Stop> look_at_health(const Session &session, const Migration &migration, const Part &part) {
    if (migration.status == MigrationStatus::finalizing || !is_time_to_look())
        return std::nullopt;
    return read_indicators(session, migration, part);
}

bool wait_on_hold(const Session &session, const Migration &migration, const Part &part, const Stop &stop) {
    Hold hold = {pg::now(), 0, false};
    if (!write_hold(session, migration, stop, hold))
        return true;
    if (session.cancel == pg::Cancel::raises && hold.tells)
        pg::report(pg::Level::notice, pg::format("on hold: %s", stop.reason.data()));
    release(session, migration, hold, wait_until_clear(session, migration, part, hold));
    watch.looked_at = pg::stopwatch(); // some work, before they are looked at again
    return has_place(session, migration);
}

} // namespace bbm
