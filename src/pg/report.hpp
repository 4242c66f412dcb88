// Errors and notices, PostgreSQL style: a message in lower case without a full stop, DETAIL and HINT as sentences.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

// Raises the refusal as an ERROR; returns if there is none.
void raise_if(const Refusal &refusal);
[[noreturn]] void raise(const Refusal &refusal);
// Raises what was caught earlier, with all its parts.
[[noreturn]] void raise(const Failure &failure);

enum class Level { log, notice, warning };
void report(Level level, Text message, Text detail = {}, Text hint = {});

// printf into the current memory context.
Text format(const char *pattern, ...) __attribute__((format(printf, 1, 2)));
// For "%.*s".
inline int width(Text text) { return static_cast<int>(text.size()); }

} // namespace bbm::pg
