// Gives way to a server in trouble: looks at the health indicators before every sub-batch, and puts the migration on
// hold while one of them says stop.
#pragma once

#include "worker/session.hpp"

#include <optional>

namespace bbm {

struct Stop {
    Text indicator;
    Text reason; // both until the next look
};

// The indicator that says stop, if any. Reads them once a second; whoever finalizes does not ask. Opens its own
// transaction.
std::optional<Stop> look_at_health(const Session &session, const Migration &migration, const Part &part);

// Writes the hold down and waits for its end: until the indicators are clear, for ten minutes at the longest, or until
// the session's deadline. Comes back sooner if the migration is not to run any more, or is to be finalized. False if
// another migration has taken the place meanwhile.
bool wait_on_hold(const Session &session, const Migration &migration, const Part &part, const Stop &stop);

} // namespace bbm
