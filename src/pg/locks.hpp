// Liveness: a process that does something holds a lock that says so, and the lock goes with the process. Locks on jobs and
// on the scheduler are only ever tried, never waited for, so they take part in no deadlock. No timeouts, no leases.
//
// They are session locks that an aborted transaction frees: after an error in a client's session nothing is left
// behind, and a worker claims its job anew. SQL cannot reach them (advisory locks use other lock classes), so a user's
// statement cannot free them either. PostgreSQL itself forgets them when a process ends outside of a transaction; we do
// not.
#pragma once

#include <cstdint>

namespace bbm::pg {

enum class LockClass : std::uint16_t {
    scheduler = 3, // id: 0. 1 and 2 are SQL's advisory locks
    job = 4,       // id: the job's; the views look for it in pg_locks
    closing = 5,   // id: the migration's; see close_migration()
    root = 6,      // id: the table's; see lock_claims_on()
};

bool try_lock(LockClass lock_class, std::int64_t id);
void unlock(LockClass lock_class, std::int64_t id); // nothing happens if it is not held: an abort may have freed it

// A transaction that is going to delete the migration's rows says so before, until it ends. Sub-batches look for it
// before they start: one that met the deleted rows at its end would wait there, with the user's rows locked.
void close_migration(std::int64_t id);
bool is_closing(std::int64_t id);

// Claims on a table, its partitions and children happen one after the other: each locks the topmost of them first, until
// its transaction ends, and only then what others lock as well.
void lock_claims_on(std::uint32_t root);

// The lock that DML takes, until the end of the transaction; false instead of waiting behind ALTER TABLE and its like.
bool try_lock_table(std::uint32_t table);
// The same, waiting; no longer than lock_timeout. From here on the table keeps its name.
void lock_table_for_writing(std::uint32_t table);

// Does this process hold a lock on the table that DML of another process would have to wait for?
bool blocks_writers_of(std::uint32_t table);

} // namespace bbm::pg
