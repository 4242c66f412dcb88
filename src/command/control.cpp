#include "command/control.hpp"

#include "command/queue.hpp"
#include "command/reference.hpp"
#include "core/batching.hpp"
#include "core/lifecycle.hpp"
#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/memory.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/workers.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "store/parts.hpp"
#include "store/work.hpp"
#include "worker/part_plan.hpp"
#include "worker/parts.hpp"
#include "worker/stride_choice.hpp"
#include "worker/sub_batch.hpp"

#include <algorithm>

namespace bbm {

namespace {

void say_already(const Migration &migration) {
    pg::report(pg::Level::notice,
               pg::format("%s is already %s, skipping", label(migration).data(), name(migration.status).data()));
}

// Applies the event to a locked migration. The scheduler acts on it after COMMIT: it wakes, starts and cancels.
bool transition(const Migration &migration, MigrationEvent event, Text reason, Text hint) {
    const Step step = apply(migration.status, event);
    if (step.kind == Step::Kind::refused)
        refuse_transition(migration, event, hint);
    if (step.kind == Step::Kind::already) {
        say_already(migration);
        return false;
    }
    store::change_status(migration, event, step.to, {reason, nullptr});
    pg::start_scheduler_at_commit();
    return true;
}

// True if it was on hold.
bool end_hold(const Migration &migration, Text reason) {
    if (migration.on_hold_until <= pg::now())
        return false;
    store::set_hold(migration.id, 0, {});
    store::record_event(migration, "release", {reason}, name(migration.status));
    pg::start_scheduler_at_commit();
    return true;
}

} // namespace

bool pause(std::int64_t id, bool immediate, Text reason) {
    const Migration migration = lock_current(id);
    const bool changed = transition(migration, MigrationEvent::pause, reason, {});
    if (immediate) {
        store::ask_for_cancel(id);
        if (!store::live_workers(pg::current_arena()).empty())
            pg::signal_workers_at_commit();
    }
    return changed;
}

bool resume(std::int64_t id, Text reason) {
    const Migration migration = lock_current(id);
    if (migration.status == MigrationStatus::active && end_hold(migration, reason))
        return true;
    const Text hint = migration.status == MigrationStatus::failed
                          ? pg::format("To start it again, run: SELECT bbm.retry(%lld);", static_cast<long long>(id))
                          : Text();
    return transition(migration, MigrationEvent::resume, reason, hint);
}

bool hold(std::int64_t id, Micros duration, Text reason) {
    check_duration("duration", duration);
    const Migration migration = lock_current(id);
    if (migration.status != MigrationStatus::active && migration.status != MigrationStatus::paused)
        pg::raise(Refusal{
            "55000",
            pg::format("cannot hold %s in status \"%s\"", label(migration).data(), name(migration.status).data()),
            {},
            migration.status != MigrationStatus::finalizing
                ? Text()
                : pg::format("To stop it, run: SELECT bbm.pause(%lld);", static_cast<long long>(id))});
    if (duration == 0)
        return end_hold(migration, reason);
    const Text why = reason.empty() ? Text("held by a person") : reason;
    store::set_hold(id, pg::now() + duration, why);
    store::record_event(migration, "hold", {reason}, name(migration.status));
    pg::start_scheduler_at_commit();
    return true;
}

bool mark_finished(std::int64_t id, Text reason) {
    if (reason.empty())
        pg::raise(Refusal{"22004", "reason must not be null or empty", "It is all that is left to tell why.", {}});
    const Migration migration = lock_current(id);
    const bool changed = transition(migration, MigrationEvent::mark_finished, reason, {});
    if (!changed)
        return false;
    store::mark_all_succeeded(id, pg::format("marked finished: %.*s", pg::width(reason), reason.data()));
    store::ask_for_cancel(id);
    return true;
}

int retry(std::int64_t id, Text reason) {
    const Migration migration = lock_current(id);
    const Text hint = migration.status == MigrationStatus::paused
                          ? pg::format("To let it go on, run: SELECT bbm.resume(%lld);", static_cast<long long>(id))
                          : Text();
    const Step step = apply(migration.status, MigrationEvent::retry);
    if (step.kind == Step::Kind::refused)
        refuse_transition(migration, MigrationEvent::retry, hint);
    if (step.kind == Step::Kind::moves) {
        if (store::latest_reason(id, pg::current_arena()).ends_with(kRowsMayBeDone))
            store::accept_leaves(id);
        store::change_status(migration, MigrationEvent::retry, step.to, {reason, nullptr});
        store::forget_state_of_tables(id);
    }
    pg::start_scheduler_at_commit();
    const int put_back = store::put_back_failed(id, reason.empty() ? Text("retry") : reason);
    if (step.kind == Step::Kind::already && put_back == 0)
        say_already(migration);
    return put_back;
}

bool remove(std::int64_t id, Text reason) {
    remove(lock_for_change(id), reason);
    return true;
}

void remove(const Migration &locked, Text reason) {
    pg::close_migration(locked.id);
    // The scheduler finds the running job in the event and has its statement cut: it would be rolled back anyhow.
    std::int64_t running = 0;
    for (const store::Worker &worker : store::live_workers(pg::current_arena()))
        if (worker.migration_id == locked.id)
            running = worker.job_id;
    store::record_event(locked, "delete", {reason, nullptr, running}, {});
    store::delete_migration(locked.id);
    pg::start_scheduler_at_commit();
}

void alter(std::int64_t id, const PaceChange &change) {
    check_positive("batch_size", change.batch_size);
    check_positive("sub_batch_size", change.sub_batch_size);
    check_positive("max_batch_size", change.max_batch_size);
    check_positive("workers", change.workers);
    check_duration("job_interval", change.job_interval);
    check_duration("pause", change.pause);
    const Migration migration = lock_current(id);
    Pace pace = migration.pace;
    pace.job_interval = change.job_interval.value_or(pace.job_interval);
    pace.pause = change.pause.value_or(pace.pause);
    pace.batch_size_given = pace.batch_size_given || change.batch_size;
    pace.batch_size = change.batch_size.value_or(pace.batch_size);
    pace.sub_batch_size = change.sub_batch_size.value_or(pace.sub_batch_size);
    pace.max_batch_size = change.max_batch_size.value_or(pace.max_batch_size);
    if (change.max_batch_size && !change.batch_size)
        pace.batch_size = std::min(pace.batch_size, *change.max_batch_size);
    check_sizes(pace.batch_size_given ? pace.batch_size : 0, pace.sub_batch_size, pace.max_batch_size);
    store::set_pace(id, pace, change.priority, change.workers);
    store::record_event(migration, "alter", {}, name(migration.status));
    pg::start_scheduler_at_commit();
}

namespace {

// Where the next sub-batch begins: in a job that is not done, else behind the last one.
std::optional<pg::NextRange> next_sub_batch(const Migration &migration, const Part &part, const Job *job,
                                            const pg::KeyQueries &queries) {
    const Arena arena = pg::current_arena();
    if (job != nullptr)
        return pg::find_next_range(queries, lower_bound(*job), job->range.max, job->sub_batch_size, arena);
    const pg::Lower lower = part.frontier.empty() ? pg::Lower{LowerBound::inclusive, part.range->min}
                                                  : pg::Lower{LowerBound::exclusive, part.frontier};
    const int first = first_sub_batch_size(migration.pace, pg::settings().target_sub_batch_time());
    return pg::find_next_range(queries, lower, part.range->max, std::min(first, migration.pace.batch_size), arena);
}

Text explain_part(Migration migration, Part part, const Job *job) {
    if (pg::table_name(part.table_oid).empty())
        pg::raise(Refusal{
            "42P01",
            pg::format("table %s of %s does not exist any more", part.table_name.data(), label(migration).data()),
            {},
            {}});
    look_up_names(migration, part);
    const pg::TableKey key = key_of(part);
    pg::KeyQueries queries;
    pg::prepare_key_queries(queries, walked_table(migration, part), key);
    const auto next = next_sub_batch(migration, part, job, queries);
    pg::release_key_queries(queries);
    if (!next)
        return pg::format("%s: no key is left to handle", label(migration).data());
    const char *how = migration.has_placeholders ? "its parameters are" : "bbm adds the range of";
    const Text scope = condition_of(migration, part);
    const pg::RangeCommand command = command_of(migration, part, key);
    const Text plan = pg::explain(command, next->range);
    const int job_keys = job != nullptr ? job->batch_size : migration.pace.batch_size;
    const Strides strides = in_jobs_of(job_keys, choose_strides(command), pg::current_arena());
    return pg::format("Statement: %.*s\nScope: %s\nNext sub-batch: %s \"%s\" from %s to %s\nWalk: %s\n%s",
                      pg::width(command.text), command.text.data(), scope.empty() ? "all rows" : scope.data(), how,
                      pg::key_text(key.names).data(), pg::key_text(next->range.min).data(),
                      pg::key_text(next->range.max).data(), walk_text(strides).data(), plan.data());
}

Text explain_as_owner(const Migration &migration) {
    const Arena arena = pg::current_arena();
    const auto &jobs = store::unfinished_jobs(migration.id, 0, arena);
    const Job *job = jobs.empty() ? nullptr : &jobs.front();
    const auto part =
        job == nullptr ? store::next_uncut_part(migration.id, arena) : store::load_part(job->part_id, arena);
    if (!part)
        return pg::format("%s: no key is left to handle", label(migration).data());
    return explain_part(migration, *part, job);
}

} // namespace

Text explain(std::int64_t id) {
    const Migration migration = require(id);
    // Planning runs functions of the owner's: with nobody's rights but his.
    return pg::as_role(migration.owner_oid, migration.search_path, [&] { return explain_as_owner(migration); });
}

bool adopt(std::int64_t id) {
    const auto migration = store::lock_migration(id, pg::current_arena());
    if (!migration)
        (void)require(id);
    const std::uint32_t owner = pg::role_named(migration->owner_name);
    if (owner == 0)
        pg::raise(Refusal{"42704",
                          pg::format("role \"%s\", the owner of %s, does not exist", migration->owner_name.data(),
                                     label(*migration).data()),
                          {},
                          "Create it, or queue the migration anew."});
    if (!pg::may_act_as(owner))
        pg::raise(Refusal{"42501",
                          pg::format("permission denied for %s", label(*migration).data()),
                          "You must have the rights of its owner.",
                          {}});
    if (migration->is_home)
        return false;
    if (!store::adopt(id, owner))
        pg::raise(
            Refusal{"42P01",
                    pg::format("table %s of %s does not exist", migration->table_name.data(), label(*migration).data()),
                    {},
                    {}});
    store::record_event(*migration, "adopt", {}, name(migration->status));
    pg::start_scheduler_at_commit();
    return true;
}

bool ensure_running() {
    if (pg::in_recovery() || !pg::settings().enabled || !store::has_work())
        return false;
    pg::start_scheduler_at_commit();
    return pg::settings().max_workers > 0;
}

} // namespace bbm
