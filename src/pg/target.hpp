// Where the range goes in an analysed command, and what decides whether it may be cut into ranges.
#pragma once

#include "core/command_rules.hpp"
#include "pg/range_command.hpp"

struct Query;

namespace bbm::pg {

// A query, and the index of the migration's table in its range table. 0: the command does not work on that table.
struct Target {
    Query *query;
    int index;
};

Target find_target(Query *query, std::uint32_t table);

void collect(Query *query, Target target, const RangeCommand &command, CommandFacts &facts);

// How often the table stands in the rewritten queries of a prepared plan (an SPIPlanPtr), and whether rules changed it.
void count_references(void *plan, std::uint32_t table, CommandFacts &facts);

} // namespace bbm::pg
