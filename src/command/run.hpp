// CALL bbm.run: the engine in the caller's session.
#pragma once

#include "core/types.hpp"

#include <optional>

namespace bbm {

// One migration, or with no id all runnable ones of the caller. Outside of a transaction: it commits as it goes.
void run_here(std::optional<std::int64_t> id, std::optional<Micros> max_time);

// The commands of migrations run with the rights of the session, so that it must be one of the owner's own. Raise
// 42501; check_session also raises where nothing runs at all. `what` is the call, for the message.
void check_session(const char *what);
void check_is_owner(const Migration &migration);

} // namespace bbm
