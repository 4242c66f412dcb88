// How the rows of the migration's table flow through an analysed statement: from the one query that reads, updates or
// deletes them, through FROM clauses, subqueries and WITH clauses, to everything that the statement changes. The range
// goes into that one query; it may go there only if nothing on the way looks at more than one row.
#pragma once

#include "core/command_rules.hpp"

struct Query;

namespace bbm::pg {

// A query, and the index of the migration's table in its range table. 0: the command does not work on that table.
struct Target {
    Query *query;
    int index;
};

// Fills in what the facts say about the flow.
Target find_target(Query *query, std::uint32_t table, CommandFacts &facts);

} // namespace bbm::pg
