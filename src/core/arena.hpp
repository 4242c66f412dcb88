// Memory for containers, without knowing where it comes from. In the server an arena is a memory context: resetting the
// context is the destructor, so a container is *placed* in an arena and never a local of a frame that PostgreSQL can
// jump over. In tests an arena is malloc.
#pragma once

#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>

#include <cstddef>
#include <limits>
#include <new>
#include <string_view>

namespace bbm {

struct Arena {
    void *(*allocate)(void *self, std::size_t bytes) noexcept; // nullptr when there is no memory; never raises
    void *self;
};

template <class T> class ArenaAllocator {
public:
    using value_type = T;

    explicit ArenaAllocator(Arena source) noexcept : arena(source) {}
    template <class U> ArenaAllocator(const ArenaAllocator<U> &other) noexcept : arena(other.arena) {}

    T *allocate(std::size_t count) {
        if (count > std::numeric_limits<std::size_t>::max() / sizeof(T))
            throw std::bad_alloc();
        void *memory = arena.allocate(arena.self, count * sizeof(T));
        if (memory == nullptr)
            throw std::bad_alloc();
        return static_cast<T *>(memory);
    }
    void deallocate(T *, std::size_t) noexcept {} // the arena frees everything at once

    template <class U> bool operator==(const ArenaAllocator<U> &other) const noexcept {
        return arena.self == other.arena.self;
    }

    Arena arena;
};

template <class T> using Vector = boost::container::vector<T, ArenaAllocator<T>>;
using String = boost::container::basic_string<char, std::char_traits<char>, ArenaAllocator<char>>;

// A container that lives as long as its arena; only the reference stands on the stack.
template <class Container> Container &make(Arena arena) {
    void *memory = arena.allocate(arena.self, sizeof(Container));
    if (memory == nullptr)
        throw std::bad_alloc();
    return *new (memory) Container(typename Container::allocator_type(arena));
}

inline std::string_view view(const String &text) { return {text.data(), text.size()}; }

} // namespace bbm
