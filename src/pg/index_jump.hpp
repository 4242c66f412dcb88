// A key so many keys further on, as the inner pages of the walk's index tell: about so many, and without reading the
// keys in between, which is what the exact search does.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"
#include "pg/table_key.hpp"

namespace bbm::pg {

struct IndexJump {
    enum class Landing {
        unknown, // too near, or the index does not tell: the exact search does
        on_key,
        behind_all, // there are fewer keys than that
    } landing = Landing::unknown;
    Key key = {}; // may be that of a dead row
};

// From a key of the table on. The caller holds a lock on the table and an active snapshot.
IndexJump jump(std::uint32_t table, std::span<const KeyColumn> key, const bool *descends, Key from, int keys,
               Arena arena);

} // namespace bbm::pg
