// What work costs besides time.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

// Written by this process so far.
std::int64_t wal_bytes();
// Blocks of the table, its indexes and its TOAST table; free space maps and the like are left out.
std::int64_t size_in_bytes(std::uint32_t table);

// As interval's output has it, in days and hours where there are that many; in the current memory context.
Text duration_text(Micros duration);

} // namespace bbm::pg
