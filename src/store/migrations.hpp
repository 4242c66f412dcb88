// Migrations: every statement on bbm.migration and bbm.event, and their rows as structs.
#pragma once

#include "core/lifecycle.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

#include <optional>

namespace bbm::store {

struct Identity {
    Text job_class_name;
    std::uint32_t table_oid;
    Text column_name;
    Text job_arguments;
};

// What queue() knows beyond the migration itself.
struct NewMigration {
    Migration migration;
    Text operation_name;
    int priority;
    std::int64_t total_rows; // an estimate; negative when unknown
    Text reason;             // for the event
};

// 0 if one with that identity exists.
std::int64_t insert_migration(const NewMigration &fresh);
std::optional<Migration> load_migration(std::int64_t id, Arena arena);
// The same, and nobody else changes its status until the transaction ends.
std::optional<Migration> lock_migration(std::int64_t id, Arena arena);
// The transaction that wrote the row last.
std::int64_t writer_of(std::int64_t id);

// Of the current generation.
std::optional<std::int64_t> find_by_identity(const Identity &identity);
// How many have that job class name; `id` is one of them.
int find_by_name(Text job_class_name, std::int64_t &id);
// All generations, oldest first.
Vector<std::int64_t> &all_of_class(Text job_class_name, Arena arena);
// The name that looks most like a wrong one, or none that is close.
Text similar_name(Text job_class_name, Arena arena);

struct Cause {
    Text reason; // a person's or bbm's words
    const Failure *failure = nullptr;
    std::int64_t job_id = 0; // the job that met the failure; 0 for none
    Text data = {};          // JSON, for machines
};

// Writes the new status and the event. Whoever calls has asked core/lifecycle and holds the row's lock.
void change_status(const Migration &migration, MigrationEvent event, MigrationStatus to, const Cause &cause);
// An event that changes no status; `to` is empty where there is none afterwards.
void record_event(const Migration &migration, Text event, const Cause &cause, Text to);
// Whoever runs one of its jobs is to have its statement cancelled.
void ask_for_cancel(std::int64_t id);

void count_new_job(std::int64_t id, Micros next_job_at); // one more was cut, and when the next may be; 0: now
void set_next_job_at(std::int64_t id, Micros when);      // 0: now
void set_pace(std::int64_t id, const Pace &pace, std::optional<int> priority, std::optional<int> workers);
void set_batch_size(std::int64_t id, int batch_size);
void set_hold(std::int64_t id, Micros until, Text reason); // until 0: no hold
// Does an event of that time ago or less tell that this indicator held it?
bool was_held_lately(std::int64_t id, Text indicator, Micros ago);
void set_bounds_attempts(std::int64_t id, int attempts);
void count_job(std::int64_t id); // one that was not cut at the frontier: the rest of a split
void count_rows(std::int64_t id, std::int64_t rows_affected); // that a person ran by hand
void set_used_columns(std::int64_t id, Key used_columns);
// A person has looked at the table's columns and files: the next claim takes them as they are.
void forget_state_of_tables(std::int64_t id);
void accept_leaves(std::int64_t id);
// New leaves have become parts: those that come later have to be looked at again.
void settle_leaves(std::int64_t id);
void set_table_name(const Migration &migration, Text table_name);
void set_table_root(std::int64_t id, std::uint32_t root);
// Makes it history, so that a new generation may take its place.
void retire(std::int64_t id);
// What insert_migration() needs for another one like it.
NewMigration copy_of(const Migration &migration, Arena arena);
// Makes this server and database its home. False if there is no table of its name.
bool adopt(std::int64_t id, std::uint32_t owner);
void delete_migration(std::int64_t id);

// Why the migration has its status, as it is committed now.
Text latest_reason(std::int64_t id, Arena arena);
// The newest error of the migration or of one of its jobs, or nothing.
std::optional<Failure> last_failure(std::int64_t id, Arena arena);

// What somebody who waits sees: what is committed now, whatever his own transaction's snapshot.
struct Observed {
    MigrationStatus status;
    std::uint32_t table_root;
    std::optional<double> progress; // [0, 1], or nothing where the key has no arithmetic
    std::int64_t last_finalize;     // the newest event that made it finalizing; 0 for none
};
std::optional<Observed> observe(std::int64_t id, Arena arena);

} // namespace bbm::store
