// The facts behind the health indicators, read from the server.
#pragma once

#include "core/arena.hpp"
#include "core/health.hpp"
#include "core/types.hpp"

#include <optional>

namespace bbm::pg {

// Kept by a process from look to look: rates and lags need two samples.
struct HealthSampler {
    WalSample wal_rate;
    WalSample replica_mark;
};

// In a transaction. The indicators of the server; with a table also those of the table.
Vector<Reading> &read_health(HealthSampler &sampler, std::uint32_t table, Arena arena);
Reading read_vacuums(std::uint32_t table, Arena arena);

// Calls the function that bbm.health_function names, as the current user; nothing if it names none. In a background
// worker it is cancelled after a second and then left alone for half a minute. A client has his own statement_timeout,
// and his cancel request is an ERROR.
std::optional<Reading> read_users_indicator(std::uint32_t table, Arena arena);

} // namespace bbm::pg
