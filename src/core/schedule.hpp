// Which migrations get a worker now, and when to look again.
#pragma once

#include "core/types.hpp"

#include <span>

namespace bbm {

// One unfinished, runnable migration, as the scheduler found it. Candidates come in queue order: priority, then id.
struct Candidate {
    std::int64_t id = 0;
    std::uint32_t table_root = 0; // a table, its partitions and children are one
    std::uint32_t owner_oid = 0;
    int live_workers = 0;   // processes that hold one of its jobs, or were started for it and have not reported yet
    int wanted_workers = 1; // that find something to do now, those that live included
    Micros due_at = 0;      // nothing to do before
    // One of its jobs was started and has not committed anything since: if the server dies now, it may be the reason.
    // Suspects run one at a time, so that whoever dies alone is guilty and whoever commits is cleared.
    bool is_suspect = false;
    bool is_held = false; // a worker of it only waits for its hold to end, and takes no place from others
};

struct Limits {
    int max_running = 0;  // migrations at once
    int free_workers = 0; // processes that may still be started
};

struct Schedule {
    int starts = 0;     // how many entries of the chosen list are filled
    Micros wake_at = 0; // next time at which something becomes due; kNever if nothing will by itself
};

inline constexpr Micros kNever = INT64_MAX;

// Fills `chosen` with indexes into `candidates`, once for each worker that is to be started: every migration gets its
// first worker before any gets another. Never two migrations on one table: an earlier one holds its table even while it
// rests between jobs, so that a later one does not slip in.
Schedule choose(std::span<const Candidate> candidates, Limits limits, Micros now, std::span<int> chosen);

} // namespace bbm
