// What the scheduler looks at: which migrations want a worker, and who works on what.
#pragma once

#include "core/schedule.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

namespace bbm::store {

// Runnable migrations of this home in queue order.
Vector<Candidate> &candidates(Arena arena);

// The processes that hold a job.
struct Worker {
    int pid;
    std::int64_t job_id;
    std::int64_t migration_id; // 0 if it is gone
    bool must_cancel;          // the migration is not to run any more, and somebody wants that at once
    bool is_held;
};
Vector<Worker> &live_workers(Arena arena);

// Does a process work on a table with that root, whatever the transaction's snapshot?
bool is_worked_on(std::uint32_t root);

int worker_processes();  // of bbm, in all databases
int scheduler_process(); // that holds this database's scheduler lock; 0 for none
bool is_blocked_by_me(); // does any bbm worker here wait for a lock that this process holds?
// The tables of runnable migrations that come before this one and are known under other roots.
Vector<std::uint32_t> &earlier_tables(std::int64_t migration, Arena arena);
// Could another migration start now, had it a worker? So many may run at once.
bool others_wait(std::int64_t migration, int max_running);
bool has_work();         // is any migration of this home runnable?

// Runnable migrations of the current role, in queue order.
Vector<std::int64_t> &my_runnable(Arena arena);

} // namespace bbm::store
