// The columns of a table that an analysed command reads or writes. A migration stops when one of them has become
// another one: the command may mean something else now.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

// Of all queries of the statement (a Query): name, type, name, type ... in the order of the table; in the current
// memory context.
Key used_columns(const void *query, std::uint32_t table);

// Raises 42804 if one of `known` is used no more or has another type; integers may become wider. Others may have come;
// those of the key are looked at elsewhere.
void check_used_columns(Key known, Key now, Key key, std::uint32_t table);

} // namespace bbm::pg
