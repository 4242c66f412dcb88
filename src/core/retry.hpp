// What a failure of a sub-batch means for its job and its migration: by SQLSTATE, never by text.
#pragma once

#include "core/types.hpp"

namespace bbm {

// The two that say "not in this time": statement_timeout (mostly our own) or a cancel request, and lock_timeout.
inline constexpr Text kQueryCanceled = "57014";
inline constexpr Text kLockNotAvailable = "55P03";

enum class FailureClass {
    transient, // others and the weather: it will pass
    resources, // of the server
    data,      // of some rows: they can be found
    structure, // nothing else can succeed either
    unknown,   // says nothing about rows: not searched for, not tried again by itself
};

FailureClass classify(Text sqlstate);

struct FailedRun {
    Text sqlstate;
    int attempts;                  // starts of this job so far, this one included
    int batch_size;                // of the job
    int sub_batch_size;            // that it ran with
    int configured_sub_batch_size; // that the user gave; 0: none
    int whole_batch_size = 0;      // of the migration's jobs, before any split
};

struct RetryDecision {
    enum class Action {
        retry_job,      // the job failed; it is tried again after the delay
        split_job,      // the same, as two jobs with new attempts
        give_up_job,    // the job failed and stays so until a person says retry; other jobs go on
        hold_migration, // nothing of it is tried before the delay is over
        fail_migration, // nothing else can succeed either
    } action;
    Micros delay;
    int sub_batch_size; // for the next attempt; 0 leaves it
};

// jitter: a number in [0, 1) from the caller. Errors of the data come here when the search for the row is over.
RetryDecision after_failure(const FailedRun &run, double jitter);

// The documented failure threshold: more than half of at least 50 jobs since the last start.
inline constexpr int kMinimumJobs = 50;
bool too_many_failed(std::int64_t jobs, std::int64_t failed);
// Fewer failed jobs than this cannot be too many.
inline constexpr int kFewestTooMany = kMinimumJobs / 2 + 1;

// A range that cannot be found in time is halved like any other failure. Where a filter is part of the search it is
// left out after 3 attempts, and the size begins anew: then only the index has to answer.
struct BoundsSearch {
    int batch_size;
    bool filters;
};
BoundsSearch bounds_search(int batch_size, int bounds_attempts, bool has_filter);
// Not even one key is found in time.
bool is_hopeless(int bounds_attempts);
// What makes the next search go without the filter.
inline constexpr int kUnfilteredAfter = 3;

// The halves of a job that is split.
int half_of(int batch_size);

// Starts without a committed sub-batch after which a job is taken to be what kills the server.
inline constexpr int kSuspectedCrashStarts = 3;

} // namespace bbm
