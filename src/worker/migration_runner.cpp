#include "worker/migration_runner.hpp"

#include "core/batching.hpp"
#include "core/keyset.hpp"
#include "core/lifecycle.hpp"
#include "core/retry.hpp"
#include "pg/attempt.hpp"
#include "pg/catalog.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "store/migrations.hpp"
#include "worker/aim.hpp"
#include "worker/claim.hpp"
#include "worker/job_runner.hpp"
#include "worker/rooms.hpp"

#include <algorithm>

namespace bbm {

namespace {

// A failed claim (a lock held by somebody, the bounds not found in time) is tried again after this.
constexpr Micros kClaimRetry = 1'000'000;
// A claim that found the table or the migration locked.
constexpr Micros kTableRetry = 100'000;

struct Engine {
    const Session *session;
    Migration migration;
    bool is_looking;       // for the bounds of a job, at this moment
    bool filters_bounds;   // by the migration's condition
    Text last_claim_error; // its SQLSTATE; said once, not once a second
    std::int64_t oldest_open; // see ClaimRequest
    std::int64_t last_job;
};

bool is_out_of_time(const Session &session) { return pg::now() >= session.deadline; }

// An error here is met before any job: the table is gone, the privilege was revoked, the key was dropped.
void fail_migration(const Engine &engine, const Failure &failure) {
    keep_books(*engine.session, pg::Durability::durable, [&] {
        const auto migration = store::lock_migration(engine.migration.id, pg::current_arena());
        if (migration && apply(migration->status, MigrationEvent::fail).kind == Step::Kind::moves)
            store::change_status(*migration, MigrationEvent::fail, MigrationStatus::failed, {{}, &failure});
    });
}

// What keeps a claim from being made (a full disk, a read-only database) keeps it from being written to a table as
// well.
void say_once(Engine &engine, const Failure &failure) {
    if (engine.last_claim_error == failure.sqlstate)
        return;
    engine.last_claim_error = pg::copy(failure.sqlstate, migration_room());
    pg::report(
        pg::Level::log,
        pg::format("migration %lld waits: %s", static_cast<long long>(engine.migration.id), failure.message.data()),
        pg::format("SQLSTATE %s; it is tried again every second.", failure.sqlstate.data()));
}

// The bounds of a job were not found: too slow, or the filter raises an error for a row. It counts, and the next
// attempt looks for less, or without the filter; then the command meets the row, and it is found.
void count_bounds_failure(const Engine &engine, const Failure &failure) {
    keep_books(*engine.session, pg::Durability::durable, [&] {
        const auto migration = store::lock_migration(engine.migration.id, pg::current_arena());
        if (!migration)
            return;
        const bool is_slow = failure.sqlstate == kQueryCanceled;
        const int attempts = migration->bounds_attempts + 1;
        store::set_bounds_attempts(migration->id, is_slow ? attempts : std::max(attempts, kUnfilteredAfter));
        store::record_event(*migration, "bounds", {{}, &failure}, name(migration->status));
    });
}

bool is_bounds_failure(const Engine &engine, const Failure &error) {
    if (!engine.is_looking || is_hopeless(engine.migration.bounds_attempts))
        return false;
    return error.sqlstate == kQueryCanceled ||
           (engine.filters_bounds && classify(error.sqlstate) == FailureClass::data);
}

// In a transaction that it opens. Never waits for the table: people would wait behind the migration's row.
Claim try_to_claim(Engine &engine, Migration &fresh, Arena arena) {
    Claim refused;
    begin_as_owner(*engine.session, engine.migration);
    if (!lock_for_claim(fresh, refused, arena))
        return refused;
    follow_rename(fresh);
    engine.filters_bounds = search_for_bounds(fresh).filters;
    return claim_next_job({fresh, *engine.session, engine.is_looking, engine.oldest_open, engine.last_job}, arena);
}

Claim after_claim_error(Engine &engine, const Failure &error) {
    lose_aim();
    if (error.sqlstate == kQueryCanceled && engine.session->cancel == pg::Cancel::raises)
        pg::raise(error);
    if (error.sqlstate == kLockNotAvailable) // somebody pauses, alters or claims in this moment
        return {.kind = Claim::Kind::rest, .until = pg::now() + kTableRetry};
    if (is_bounds_failure(engine, error)) {
        count_bounds_failure(engine, error);
        return {.kind = Claim::Kind::rest, .until = pg::now() + kClaimRetry};
    }
    const FailureClass failure_class = classify(error.sqlstate);
    const bool is_hopeless_search = engine.is_looking && error.sqlstate == kQueryCanceled;
    if (!is_hopeless_search && (failure_class == FailureClass::transient || failure_class == FailureClass::resources)) {
        say_once(engine, error);
        return {.kind = Claim::Kind::rest, .until = pg::now() + kClaimRetry};
    }
    fail_migration(engine, error);
    return {.kind = Claim::Kind::failed};
}

Claim claim(Engine &engine) {
    reset_job_room();
    (void)next_turn();
    const Arena arena = job_room();
    Claim claimed;
    Migration fresh = engine.migration;
    engine.is_looking = false;
    const auto error = pg::attempt(arena, [&] {
        pg::check_signals(engine.session->cancel);
        claimed = try_to_claim(engine, fresh, arena);
        pg::commit_transaction(pg::Durability::durable);
    });
    engine.migration.bounds_attempts = fresh.bounds_attempts;
    engine.migration.table_root = fresh.table_root;
    if (error)
        return after_claim_error(engine, *error);
    engine.last_claim_error = {};
    engine.migration.status = fresh.status;
    engine.migration.pace = fresh.pace;
    return claimed;
}

bool load(Engine &engine, std::int64_t id) {
    bool found = false;
    reset_migration_room();
    (void)next_turn();
    keep_books(*engine.session, pg::Durability::relaxed, [&] {
        const auto migration = store::load_migration(id, migration_room());
        found = migration.has_value();
        if (!found)
            return;
        engine.migration = *migration;
    });
    return found;
}

Run work(Engine &engine) {
    using Outcome = Run::Outcome;
    for (;;) {
        if (!pg::settings().enabled)
            return {Outcome::disabled};
        if (is_out_of_time(*engine.session))
            return {Outcome::out_of_time};
        const Claim claimed = claim(engine);
        switch (claimed.kind) {
        case Claim::Kind::job: {
            engine.last_job = claimed.job.id;
            const JobEnd end = run_job(*engine.session, engine.migration, claimed.part, claimed.job);
            if (end.kind == JobEnd::Kind::failed)
                lose_aim();
            if (end.kind == JobEnd::Kind::gives_way)
                return {Outcome::busy};
            break;
        }
        case Claim::Kind::finished:
            return {Outcome::finished};
        case Claim::Kind::failed:
            return {Outcome::failed};
        case Claim::Kind::rest:
            if (claimed.until <= pg::now())
                break;
            return {Outcome::resting, claimed.until};
        case Claim::Kind::busy:
            return {Outcome::busy};
        case Claim::Kind::stopped:
            return {Outcome::stopped};
        }
    }
}

} // namespace

Run run_migration(std::int64_t id, const Session &session) {
    Engine engine = {&session, {}, false, false, {}, 0, 0};
    if (!load(engine, id))
        return {Run::Outcome::stopped};
    if (session.settings == pg::Scope::session)
        pg::apply_owners_settings(engine.migration.search_path, pg::settings().lock_timeout(), session.settings);
    lose_aim(); // whatever an error has left
    const Run run = work(engine);
    release_aim();
    if (session.cancel == pg::Cancel::ignored)
        pg::show_idle();
    return run;
}

} // namespace bbm
