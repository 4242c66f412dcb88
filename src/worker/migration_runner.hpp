// Runs the jobs of one migration: claims one after the other, and knows what to do between them.
#pragma once

#include "worker/session.hpp"

namespace bbm {

struct Run {
    enum class Outcome {
        finished,
        failed,
        stopped,     // paused, deleted, or not this session's
        resting,     // nothing to do until `until`
        busy,        // another process is at it, or has taken the place
        out_of_time, // the session's deadline has passed
        disabled,    // bbm.enabled is off
    } outcome;
    Micros until = 0;
};

// Works until there is nothing to do now. Errors of the user's command are recorded; others fly.
Run run_migration(std::int64_t id, const Session &session);

} // namespace bbm
