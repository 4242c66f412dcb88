// Conditions as text become part of an analysed query: the range of the key, and scope_to.
#pragma once

#include "pg/range_command.hpp"
#include "pg/target.hpp"

namespace bbm::pg {

void add_range(const RangeCommand &command, Target target);
void add_scope(const RangeCommand &command, Target target);

} // namespace bbm::pg
