// The server's tree walkers and mutators take a function that is declared without parameters, which C++ reads as "none";
// since 16 they cast what they are given themselves.
#pragma once

struct Node;

namespace bbm::pg {

using Walker = bool (*)();
using Mutator = Node *(*)();

inline Walker walker(bool (*function)(Node *, void *)) {
    return reinterpret_cast<Walker>(reinterpret_cast<void (*)()>(function));
}

inline Mutator mutator(Node *(*function)(Node *, void *)) {
    return reinterpret_cast<Mutator>(reinterpret_cast<void (*)()>(function));
}

} // namespace bbm::pg
