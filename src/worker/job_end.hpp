// How a run of a job ends: one transaction of bookkeeping, in which nothing of the user's is locked.
#pragma once

#include "worker/sub_batch.hpp"

namespace bbm {

// May the job go on? Reads the tables, and the pace as well.
bool still_runnable(JobRun &run);

// Also sets the size of the next job.
void succeed(const JobRun &run);
// Paused or told to stop, with nothing wrong: somebody goes on behind the cursor.
void give_back(const JobRun &run, Text reason);
// After an error in the range `tried`. Raises it again where it is a client's cancel of his own CALL.
void end_failed(JobRun &run, const Failure &failure, Range tried);

} // namespace bbm
