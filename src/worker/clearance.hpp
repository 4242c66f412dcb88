// Waits until a page has room again.
#pragma once

#include "worker/sub_batch.hpp"

namespace bbm {

// Where others are in the way: until what the pass before has replaced in the pages of the next slice can be cleared
// away, for a moment. A row that finds no room moves to another page, with new entries in all indexes; that takes ten
// times as long, in a transaction that is in the way of the others, who then have to move their rows as well.
void await_clearance(JobRun &run);

} // namespace bbm
