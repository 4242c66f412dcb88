#include "core/lifecycle.hpp"
#include "core/schedule.hpp"
#include "pg/clock.hpp"
#include "pg/due.hpp"
#include "pg/identity.hpp"
#include "pg/locks.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/workers.hpp"
#include "store/migrations.hpp"
#include "store/work.hpp"
#include "worker/processes.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Without a free slot for a background worker.
constexpr Micros kNoSlotRetry = 1'000'000;
// Workers of an earlier scheduler, and clients in CALL bbm.run, do not tell this process when they end.
constexpr Micros kLookAfterOthers = 1'000'000;
// A shorter rest is slept through: leaving and coming back costs more.
constexpr Micros kShortRest = 5'000'000;
// A worker that ends sooner than this, with its migration still due, is started again with growing delay.
constexpr Micros kShortLife = 1'000'000;
constexpr Micros kLongestDelay = 60'000'000;
constexpr int kMostStarts = 64; // in one look; the next follows at once

// A worker this process has started. Not a fact about the migration, only a handle: after a restart of the scheduler
// the locks in the server tell who works on what.
struct Started {
    std::int64_t migration;
    pg::WorkerHandle worker;
    Micros at;
};

// How the workers of a migration ended lately.
struct Record {
    std::int64_t migration;
    Micros started_at; // the last of them
    Micros lived;      // the last that ended, not judged yet; negative: none
    int short_lives;   // in a row: ended soon, with the migration due again at once
};

struct Scheduler {
    std::uint32_t database;
    pg::Context memory;       // for as long as the process lives
    pg::Context turn;         // for one look
    Vector<Started> *started; // that run still
    Vector<Record> *records;
    bool warned_of_slots;
};

Record *find_record(Scheduler &scheduler, std::int64_t migration) {
    auto &all = *scheduler.records;
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Record &one) { return one.migration == migration; });
    return found == all.end() ? nullptr : &*found;
}

void count_start(Scheduler &scheduler, std::int64_t migration, pg::WorkerHandle worker) {
    const Micros now = pg::now();
    scheduler.started->push_back({migration, worker, now});
    if (Record *record = find_record(scheduler, migration))
        record->started_at = now;
    else
        scheduler.records->push_back({migration, now, -1, 0});
}

void notice_ends(Scheduler &scheduler) {
    auto &started = *scheduler.started;
    const auto end = std::remove_if(started.begin(), started.end(), [&](const Started &one) {
        if (pg::is_running(one.worker))
            return false;
        if (Record *record = find_record(scheduler, one.migration))
            record->lived = pg::now() - one.at;
        return true;
    });
    started.erase(end, started.end());
}

bool any_running(const Scheduler &scheduler) { return !scheduler.started->empty(); }

int count_running(const Scheduler &scheduler, std::int64_t migration) {
    return static_cast<int>(std::count_if(scheduler.started->begin(), scheduler.started->end(),
                                          [&](const Started &one) { return one.migration == migration; }));
}

// The first quick end is normal: a migration with little to do. After that its start is delayed, doubling.
Micros not_before(const Record &record) {
    if (record.short_lives < 2)
        return 0;
    return record.started_at + std::min(kShortLife << std::min(record.short_lives - 1, 6), kLongestDelay);
}

// A worker that did its job and rests until the next is due lived as long as it should.
void judge_end(Record &record, const Candidate &candidate) {
    if (record.lived >= 0)
        record.short_lives = record.lived < kShortLife && candidate.due_at <= pg::now() ? record.short_lives + 1 : 0;
    record.lived = -1;
}

// True if somebody works that this process has not started.
bool add_own_knowledge(Scheduler &scheduler, Vector<Candidate> &candidates) {
    bool others_work = false;
    for (Candidate &candidate : candidates) {
        const int ours = count_running(scheduler, candidate.id);
        others_work = others_work || candidate.live_workers > ours;
        candidate.live_workers = std::max(candidate.live_workers, ours);
        Record *record = find_record(scheduler, candidate.id);
        if (record == nullptr)
            continue;
        judge_end(*record, candidate);
        candidate.due_at = std::max(candidate.due_at, not_before(*record));
    }
    return others_work;
}

