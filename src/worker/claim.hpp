// Which job comes next? One transaction, in which nobody else claims a job on the same table.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"
#include "worker/session.hpp"

namespace bbm {

struct Claim {
    enum class Kind {
        job,      // ours now: the row says running, and this process holds its lock
        finished, // nothing was left: the migration has just been finished
        failed,   // nothing was left but failed jobs, or the job is suspected of killing its server
        rest,     // nothing to do until then
        busy,     // others work on the migration, as many as it may have, or somebody on its table
        stopped,  // not runnable: paused, deleted, finished by somebody else
    } kind = Kind::stopped;
    Job job = {};
    Part part = {}; // of the job
    Micros until = 0;
};

// From here on nobody else claims a job on the table. Locks the migration's row before the table itself: the order of
// people who pause a migration and then change its table. Brings `migration` up to date. True if a job of
// it may be claimed; else `refused` says why not.
bool lock_for_claim(Migration &migration, Claim &refused, Arena arena);

struct ClaimRequest {
    Migration &migration; // as it is now
    const Session &session;
    bool &is_looking;          // true while the bounds of a job are looked for: a time-out then is theirs
    std::int64_t &oldest_open; // no job before this one is open; 0: nobody has looked
    std::int64_t last_job;     // that this worker has done; 0: none
};

// After that. Aims at the part of the job. What is returned lives in the arena.
Claim claim_next_job(const ClaimRequest &request, Arena arena);

} // namespace bbm
