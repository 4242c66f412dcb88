#include "worker/health_watch.hpp"

#include "core/lifecycle.hpp"
#include "pg/clock.hpp"
#include "pg/health.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/migrations.hpp"
#include "store/work.hpp"
#include "worker/rooms.hpp"

#include <algorithm>
#include <cstring>

namespace bbm {

namespace {

// Often enough to give way within a second or two; rare enough to cost a thousandth of the time.
constexpr Micros kBetweenLooks = 1'000'000;
// The documented hold. When it is over some work is done, whatever the indicators say: nothing stops for ever.
constexpr Micros kLongestHold = 600'000'000;
// A rate limit switches on and off every other second: one pair of events in this time tells it as well.
constexpr Micros kBetweenEvents = 60'000'000;

// Of the process: a hint about its own past, never a fact about the migration.
struct Watch {
    pg::HealthSampler sampler;
    pg::Context room;
    Micros looked_at; // by the stopwatch; 0: never
    Micros told_at;
    char told_of[64]; // an indicator
};
Watch watch = {};

std::optional<Stop> read_indicators(const Session &session, const Migration &migration) {
    if (watch.room.context == nullptr)
        watch.room = pg::make_context("bbm health");
    watch.room.reset();
    watch.looked_at = pg::stopwatch();
    const Arena arena = watch.room.arena();
    std::optional<Stop> stop;
    begin_as_owner(session, migration);
    auto &readings = pg::read_health(watch.sampler, migration.table_oid, arena);
    if (const auto users = pg::read_users_indicator(migration.table_oid, arena))
        readings.push_back(*users);
    if (const Reading *reading = find_stop(readings))
        stop = Stop{reading->indicator, reading->reason};
    pg::commit_transaction(pg::Durability::relaxed);
    return stop;
}

bool is_time_to_look() { return pg::stopwatch() - watch.looked_at >= kBetweenLooks || watch.looked_at == 0; }

bool tells(Text indicator) {
    const Micros now = pg::stopwatch();
    if (Text(watch.told_of) == indicator && now - watch.told_at < kBetweenEvents)
        return false;
    watch.told_at = now;
    const std::size_t length = std::min(indicator.size(), sizeof watch.told_of - 1);
    std::memcpy(watch.told_of, indicator.data(), length);
    watch.told_of[length] = '\0';
    return true;
}

// False where there is nothing to hold any more: paused, deleted, finalizing, or held by a person.
bool write_hold(const Session &session, const Migration &migration, const Stop &stop, Micros until, bool tell) {
    bool is_held = false;
    keep_books(session, pg::Durability::durable, [&] {
        const auto now = store::lock_migration(migration.id, pg::current_arena());
        if (!now || now->status != MigrationStatus::active || now->on_hold_until > pg::now())
            return;
        store::set_hold(now->id, until, stop.indicator);
        if (tell)
            store::record_event(*now, "hold", {.reason = stop.reason}, name(now->status));
        is_held = true;
    });
    return is_held;
}

bool is_still_held(const Session &session, const Migration &migration, Micros until) {
    bool is_held = false;
    keep_books(session, pg::Durability::relaxed, [&] {
        const auto now = store::load_migration(migration.id, pg::current_arena());
        is_held = now && now->status == MigrationStatus::active && now->on_hold_until == until;
    });
    return is_held;
}

void release(const Session &session, const Migration &migration, Micros until, Text why, bool tell) {
    keep_books(session, pg::Durability::durable, [&] {
        const auto now = store::lock_migration(migration.id, pg::current_arena());
        if (!now || now->on_hold_until != until)
            return;
        store::set_hold(now->id, 0, {});
        if (tell)
            store::record_event(*now, "release", {.reason = why}, name(now->status));
    });
}

// Nobody else has taken the place while this migration was on hold. A client's session takes none.
bool has_place(const Session &session, const Migration &migration) {
    if (session.cancel == pg::Cancel::raises)
        return true;
    int others = 0;
    keep_books(session, pg::Durability::relaxed, [&] {
        for (const store::Worker &worker : store::live_workers(pg::current_arena()))
            others += worker.migration_id != migration.id;
    });
    return others < pg::settings().max_running_migrations;
}

// Why the wait is over.
Text wait_until_clear(const Session &session, const Migration &migration, Micros until) {
    const Micros deadline = std::min(until, session.deadline);
    for (;;) {
        (void)next_turn();
        pg::sleep_until(std::min(pg::now() + kBetweenLooks, deadline), session.cancel);
        if (!pg::settings().enabled || !is_still_held(session, migration, until))
            return "ended by somebody";
        if (pg::now() >= deadline)
            return "the time is over";
        if (is_time_to_look() && !read_indicators(session, migration))
            return "the signal is clear";
    }
}

} // namespace

std::optional<Stop> look_at_health(const Session &session, const Migration &migration) {
    if (migration.status == MigrationStatus::finalizing || !is_time_to_look())
        return std::nullopt;
    const auto stop = read_indicators(session, migration);
    if (!stop)
        return std::nullopt;
    return Stop{pg::copy(stop->indicator, job_room()), pg::copy(stop->reason, job_room())};
}

bool wait_on_hold(const Session &session, const Migration &migration, const Stop &stop) {
    const Micros until = pg::now() + kLongestHold;
    const bool tell = tells(stop.indicator);
    if (session.cancel == pg::Cancel::raises && tell)
        pg::report(pg::Level::notice, pg::format("on hold: %s", stop.reason.data()));
    if (!write_hold(session, migration, stop, until, tell))
        return true;
    const Text why = wait_until_clear(session, migration, until);
    release(session, migration, until, why, tell);
    watch.looked_at = pg::stopwatch(); // some work, before they are looked at again
    return has_place(session, migration);
}

} // namespace bbm