Refusal check_owner(std::uint32_t owner) {
    if (!pg::can_log_in(owner))
        return {"28000",
                "the owner of the migration cannot log in any more",
                "The role was dropped, or has NOLOGIN now.",
                {}};
    if (!pg::can_connect(owner))
        return {"42501",
                "the owner of the migration cannot connect to this database any more",
                {},
                "GRANT CONNECT ON DATABASE."};
    if (pg::is_superuser(owner) && !pg::settings().allow_superuser_migrations)
        return {"42501",
                "migrations of superusers are switched off",
                {},
                "See the setting bbm.allow_superuser_migrations."};
    return {};
}

// A migration whose owner may not run it fails, with the reason, and does not stop the others.
bool owner_may_run(const Candidate &candidate) {
    const Refusal refusal = check_owner(candidate.owner_oid);
    if (!refusal)
        return true;
    const auto migration = store::lock_migration(candidate.id, pg::current_arena());
    const Failure failure = {refusal.sqlstate, refusal.message, refusal.detail, refusal.hint, {}};
    if (migration && apply(migration->status, MigrationEvent::fail).kind == Step::Kind::moves)
        store::change_status(*migration, MigrationEvent::fail, MigrationStatus::failed, {{}, &failure});
    return false;
}

void warn_of_slots(Scheduler &scheduler) {
    if (!scheduler.warned_of_slots)
        pg::report(pg::Level::warning, "could not start a bbm worker", "No slot for a background worker is free.",
                   "Consider increasing the configuration parameter \"max_worker_processes\".");
    scheduler.warned_of_slots = true; // until one starts: a log line a second helps nobody
}

bool start(Scheduler &scheduler, const Candidate &candidate) {
    scheduler.memory.enter(); // the handle must outlive this turn
    const pg::WorkerHandle worker =
        pg::start_worker({scheduler.database, candidate.owner_oid, candidate.id, pg::Errand::work});
    if (worker.handle != nullptr) {
        count_start(scheduler, candidate.id, worker);
        scheduler.warned_of_slots = false;
    }
    scheduler.turn.enter();
    return worker.handle != nullptr;
}

// Sleeping workers look at their migration again; those of a migration that is to stop at once have their statement
// cut.
void signal_workers() {
    for (const store::Worker &worker : store::live_workers(pg::current_arena())) {
        if (worker.must_cancel)
            pg::cancel_statement(worker.pid);
        else
            pg::wake(worker.pid);
    }
}

struct Look {
    Micros wake_at = kNever;
    bool is_idle = true; // nobody works, nothing was started, nothing waits for a slot
};

void wait_until(Look &result, Micros when) {
    result.is_idle = false;
    result.wake_at = std::min(result.wake_at, when);
}

// Starts what the schedule chose; what finds no slot is tried again soon.
void start_all(Scheduler &scheduler, const Vector<Candidate> &candidates, std::span<const int> chosen, Look &result) {
    for (const int index : chosen) {
        const Candidate &candidate = candidates[static_cast<std::size_t>(index)];
        if (!owner_may_run(candidate))
            continue;
        if (!start(scheduler, candidate)) {
            warn_of_slots(scheduler);
            return wait_until(result, pg::now() + kNoSlotRetry);
        }
        result.is_idle = false;
    }
}

void start_workers(Scheduler &scheduler, Look &result) {
    const pg::Settings &settings = pg::settings();
    auto &candidates = store::candidates(pg::current_arena());
    const bool others_work = add_own_knowledge(scheduler, candidates);
    int chosen[kMostStarts];
    const Schedule schedule = choose({candidates.data(), candidates.size()},
                                     {settings.max_running_migrations, settings.max_workers}, pg::now(), chosen);
    result.wake_at = schedule.wake_at;
    if (others_work)
        wait_until(result, pg::now() + kLookAfterOthers);
    // Those that are about to start are not seen by others yet.
    const int workers = std::max(store::worker_processes(), static_cast<int>(scheduler.started->size()));
    const int free_workers = std::max(settings.max_workers - workers, 0);
    if (schedule.starts > free_workers) // workers of other databases take the room, and do not tell when they leave it
        wait_until(result, pg::now() + kNoSlotRetry);
    start_all(scheduler, candidates, {chosen, static_cast<std::size_t>(std::min(schedule.starts, free_workers))},
              result);
}

