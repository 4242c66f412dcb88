// Does an UPDATE leave rows behind that its own condition lets pass no more?
#pragma once

#include "core/types.hpp"

#include <optional>
#include <span>

struct Bitmapset;
struct Node;
struct Query;

namespace bbm::pg {

// What an UPDATE makes of a row.
struct Assignments {
    const Query *query;
    std::span<Node *const> values; // by number of the column; nullptr where it keeps its value
    Bitmapset *written;            // those columns and what is generated from them, as pull_varattnos() numbers them
};

// Some condition that all rows have to meet cannot be true for any row that has just been changed. Only comparisons of
// the server's own are worked out, so nothing raises an error and nothing of the user's is run.
bool excludes_done_rows(const Assignments &assignments);

// Does it depend on what is assigned? System columns change with every version of a row, and a row as a whole has
// everything in it. The number of such a column, 0 for the row, or nothing.
std::optional<int> find_written(const Assignments &assignments, Node *expression);

} // namespace bbm::pg
