#include "command/gate.hpp"

#include "command/reference.hpp"
#include "core/lifecycle.hpp"
#include "core/schedule.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/locks.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "store/work.hpp"
#include "worker/session.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Looks are cheap but not free; a long wait ends at four a second.
constexpr Micros kFirstLook = 10'000;
constexpr Micros kLastLook = 250'000;
constexpr Micros kFirstNotice = 2'000'000;
constexpr Micros kLongestSilence = 30'000'000;
// Between two starts: the one before may have found the table taken.
constexpr Micros kBetweenStarts = 1'000'000;
// A worker that ends without having done anything cannot be started: three say so, not one.
constexpr int kMostStarts = 3;
// Of procedures.
constexpr Session kCaller = {pg::Cancel::raises, pg::Scope::transaction, true, kNever};

void refuse_if_waiting_for_oneself(const Migration &migration) {
    if (pg::wrote_in_this_transaction(store::writer_of(migration.id)))
        pg::raise(Refusal{
            "55000",
            pg::format("cannot wait for %s in the transaction that queued or changed it", label(migration).data()),
            "No other process can see it before COMMIT.", "COMMIT first."});
    if (pg::blocks_writers_of(migration.table_oid))
        pg::raise(Refusal{
            "55000",
            pg::format("cannot wait for %s while this transaction holds a lock on its table", label(migration).data()),
            pg::format("The workers would wait for the lock on %s, and this transaction for the workers.",
                       migration.table_name.data()),
            "COMMIT first."});
}

void refuse_if_blocking(const Migration &migration) {
    if (store::is_blocked_by_me())
        pg::raise(Refusal{"55000",
                          pg::format("cannot wait for %s: its worker waits for a lock that this transaction holds",
                                     label(migration).data()),
                          {},
                          "COMMIT first."});
}

// What changes while somebody waits.
struct Wait {
    const Migration *migration;
    Waits where;
    const char *procedure; // that waits outside for the same
    Micros started;
    Micros next_look = kFirstLook;
    Micros next_notice = kFirstNotice;
    std::int64_t finalized_before = 0; // the newest event of that kind when the wait began
    pg::WorkerHandle worker = {};
    Micros worker_at = 0;
    int starts = 0;
};

void start_worker(Wait &wait) {
    const Migration &migration = *wait.migration;
    if (++wait.starts > kMostStarts)
        pg::raise(Refusal{"55000",
                          pg::format("could not finalize %s: its worker ends at once", label(migration).data()),
                          {},
                          "See the server log for the reason."});
    if (pg::is_superuser(migration.owner_oid) && !pg::settings().allow_superuser_migrations)
        pg::raise(Refusal{"42501",
                          "migrations of superusers are switched off",
                          {},
                          "See the setting bbm.allow_superuser_migrations."});
    wait.worker_at = pg::now();
    wait.worker = pg::start_worker({pg::current_database(), migration.owner_oid, migration.id, pg::Errand::finalize});
    if (wait.worker.handle == nullptr)
        pg::raise(Refusal{
            "53000",
            pg::format("could not start background worker for %s", label(migration).data()),
            {},
            pg::format(
                "Consider increasing the configuration parameter \"max_worker_processes\", or use CALL bbm.run(%lld);",
                static_cast<long long>(migration.id))});
}

// Of what a long wait costs others the first one tells.
void tell_progress(Wait &wait, const store::Observed &observed) {
    const Micros waited = pg::now() - wait.started;
    if (waited < wait.next_notice || !observed.progress)
        return;
    const bool is_first = wait.next_notice == kFirstNotice;
    wait.next_notice = waited + std::min(waited, kLongestSilence);
    const Text message = pg::format("%s is %s: %.1f %% done", label(*wait.migration).data(),
                                    name(observed.status).data(), *observed.progress * 100);
    if (wait.where == Waits::outside || !is_first)
        return pg::report(pg::Level::notice, message);
    pg::report(pg::Level::notice, message,
               "While it waits, this statement keeps dead rows of all tables from being removed.",
               pg::format("To wait without that, run: CALL bbm.%s(%lld);", wait.procedure,
                          static_cast<long long>(wait.migration->id)));
}

void sleep_a_little(Wait &wait, Micros deadline) {
    pg::sleep_until(std::min(pg::now() + wait.next_look, deadline), pg::Cancel::raises);
    wait.next_look = std::min(wait.next_look * 2, kLastLook);
}

store::Observed look_at_any(const Wait &wait) {
    const auto observed = store::observe(wait.migration->id, pg::current_arena());
    if (!observed)
        pg::raise(Refusal{"42704", pg::format("%s was deleted", label(*wait.migration).data()), {}, {}});
    return *observed;
}

store::Observed look(const Wait &wait) {
    const store::Observed observed = look_at_any(wait);
    if (observed.status == MigrationStatus::failed)
        pg::raise(has_failed(*wait.migration));
    return observed;
}

