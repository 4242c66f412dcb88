// The one catch of PostgreSQL errors. A failed sub-batch is a value that the retry rule looks at; every other error
// flies and ends the process or the caller's statement, since all state is in the tables.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"
#include "pg/guard.hpp"

#include <optional>

namespace bbm::pg {

namespace detail {
bool attempt(void (*body)(void *), void *argument, Arena keep, Failure &failure);
}

// Cancel requests are live in the body and held when it has ended. Runs the body, which opens and commits its own
// transaction. On an error the transaction is aborted (which also frees our session locks, see locks.hpp) and the error
// comes back, copied into `keep`. Not to be nested.
template <class Body> std::optional<Failure> attempt(Arena keep, Body &&body) {
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>);
    using Plain = std::remove_reference_t<Body>;
    Failure failure;
    const bool succeeded = detail::attempt(
        [](void *argument) { guarded([argument] { (*static_cast<Plain *>(argument))(); }); }, &body, keep, failure);
    if (succeeded)
        return std::nullopt;
    return failure;
}

} // namespace bbm::pg
