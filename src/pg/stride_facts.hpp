// What the catalogs and the statistics say about walking a table in passes.
#pragma once

#include "core/command_rules.hpp"
#include "core/strides.hpp"
#include "pg/range_command.hpp"

namespace bbm::pg {

// Of the command with what inspect() has told about it, and of its table as it is now. Texts live in the current memory
// context. The caller holds a lock on the table, or takes what it finds for a guess.
StrideFacts stride_facts(const RangeCommand &command, const CommandFacts &facts);

} // namespace bbm::pg
