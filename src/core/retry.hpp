// What a failure of a sub-batch means for its job and its migration: by SQLSTATE, never by text.
#pragma once

#include "core/types.hpp"

namespace bbm {

enum class FailureClass { transient, resources, data, structure };

FailureClass classify(Text sqlstate);

struct RetryDecision {
    enum class Action {
        retry_job,      // the job failed; it is tried again after the delay
        give_up_job,    // the job failed and stays so until a person says retry; other jobs go on
        fail_migration, // nothing else can succeed either
    } action;
    Micros delay;
};

// attempts: starts of this job so far, this one included. jitter: a number in [0, 1) from the caller.
RetryDecision after_failure(Text sqlstate, int attempts, double jitter);

// After a time-out a smaller sub-batch has a better chance; after other errors the size says nothing. 0: leave it.
int sub_batch_size_after(Text sqlstate, int size);

// Starts without a committed sub-batch after which a job is taken to be what kills the server.
inline constexpr int kSuspectedCrashStarts = 3;

} // namespace bbm
