// Background workers: the static launcher, and dynamic schedulers and workers. Registering never waits: without a free
// slot it says no.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

void register_launcher(); // while shared_preload_libraries is read
bool is_preloaded();

// Starts a scheduler in the database. The postmaster restarts it when it ends in an error, not when it leaves.
bool start_scheduler(std::uint32_t database);
// At COMMIT of this transaction: starts a scheduler here, and wakes the one that runs already.
void start_scheduler_at_commit();
// The same even where no work is started (bbm.enabled, bbm.max_workers): it cancels what must not go on.
void signal_workers_at_commit();

enum class Errand : std::int32_t {
    work,     // run the migration
    finalize, // mark it finalizing first
};

struct WorkerOrder {
    std::uint32_t database;
    std::uint32_t role;
    std::int64_t migration;
    Errand errand;
};

struct WorkerHandle {
    void *handle = nullptr; // PostgreSQL's, in the memory context that was current at the start
};

// A worker for the migration; this process is told by its latch when it starts and ends. Empty without a free slot.
WorkerHandle start_worker(const WorkerOrder &order);
bool is_running(WorkerHandle worker); // or about to start

// The order this worker was started with.
WorkerOrder my_order();

// Worker mains: signal handlers, and the connection. A scheduler that cannot connect (its database is gone) is not
// restarted.
void enter_launcher();
void enter_scheduler(std::uint32_t database);
void enter_worker(const WorkerOrder &order);
[[noreturn]] void leave();

// Signals to other processes of this server; a pid that is gone does no harm.
void wake(int pid);
void cancel_statement(int pid);

} // namespace bbm::pg
