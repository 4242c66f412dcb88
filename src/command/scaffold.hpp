// bbm.scaffold: a script to start from.
#pragma once

#include "core/types.hpp"

namespace bbm {

// Runs as it is, from the first line to the last, with a command that changes nothing. Raises what queue() raises for
// the table and its key. An empty column name stands for the primary key.
Text scaffold(Text name, std::uint32_t table, Text column_name);

} // namespace bbm
