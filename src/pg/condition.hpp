// Conditions as text become part of an analysed query: the range of the key, and scope_to.
#pragma once

#include "pg/flow.hpp"
#include "pg/range_command.hpp"

namespace bbm::pg {

void add_conditions(const RangeCommand &command, Target target);
// The scope alone, where there is one.
void add_scope(const RangeCommand &command, Target target);

} // namespace bbm::pg
