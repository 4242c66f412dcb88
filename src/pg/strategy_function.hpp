// Batching strategies of users': a function says where the next job ends.
//   f(table_name regclass, column_name text, after text, upper text, batch_size integer) RETURNS text
// `after` is the end of the last job, NULL at the first one; `upper` the last key of all. Keys are written as
// batch_min_value is. NULL means: all that is left.
// It may be asked more than once for the same job.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"
#include "pg/table_key.hpp"

namespace bbm::pg {

// Strategies of our own have no schema.
bool names_function(Text batching_strategy);

// Raises where the current user cannot call it, or it is no strategy.
void check_strategy_function(Text name);

struct JobBegin {
    std::uint32_t table;
    Text column_name;
    Key after;   // empty before the first job
    Range range; // of all jobs
    int batch_size;
};

// Calls the function as the current user. The end of the next job, or empty for all that is left. Raises 22023 for a
// key that leads nowhere or too far; errors of the function fly.
Key ask_for_end(Text function, const JobBegin &begin, const TableKey &key, Arena arena);

} // namespace bbm::pg
