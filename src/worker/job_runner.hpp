// Runs one claimed job, sub-batch by sub-batch, until it is done or somebody or something stops it.
#pragma once

#include "worker/sub_batch.hpp"

namespace bbm {

struct JobEnd {
    enum class Kind {
        done,
        stopped,
        out_of_time,
        failed,
        changed,   // its table has another name or file: it is to be aimed at anew
        gives_way, // another migration took its place while it was on hold
    } kind;
};

// Ends the job in the tables as well, and frees its lock. Errors of the user's command are recorded; others fly.
JobEnd run_job(const Session &session, Migration &migration, const Part &part, const Job &job);

} // namespace bbm
