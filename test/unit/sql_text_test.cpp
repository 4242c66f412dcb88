#include "core/sql_text.hpp"

#include "heap_arena.hpp"

#include <gtest/gtest.h>

namespace bbm {
namespace {

TEST(SqlText, LastPartOfAName) {
    struct Case {
        Text name, last;
    };
    for (const auto &[name, last] : {Case{"orders", "orders"}, Case{"public.orders", "orders"},
                                     Case{"\"a.x\".\"b\"", "\"b\""}, Case{"s.\"we\"\".ird\"", "\"we\"\".ird\""}})
        EXPECT_EQ(last_part(name), last) << name;
}

TEST(SqlText, BothConditions) {
    HeapArena heap;
    EXPECT_EQ(both_conditions("", "", heap.arena()), "");
    EXPECT_EQ(both_conditions("a", "", heap.arena()), "a");
    EXPECT_EQ(both_conditions("", "b", heap.arena()), "b");
    EXPECT_EQ(both_conditions("a OR b", "c", heap.arena()), "(a OR b) AND (c)");
    EXPECT_EQ(both_conditions("a -- all", "b", heap.arena()), "(a -- all\n) AND (b)");
}

} // namespace
} // namespace bbm
