#include "core/clock_words.hpp"

#include <gtest/gtest.h>

namespace bbm {
namespace {

TEST(ClockWords, AreFoundWhereverTheServerReadsThem) {
    for (const Text literal : {"now", "NOW", " now ", "today 12:00", "12:00 Today", "{2024-01-01,tomorrow}",
                               "[yesterday,)", "(1,now)", "today1", "now()"})
        EXPECT_TRUE(names_the_clock(literal)) << literal;
}

TEST(ClockWords, OtherTextIsFixed) {
    for (const Text literal : {"", "2024-01-01", "infinity", "epoch", "allballs", "known", "nowhere", "Jan 8 1999",
                               "2024-01-01 00:00 Europe/Snowdon", "no w", "to-day"})
        EXPECT_FALSE(names_the_clock(literal)) << literal;
}

} // namespace
} // namespace bbm
