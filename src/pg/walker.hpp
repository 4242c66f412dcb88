// The server's tree walkers take a function that is declared without parameters, which C++ reads as "none"; since 16
// they cast what they are given themselves.
#pragma once

struct Node;

namespace bbm::pg {

using Walker = bool (*)();

inline Walker walker(bool (*function)(Node *, void *)) {
    return reinterpret_cast<Walker>(reinterpret_cast<void (*)()>(function));
}

} // namespace bbm::pg
