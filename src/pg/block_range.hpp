// Ranges of a walk over the blocks of a table, and of the sweep behind it. No query: the table's size says where they end.
#pragma once

#include "core/types.hpp"
#include "pg/key_query.hpp"

#include <optional>

namespace bbm::pg {

// As find_next_range and find_whole_range, for a key made by tid_key().
std::optional<NextRange> find_next_blocks(const KeyQueries &queries, Lower lower, Key upper, int keys, Arena arena);
std::optional<Range> find_all_blocks(std::uint32_t table, Arena arena);

} // namespace bbm::pg
