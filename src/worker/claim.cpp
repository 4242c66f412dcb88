#include "worker/claim.hpp"

#include "core/batching.hpp"
#include "core/lifecycle.hpp"
#include "core/retry.hpp"
#include "core/schedule.hpp"
#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/strategy_function.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"
#include "store/work.hpp"
#include "worker/aim.hpp"
#include "worker/part_plan.hpp"
#include "worker/parts.hpp"
#include "worker/split.hpp"

#include <algorithm>

namespace bbm {

namespace {

bool is_live(std::int64_t job) {
    if (!pg::try_lock(pg::LockClass::job, job))
        return true;
    pg::unlock(pg::LockClass::job, job);
    return false;
}

// A part's table is locked by somebody, or its row of the migration.
constexpr Micros kTableRetry = 100'000;

// While an old snapshot is open the index still has an entry for each job that was done since. So a worker begins at the
// oldest job that its last claim has found open, or behind its own, if there was none: jobs are made while the
// migration's row is locked, and numbered in that order.
Vector<Job> &open_jobs(const ClaimRequest &request, Arena arena) {
    auto &jobs = store::unfinished_jobs(request.migration.id, request.oldest_open, arena);
    const auto oldest = std::min_element(jobs.begin(), jobs.end(), [](const Job &a, const Job &b) { return a.id < b.id; });
    request.oldest_open = oldest != jobs.end() ? oldest->id : request.last_job + 1;
    return jobs;
}

// What the open jobs of the migration allow.
struct OpenJobs {
    Job *next = nullptr;       // to be started; an orphan first, since its range is half done
    int live = 0;              // running in other processes
    bool suspect_runs = false; // one of those has died before it could commit anything
    Micros retry_at = kNever;  // when a failed job may be tried again
    int given_up = 0;          // failed jobs that wait for a person
    bool are_all = false;      // nothing was left out of the look
};

OpenJobs look_at(Vector<Job> &jobs) {
    OpenJobs open;
    Job *orphan = nullptr;
    for (Job &job : jobs) {
        if (job.status == JobStatus::running) {
            if (is_live(job.id)) {
                ++open.live;
                open.suspect_runs = open.suspect_runs || job.unproven_starts > 1;
            } else if (orphan == nullptr)
                orphan = &job;
        } else if (job.status == JobStatus::failed && job.retry_at == 0) {
            ++open.given_up;
        } else if (job.status == JobStatus::failed && job.retry_at > pg::now()) {
            open.retry_at = std::min(open.retry_at, job.retry_at);
        } else if (open.next == nullptr) {
            open.next = &job;
        }
    }
    if (orphan != nullptr)
        open.next = orphan;
    return open;
}

// Is there no room for one more? A job whose process has died before it could commit anything runs alone: should it
// kill its server again, nobody else is suspected.
bool is_full(const Migration &migration, const OpenJobs &open) {
    const bool next_is_suspect = open.next != nullptr && open.next->unproven_starts > 0;
    return open.live >= migration.workers || open.suspect_runs || (next_is_suspect && open.live > 0);
}

// One of several workers goes where another migration has none and all places are taken.
bool gives_place(const ClaimRequest &request, const OpenJobs &open) {
    const pg::Settings &settings = pg::settings();
    return open.live > 0 && request.session.cancel == pg::Cancel::ignored &&
           store::worker_processes() >= settings.max_workers &&
           store::others_wait(request.migration.id, settings.max_running_migrations);
}

// By what the catalogs say now: another migration's root may have been written down before its table became a
// partition. A migration that was paused counts as long as its last sub-batch runs.
bool is_same_table(std::uint32_t table, const Migration &migration) {
    return pg::table_root(table) == migration.table_root;
}

bool table_is_busy(const Migration &migration, Arena arena) {
    const auto &jobs = store::running_jobs(migration.id, arena);
    return std::any_of(jobs.begin(), jobs.end(), [&](const store::RunningJob &job) {
        return is_same_table(job.table_oid, migration) && is_live(job.id);
    });
}

// An earlier migration that does not know yet where its table belongs now, between two of its jobs. Only the table of a
// partition or child can have been another one's.
bool is_behind(const Migration &migration, Arena arena) {
    if (migration.table_root == migration.table_oid)
        return false;
    const auto &tables = store::earlier_tables(migration.id, arena);
    return std::any_of(tables.begin(), tables.end(),
                       [&](std::uint32_t table) { return is_same_table(table, migration); });
}

Claim end(const Migration &migration, MigrationEvent event, Text reason) {
    const Step step = apply(migration.status, event);
    store::change_status(migration, event, step.to, store::Cause{reason, nullptr});
    return {.kind = event == MigrationEvent::finish ? Claim::Kind::finished : Claim::Kind::failed};
}

Claim suspect(const Migration &migration, const Job &job, int starts) {
    const Failure failure = {
        "58000",
        pg::format("suspected crash: job %lld was started %d times, and its process vanished each time",
                   static_cast<long long>(job.id), starts),
        "No sub-batch of it was committed in between.",
        "See the server log, then run bbm.retry().",
        {}};
    store::end_job(job, {.event = JobEvent::fail, .failure = &failure});
    store::change_status(migration, MigrationEvent::fail, MigrationStatus::failed, {{}, &failure, job.id});
    pg::unlock(pg::LockClass::job, job.id);
    return {.kind = Claim::Kind::failed};
}

// The search for bounds has the time of a sub-batch; a client has his own statement_timeout. Trivially destructible: an
// error leaves the note standing, which is what it is for.
struct Looking {
    const ClaimRequest *request;
    explicit Looking(const ClaimRequest &one) : request(&one) {
        request->is_looking = true;
        if (request->session.cancel == pg::Cancel::ignored)
            pg::start_statement_timer(pg::settings().sub_batch_timeout());
    }
    void stop() const {
        pg::stop_statement_timer();
        request->is_looking = false;
    }
};

Claim rest_for(Micros time) { return {.kind = Claim::Kind::rest, .until = pg::now() + time}; }

// A leaf is dropped, and its rows are nobody's business any more.
Claim close_part(const Migration &migration, const Part &part) {
    const Text reason = pg::format("%s was dropped", part.table_name.data());
    store::mark_cut(part.id);
    store::mark_part_succeeded(migration.id, part.id, reason);
    store::record_event(migration, "drop", {.reason = reason}, name(migration.status));
    return rest_for(0);
}

// Nothing, if the part may be worked on.
std::optional<Claim> aim(Migration &migration, Part &part) {
    switch (aim_at(migration, part)) {
    case Aim::locked:
        return rest_for(kTableRetry);
    case Aim::gone:
        return close_part(migration, part);
    case Aim::ready:
        break;
    }
    return std::nullopt;
}

// The lock first, then the row: what was read before the lock was ours may be old.
Claim start(const ClaimRequest &request, Job job, Arena arena) {
    Migration &migration = request.migration;
    auto part = store::load_part(job.part_id, arena);
    if (const auto obstacle = aim(migration, *part))
        return *obstacle;
    if (!pg::try_lock(pg::LockClass::job, job.id))
        return {.kind = Claim::Kind::busy};
    if (!store::start_job(job, job.status == JobStatus::running ? JobEvent::take_over : JobEvent::start, arena)) {
        pg::unlock(pg::LockClass::job, job.id);
        return {.kind = Claim::Kind::busy};
    }
    if (job.unproven_starts > kSuspectedCrashStarts)
        return suspect(migration, job, job.unproven_starts - 1); // this start was none
    if (job.wants_split) {
        const Looking looking(request);
        split(job, bounds_of_aim(), arena);
        looking.stop();
    }
    return {.kind = Claim::Kind::job, .job = job, .part = *part};
}

pg::Lower behind_frontier(const Part &part) {
    if (part.frontier.empty())
        return {LowerBound::inclusive, part.range->min};
    return {LowerBound::exclusive, part.frontier};
}

// Up to where the user's function says. A job without a row in it is walked like any other.
std::optional<pg::NextRange> range_by_function(const Migration &migration, const Part &part, int keys, Arena arena) {
    const Key end =
        pg::ask_for_end(migration.batching_strategy,
                        {part.table_oid, migration.column_name, part.frontier, *part.range, keys}, key_of(part), arena);
    if (!pg::is_command_prepared()) // it has called a function of ours
        pg::raise(Refusal{"55000", "a batching strategy must not run commands of migrations", {}, {}});
    const Key upper = end.empty() ? part.range->max : end;
    const auto first = pg::find_next_range(bounds_of_aim(), behind_frontier(part), upper, 1, arena);
    if (!first && same_key(upper, part.range->max))
        return std::nullopt;
    return pg::NextRange{{first ? first->range.min : upper, upper}, false, same_key(upper, part.range->max)};
}

std::optional<pg::NextRange> next_range(const ClaimRequest &request, const Part &part, int keys, Arena arena) {
    const Looking looking(request);
    const Pace &pace = request.migration.pace;
    const auto find = pace.batch_size_given || pace.job_interval > 0 ? pg::find_next_range : pg::find_about_next_range;
    const auto found = pg::names_function(request.migration.batching_strategy)
                           ? range_by_function(request.migration, part, keys, arena)
                           : find(bounds_of_aim(), behind_frontier(part), part.range->max, keys, arena);
    looking.stop();
    return found;
}

Claim cut(const Migration &migration, const Part &part, Range range, int batch_size) {
    Job job;
    job.migration_id = migration.id;
    job.part_id = part.id;
    job.range = range;
    job.batch_size = batch_size;
    job.sub_batch_size = first_sub_batch_size(migration.pace, pg::settings().target_sub_batch_time());
    store::insert_running_job(job);
    if (!pg::try_lock(pg::LockClass::job, job.id)) // nobody else knows the number, but a sequence may have been reset
        pg::raise(Refusal{"40001", "the number of a new job is in use", {}, {}});
    const Micros interval = migration.pace.job_interval; // from start to start
    store::set_frontier(part, range.max);
    store::count_new_job(migration.id, interval > 0 ? pg::now() + interval : 0);
    return {.kind = Claim::Kind::job, .job = job, .part = part};
}

// A rest is written down: the scheduler reads there when a worker is wanted again.
Claim rest(const Migration &migration, Micros until) {
    store::set_next_job_at(migration.id, until);
    return {.kind = Claim::Kind::rest, .until = until};
}

Text describe_failures(const Migration &migration, int given_up, Arena arena) {
    const auto last = store::last_failure(migration.id, arena);
    return pg::format("%d %s failed: %s", given_up, given_up == 1 ? "job" : "jobs", last ? last->message.data() : "");
}

// On every path: whoever ends a job comes here next, or somebody else does.
bool fails_too_often(const Migration &migration, const OpenJobs &open, Text &reason) {
    if (open.given_up < kFewestTooMany)
        return false;
    const std::int64_t failed = store::failed_since_start(migration.id);
    if (!too_many_failed(migration.recent_jobs, failed))
        return false;
    reason = pg::format("%lld of the last %d jobs failed", static_cast<long long>(failed), migration.recent_jobs);
    return true;
}

// Nothing is left to be cut.
Claim end_of_work(const ClaimRequest &request, const OpenJobs &open, Arena arena) {
    const Migration &migration = request.migration;
    if (open.live > 0)
        return {.kind = Claim::Kind::busy};
    if (!open.are_all) { // an end is not made by what a process remembers
        request.oldest_open = 0;
        return rest_for(0);
    }
    if (open.retry_at != kNever)
        return rest(migration, open.retry_at);
    if (open.given_up > 0)
        return end(migration, MigrationEvent::fail, describe_failures(migration, open.given_up, arena));
    if (add_new_leaves(migration) || add_sweeps(migration))
        return rest_for(0);
    return end(migration, MigrationEvent::finish, {});
}

Claim claim_new_job(const ClaimRequest &request, const OpenJobs &open, Arena arena) {
    Migration &migration = request.migration;
    auto part = store::next_uncut_part(migration.id, arena);
    if (!part)
        return end_of_work(request, open, arena);
    const bool waits = migration.next_job_at > pg::now() && migration.status != MigrationStatus::finalizing &&
                       !request.session.skips_delays;
    if (const auto obstacle = aim(migration, *part))
        return *obstacle;
    const int window = next_window(course_of_aim(), strides_of_aim(), migration.workers).keys; // ends with its job
    const int batch_size = share_of_batch(search_for_bounds(migration).batch_size, migration, part->total_rows, window);
    const auto found = next_range(request, *part, batch_size, arena);
    if (!found) {
        store::mark_cut(part->id);
        return rest_for(0);
    }
    // The interval stands in the row already, and must stay there when a failed job is due for a retry before.
    if (waits)
        return {.kind = Claim::Kind::rest, .until = std::min(migration.next_job_at, open.retry_at)};
    return cut(migration, *part, found->range, batch_size);
}

// While this process works on it, an extension that was created anew may have given its number to another migration.
bool is_another(const Migration &now, const Migration &known) {
    return now.statement != known.statement || now.table_oid != known.table_oid || now.scope_to != known.scope_to ||
           now.search_path != known.search_path;
}

} // namespace

bool lock_for_claim(Migration &migration, Claim &refused, Arena arena) {
    // The table may have become a partition or a child of another one. That is written down first, on its own.
    const std::uint32_t root = pg::table_root(migration.table_oid);
    if (root != 0 && root != migration.table_root) {
        store::set_table_root(migration.id, root);
        migration.table_root = root;
        refused = {.kind = Claim::Kind::rest, .until = pg::now()};
        return false;
    }
    pg::lock_claims_on(migration.table_root);
    const auto fresh = store::lock_migration(migration.id, arena);
    if (fresh && fresh->status == MigrationStatus::failed) {
        refused = {.kind = Claim::Kind::failed};
        return false;
    }
    if (!fresh || !fresh->is_home || !is_runnable(fresh->status) || fresh->owner_oid != pg::current_role().oid ||
        is_another(*fresh, migration)) {
        refused = {.kind = Claim::Kind::stopped};
        return false;
    }
    migration = *fresh;
    return true;
}

Claim claim_next_job(const ClaimRequest &request, Arena arena) {
    const Migration &migration = request.migration;
    if (migration.status == MigrationStatus::active && migration.on_hold_until > pg::now())
        return {.kind = Claim::Kind::rest, .until = migration.on_hold_until};
    if (table_is_busy(migration, arena) || is_behind(migration, arena))
        return {.kind = Claim::Kind::busy};
    const bool are_all = request.oldest_open == 0;
    OpenJobs open = look_at(open_jobs(request, arena));
    open.are_all = are_all;
    if (is_full(migration, open) || gives_place(request, open))
        return {.kind = Claim::Kind::busy};
    Text reason;
    if (fails_too_often(migration, open, reason))
        return end(migration, MigrationEvent::fail, reason);
    if (open.next != nullptr)
        return start(request, *open.next, arena);
    return claim_new_job(request, open, arena);
}

} // namespace bbm
