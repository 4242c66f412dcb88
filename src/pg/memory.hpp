// Memory contexts as arenas. A context is the destructor of everything placed in it.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm::pg {

// A context of our own below TopMemoryContext, for what lives longer than a transaction.
struct Context {
    void *context; // a MemoryContext
    Arena arena() const;
    void reset() const;
    void enter() const; // makes it current
};

Context make_context(const char *name); // `name` must be a literal
Arena current_arena();

Text copy(Text text, Arena arena);
Key copy(Key key, Arena arena);
// NUL-terminated, in the current context, for calls that want C strings.
char *c_string(Text text);

// An array of `count` default-made elements in the arena.
template <class T> std::span<T> make_array(Arena arena, std::size_t count) {
    T *items = ArenaAllocator<T>(arena).allocate(count == 0 ? 1 : count);
    for (std::size_t i = 0; i < count; ++i)
        new (items + i) T();
    return {items, count};
}

} // namespace bbm::pg
