// Where a command names a table.
#pragma once

#include "core/mentions.hpp"
#include "core/types.hpp"

#include <optional>

namespace bbm::pg {

// Every place in which the text of one statement names the table, by the search_path that holds now; in the current
// memory context, in the order of the text. Nothing where one of them cannot be given another name. The names of types,
// strings (`'orders'::regclass`) and what functions do inside are no such places.
std::optional<std::span<const Mention>> find_mentions(Text command, std::uint32_t table);

// The same of a condition, as scope_to is one.
std::optional<std::span<const Mention>> find_mentions_in_condition(Text condition, std::uint32_t table);

} // namespace bbm::pg
