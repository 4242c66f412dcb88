// Is the server well enough for more work? One judgement for each indicator: facts in, a reading out. What has to be
// remembered between two looks is plain data of the caller's.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm {

enum class Verdict {
    normal,
    stop,
    unknown,       // could not be read; work goes on
    not_available, // nothing to read here, or no limit is set
};
Text name(Verdict verdict);

struct Reading {
    Text indicator = {};
    double value = 0;
    double limit = 0;
    Text unit = {};
    Verdict verdict = Verdict::not_available;
    Text reason = {}; // a short sentence without a full stop; names nothing that not everybody may know
};

// The share of the limit that is in use; 1 or more where the verdict is stop, 0 where nothing was read.
double utilisation(const Reading &reading);
// The first reading that says stop, or nothing.
const Reading *find_stop(const Vector<Reading> &readings);

// ---- wal_archive: WAL that waits to be archived

// The number of the segment that a file in pg_wal belongs to, whatever its timeline. Nothing for names that tell no
// position: a timeline's history, and a backup's, which names the segment where that backup began, maybe long ago.
std::optional<std::uint64_t> segment_of(Text file_name, std::uint64_t segment_size);

struct Archiving {
    bool is_on;
    std::uint64_t position; // where WAL is inserted now
    std::uint64_t segment_size;
    Text last_archived; // file names; empty for never
    Text last_failed;
    int waiting; // finished segments that are marked as ready; needed only where no position is known
};
// The last segment that was archived, as far as the names of files tell.
std::optional<std::uint64_t> archived_segment(const Archiving &archiving);
Reading judge_archiving(const Archiving &archiving, Arena arena);

// ---- autovacuum: a vacuum, by whomever, at work on the migration's table

struct Vacuums {
    Text table_name; // empty: it is gone
    int count;       // the TOAST table's included
    Text since;      // when the first of them started
};
Reading judge_vacuums(const Vacuums &vacuums, Arena arena);

// ---- wal_rate: WAL of the whole server, per second

struct WalSample {
    std::uint64_t position = 0;
    Micros at = 0; // 0 = none yet
};
// `limit_kb` 0 = no limit. The first look of a process has nothing to compare with and is normal.
Reading judge_wal_rate(WalSample &since, WalSample now, int limit_kb, Arena arena);

// ---- replica_lag: how far the slowest streaming standby is behind with its replay

struct Standbys {
    int connected;
    int silent;             // of these, have not said what they have replayed
    std::uint64_t replayed; // by the slowest of the others
    Micros replay_lag;      // the greatest that the server has measured; 0 = none
};
// `now` is what the server has flushed and so could have sent, and when; `mark` such a sample of an earlier look. The
// server measures a lag only when something is replayed: a replay that stands still keeps its last, good one. So a mark
// is followed as well: as long as the slowest standby has not replayed it the mark's age is the least that its lag can
// be; then a new one is taken.
Reading judge_replica_lag(WalSample &mark, WalSample now, const Standbys &standbys, int limit_ms, Arena arena);

// ---- health_function: a function of the user's, which returns the utilisation itself

Reading judge_users_value(Text function, std::optional<double> value, Arena arena);
// The function raised an error, or is none that can be called.
Reading users_value_unknown(Text error, Arena arena);

} // namespace bbm
