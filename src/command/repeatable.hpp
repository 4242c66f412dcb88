// What bbm.is_repeatable() says.
#pragma once

#include "core/command_rules.hpp"

namespace bbm {

// The facts about a command that is not queued. Raises what queue() would raise of its text and its analysis.
CommandFacts judge_command(Text command, std::uint32_t table, Text scope_to);

} // namespace bbm
