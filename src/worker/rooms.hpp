// The memory of the engine: contexts of the process, reset where they are used. After an error nobody has to tidy up.
#pragma once

#include "pg/memory.hpp"

namespace bbm {

Arena migration_room(); // for as long as one migration is run
Arena job_room();       // from one claim to the next
void reset_migration_room();
void reset_job_room();
// For one transaction; it becomes the current context. Two of them alternate, so that a cursor outlives the sub-batch
// that found it.
Arena next_turn();
// The next turn uses this one's memory again: its transaction failed, and the cursor stands in the other one.
void same_turn_again();

} // namespace bbm
