// A job that is too much for its attempts becomes two.
#pragma once

#include "core/types.hpp"
#include "pg/key_query.hpp"
#include "pg/memory.hpp"

namespace bbm {

// In the claim's transaction, with the job started. The job ends at the middle of what is left of it, and a second one,
// due at once, takes the rest. Where no key is left behind the middle only the batch size is halved.
void split(Job &job, const pg::KeyQueries &bounds, Arena arena);

} // namespace bbm
