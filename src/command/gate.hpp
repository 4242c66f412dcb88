// Waiting for the end: finalize, ensure_finished, wait.
#pragma once

#include "core/types.hpp"

#include <optional>

namespace bbm {

// A function waits in its caller's transaction, whose snapshot it cannot give up. A procedure waits outside of any, and
// looks in transactions of its own.
enum class Waits { inside, outside };

// Has a worker bring the migration to its end and waits. Raises 55000 if it failed, was paused, or cannot be waited for
// because of what this transaction holds.
void finalize(std::int64_t id, Waits where);
// Confirms a finished migration; brings it to its end first if told to. Else raises 55000 with the command that helps.
void ensure_finished(std::int64_t id, bool may_finalize);
// True when it is finished, false when the time is over. Raises 55000 if it failed.
bool wait(std::int64_t id, std::optional<Micros> timeout, Waits where);

} // namespace bbm
