// Errors of the data: the search for the rows that raise them, and what happens to those rows.
#pragma once

#include "worker/sub_batch.hpp"

namespace bbm {

// Is it an error of some rows, met in a range of them?
bool can_be_narrowed_down(const JobRun &run, const Failure &failure, const Tried &tried);

// After such a failure, with the job's lock held. True if the walk goes on: with smaller parts, or behind the bad row,
// which now stands in the quarantine or is a failed job of its own; where the job stands then lives in the arena. False:
// the failure ends this run of the job.
bool narrow_down(JobRun &run, const Failure &failure, const Tried &tried, Arena arena);

} // namespace bbm
