// Listens to the analysis of one statement of ours: tells what it is, and adds the range of keys to it. The server
// analyses a prepared statement again whenever a table changes, so listening goes on until the statement is released.
#pragma once

#include "core/command_rules.hpp"
#include "pg/range_command.hpp"

namespace bbm::pg {

// `text` is what will be analysed; it and the command stay valid until unwatch(). Without `facts` nothing is collected.
void watch(const char *text, const RangeCommand &command, CommandFacts *facts);
void unwatch();
// Has the watched statement come by since the last call? A restriction that was not added must never be run.
bool take_seen();

// How often the table stands in the rewritten queries of a prepared plan (an SPIPlanPtr), and whether rules changed it.
void count_references(void *plan, std::uint32_t table, CommandFacts &facts);

} // namespace bbm::pg
