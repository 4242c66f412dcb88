// Small pieces of SQL text.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm {

// The part behind the last dot of a qualified, quoted name, as it is written: `"b"` of `"a.x"."b"`.
Text last_part(Text qualified_name);

// One condition that holds where both do; empty where both are.
Text both_conditions(Text a, Text b, Arena arena);

} // namespace bbm
