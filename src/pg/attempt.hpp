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
bool attempt_inside(void (*body)(void *), void *argument, Arena keep, Failure &failure);
void rolled_back(void (*body)(void *), void *argument);

template <class Body> void call(void *body) {
    guarded([body] { (*static_cast<Body *>(body))(); });
}
} // namespace detail

// Cancel requests are live in the body and held when it has ended. Runs the body, which opens and commits its own
// transaction. On an error the transaction is aborted (which also frees our session locks, see locks.hpp) and the error
// comes back, copied into `keep`. Not to be nested.
template <class Body> std::optional<Failure> attempt(Arena keep, Body &&body) {
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>);
    using Plain = std::remove_reference_t<Body>;
    Failure failure;
    if (detail::attempt(detail::call<Plain>, &body, keep, failure))
        return std::nullopt;
    return failure;
}

// The same inside of a transaction, which goes on: what the body did before its error is undone, nothing else. Cancel
// requests are live in the body; one that the caller owes his client an ERROR for comes back as 57014. May stand inside
// of attempt() and of itself.
template <class Body> std::optional<Failure> attempt_inside(Arena keep, Body &&body) {
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>);
    using Plain = std::remove_reference_t<Body>;
    Failure failure;
    if (detail::attempt_inside(detail::call<Plain>, &body, keep, failure))
        return std::nullopt;
    return failure;
}

// Inside of a transaction, which goes on: whatever the body did is undone, error or not. An error then flies on; left
// to itself it would leave the subtransaction open.
template <class Body> void rolled_back(Body &&body) {
    static_assert(std::is_trivially_destructible_v<std::remove_reference_t<Body>>);
    detail::rolled_back(detail::call<std::remove_reference_t<Body>>, &body);
}

} // namespace bbm::pg
