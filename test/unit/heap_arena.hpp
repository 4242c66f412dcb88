// An arena over malloc. It frees everything at its end, and can be told to run out of memory at one allocation.
#pragma once

#include "core/arena.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <vector>

namespace bbm {

class HeapArena {
public:
    explicit HeapArena(int fail_at_allocation = 0) : fail_at(fail_at_allocation) {}
    HeapArena(const HeapArena &) = delete;
    HeapArena &operator=(const HeapArena &) = delete;
    ~HeapArena() {
        for (void *block : blocks)
            std::free(block);
    }

    Arena arena() noexcept { return {&HeapArena::allocate, this}; }
    // The failed one included.
    int allocations() const { return count; }

private:
    static void *allocate(void *self, std::size_t bytes) noexcept {
        auto &heap = *static_cast<HeapArena *>(self);
        if (++heap.count == heap.fail_at)
            return nullptr;
        void *block = std::malloc(bytes == 0 ? 1 : bytes);
        heap.blocks.push_back(block);
        return block;
    }

    int fail_at;
    int count = 0;
    std::vector<void *> blocks;
};

// Runs body(arena) with the first allocation failing, then the second, and so on until it gets all that it asks for.
// Each failure must leave as std::bad_alloc, at once. Returns the number of allocations that body needs.
template <class Body> int sweep_out_of_memory(Body body) {
    constexpr int more_than_any_body_needs = 1000;
    for (int failing = 1; failing < more_than_any_body_needs; ++failing) {
        HeapArena heap(failing);
        try {
            body(heap.arena());
        } catch (const std::bad_alloc &) {
            EXPECT_EQ(heap.allocations(), failing) << "went on after the failed allocation";
            continue;
        } catch (const std::exception &other) {
            ADD_FAILURE() << "allocation " << failing << " failed as: " << other.what();
            return failing;
        }
        EXPECT_LT(heap.allocations(), failing) << "the failed allocation went unnoticed";
        return heap.allocations();
    }
    ADD_FAILURE() << "never succeeds";
    return more_than_any_body_needs;
}

} // namespace bbm
