#include "core/stride_course.hpp"

#include "heap_arena.hpp"

#include <gtest/gtest.h>

#include <string>

namespace bbm {
namespace {

constexpr Strides kEight = {.passes = 8, .window_keys = 20480};
constexpr Text kNobody = {};

WindowSample hot(int per_cent) { return {20'000, 200 * per_cent}; }

struct Walker {
    Strides strides = kEight;
    StrideCourse course = {};
    HeapArena heap = HeapArena();

    // Walks as many keys as a window has, which shows so much; what was said, or "plain" if there was none.
    std::string window(int per_cent, Text holder = kNobody) { return window(hot(per_cent), holder); }
    std::string window(WindowSample sample, Text holder = kNobody) {
        sample.slices = slices();
        if (!takes_window(course, strides)) {
            note_range(course, strides, strides.window_keys, strides.window_keys);
            return "plain";
        }
        return std::string(note_window(course, strides, sample, holder, heap.arena()));
    }
    int slices(int workers = 1) const { return next_window(course, strides, workers).slices; }
    int plain_windows() const {
        int count = 0;
        for (StrideCourse ahead = course; !takes_window(ahead, strides) && count < 1000; ++count)
            note_range(ahead, strides, strides.window_keys, strides.window_keys);
        return count;
    }
    void pass_rest() {
        while (plain_windows() > 0)
            EXPECT_EQ(window(0), "plain");
    }
};

// A pass of a usual size is no more than its slices, though passes are not equal.
TEST(stride_course, slices_of_a_window) {
    EXPECT_EQ(slice_keys(8000, {8, 1, 8000}).others, 1251);
    EXPECT_EQ(slice_keys(8000, {8, 1, 8000}).first_pass, 1251);
    EXPECT_EQ(slice_keys(8000, {8, 2, 8000}).others, 626);
    EXPECT_EQ(slice_keys(8000, {8, 2, 8000}).first_pass, 157) << "rows that move take longer, and others wait for them";
    EXPECT_EQ(slice_keys(8000, {1, 1, 8000}).others, 10'001);
    EXPECT_EQ(slice_keys(0, {16, 8, 8000}).first_pass, 1);
    EXPECT_EQ(slice_keys(0, {16, 8, 8000}).others, 1);
}

TEST(stride_course, goes_on_while_it_pays) {
    Walker walker;
    for (int i = 0; i < 200; ++i)
        EXPECT_EQ(walker.window(i % 2 == 0 ? 20 : 80), "") << "one poor window is no reason";
    EXPECT_EQ(walker.window(0), "");
    EXPECT_EQ(walker.window(30), "") << "a third of what 8 passes allow";
    EXPECT_EQ(walker.window(0), "");
}

TEST(stride_course, rests_longer_each_time) {
    Walker walker;
    EXPECT_EQ(walker.window(3), "");
    EXPECT_EQ(walker.window(3, "a transaction is open since 12:00"),
              "only 3 % of the updates are HOT: old snapshots hold back pruning (a transaction is open since 12:00)");
    for (const int rest : {8, 16, 32, 64, 64, 64}) {
        EXPECT_EQ(walker.plain_windows(), rest);
        walker.pass_rest();
        EXPECT_EQ(walker.window(3), "") << "it was said once";
    }
}

TEST(stride_course, rests_by_keys) {
    Walker walker;
    walker.window(0);
    walker.window(0);
    note_range(walker.course, walker.strides, kEight.window_keys - 1, 0);
    EXPECT_EQ(walker.course.plain_windows, 8);
    note_range(walker.course, walker.strides, kEight.window_keys + 1, 0);
    EXPECT_EQ(walker.course.plain_windows, 6);
}

// Whoever is known to be in the way is waited for, and nothing is tried before.
TEST(stride_course, rests_while_an_old_snapshot_is_there) {
    Walker walker;
    const WindowSample held = {.rows = 20'000, .hot = 0, .keys = 20'000, .began = 7, .is_held = true};
    EXPECT_EQ(walker.window(held), "only 0 % of the updates are HOT: old snapshots hold back pruning") << "one is enough";
    EXPECT_EQ(walker.course.held_since, 7u);
    EXPECT_EQ(walker.plain_windows(), 1000) << "for ever";
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(walker.window(0), "plain");
    walker.course.held_since = 0;
    EXPECT_EQ(walker.window(held), "") << "it was said";
    walker.course.held_since = 0;
    EXPECT_EQ(walker.plain_windows(), 16) << "others come again and again";
    walker.pass_rest();
    EXPECT_EQ(walker.window({.rows = 20'000, .hot = 16'000, .keys = 20'000, .began = 9, .is_held = true}), "");
    EXPECT_EQ(walker.plain_windows(), 0) << "whoever is about, passes pay";

    Walker wanted = {.strides = {.passes = 8, .window_keys = 20480, .is_given = true}};
    EXPECT_EQ(wanted.window(held), "");
    EXPECT_EQ(wanted.plain_windows(), 0) << "a person wants passes";
}

TEST(stride_course, comes_back) {
    Walker walker;
    EXPECT_EQ(walker.window(0), "");
    EXPECT_EQ(walker.window(0), "only 0 % of the updates are HOT");
    walker.pass_rest();
    EXPECT_EQ(walker.window(0), "");
    walker.pass_rest();
    EXPECT_EQ(walker.window(80), "");
    EXPECT_EQ(walker.plain_windows(), 0);
    EXPECT_EQ(walker.window(0), "");
    EXPECT_EQ(walker.window(0), "only 0 % of the updates are HOT") << "a new change is told of";
    EXPECT_EQ(walker.plain_windows(), 8);
}

TEST(stride_course, no_windows_where_few_rows_are_changed) {
    Walker walker;
    HeapArena heap;
    const auto changed = [&](std::int64_t rows, std::int64_t keys) {
        return std::string(note_window(walker.course, walker.strides, {rows, rows, keys}, kNobody, heap.arena()));
    };
    EXPECT_EQ(changed(0, 255), "") << "too few to tell";
    EXPECT_EQ(changed(1250, 20'000), "");
    EXPECT_FALSE(walker.course.is_sparse);
    EXPECT_EQ(changed(1249, 20'000), "few of its rows are changed");
    EXPECT_TRUE(walker.course.is_sparse);
    note_range(walker.course, walker.strides, 100'000, 12'499);
    EXPECT_TRUE(walker.course.is_sparse);
    note_range(walker.course, walker.strides, 255, 255);
    EXPECT_TRUE(walker.course.is_sparse) << "too few to tell";
    note_range(walker.course, walker.strides, 100'000, 12'500);
    EXPECT_FALSE(walker.course.is_sparse);
    EXPECT_EQ(changed(0, 20'000), "") << "it was said once";
    EXPECT_TRUE(walker.course.is_sparse);

    Walker wanted = {.strides = {.passes = 8, .window_keys = 20480, .is_given = true}};
    EXPECT_EQ(note_window(wanted.course, wanted.strides, {0, 0, 20'000}, kNobody, heap.arena()), "");
    EXPECT_FALSE(wanted.course.is_sparse) << "a person wants passes";
}

TEST(stride_course, few_passes_allow_less) {
    Walker walker = {.strides = {.passes = 2, .window_keys = 20480}};
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(walker.window(20), "");
    EXPECT_EQ(walker.window(10), "");
    EXPECT_EQ(walker.window(10), "only 10 % of the updates are HOT");
}

TEST(stride_course, a_person_s_number_stays) {
    Walker walker = {.strides = {.passes = 8, .window_keys = 20480, .is_given = true}};
    for (int i = 0; i < 10; ++i)
        EXPECT_EQ(walker.window(0), "");
}

TEST(stride_course, looks_for_somebody_in_the_way) {
    EXPECT_FALSE(is_short(kEight, hot(71)));
    EXPECT_TRUE(is_short(kEight, hot(70)));
    EXPECT_TRUE(is_short(kEight, {256, 0}));
    EXPECT_FALSE(is_short(kEight, {255, 0}));
    EXPECT_FALSE(is_short(kEight, {20'000, -1}));
    EXPECT_FALSE(is_short({}, hot(0)));
    EXPECT_FALSE(is_short({.passes = 2}, hot(38)));
}

TEST(stride_course, few_rows_tell_nothing) {
    StrideCourse course;
    HeapArena heap;
    for (const WindowSample &sample : {WindowSample{0, 0}, WindowSample{255, 0}, WindowSample{20'000, -1}})
        for (int i = 0; i < 4; ++i)
            EXPECT_EQ(note_window(course, kEight, sample, kNobody, heap.arena()), "");
    EXPECT_EQ(next_window(course, kEight, 1).passes, 8);
}

TEST(stride_course, a_plain_walk_stays_plain) {
    StrideCourse course;
    const Strides plain = {};
    EXPECT_EQ(next_window(course, plain, 1).passes, 1);
    EXPECT_EQ(next_window(course, plain, 1).slices, 1);
}

TEST(stride_course, takes_slices_where_others_are_in_the_way) {
    Walker walker;
    walker.window(71);
    EXPECT_EQ(walker.slices(), 1) << "less than 8 points short";
    walker.window(57);
    EXPECT_EQ(walker.slices(), 1) << "one is bad luck";
    walker.window(71);
    walker.window(57);
    EXPECT_EQ(walker.slices(), 1);
    walker.window(57);
    EXPECT_EQ(walker.slices(), 2);
    walker.window(62);
    EXPECT_EQ(walker.slices(), 4);
    walker.window(66);
    EXPECT_EQ(walker.slices(), 8);
    walker.window(70);
    EXPECT_EQ(walker.slices(), 8) << "there are no more";
    walker.window(78);
    EXPECT_EQ(walker.slices(), 8);
    for (int i = 0; i < 40; ++i)
        walker.window(78);
    EXPECT_EQ(walker.slices(), 4) << "half of them are tried after a while";
}

TEST(stride_course, several_workers_meet_a_page_later) {
    Walker walker;
    EXPECT_EQ(next_window(walker.course, kEight, 2).keys, 2 * kEight.window_keys);
    EXPECT_EQ(next_window(walker.course, kEight, 1).keys, kEight.window_keys);
    EXPECT_EQ(next_window(walker.course, {.window_keys = 7}, 2).keys, 7);
    EXPECT_EQ(walker.slices(2), 3);
    for (int i = 0; i < 80; ++i)
        walker.window(80);
    EXPECT_EQ(walker.slices(2), 3) << "never fewer";
    walker.window(57);
    walker.window(57);
    walker.window(65);
    walker.window(70);
    EXPECT_EQ(walker.slices(1), 8);
    EXPECT_EQ(walker.slices(2), 8);
}

TEST(stride_course, takes_slices_back_that_do_not_help) {
    Walker walker;
    walker.window(57);
    walker.window(57);
    EXPECT_EQ(walker.slices(), 2);
    walker.window(59);
    EXPECT_EQ(walker.slices(), 1);
    for (int i = 0; i < 31; ++i) {
        walker.window(57);
        EXPECT_EQ(walker.slices(), 1) << i;
    }
    walker.window(57);
    walker.window(57);
    EXPECT_EQ(walker.slices(), 2) << "tried once more";
}

TEST(stride_course, slices_do_not_help_against_old_snapshots) {
    Walker walker;
    for (int i = 0; i < 3; ++i)
        walker.window(50, "a transaction");
    EXPECT_EQ(walker.slices(), 1);
}

} // namespace
} // namespace bbm