bool is_switched_on() { return pg::settings().enabled && pg::settings().max_workers > 0; }

// The extension is gone. If it was created anew, whoever queued since may have found this process in the way.
[[noreturn]] void make_way(const Scheduler &scheduler) {
    pg::unlock(pg::LockClass::scheduler, 0);
    (void)pg::start_scheduler(scheduler.database);
    pg::leave();
}

Look look(Scheduler &scheduler) {
    Look result;
    pg::begin_transaction();
    if (!pg::lock_extension())
        make_way(scheduler);
    signal_workers();
    if (is_switched_on())
        start_workers(scheduler, result);
    pg::commit_transaction(pg::Durability::durable);
    result.is_idle = result.is_idle && !any_running(scheduler);
    return result;
}

bool work_is_due(Scheduler &scheduler, Micros now) {
    bool due = false;
    pg::in_transaction(pg::Durability::relaxed, [&] {
        auto &candidates = store::candidates(pg::current_arena());
        (void)add_own_knowledge(scheduler, candidates);
        int chosen[1];
        due = choose({candidates.data(), candidates.size()}, {pg::settings().max_running_migrations, 1}, now, chosen)
                  .starts > 0;
    });
    return due && is_switched_on();
}

// First the lock goes, then the last look is taken: whoever committed work and found the lock held did so before that
// look. Comes back if there is work after all and nobody else took the lock.
void leave_unless_work_came(Scheduler &scheduler, Micros wake_at) {
    if (wake_at - pg::now() < kShortRest || (wake_at != kNever && !pg::set_due(scheduler.database, wake_at)))
        return; // not worth it, or nobody would start us again: sleep here
    pg::unlock(pg::LockClass::scheduler, 0);
    if (!work_is_due(scheduler, pg::now())) {
        pg::wake_launcher();
        pg::leave();
    }
    if (!pg::try_lock(pg::LockClass::scheduler, 0))
        pg::leave();
}

// The one that runs already looks again.
[[noreturn]] void wake_the_other() {
    pg::in_transaction(pg::Durability::relaxed, [] {
        if (const int pid = store::scheduler_process(); pid != 0)
            pg::wake(pid);
    });
    pg::leave();
}

void leave_unless_installed() {
    bool installed = false;
    pg::in_transaction(pg::Durability::relaxed, [&] { installed = pg::lock_extension(); });
    if (!installed)
        pg::leave();
}

} // namespace

void run_scheduler(std::uint32_t database) {
    pg::enter_scheduler(database);
    Scheduler scheduler = {database, pg::make_context("bbm scheduler"), pg::make_context("bbm look"), nullptr, nullptr,
                           false};
    scheduler.memory.enter();
    scheduler.started = &make<Vector<Started>>(scheduler.memory.arena());
    scheduler.records = &make<Vector<Record>>(scheduler.memory.arena());
    leave_unless_installed();
    pg::apply_owners_settings("pg_catalog, pg_temp", pg::settings().lock_timeout(), pg::Scope::session);
    if (!pg::try_lock(pg::LockClass::scheduler, 0))
        wake_the_other();
    for (;;) {
        scheduler.turn.reset();
        scheduler.turn.enter();
        notice_ends(scheduler);
        const Look result = look(scheduler);
        if (result.is_idle)
            leave_unless_work_came(scheduler, result.wake_at);
        pg::sleep_until(std::min(result.wake_at, pg::now() + pg::settings().naptime()), pg::Cancel::ignored);
    }
}

} // namespace bbm
