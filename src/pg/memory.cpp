#include "pg/memory.hpp"

#include <cstring>

extern "C" {
#include "postgres.h"

#include "utils/memutils.h"
}

namespace bbm::pg {

namespace {

void *allocate_in(void *context, std::size_t bytes) noexcept {
    if (!AllocSizeIsValid(bytes))
        return nullptr;
    return MemoryContextAllocExtended(static_cast<MemoryContext>(context), bytes, MCXT_ALLOC_NO_OOM);
}

} // namespace

Arena Context::arena() const { return {allocate_in, context}; }
void Context::reset() const { MemoryContextReset(static_cast<MemoryContext>(context)); }
void Context::enter() const { MemoryContextSwitchTo(static_cast<MemoryContext>(context)); }

Context make_context(const char *name) {
    return {AllocSetContextCreateInternal(TopMemoryContext, name, ALLOCSET_DEFAULT_SIZES)};
}

Arena current_arena() { return {allocate_in, CurrentMemoryContext}; }

Text copy(Text text, Arena arena) {
    if (text.data() == nullptr)
        return {};
    char *bytes = ArenaAllocator<char>(arena).allocate(text.size() + 1);
    std::memcpy(bytes, text.data(), text.size());
    bytes[text.size()] = '\0';
    return {bytes, text.size()};
}

Key copy(Key key, Arena arena) {
    const auto parts = make_array<Text>(arena, key.size());
    for (std::size_t i = 0; i < key.size(); ++i)
        parts[i] = copy(key[i], arena);
    return parts;
}

char *c_string(Text text) { return pnstrdup(text.data() == nullptr ? "" : text.data(), text.size()); }

} // namespace bbm::pg
