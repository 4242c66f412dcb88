// Who keeps the server from clearing away old versions of rows. As long as somebody may still want to read them a page
// has no room for new ones, and updates are not HOT.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

#include <cstdint>
#include <optional>

namespace bbm::pg {

struct Horizon {
    enum class Kind { session, prepared, slot, standby } kind;
    std::int64_t age; // transactions that have begun since
    Text since;       // when its transaction began, or was prepared; empty for the others
};

// The oldest of those who hold rows of this database: transactions that are open for more than a second, this one left
// out, prepared transactions, slots, and standbys that send feedback. Nothing if there is none, or the extension's
// owner may not see them.
std::optional<Horizon> find_horizon(Arena arena);

// This transaction's number; 0: it has written nothing.
std::uint32_t transaction_number();
// May everybody see what that transaction has left? Then what it has replaced can be cleared away.
bool is_behind_horizon(std::uint32_t transaction);

// The same, of what it has replaced in that table, which snapshots in other databases do not see.
bool is_behind_horizon_of(std::uint32_t table, std::uint32_t transaction);

// "a transaction is open since ...". Names no session, no standby and no slot.
Text describe(const Horizon &horizon);

} // namespace bbm::pg
