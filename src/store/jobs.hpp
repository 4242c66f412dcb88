// Jobs: every statement on bbm.job and bbm.job_transition, and their rows as structs.
#pragma once

#include "core/lifecycle.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

#include <optional>

namespace bbm::store {

// A new job, running with its first epoch; sets its id. Nobody sees it before the commit, so its lock may follow.
void insert_running_job(Job &job);

// The jobs that are not done, oldest first.
Vector<Job> &unfinished_jobs(std::int64_t migration_id, Arena arena);
// Jobs of other migrations on the same table whose row says running.
Vector<std::int64_t> &running_on_table(std::uint32_t table_oid, std::int64_t except_migration, Arena arena);

// Marks the job running with the next epoch and counts the start as unproven. The caller holds the job's lock; the
// struct is brought up to date, since its last owner may have committed after it was read. False if the job was
// claimed, ended or deleted since.
bool start_job(Job &job, JobEvent event, Arena arena);

// What a worker looks at before each sub-batch.
struct Control {
    MigrationStatus status;
    Pace pace;
    bool is_mine; // the job is running with this epoch
};
std::optional<Control> load_control(const Job &job, Arena arena);

// In the sub-batch's transaction: the cursor, the counters, and the proof that the job does not kill its server.
// False if the job is not ours any more: the transaction must not commit.
bool advance_job(const Job &job, const Counters &step);

// Ends a run of the job: succeed, fail or give back. Nothing happens (false) if the job is not ours any more.
struct Ending {
    JobEvent event;
    Text reason = {};
    const Failure *failure = nullptr;
    Range met_in = {};                   // the range of the failing sub-batch
    std::optional<Micros> retry_at = {}; // only for failed: nothing means not by itself
    int sub_batch_size = 0;              // for the next attempt; 0 leaves it
};
bool end_job(const Job &job, const Ending &ending);

// After a success: the job's counters, and what a key costs now, move to the migration.
void add_to_migration(const Job &job, double row_cost_us);

// Failed jobs become pending with their attempts back; how many.
int put_back_failed(std::int64_t migration_id, Text reason);

} // namespace bbm::store
