// What the rules for commands ask about an analysed command, beside the flow of the rows.
#pragma once

#include "core/command_rules.hpp"
#include "pg/range_command.hpp"

struct Query;

namespace bbm::pg {

// Of the statement as it was analysed, before rewriting.
void collect(Query *query, std::uint32_t table, CommandFacts &facts);

// Of the rewritten queries of a prepared plan (an SPIPlanPtr): rules are applied and views taken apart.
void collect_rewritten(void *plan, const RangeCommand &command, CommandFacts &facts);

// Is it something else than the one statement that it was prepared from, as it was rewritten last?
bool is_rewritten(void *plan);

} // namespace bbm::pg
