// The text of the queries that walk a table by its key: which keys do the next `n` rows span?
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm {

struct KeyWalk {
    Text table;      // qualified and quoted
    Key columns;     // plain names
    Key types;       // names that a cast accepts
    Text scope = {}; // a condition: only rows that meet it count as keys; empty for all rows
};

enum class LowerBound { inclusive, exclusive };

// Parameters: the lower bound's parts, the upper bound's parts (inclusive), then the number of keys minus one.
// One row if there is any key in between: first key, and the key that many rows further, or NULLs when there are fewer.
Text next_range_query(const KeyWalk &walk, LowerBound lower, Arena arena);

// No parameters, no scope. One row: the smallest and the greatest key, or no row when the table is empty.
Text whole_range_query(const KeyWalk &walk, Arena arena);

// No parameters, so that the planner sees the bounds. What (an expression, or nothing) of all keys of the walk, or of
// those in the range.
Text keys_query(const KeyWalk &walk, Text what, const Range *range, Arena arena);

} // namespace bbm
