// What may be worked out for constants although nobody asked for it: it raises no error, and nothing of the user's is
// run.
#pragma once

#include <cstdint>

namespace bbm::pg {

bool can_fold_function(std::uint32_t function);
bool can_fold_operator(std::uint32_t operator_, std::uint32_t collation);

} // namespace bbm::pg
