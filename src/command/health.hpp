// What the view bbm.health shows.
#pragma once

#include "core/arena.hpp"
#include "core/health.hpp"

namespace bbm {

// The server's indicators, or those of a table. The session keeps its samples: a rate is known from its second look on,
// a replay that stands still likewise.
Vector<Reading> &read_health_here(std::uint32_t table, Arena arena);

} // namespace bbm
