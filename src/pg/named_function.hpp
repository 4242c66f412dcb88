// Functions of users' that bbm calls. They are named with their schema: nobody's search_path may choose another one.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

struct Signature {
    std::span<const std::uint32_t> arguments; // types
    std::uint32_t result;
};

// The number of the function with exactly these arguments, if it is one that the current user may call for one value.
// 22023 for a name that is none, 42883, 42501.
Refusal find_function(Text name, const Signature &signature, std::uint32_t &function);

} // namespace bbm::pg
