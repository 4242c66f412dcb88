#include "heap_arena.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

namespace bbm {
namespace {

TEST(arena, make_places_the_container_and_its_memory_in_the_arena) {
    HeapArena heap;
    auto &numbers = make<Vector<std::int64_t>>(heap.arena());
    EXPECT_EQ(heap.allocations(), 1);
    EXPECT_TRUE(numbers.empty());
    numbers.push_back(7);
    EXPECT_EQ(heap.allocations(), 2);
    EXPECT_EQ(numbers.get_allocator().arena.self, heap.arena().self);
}

TEST(arena, containers_made_side_by_side_do_not_share) {
    HeapArena heap;
    auto &first = make<String>(heap.arena());
    auto &second = make<String>(heap.arena());
    first.append("first");
    second.append("second");
    EXPECT_EQ(view(first), "first");
    EXPECT_EQ(view(second), "second");
}

TEST(arena, a_vector_keeps_its_values_while_it_grows) {
    HeapArena heap;
    auto &numbers = make<Vector<int>>(heap.arena());
    for (int i = 0; i < 10'000; ++i)
        numbers.push_back(i * 3);
    ASSERT_EQ(numbers.size(), 10'000u);
    for (int i = 0; i < 10'000; ++i)
        ASSERT_EQ(numbers[static_cast<std::size_t>(i)], i * 3);
    EXPECT_LT(heap.allocations(), 100) << "growth must be geometric";
}

TEST(arena, a_string_keeps_its_text_while_it_grows) {
    HeapArena heap;
    auto &text = make<String>(heap.arena());
    std::string expected;
    for (int i = 0; i < 10'000; ++i) {
        const char letter = static_cast<char>('a' + i % 26);
        text.push_back(letter);
        expected.push_back(letter);
    }
    EXPECT_EQ(view(text), expected);
    EXPECT_STREQ(text.c_str(), expected.c_str());
    EXPECT_LT(heap.allocations(), 100) << "growth must be geometric";
}

TEST(arena, view_shows_the_whole_text) {
    HeapArena heap;
    auto &text = make<String>(heap.arena());
    EXPECT_TRUE(view(text).empty());
    text.append("a\0b", 3);
    EXPECT_EQ(view(text), std::string_view("a\0b", 3));
    EXPECT_EQ(static_cast<const void *>(view(text).data()), static_cast<const void *>(text.data()));
}

TEST(arena, giving_memory_back_does_nothing) {
    HeapArena heap;
    ArenaAllocator<int> allocator(heap.arena());
    int *numbers = allocator.allocate(2);
    numbers[0] = 1;
    numbers[1] = 2;
    allocator.deallocate(numbers, 2);
    EXPECT_EQ(numbers[0] + numbers[1], 3);
}

TEST(arena, allocators_are_equal_when_they_share_an_arena) {
    HeapArena one, other;
    const ArenaAllocator<int> first(one.arena()), second(one.arena()), foreign(other.arena());
    const ArenaAllocator<char> rebound(first);
    EXPECT_TRUE(first == second);
    EXPECT_TRUE(first == rebound);
    EXPECT_FALSE(first == foreign);
    EXPECT_TRUE(first != foreign);
    EXPECT_EQ(rebound.arena.self, one.arena().self);
}

TEST(arena, a_count_that_overflows_is_out_of_memory) {
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    HeapArena heap;
    ArenaAllocator<std::int64_t> wide(heap.arena());
    ArenaAllocator<std::array<char, 24>> odd(heap.arena());
    EXPECT_THROW((void)wide.allocate(most), std::bad_alloc);
    EXPECT_THROW((void)wide.allocate(most / 8 + 1), std::bad_alloc);
    EXPECT_THROW((void)odd.allocate(most / 24 + 1), std::bad_alloc);
    EXPECT_EQ(heap.allocations(), 0) << "the arena must not be asked for a wrapped size";
}

TEST(arena, a_null_from_the_arena_is_out_of_memory) {
    HeapArena heap(1);
    EXPECT_THROW((void)ArenaAllocator<int>(heap.arena()).allocate(1), std::bad_alloc);
    HeapArena again(1);
    EXPECT_THROW((void)make<String>(again.arena()), std::bad_alloc);
}

// What it throws depends on the version of Boost; that the guard can catch it does not.
TEST(arena, an_absurd_size_is_an_exception) {
    HeapArena heap;
    auto &text = make<String>(heap.arena());
    EXPECT_THROW(text.reserve(text.max_size() + 1), std::exception);
    auto &numbers = make<Vector<int>>(heap.arena());
    EXPECT_THROW(numbers.reserve(numbers.max_size() + 1), std::exception);
}

TEST(arena, a_container_survives_a_failed_growth) {
    HeapArena heap(3); // the container, its first block, then nothing
    auto &numbers = make<Vector<int>>(heap.arena());
    numbers.reserve(4);
    while (numbers.size() < numbers.capacity())
        numbers.push_back(static_cast<int>(numbers.size()));
    const std::size_t before = numbers.size();
    EXPECT_THROW(numbers.push_back(-1), std::bad_alloc);
    ASSERT_EQ(numbers.size(), before);
    for (std::size_t i = 0; i < before; ++i)
        EXPECT_EQ(numbers[i], static_cast<int>(i));
}

TEST(arena, memory_is_aligned_for_what_it_holds) {
    HeapArena heap;
    for (int i = 0; i < 16; ++i) {
        auto &numbers = make<Vector<double>>(heap.arena());
        numbers.push_back(1.0);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&numbers) % alignof(Vector<double>), 0u);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(numbers.data()) % alignof(double), 0u);
    }
}

TEST(arena, every_failing_allocation_is_met_once) {
    const int needed = sweep_out_of_memory([](Arena arena) {
        auto &numbers = make<Vector<int>>(arena);
        for (int i = 0; i < 1000; ++i)
            numbers.push_back(i);
        auto &text = make<String>(arena);
        text.append(std::string(1000, 'x').c_str());
    });
    EXPECT_GE(needed, 5);
}

// The helper is what the other tests lean on, so it is shown to catch what it is for.
TEST(heap_arena, fails_only_at_the_allocation_it_was_told) {
    HeapArena heap(2);
    const Arena arena = heap.arena();
    EXPECT_NE(arena.allocate(arena.self, 8), nullptr);
    EXPECT_EQ(arena.allocate(arena.self, 8), nullptr);
    EXPECT_NE(arena.allocate(arena.self, 0), nullptr);
    EXPECT_EQ(heap.allocations(), 3);
}

TEST(heap_arena, the_blocks_can_be_written_to_their_end) {
    HeapArena heap;
    const Arena arena = heap.arena();
    for (std::size_t bytes : {1u, 7u, 64u, 100'000u}) {
        void *block = arena.allocate(arena.self, bytes);
        ASSERT_NE(block, nullptr);
        std::memset(block, 0xAB, bytes);
    }
}

} // namespace
} // namespace bbm
