// One sub-batch: the user's command, the job's cursor and its counters in one transaction. This is where "exactly once"
// is kept.
#pragma once

#include "core/batching.hpp"
#include "core/bisection.hpp"
#include "core/pass_log.hpp"
#include "core/stride_course.hpp"
#include "core/types.hpp"
#include "pg/key_query.hpp"
#include "pg/memory.hpp"
#include "store/jobs.hpp"
#include "worker/session.hpp"

namespace bbm {

// A job under way. `job.at.cursor` is moved by each sub-batch.
struct JobRun {
    const Session *session;
    const Migration *migration;
    const Part *part;
    Job job;
    SubBatchSize size;
    Pace pace;                // as it is now; a person may change it
    Micros started = 0;       // by the stopwatch
    bool is_proven = false;   // a sub-batch of this claim has been committed
    Bisection bisection = {}; // the search for a row that the command fails for
    int rows_set_aside = 0;   // that were found so, in this claim
    WindowSample window = {}; // what the passes of the open window have shown
    SliceKeys slices = {};    // of the open window
    PassLog log = {};         // of its passes
};

// What a sub-batch was at when it ended or failed.
struct Tried {
    Range range;    // of the command that ran last
    int keys = 0;   // from the cursor to its end
    int ranges = 0; // in the transaction
    Position from;  // where the job stood when that command began
};

struct SubBatch {
    enum class Result {
        stepped, // the cursor has moved
        done,    // no key was left
        changed, // its table has another name or file
        stopped, // the migration is not to run any more, or the job is not ours
    } result = Result::stopped;
    Counters step = {};
    int keys = 0;         // that it spanned; 0 where nobody counted them, at the end of a job
    bool is_last = false; // the job's range is done
};

// Takes over what a person has changed since.
void follow(JobRun &run, const store::Control &control);

// Opens and commits its own transaction; raises what the command raises. `tried` tells what it was at even then.
SubBatch run_sub_batch(JobRun &run, Tried &tried, Arena arena);

// So that it outlives the memory of the turn that found it.
Position copy(const Position &at, Arena arena);

// Where the job goes on: behind its cursor, or at its first key.
pg::Lower lower_bound(const Job &job);

} // namespace bbm
