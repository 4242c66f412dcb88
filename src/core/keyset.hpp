// The text of the queries that walk a table by its key: which keys do the next `n` rows span? And of the condition that
// restricts a command to a range. Every operator is named with its schema: nothing depends on a search_path.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm {

// A column of the key as its index sorts it; operators are qualified, as in `pg_catalog.<`.
struct WalkColumn {
    Text name;      // plain
    Text type;      // a name that a cast accepts
    Text collation; // the index's, qualified and quoted; empty where the type has none
    Text less;
    Text less_or_equal;
    Text equal;
    Text greater_or_equal;
    Text greater;
    bool is_descending = false; // among others that are not
    bool nulls_first = false;   // there are none, but the planner takes an index for sorted only if it says the same
    bool may_be_null = false;   // and is in no range then; only where values are walked
};

struct KeyWalk {
    Text table; // as FROM names it: qualified and quoted, with ONLY and an alias where they are needed
    std::span<const WalkColumn> columns;
    Text scope = {}; // a condition: only rows that meet it count as keys; empty for all rows
    Walk walk = Walk::keys;
};

enum class LowerBound { inclusive, exclusive };

// Parameters: the lower bound's parts, the upper bound's parts (inclusive), then the number of keys minus one.
// One row if there is any key in between: first key, and the key that many rows further, or NULLs when there are fewer.
// Where values are walked, equal keys count as one.
Text next_range_query(const KeyWalk &walk, LowerBound lower, Arena arena);

// No parameters, no scope. One row: the first and the last key, or no row when the table is empty.
Text whole_range_query(const KeyWalk &walk, Arena arena);

// Parameters: the lower bound's parts, then those of the upper bound (inclusive). Place, xmin and key of all rows in
// between, in the order of the walk; no scope.
Text window_query(const KeyWalk &walk, LowerBound lower, Arena arena);

// No parameters, so that the planner sees the bounds. What (an expression, or nothing) of all keys of the walk, or of
// those in the range.
Text keys_query(const KeyWalk &walk, Text what, const Range *range, Arena arena);

// Parameters: the parts of the first key, then those of the last one, both inclusive.
Text range_condition(const KeyWalk &walk, Arena arena);

// The rows that are in no range; empty if there can be none.
Text null_condition(const KeyWalk &walk, Arena arena);

} // namespace bbm
