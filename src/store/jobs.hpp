// Jobs: every statement on bbm.job and bbm.job_transition, and their rows as structs.
#pragma once

#include "core/lifecycle.hpp"
#include "core/optimizer.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

#include <optional>

namespace bbm::store {

// A new job, running with its first epoch; sets its id. Nobody sees it before the commit, so its lock may follow.
void insert_running_job(Job &job);

// The jobs from `oldest` on that are not done, oldest first.
Vector<Job> &unfinished_jobs(std::int64_t migration_id, std::int64_t oldest, Arena arena);
// Jobs of other migrations, whatever their status, whose row says running.
struct RunningJob {
    std::int64_t id;
    std::uint32_t table_oid;
};
Vector<RunningJob> &running_jobs(std::int64_t except_migration, Arena arena);

// Marks the job running with the next epoch and counts the start as unproven. The caller holds the job's lock; the
// struct is brought up to date, since its last owner may have committed after it was read. False if the job was
// claimed, ended or deleted since.
bool start_job(Job &job, JobEvent event, Arena arena);

// What a worker looks at before each sub-batch.
struct Control {
    MigrationStatus status;
    Pace pace;
    bool is_mine; // the job is running with this epoch
    Micros on_hold_until;
};
std::optional<Control> load_control(const Job &job, Arena arena);

// In the sub-batch's transaction: the cursor, the counters, and the proof that the job does not kill its server.
// False if the job is not ours any more: the transaction must not commit.
bool advance_job(const Job &job, const Counters &step);

// Moves it behind a row that is dealt with elsewhere. False if the job is not ours any more.
bool move_cursor(const Job &job);

// Ends a run of the job: succeed, fail or give back. Nothing happens (false) if the job is not ours any more.
struct Ending {
    JobEvent event;
    Text reason = {};
    const Failure *failure = nullptr;
    Range met_in = {};                   // the range of the failing sub-batch
    std::optional<Micros> retry_at = {}; // only for failed: nothing means not by itself
    int sub_batch_size = 0;              // for the next attempt; 0 leaves it
    Micros elapsed = 0;                  // of this run
    bool wants_split = false;
};
bool end_job(const Job &job, const Ending &ending);

// After a success: the job's counters, and what a key costs now, move to the migration.
void add_to_migration(const Job &job, double row_cost_us);

// What the optimizer looks at, newest first.
Vector<JobSample> &newest_samples(std::int64_t migration_id, Arena arena);
// Jobs that were cut since the migration became active and are given up now. Those that are tried again by themselves do
// not count: one session that holds a row in each of them must not end the migration.
std::int64_t failed_since_start(std::int64_t migration_id);

// A job that nobody runs yet: due again at its retry_at, or given up without one. Sets its id.
void insert_failed_job(Job &job, Text reason, const Failure *failure);
// Writes the job's new end and batch size; its attempts begin anew.
void split_job(const Job &job, Text reason);

// The last resort: whatever is not succeeded is called so. Whoever runs one of them cannot commit.
void mark_all_succeeded(std::int64_t migration_id, Text reason);
void mark_part_succeeded(std::int64_t migration_id, std::int64_t part_id, Text reason);

// Failed jobs become pending with their attempts back, to be split by the next claim; how many.
int put_back_failed(std::int64_t migration_id, Text reason);

} // namespace bbm::store
