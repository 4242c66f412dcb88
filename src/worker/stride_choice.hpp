// How a part is walked, in passes or plainly: its command and its table are looked at, core/strides decides.
#pragma once

#include "core/strides.hpp"
#include "pg/range_command.hpp"

namespace bbm {

// The current user is the owner, or acts as him: the command is analysed. What is returned lives in the current memory
// context.
StrideFacts look_at_strides(const pg::RangeCommand &command);
Strides choose_strides(const pg::RangeCommand &command);

// Who keeps old versions of rows from being cleared away, in words; empty for nobody. In the current memory context.
Text horizon_holder();

// "in 8 passes over windows of 8192 keys: ...", and who is in their way now.
Text walk_text(const Strides &strides);

} // namespace bbm
