#include "core/batching.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cmath>

namespace bbm {
namespace {

constexpr Micros kTarget = 20'000;
constexpr int kFloor = 10;
constexpr int kMostKeys = 2'000'000;

Pace capped(int sub_batch_size) { return {.sub_batch_size = sub_batch_size}; }
Pace measured(double row_cost_us, int sub_batch_size = 0) {
    return {.sub_batch_size = sub_batch_size, .row_cost_us = row_cost_us};
}

TEST(first_sub_batch, follows_the_measured_cost_and_the_cap) {
    const struct {
        const char *what;
        Pace pace;
        Micros target;
        int expected;
    } cases[] = {
        {"nothing known", {}, kTarget, 100},
        {"nothing known, small cap", capped(50), kTarget, 50},
        {"nothing known, cap below the floor", capped(3), kTarget, 3},
        {"nothing known, cap of one", capped(1), kTarget, 1},
        {"measured", measured(20), kTarget, 1000},
        {"measured, rounded down", measured(7), kTarget, 2857},
        {"measured, another target", measured(20), 1'000'000, 50'000},
        {"measured, cap in the way", measured(20, 300), kTarget, 300},
        {"measured, cap out of the way", measured(20, 5000), kTarget, 1000},
        {"measured, dear rows stop at the floor", measured(5000), kTarget, kFloor},
        {"measured, dear rows and a cap below the floor", measured(5000, 4), kTarget, 4},
        {"measured, cheap rows stop at the largest job", measured(0.001), kTarget, kMostKeys},
        {"cost near zero", measured(1e-300), kTarget, kMostKeys},
        {"cost beyond everything", measured(1e300), kTarget, kFloor},
        {"cost below zero is not measured", measured(-1), kTarget, 100},
        {"no target", measured(20), 0, kFloor},
        {"cap beyond the largest job", measured(0.001, INT_MAX), kTarget, 20'000'000},
    };
    for (const auto &one : cases)
        EXPECT_EQ(first_sub_batch_size(one.pace, one.target), one.expected) << one.what;
}

// The user's size is tried as it is, so that small sizes give the sub-batches one expects; a huge one is a cap to grow
// to.
TEST(first_sub_batch, a_size_of_the_users_is_tried_unless_it_is_huge) {
    const struct {
        int cap, expected;
    } cases[] = {{1, 1}, {100, 100}, {1000, 1000}, {10'000, 10'000}, {100'000, 10'000}, {2'000'000, 10'000}};
    for (const auto &one : cases)
        EXPECT_EQ(first_sub_batch_size(capped(one.cap), kTarget), one.expected) << "cap " << one.cap;
}

TEST(next_sub_batch, empty_ranges_grow_as_long_as_there_is_time) {
    EXPECT_EQ(after_empty_range(100, 50, 20'000, {}), 200);
    EXPECT_EQ(after_empty_range(100, 10'000, 20'000, {}), 200) << "it takes what is left";
    EXPECT_EQ(after_empty_range(100, 10'001, 20'000, {}), 100) << "it would take longer";
    EXPECT_EQ(after_empty_range(100, 0, 0, {}), 200) << "too quick to be measured";
    EXPECT_EQ(after_empty_range(100, 1, 0, {}), 100);
    EXPECT_EQ(after_empty_range(100, 50, 20'000, capped(150)), 150) << "a person's size is a cap";
    EXPECT_EQ(after_empty_range(3, 50, 20'000, capped(3)), 3);
    EXPECT_EQ(after_empty_range(kMostKeys, 1, 20'000, {}), kMostKeys);

    int keys = 100, ranges = 0;
    for (Micros spent = 0; spent < kTarget; ++ranges) {
        const Micros work = keys / 10; // a tenth of a microsecond a key
        spent += work;
        keys = after_empty_range(keys, work, kTarget - spent, {});
    }
    EXPECT_GT(keys, 50'000) << "one transaction finds the size";
    EXPECT_LT(ranges, 16);
}

TEST(next_sub_batch, one_step) {
    const struct {
        const char *what;
        SubBatchSize current;
        SubBatchSample sample;
        Pace pace;
        int keys;
        double row_cost_us;
    } cases[] = {
        {"the first sample counts in full", {100, 0}, {100, 10'000}, {}, 200, 100},
        {"later ones weigh half", {100, 100}, {100, 20'000}, {}, 133, 150},
        {"half, also below a microsecond a row", {100'000, 0.5}, {100'000, 30'000}, {}, 50'000, 0.4},
        {"at the target it stays", {1000, 20}, {1000, 20'000}, {}, 1000, 20},
        {"slower rows shrink it at once", {200, 100}, {200, 40'000}, {}, 133, 150},
        {"faster rows let it grow", {100, 200}, {100, 10'000}, {}, 133, 150},
        {"growth is at most twofold", {100, 1}, {100, 100}, {}, 200, 1},
        {"work of no measurable time", {100, 0}, {100, 0}, {}, 200, 0.01},
        {"a clock that went backwards", {100, 0}, {100, -5000}, {}, 200, 0.01},
        {"just below five times too long", {1000, 0}, {1000, 99'999}, {}, 200, 99.999},
        {"five times too long", {1000, 0}, {1000, 100'000}, {}, 100, 100},
        {"a hundred times too long", {1000, 0}, {1000, 2'000'000}, {}, 100, 2000},
        {"a tenth is not below the floor", {50, 0}, {50, 200'000}, {}, kFloor, 4000},
        {"already on the floor", {10, 0}, {10, 1'000'000}, {}, kFloor, 100'000},
        {"the cap stops growth", {100, 1}, {100, 100}, capped(150), 150, 1},
        {"a cap below the floor", {5, 0}, {5, 1'000'000}, capped(5), 5, 200'000},
        {"a cap below the floor, fast rows", {5, 1}, {5, 5}, capped(5), 5, 1},
        {"a cap that came down meanwhile", {1000, 1}, {1000, 1000}, capped(300), 300, 1},
        {"a cap that came down, and too long", {100'000, 0}, {100'000, 200'000}, capped(300), 300, 2},
        {"a short last range is no reason to shrink", {1000, 20}, {3, 60}, {}, 1000, 20},
        {"from below the floor up to it", {1, 1}, {1, 1}, {}, kFloor, 1},
        {"from nothing", {0, 0}, {1, 10}, {}, kFloor, 10},
        {"the largest job stops growth", {1'500'000, 0.001}, {1'500'000, 1500}, {}, kMostKeys, 0.001},
    };
    for (const auto &one : cases) {
        const SubBatchSize next = next_sub_batch_size(one.current, one.sample, one.pace, kTarget);
        EXPECT_EQ(next.keys, one.keys) << one.what;
        EXPECT_NEAR(next.row_cost_us, one.row_cost_us, one.row_cost_us * 1e-9) << one.what;
    }
}

TEST(next_sub_batch, an_empty_range_teaches_nothing) {
    for (int keys : {0, -1, INT_MIN}) {
        for (Micros work : {Micros{0}, Micros{1'000'000}}) {
            const SubBatchSize next = next_sub_batch_size({123, 4.5}, {keys, work}, {}, kTarget);
            EXPECT_EQ(next.keys, 123) << keys;
            EXPECT_EQ(next.row_cost_us, 4.5) << keys;
        }
    }
}

TEST(next_sub_batch, stays_within_its_limits_whatever_the_numbers) {
    const int sizes[] = {0, 1, 9, 10, 11, 100, 1000, 2'000'000, INT_MAX};
    const double costs[] = {0, 1e-300, 0.5, 100, 1e12, 1e300};
    const Micros works[] = {-1, 0, 1, 4 * kTarget, 5 * kTarget, 1'000'000'000'000, INT64_MAX};
    const int caps[] = {0, 1, 5, 10, 500, 2'000'000, INT_MAX};
    const Micros targets[] = {0, 1, kTarget, INT64_MAX};
    for (int size : sizes)
        for (double cost : costs)
            for (int sample_keys : {1, 100, INT_MAX})
                for (Micros work : works)
                    for (int cap : caps)
                        for (Micros target : targets) {
                            const SubBatchSize next =
                                next_sub_batch_size({size, cost}, {sample_keys, work}, capped(cap), target);
                            const int largest = cap > 0 ? cap : kMostKeys;
                            const int smallest = std::min(kFloor, largest);
                            const double twice = std::max(2.0 * size, static_cast<double>(smallest));
                            ASSERT_GE(next.keys, smallest) << size << " " << cost << " " << work << " " << cap;
                            ASSERT_LE(next.keys, largest) << size << " " << cost << " " << work << " " << cap;
                            ASSERT_LE(next.keys, twice) << size << " " << cost << " " << work << " " << cap;
                            ASSERT_GT(next.row_cost_us, 0) << size << " " << cost << " " << work << " " << cap;
                            ASSERT_TRUE(std::isfinite(next.row_cost_us)) << size << " " << cost << " " << work;
                        }
}

SubBatchSize after_steps(SubBatchSize size, double row_cost_us, const Pace &pace, int steps) {
    for (int step = 0; step < steps; ++step) {
        const auto work = static_cast<Micros>(std::llround(row_cost_us * size.keys));
        size = next_sub_batch_size(size, {size.keys, work}, pace, kTarget);
    }
    return size;
}

// Near the target; or at a limit, and then at the right one.
void expect_on_target(SubBatchSize size, double row_cost_us, int cap) {
    const int largest = cap > 0 ? cap : kMostKeys;
    const double ratio = row_cost_us * size.keys / static_cast<double>(kTarget);
    EXPECT_GE(size.keys, std::min(kFloor, largest));
    EXPECT_LE(size.keys, largest);
    if (size.keys < largest) {
        EXPECT_GE(ratio, 0.5) << size.keys << " keys";
    }
    if (size.keys > std::min(kFloor, largest)) {
        EXPECT_LE(ratio, 1.05) << size.keys << " keys";
    }
}

TEST(next_sub_batch, finds_the_target_at_any_constant_cost) {
    for (double cost = 0.001; cost < 1e7; cost *= 1.37)
        for (int cap : {0, 5, 10, 100, 1000, 100'000})
            for (int start : {1, 10, 100, 5000, 2'000'000}) {
                const Pace pace = capped(cap);
                SubBatchSize size{cap > 0 ? std::min(start, cap) : start, 0};
                size = after_steps(size, cost, pace, 25);
                for (int step = 25; step < 40; ++step) {
                    SCOPED_TRACE(testing::Message()
                                 << cost << " us a row, cap " << cap << ", from " << start << ", step " << step);
                    expect_on_target(size, cost, cap);
                    size = after_steps(size, cost, pace, 1);
                }
                if (testing::Test::HasFailure())
                    return;
            }
}

TEST(next_sub_batch, forgets_a_stale_cost) {
    for (double cost : {0.05, 1.0, 33.0, 900.0})
        for (double factor : {1e-4, 0.01, 0.3, 3.0, 100.0, 1e4}) {
            const double stale = cost * factor;
            SubBatchSize size{first_sub_batch_size(measured(stale), kTarget), stale};
            size = after_steps(size, cost, {}, 25);
            SCOPED_TRACE(testing::Message() << cost << " us a row, believed to be " << stale);
            expect_on_target(size, cost, 0);
        }
}

TEST(next_sub_batch, comes_back_after_one_hiccup) {
    const SubBatchSize settled = after_steps({1000, 0}, 20, {}, 25);
    ASSERT_EQ(settled.keys, 1000);
    SubBatchSize size = next_sub_batch_size(settled, {settled.keys, 4 * kTarget}, {}, kTarget);
    EXPECT_LT(size.keys, 500);
    size = after_steps(size, 20, {}, 3);
    EXPECT_GT(size.keys, 750);
}

TEST(next_sub_batch, a_sudden_hundredfold_cost_is_met_within_three) {
    SubBatchSize size = after_steps({1000, 0}, 20, {}, 25);
    size = after_steps(size, 2000, {}, 3);
    EXPECT_LE(2000.0 * size.keys, 1.5 * static_cast<double>(kTarget)); // the average still lags a little
}

TEST(share_of_batch, leaves_work_for_every_worker) {
    const struct {
        const char *what;
        int workers;
        bool is_given;
        std::int64_t rows;
        int size;
    } cases[] = {
        {"one worker takes all it may", 1, false, 10'000, 500'000},
        {"sixteen shares for each of two", 2, false, 800'000, 25'000},
        {"no more than the batch size", 2, false, 80'000'000, 500'000},
        {"no less than what is worth it", 4, false, 2'000, 1'000},
        {"a size that a person chose", 4, true, 2'000, 500'000},
        {"nobody knows how many rows", 4, false, -1, 10'000},
    };
    for (const auto &one : cases) {
        Migration migration;
        migration.workers = one.workers;
        migration.pace.batch_size_given = one.is_given;
        EXPECT_EQ(share_of_batch(500'000, migration, one.rows), one.size) << one.what;
    }
}

TEST(share_of_batch, is_a_window_at_the_least) {
    Migration migration;
    migration.workers = 2;
    EXPECT_EQ(share_of_batch(500'000, migration, 100'000, 8192), 8192);
    EXPECT_EQ(share_of_batch(500'000, migration, 800'000, 8192), 25'000);
    EXPECT_EQ(share_of_batch(1000, migration, 800'000, 8192), 1000); // and never more than the batch
}

TEST(within_cap, follows_a_cap_that_was_lowered) {
    EXPECT_EQ(within_cap(1000, capped(100)), 100);
    EXPECT_EQ(within_cap(50, capped(100)), 50);
    EXPECT_EQ(within_cap(1000, {}), 1000);
}

} // namespace
} // namespace bbm
