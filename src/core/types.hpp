// The plain structs that travel between the tables and the decisions. No PostgreSQL, no ownership: text and lists are
// views into an arena of whoever made them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace bbm {

using Text = std::string_view;
using Micros = std::int64_t; // durations, and points in time as microseconds since PostgreSQL's epoch

// A key value of any number of columns, each in its type's text form. Core never compares keys: the server does.
using Key = std::span<const Text>;

// The same text, which is the same key; different texts may be the same key, too.
inline bool same_key(Key a, Key b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

struct Range {
    Key min; // inclusive
    Key max; // inclusive
};

enum class MigrationStatus { paused, active, finished, failed, finalizing, finalized };
enum class JobStatus { pending, running, failed, succeeded };
enum class OnDataError { fail, quarantine };

// How a table is walked.
enum class Walk {
    keys,   // by a unique key: every row has one place
    values, // by the distinct values of columns: all rows of a value belong to one range
    blocks, // by ctid: only for commands that do no harm to a row that is met twice, and with a sweep behind it
    sweep,  // by ctid, all at once: what is left
};

// How a migration wants to be walked and paced. Zero means: not given, bbm decides.
struct Pace {
    Micros job_interval = 0;
    Micros pause = 0;
    int batch_size = 0;            // keys of the next job; the optimizer changes it
    bool batch_size_given = false; // by a person
    int sub_batch_size = 0;
    int max_batch_size = 0;
    double row_cost_us = 0; // measured microseconds per key; 0 = not measured yet

    bool operator==(const Pace &) const = default;
};

// One table that a migration walks, and how far it is cut into jobs: the migration's own table, or a leaf of it.
struct Part {
    std::int64_t id = 0;
    std::uint32_t table_oid = 0;
    Text table_name; // schema-qualified and quoted
    Walk walk = Walk::keys;
    bool is_only = false; // its own rows, not those of its children
    Text condition;       // beside the migration's; empty for all rows
    Key cursor_columns;
    Key cursor_types;
    Key table_file;             // what the table's file was; empty: not looked at yet
    std::optional<Range> range; // nothing: it had no rows
    Key frontier;               // the end of the last job that was cut; empty before the first
    std::int64_t total_rows = -1; // an estimate; negative when unknown
    bool is_detached = false;     // it was a leaf once
    Text bound = {};              // of a partition, as text
};

struct Migration {
    std::int64_t id = 0;
    Text job_class_name;
    std::uint32_t table_oid = 0;
    std::uint32_t table_root = 0; // the topmost parent of a partition or child; else the table itself
    Text table_name;              // schema-qualified and quoted, as the last claim found it
    Text known_as;                // what statement and scope_to call it: quoted, without schema
    Text column_name;
    Text job_arguments; // JSON text
    MigrationStatus status = MigrationStatus::active;
    Text statement;
    bool has_placeholders = false;
    Text scope_to;
    std::span<const int> mentions;       // packed; none: the statement cannot be given another name of the table
    std::span<const int> scope_mentions; // packed
    Key used_columns;                    // of the table by the statement: name, type, name, type ...; empty: not known
    Text batching_strategy;
    Key cursor_columns; // their names, as they are for all parts
    Range given;        // batch_min_value and batch_max_value; empty where they were not given
    bool walks_leaves = false; // one by one, and not the table as a whole
    bool accepts_leaves = false; // new ones, whatever rows they have: a person said so
    bool with_nulls = false;   // rows without a value of a walk over values, too
    int workers = 1;           // jobs at once
    Pace pace;
    std::uint32_t owner_oid = 0;
    Text owner_name;
    Text search_path;
    Micros next_job_at = 0;   // 0 = now
    Micros on_hold_until = 0; // 0 = not on hold
    Text hold_reason;
    OnDataError on_data_error = OnDataError::fail;
    int generation = 1;
    bool is_current = true;  // no newer generation has taken its place
    int recent_jobs = 0;     // cut since it became active
    int bounds_attempts = 0; // ranges that could not be found in time
    bool is_home = true;     // queued on this server, in this database: elsewhere OIDs mean nothing
};

struct Counters {
    std::int64_t rows_affected = 0;
    std::int64_t sub_batches = 0;
    Micros work = 0;
    Micros longest = 0;

    bool operator==(const Counters &) const = default;
};

// Rows that are dealt out to passes: behind the job's cursor, up to `max`. The passes before `pass` are done, and of this
// one all rows up to and with `cursor`.
struct Window {
    Key max; // empty: there is none, and all rows behind the job's cursor are to be done
    int passes = 0;
    int pass = 0;
    Key cursor; // empty at the beginning of the pass

    bool is_open() const { return !max.empty(); }
};

// How far a job is done.
struct Position {
    Key cursor; // all rows up to and with it are done; empty before the first sub-batch
    Window window;
};

struct Job {
    std::int64_t id = 0;
    std::int64_t migration_id = 0;
    std::int64_t part_id = 0;
    JobStatus status = JobStatus::pending;
    Range range;
    Position at;
    int batch_size = 0;
    int sub_batch_size = 0;
    int attempts = 0;
    std::int64_t epoch = 0;
    int unproven_starts = 0;
    Counters done;
    Micros retry_at = 0; // 0 = now
    bool wants_split = false;
};

// An error of the server, caught once and handed around as a value.
struct Failure {
    Text sqlstate;
    Text message;
    Text detail;
    Text hint;
    Text context;
};

// What bbm itself refuses, before it becomes an ERROR. An empty sqlstate means: nothing to refuse.
struct Refusal {
    const char *sqlstate = nullptr;
    Text message;
    Text detail;
    Text hint;

    explicit operator bool() const { return sqlstate != nullptr; }
};

} // namespace bbm
