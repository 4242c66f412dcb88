#include "core/pass_log.hpp"

#include <gtest/gtest.h>

namespace bbm {
namespace {

PassLog log_of(int first_pass, int others) {
    PassLog log;
    for (int i = 0; i < first_pass; ++i)
        note_slice(log, 0, 100 + static_cast<unsigned>(i));
    for (int i = 0; i < others; ++i)
        note_slice(log, 1, 200 + static_cast<unsigned>(i));
    return log;
}

TEST(pass_log, nothing_is_before_the_first_pass) {
    EXPECT_EQ(to_be_cleared({}, 0, 2), 0U);
    EXPECT_EQ(to_be_cleared(log_of(3, 0), 0, 2), 0U);
}

// What a slice meets was left by the slices at the same place of the pass before.
TEST(pass_log, the_slice_at_the_same_place) {
    EXPECT_EQ(to_be_cleared(log_of(8, 0), 1, 2), 103U);
    EXPECT_EQ(to_be_cleared(log_of(8, 1), 1, 2), 107U);
    EXPECT_EQ(to_be_cleared(log_of(8, 2), 1, 2), 107U) << "one more than it should have";
    EXPECT_EQ(to_be_cleared(log_of(8, 2), 2, 2), 200U);
    EXPECT_EQ(to_be_cleared(log_of(8, 2), 2, 1), 201U);
    EXPECT_EQ(to_be_cleared(log_of(1, 0), 1, 4), 100U) << "the whole pass was one";
    EXPECT_EQ(to_be_cleared(log_of(8, 0), 1, 0), 107U);
}

TEST(pass_log, a_pass_without_rows_leaves_nothing) {
    EXPECT_EQ(to_be_cleared(log_of(8, 2), 3, 2), 0U);
    PassLog log = log_of(8, 2);
    note_slice(log, 4, 300);
    EXPECT_EQ(to_be_cleared(log, 4, 2), 0U);
}

TEST(pass_log, keeps_no_more_than_there_is_room_for) {
    const PassLog log = log_of(PassLog::kMost + 10, 0);
    EXPECT_EQ(log.now.count, PassLog::kMost);
    EXPECT_EQ(to_be_cleared(log, 1, 1), 100U + PassLog::kMost - 1);
}

TEST(patience, ends_after_three_waits_in_vain) {
    Patience patience;
    for (int i = 0; i < 10; ++i) {
        EXPECT_TRUE(waits(patience));
        note_wait(patience, i % 3 == 2);
    }
    note_wait(patience, false);
    note_wait(patience, false);
    EXPECT_FALSE(waits(patience));
}

TEST(patience, comes_back_later_each_time) {
    Patience patience;
    for (const int rest : {1, 2, 4, 8, 16, 32, 64, 64}) {
        for (int i = 0; i < 3; ++i)
            note_wait(patience, false);
        begin_window(patience);
        for (int i = 0; i < rest; ++i) {
            EXPECT_FALSE(waits(patience)) << rest;
            begin_window(patience);
        }
        EXPECT_TRUE(waits(patience)) << rest;
    }
    begin_window(patience);
    EXPECT_EQ(patience.rest, 0) << "a window without a wait in vain";
}

} // namespace
} // namespace bbm
