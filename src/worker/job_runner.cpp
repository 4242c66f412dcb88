#include "worker/job_runner.hpp"

#include "core/keyset.hpp"
#include "core/lifecycle.hpp"
#include "core/retry.hpp"
#include "pg/attempt.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "worker/claim.hpp"
#include "worker/job_end.hpp"
#include "worker/sub_batch.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Plans follow changes of tables by themselves, but not growth that no ANALYZE has seen yet.
constexpr Micros kPlanLifetime = 10'000'000;
// A failed claim (a lock held by somebody, the bounds not found in time) is tried again after this.
constexpr Micros kClaimRetry = 1'000'000;
// A claim that found the table or the migration locked.
constexpr Text kLockNotAvailable = "55P03";
constexpr Micros kTableRetry = 100'000;

// Memory of the run, kept by the process and reset where it is used: after an error nobody has to tidy it up. The two
// turns alternate, so that a cursor outlives the sub-batch that found it.
struct Rooms {
    pg::Context migration;
    pg::Context job;
    pg::Context turns[2];
    int turn;
};
Rooms rooms = {};

void open_rooms() {
    if (rooms.migration.context != nullptr)
        return;
    rooms = {pg::make_context("bbm migration"),
             pg::make_context("bbm job"),
             {pg::make_context("bbm turn"), pg::make_context("bbm other turn")},
             0};
}

Arena next_turn() {
    rooms.turn = 1 - rooms.turn;
    rooms.turns[rooms.turn].reset();
    rooms.turns[rooms.turn].enter();
    return rooms.turns[rooms.turn].arena();
}

// Of the process, for the same reason.
pg::KeyQueries key_queries;

struct Engine {
    const Session *session;
    Migration migration;
    Micros planned_at;     // by the stopwatch; 0 = the command is not prepared
    Text last_claim_error; // its SQLSTATE; said once, not once a second
};

// The key may have changed since the migration was queued; then it is refused here and the migration fails.
void prepare(Engine &engine) {
    if (engine.planned_at != 0 && pg::stopwatch() - engine.planned_at < kPlanLifetime)
        return;
    engine.planned_at = 0;
    const Migration &migration = engine.migration;
    pg::KeyColumn key;
    pg::raise_if(pg::find_key(migration.table_oid, migration.cursor_columns[0], key));
    pg::prepare_key_queries(key_queries, {migration.table_name, migration.cursor_columns, migration.cursor_types},
                            key.type);
    pg::prepare_command(
        {migration.statement, migration.table_oid, key, migration.scope_to, migration.has_placeholders});
    engine.planned_at = pg::stopwatch();
}

bool is_out_of_time(const Session &session) { return pg::now() >= session.deadline; }

// ---- one job

enum class JobEnd { done, stopped, out_of_time, failed };

// The pause, whole: a wake-up in between asks whether there is still something to wait for, and how long.
bool rest(JobRun &run) {
    const Micros start = pg::now();
    for (;;) {
        const Micros deadline = std::min(start + run.pace.pause, run.session->deadline);
        if (pg::now() >= deadline)
            return true;
        pg::sleep_until(deadline, run.session->cancel);
        if (pg::now() < deadline && !still_runnable(run))
            return false;
    }
}

// Sub-batches until the range is done, or somebody or something stops them.
JobEnd walk_job(JobRun &run, Failure &failure, Range &tried) {
    for (;;) {
        if (is_out_of_time(*run.session))
            return JobEnd::out_of_time;
        if (!pg::settings().enabled)
            return JobEnd::stopped;
        const Arena arena = next_turn();
        SubBatch sub_batch;
        const auto error = pg::attempt(rooms.job.arena(), [&] {
            pg::check_signals(run.session->cancel);
            sub_batch = run_sub_batch(run, tried, arena);
        });
        if (error) {
            failure = *error;
            return JobEnd::failed;
        }
        if (sub_batch.result == SubBatch::Result::stopped)
            return JobEnd::stopped;
        if (sub_batch.keys > 0)
            run.size = next_sub_batch_size(run.size, {sub_batch.keys, sub_batch.step.work}, run.pace,
                                           pg::settings().target_sub_batch_time());
        if (sub_batch.result == SubBatch::Result::done || sub_batch.is_last)
            return JobEnd::done;
        if (sub_batch.step.rows_affected > 0 && !run.session->skips_delays && !rest(run))
            return JobEnd::stopped;
    }
}

