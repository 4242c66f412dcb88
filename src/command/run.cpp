#include "command/run.hpp"

#include "command/reference.hpp"
#include "core/lifecycle.hpp"
#include "core/schedule.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "store/work.hpp"
#include "worker/migration_runner.hpp"

#include <algorithm>

namespace bbm {

namespace {

// How long to let another process go on before looking again whether its migration still needs this one.
constexpr Micros kBusyRetry = 100'000;
// Nobody wakes a session that holds no job: it looks by itself whether the hold it waits for was ended.
constexpr Micros kBetweenLooks = 1'000'000;

void check_runnable(std::int64_t id) {
    const Migration migration = require(id);
    check_is_owner(migration);
    if (!is_runnable(migration.status) && !is_done(migration.status))
        pg::raise(Refusal{
            "55000",
            pg::format("cannot run %s in status \"%s\"", label(migration).data(), name(migration.status).data()),
            {},
            pg::format("Run SELECT bbm.%s(%lld); first.",
                       migration.status == MigrationStatus::failed ? "retry" : "resume", static_cast<long long>(id))});
}

// Whoever waits wants to know for what.
void say_on_hold(std::int64_t id) {
    pg::in_transaction(pg::Durability::relaxed, [&] {
        const auto migration = store::load_migration(id, pg::current_arena());
        if (migration && migration->on_hold_until > pg::now())
            pg::report(pg::Level::notice,
                       pg::format("%s is on hold: %s", label(*migration).data(), migration->hold_reason.data()), {},
                       pg::format("To end the hold, run: SELECT bbm.resume(%lld);", static_cast<long long>(id)));
    });
}

Run run_until_done(std::int64_t id, const Session &session) {
    bool said = false;
    for (;;) {
        const Run run = run_migration(id, session);
        const bool waits = run.outcome == Run::Outcome::resting || run.outcome == Run::Outcome::busy;
        if (!waits || pg::now() >= session.deadline)
            return run;
        if (run.outcome == Run::Outcome::resting && !said)
            say_on_hold(id);
        said = said || run.outcome == Run::Outcome::resting;
        const Micros until =
            run.outcome == Run::Outcome::busy ? pg::now() + kBusyRetry : std::min(run.until, pg::now() + kBetweenLooks);
        pg::rest_until(std::min(until, session.deadline), session.cancel);
    }
}

void report_failed(std::int64_t id, bool raises) {
    std::optional<Refusal> failed;
    pg::in_transaction(pg::Durability::relaxed, [&] {
        if (const auto migration = store::load_migration(id, pg::current_arena()))
            failed = has_failed(*migration);
    });
    if (!failed)
        return;
    if (raises)
        pg::raise(*failed);
    pg::report(pg::Level::warning, failed->message, failed->detail, failed->hint);
}

// Somebody else ended it: paused, deleted, finished. Saying so spares a search.
void report_stopped(std::int64_t id) {
    pg::in_transaction(pg::Durability::relaxed, [&] {
        const auto migration = store::load_migration(id, pg::current_arena());
        if (!migration)
            pg::report(pg::Level::notice, pg::format("migration %lld was deleted", static_cast<long long>(id)));
        else if (!is_runnable(migration->status))
            pg::report(pg::Level::notice,
                       pg::format("%s is %s, stopping", label(*migration).data(), name(migration->status).data()));
    });
}

// What this session leaves undone, and what waited for its table, goes on in the background.
void hand_over() {
    pg::in_transaction(pg::Durability::relaxed, [] {
        if (store::has_work())
            pg::start_scheduler_at_commit();
    });
}

Vector<std::int64_t> &find_mine() {
    Vector<std::int64_t> *ids = nullptr;
    pg::in_transaction(pg::Durability::relaxed, [&] {
        check_session("CALL bbm.run()");
        ids = &store::my_runnable(pg::current_arena());
    });
    return *ids;
}

} // namespace

void check_session(const char *what) {
    if (pg::in_recovery())
        pg::raise(Refusal{"25006", "cannot run a migration during recovery", {}, "Connect to the primary server."});
    if (!pg::settings().enabled)
        pg::raise(Refusal{"55000", "bbm is switched off", {}, "See the setting bbm.enabled."});
    // No fence: a trigger on the role's table could take it back and have the rights of whoever logged in.
    if (pg::current_role().oid != pg::login_role())
        pg::raise(Refusal{"42501", pg::format("%s cannot be used after SET ROLE or SET SESSION AUTHORIZATION", what),
                          "The commands of migrations run with the rights of the session.",
                          pg::format("Connect as role \"%s\".", pg::current_role().name.data())});
}

void check_is_owner(const Migration &migration) {
    if (migration.owner_oid != pg::current_role().oid)
        pg::raise(Refusal{"42501", pg::format("permission denied for %s", label(migration).data()),
                          "Its command runs with the rights of the session, so only a session of its owner may run it.",
                          pg::format("Connect as role \"%s\".", migration.owner_name.data())});
}

void run_here(std::optional<std::int64_t> id, std::optional<Micros> max_time) {
    pg::hold_cancel(); // an error that flies resets this by itself
    pg::forget_extension();
    const Session session = {pg::Cancel::raises, pg::Scope::transaction, true,
                             max_time ? pg::now() + *max_time : kNever};
    if (id) {
        pg::in_transaction(pg::Durability::relaxed, [&] {
            check_session("CALL bbm.run()");
            check_runnable(*id);
        });
        const Run run = run_until_done(*id, session);
        hand_over();
        pg::release_cancel();
        if (run.outcome == Run::Outcome::failed)
            report_failed(*id, true);
        if (run.outcome == Run::Outcome::stopped)
            report_stopped(*id);
        return;
    }
    for (const std::int64_t mine : find_mine())
        if (run_migration(mine, session).outcome == Run::Outcome::failed)
            report_failed(mine, false);
    hand_over();
    pg::release_cancel();
}

} // namespace bbm