// The first worker marks the migration finalizing. Should it end before the work does, another goes on.
void keep_a_worker(Wait &wait, const store::Observed &observed) {
    const bool has_ended = !pg::is_running(wait.worker);
    if (!pg::settings().enabled)
        pg::raise(Refusal{"55000",
                          pg::format("bbm was switched off while %s was finalized", label(*wait.migration).data()),
                          "It goes on when bbm is switched on again.", "See the setting bbm.enabled."});
    const bool is_live = store::is_worked_on(observed.table_root);
    if (is_live)
        wait.starts = 1;
    if (has_ended && !is_live && pg::now() - wait.worker_at > kBetweenStarts)
        start_worker(wait);
}

// Before the worker has marked it, the migration is what it was: paused or failed is the end only afterwards. The event
// tells, and not the status, which may have changed again between two looks.
bool is_marked(Wait &wait) {
    const store::Observed observed = look_at_any(wait);
    if (observed.last_finalize > wait.finalized_before || observed.status == MigrationStatus::finalizing ||
        is_done(observed.status))
        return true;
    keep_a_worker(wait, observed);
    return false;
}

bool is_finalized(Wait &wait) {
    const store::Observed observed = look(wait);
    if (is_done(observed.status))
        return true;
    if (observed.status == MigrationStatus::paused)
        pg::raise(Refusal{
            "55000",
            pg::format("%s was paused while it was finalized", label(*wait.migration).data()),
            {},
            pg::format("To go on, run: SELECT bbm.finalize(%lld);", static_cast<long long>(wait.migration->id))});
    keep_a_worker(wait, observed);
    tell_progress(wait, observed);
    return false;
}

bool is_finished(Wait &wait) {
    const store::Observed observed = look(wait);
    if (!is_done(observed.status))
        tell_progress(wait, observed);
    return is_done(observed.status);
}

// Outside, what was dropped since the last look is known by nobody.
template <class Body> void in_turn(Waits where, Body &&body) {
    if (where == Waits::inside)
        return body();
    pg::in_transaction(pg::Durability::relaxed, [&] {
        require_extension(kCaller);
        body();
    });
}

// False when the time is over.
bool wait_until(bool (*is_over)(Wait &), Wait &wait, Micros deadline) {
    for (;;) {
        bool is_enough = false;
        in_turn(wait.where, [&] {
            is_enough = is_over(wait);
            if (!is_enough && pg::now() < deadline)
                refuse_if_blocking(*wait.migration);
        });
        if (is_enough)
            return true;
        if (pg::now() >= deadline)
            return false;
        sleep_a_little(wait, deadline);
    }
}

// False if there is nothing to wait for.
bool begin_to_finalize(Wait &wait, const Migration &migration) {
    if (is_done(migration.status)) {
        pg::report(pg::Level::notice, pg::format("%s is already %s, skipping", label(migration).data(),
                                                 name(migration.status).data()));
        return false;
    }
    refuse_history(migration);
    if (!pg::settings().enabled)
        pg::raise(Refusal{"55000", "bbm is switched off", {}, "See the setting bbm.enabled."});
    refuse_if_waiting_for_oneself(migration);
    wait.finalized_before = look_at_any(wait).last_finalize;
    start_worker(wait);
    pg::report(pg::Level::notice, pg::format("finalizing %s", label(migration).data()));
    return true;
}

} // namespace

void finalize(std::int64_t id, Waits where) {
    Migration migration;
    Wait wait = {&migration, where, "finish", pg::now()};
    bool waits = false;
    in_turn(where, [&] {
        if (pg::in_recovery())
            pg::raise(
                Refusal{"25006", "cannot finalize a migration during recovery", {}, "Connect to the primary server."});
        migration = require(id);
        waits = begin_to_finalize(wait, migration);
    });
    if (waits && wait_until(is_marked, wait, kNever))
        (void)wait_until(is_finalized, wait, kNever);
}

void ensure_finished(std::int64_t id, bool may_finalize) {
    if (may_finalize && !is_done(require(id).status))
        finalize(id, Waits::inside);
    // A transaction that sees only what was there when it began cannot confirm what came later. It is finished, though.
    const Migration seen = require(id);
    const auto now = store::observe(id, pg::current_arena());
    if (!is_done(seen.status) && now && is_done(now->status))
        return;
    const Migration migration = lock_current(id);
    if (migration.status == MigrationStatus::finalized)
        return;
    const Step step = apply(migration.status, MigrationEvent::confirm);
    if (step.kind == Step::Kind::moves)
        return store::change_status(migration, MigrationEvent::confirm, step.to, {});
    pg::raise(Refusal{"55000",
                      pg::format("Expected batched background migration for the given configuration to be marked as "
                                 "'finished', but it is '%s'",
                                 name(migration.status).data()),
                      configuration(migration),
                      pg::format("Finalize it by running: SELECT bbm.finalize(%lld);", static_cast<long long>(id))});
}

bool wait(std::int64_t id, std::optional<Micros> timeout, Waits where) {
    Migration migration;
    Wait wait = {&migration, where, "await", pg::now()};
    in_turn(where, [&] {
        migration = require(id);
        if (!is_done(migration.status))
            refuse_if_waiting_for_oneself(migration);
    });
    return wait_until(is_finished, wait, timeout ? wait.started + *timeout : kNever);
}

} // namespace bbm