JobEnd run_job(Engine &engine, const Job &job) {
    JobRun run = {engine.session,
                  &engine.migration,
                  &key_queries,
                  job,
                  {job.sub_batch_size, engine.migration.pace.row_cost_us},
                  engine.migration.pace};
    const Micros start = pg::stopwatch();
    Failure failure;
    Range tried;
    if (run.session->cancel == pg::Cancel::ignored) // a client's session shows the CALL
        pg::show_activity(engine.migration.statement);
    const JobEnd end = walk_job(run, failure, tried);
    switch (end) {
    case JobEnd::done:
        succeed(run, pg::stopwatch() - start);
        break;
    case JobEnd::stopped:
        give_back(run, pg::settings().enabled ? "stopped" : "bbm.enabled is off");
        break;
    case JobEnd::out_of_time:
        give_back(run, "max_time is over");
        break;
    case JobEnd::failed:
        engine.planned_at = 0;
        pg::unlock(pg::LockClass::job, job.id); // before an error may fly; from here on the epoch is fence enough
        end_failed(run, failure, tried);
        break;
    }
    engine.migration.pace.row_cost_us = run.size.row_cost_us;
    pg::unlock(pg::LockClass::job, job.id);
    return end;
}

// ---- claims

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
    engine.last_claim_error = pg::copy(failure.sqlstate, rooms.migration.arena());
    pg::report(
        pg::Level::log,
        pg::format("migration %lld waits: %s", static_cast<long long>(engine.migration.id), failure.message.data()),
        pg::format("SQLSTATE %s; it is tried again every second.", failure.sqlstate.data()));
}

// In a transaction that it opens. Never waits for the table: people would wait behind the migration's row.
Claim try_to_claim(Engine &engine, Migration &fresh, Arena arena) {
    Claim refused;
    begin_as_owner(*engine.session, engine.migration);
    if (!lock_for_claim(fresh, refused, arena))
        return refused;
    if (!pg::try_lock_table(engine.migration.table_oid))
        return {.kind = Claim::Kind::rest, .until = pg::now() + kTableRetry};
    check_table_name(engine.migration);
    prepare(engine);
    return claim_next_job(fresh, key_queries, engine.session->skips_delays, arena);
}

Claim claim(Engine &engine) {
    rooms.job.reset();
    (void)next_turn();
    const Arena arena = rooms.job.arena();
    Claim claimed;
    Migration fresh = engine.migration;
    const auto error = pg::attempt(arena, [&] {
        pg::check_signals(engine.session->cancel);
        claimed = try_to_claim(engine, fresh, arena);
        pg::commit_transaction(pg::Durability::durable);
    });
    if (!error) {
        engine.last_claim_error = {};
        engine.migration.status = fresh.status;
        engine.migration.pace = fresh.pace;
        return claimed;
    }
    engine.planned_at = 0;
    if (error->sqlstate == "57014" && engine.session->cancel == pg::Cancel::raises)
        pg::raise(*error);
    if (error->sqlstate == kLockNotAvailable) // somebody pauses, alters or claims in this moment
        return {.kind = Claim::Kind::rest, .until = pg::now() + kTableRetry};
    const FailureClass failure_class = classify(error->sqlstate);
    if (failure_class == FailureClass::transient || failure_class == FailureClass::resources) {
        say_once(engine, *error);
        return {.kind = Claim::Kind::rest, .until = pg::now() + kClaimRetry};
    }
    fail_migration(engine, *error);
    return {.kind = Claim::Kind::failed};
}

bool load(Engine &engine, std::int64_t id) {
    bool found = false;
    open_rooms();
    rooms.migration.reset();
    (void)next_turn();
    keep_books(*engine.session, pg::Durability::relaxed, [&] {
        const auto migration = store::load_migration(id, rooms.migration.arena());
        found = migration.has_value();
        if (found)
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
        case Claim::Kind::job:
            (void)run_job(engine, claimed.job);
            break;
        case Claim::Kind::finished:
            return {Outcome::finished};
        case Claim::Kind::failed:
            return {Outcome::failed};
        case Claim::Kind::rest:
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
    Engine engine = {&session, {}, 0, {}};
    if (!load(engine, id))
        return {Run::Outcome::stopped};
    if (session.settings == pg::Scope::session)
        pg::apply_owners_settings(engine.migration.search_path, pg::settings().lock_timeout(), session.settings);
    const Run run = work(engine);
    pg::release_command();
    pg::release_key_queries(key_queries);
    if (session.cancel == pg::Cancel::ignored)
        pg::show_idle();
    return run;
}

} // namespace bbm
