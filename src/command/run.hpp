// CALL bbm.run: the engine in the caller's session.
#pragma once

#include "core/types.hpp"

#include <optional>

namespace bbm {

// One migration, or with no id all runnable ones of the caller. Outside of a transaction: it commits as it goes.
void run_here(std::optional<std::int64_t> id, std::optional<Micros> max_time);

} // namespace bbm
