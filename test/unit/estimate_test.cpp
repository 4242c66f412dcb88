#include "core/estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace bbm {
namespace {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kHour = 3600 * kSecond;
constexpr Micros kDay = 24 * kHour;

TEST(sample_fraction, halves_what_is_left) {
    const Fraction expected[] = {{0, 1}, {1, 1}, {1, 2},  {1, 4},  {3, 4},  {1, 8}, {3, 8},
                                 {5, 8}, {7, 8}, {1, 16}, {3, 16}, {5, 16}, {7, 16}};
    int number = 0;
    for (const Fraction &fraction : expected) {
        EXPECT_EQ(sample_fraction(number), fraction) << "number " << number;
        ++number;
    }
    EXPECT_EQ(sample_fraction(kMostFractions - 1), (Fraction{1023, 1024}));
}

TEST(integer_stretch, only_of_one_integer_column) {
    const struct {
        const char *what;
        std::vector<Text> min, max;
        std::optional<Stretch> expected;
    } cases[] = {
        {"plain", {"1"}, {"100"}, Stretch{1, 100}},
        {"one key", {"7"}, {"7"}, Stretch{7, 7}},
        {"negative", {"-5"}, {"5"}, Stretch{-5, 5}},
        {"everything", {"-9223372036854775808"}, {"9223372036854775807"}, Stretch{INT64_MIN, INT64_MAX}},
        {"beyond 64 bits", {"1"}, {"9223372036854775808"}, std::nullopt},
        {"upside down", {"2"}, {"1"}, std::nullopt},
        {"uuid", {"0000"}, {"ffff"}, std::nullopt},
        {"number with a tail", {"1"}, {"10.5"}, std::nullopt},
        {"empty text", {""}, {""}, std::nullopt},
        {"two columns", {"1", "1"}, {"2", "2"}, std::nullopt},
        {"no columns", {}, {}, std::nullopt},
    };
    for (const auto &one : cases)
        EXPECT_EQ(integer_stretch({one.min, one.max}), one.expected) << one.what;
}

TEST(length_of, counts_both_ends) {
    EXPECT_EQ(length_of({1, 100}), 100);
    EXPECT_EQ(length_of({-1, -1}), 1);
    EXPECT_EQ(length_of({INT64_MIN, INT64_MAX}), 18446744073709551616.0);
}

TEST(room_for_sample, begins_at_the_fraction) {
    const Stretch hundred = {1, 100};
    const Stretch all = {INT64_MIN, INT64_MAX};
    const struct {
        const char *what;
        Stretch whole;
        std::vector<Stretch> sampled;
        std::uint64_t width;
        Fraction at;
        std::optional<Stretch> expected;
    } cases[] = {
        {"the beginning", hundred, {}, 10, {0, 1}, Stretch{1, 100}},
        {"the end, with room for a sample", hundred, {}, 10, {1, 1}, Stretch{91, 100}},
        {"the end, of unknown width", hundred, {}, 0, {1, 1}, Stretch{100, 100}},
        {"the end, one key wide", hundred, {}, 1, {1, 1}, Stretch{100, 100}},
        {"wider than the whole", hundred, {}, 1000, {1, 1}, Stretch{1, 100}},
        {"the middle", hundred, {}, 10, {1, 2}, Stretch{46, 100}},
        {"up to the next sample", hundred, {{1, 10}, {91, 100}}, 10, {1, 2}, Stretch{46, 90}},
        {"the next in any order", hundred, {{91, 100}, {60, 70}, {1, 10}}, 10, {1, 2}, Stretch{46, 59}},
        {"within a sample", hundred, {{1, 10}, {40, 50}}, 10, {1, 2}, Stretch{51, 100}},
        {"at the first key of a sample", hundred, {{46, 50}}, 10, {1, 2}, Stretch{51, 100}},
        {"at the last key of a sample", hundred, {{40, 46}}, 10, {1, 2}, Stretch{47, 100}},
        {"within samples side by side", hundred, {{51, 90}, {40, 50}}, 10, {1, 2}, Stretch{91, 100}},
        {"within samples up to the end", hundred, {{51, 100}, {40, 50}}, 10, {1, 2}, std::nullopt},
        {"just behind a sample", hundred, {{40, 45}}, 10, {1, 2}, Stretch{46, 100}},
        {"just before a sample", hundred, {{47, 50}}, 10, {1, 2}, Stretch{46, 46}},
        {"one key", {7, 7}, {}, 10, {1, 1}, Stretch{7, 7}},
        {"all numbers, all sampled", all, {{0, INT64_MAX}}, 1, {1, 1}, std::nullopt},
        {"all numbers, the middle", all, {}, 1, {1, 2}, Stretch{-1, INT64_MAX}},
        {"all numbers, the end", all, {}, 1, {1, 1}, Stretch{INT64_MAX, INT64_MAX}},
        {"all numbers, nearly the end", all, {}, 1, {1023, 1024}, Stretch{INT64_MAX - (1LL << 54), INT64_MAX}},
        {"all numbers, wide samples", all, {}, UINT64_MAX, {1, 1}, Stretch{INT64_MIN + 1, INT64_MAX}},
    };
    for (const auto &one : cases)
        EXPECT_EQ(room_for_sample(one.whole, one.sampled, one.width, one.at), one.expected) << one.what;
}

// Whatever the sizes are: samples never overlap, and together they cover everything in the end.
TEST(room_for_sample, samples_are_disjoint_and_cover_everything) {
    for (const std::int64_t length : {1, 2, 9, 10, 11, 64, 1000})
        for (const std::int64_t batch : {1, 3, 10, 100}) {
            const Stretch whole = {-length / 2, -length / 2 + length - 1};
            std::vector<int> met(static_cast<std::size_t>(length));
            std::vector<Stretch> sampled;
            for (int number = 0; number < kMostFractions; ++number) {
                const auto room =
                    room_for_sample(whole, sampled, static_cast<std::uint64_t>(batch), sample_fraction(number));
                if (!room)
                    continue;
                sampled.push_back({room->first, std::min(room->last, room->first + batch - 1)});
                for (std::int64_t key = sampled.back().first; key <= sampled.back().last; ++key)
                    ++met.at(static_cast<std::size_t>(key - whole.first));
            }
            for (const int times : met)
                ASSERT_EQ(times, 1) << length << " keys, batches of " << batch;
        }
}

TEST(coverage, counts_what_was_seen_and_guesses_the_rest) {
    const Stretch thousand = {1, 1000};
    Coverage coverage;
    EXPECT_EQ(total_keys(coverage, thousand), 0);
    add(coverage, {1, 100}, 100); // dense
    EXPECT_EQ(total_keys(coverage, thousand), 1000);
    add(coverage, {301, 700}, 100); // thin, and longer for that
    EXPECT_EQ(total_keys(coverage, thousand), 513) << "200, and 5 of 8 in the other 500";
    EXPECT_FALSE(is_complete(coverage, thousand));
    add(coverage, {101, 300}, 0); // empty
    add(coverage, {701, 1000}, 300);
    EXPECT_TRUE(is_complete(coverage, thousand));
    EXPECT_EQ(total_keys(coverage, thousand), 500) << "everything was counted";
}

TEST(coverage, of_all_numbers) {
    const Stretch all = {INT64_MIN, INT64_MAX};
    Coverage coverage;
    add(coverage, {0, 999}, 1000);
    EXPECT_EQ(total_keys(coverage, all), 9'000'000'000'000'000'000) << "no overflow";
    EXPECT_FALSE(is_complete(coverage, all));
    add(coverage, all, 5);
    EXPECT_TRUE(is_complete(coverage, all));
}

Tally tally_of(const std::vector<Sample> &samples) {
    Tally tally;
    for (const Sample &sample : samples)
        add(tally, sample);
    return tally;
}

TEST(add, sums_and_spread) {
    const Tally tally = tally_of({{100, 90, 2, 1000, 5000, 8192}, {0, 0, 0, 500, 10, 0}, {200, 200, 1, 6000, 1000, 0}});
    EXPECT_EQ(tally.samples, 2);
    EXPECT_EQ(tally.sum, (Sample{300, 290, 3, 7500, 6010, 8192}));
    EXPECT_DOUBLE_EQ(tally.least_us, 10);
    EXPECT_DOUBLE_EQ(tally.most_us, 30);
    EXPECT_DOUBLE_EQ(tally.mean_us, 20);
    EXPECT_DOUBLE_EQ(tally.squares, 200);
}

TEST(us_per_key, pauses_follow_the_sub_batches_that_changed_rows) {
    const Tally tally = tally_of({{1000, 900, 10, 20'000}, {1000, 0, 0, 20'000}});
    EXPECT_DOUBLE_EQ(us_per_key(tally, 0), 20);
    EXPECT_DOUBLE_EQ(us_per_key(tally, 1000), 25);
    EXPECT_DOUBLE_EQ(us_per_key(Tally{}, 1000), 0);
}

TEST(is_enough, nine_places_and_a_twentieth) {
    const std::vector<Sample> eight(8, Sample{100, 100, 1, 100}), nine(9, Sample{100, 100, 1, 100});
    EXPECT_FALSE(is_enough(Tally{}, 0));
    EXPECT_FALSE(is_enough(tally_of(eight), 800)) << "not everywhere yet";
    EXPECT_TRUE(is_enough(tally_of(nine), 900));
    EXPECT_TRUE(is_enough(tally_of(nine), 18'000)) << "a twentieth";
    EXPECT_FALSE(is_enough(tally_of(nine), 18'001));
}

TEST(project, scales_what_was_sampled) {
    // 10 us a key everywhere, half of the keys affected
    const Tally tally = tally_of({{1000, 500, 5, 10'000, 50'000, 8192}, {1000, 500, 5, 10'000, 50'000, 8192}});
    const Projection all = project(tally, {20'000, true, false}, {.batch_size = 3000});
    EXPECT_EQ(all.rows, 10'000);
    EXPECT_EQ(all.jobs, 7);
    EXPECT_EQ(all.wal_bytes, 1'000'000);
    EXPECT_EQ(all.growth_bytes, 163'840);
    EXPECT_EQ(all.batch_mean, 30'000);
    EXPECT_EQ(all.batch, (TimeRange{30'000, 30'000}));
    EXPECT_EQ(all.full_speed, (TimeRange{181'818, 220'000})) << "a margin of a tenth";
}

TEST(project, one_batch_is_not_larger_than_everything) {
    const Tally tally = tally_of({{10, 10, 1, 100}});
    const Projection all = project(tally, {10, true, false}, {.batch_size = 10'000});
    EXPECT_EQ(all.jobs, 1);
    EXPECT_EQ(all.rows, 10);
    EXPECT_EQ(all.batch_mean, 100);
    EXPECT_EQ(all.at_pace, (TimeRange{90, 110}));
}

TEST(project, nothing_sampled) {
    const Projection none = project(Tally{}, {0, true, true}, {.batch_size = 1000});
    EXPECT_EQ(none.rows, 0);
    EXPECT_EQ(none.jobs, 0);
    EXPECT_EQ(none.full_speed, (TimeRange{0, 0}));
    EXPECT_EQ(none.at_pace, (TimeRange{0, 0}));
}

TEST(project, the_range_tells_how_much_is_known) {
    const auto range = [](const std::vector<Sample> &samples, bool counted) {
        return project(tally_of(samples), {1'000'000, counted, false}, {.batch_size = 1000}).full_speed;
    };
    const Sample quick = {1000, 1000, 1, 10'000}, slow = {1000, 1000, 1, 30'000};
    EXPECT_EQ(range({quick}, true), (TimeRange{9'090'909, 11'000'000})) << "everything was looked at";
    EXPECT_EQ(range({quick}, false), (TimeRange{6'666'666, 15'000'000})) << "one place of many";
    EXPECT_EQ(range({quick, quick, quick}, false), (TimeRange{9'090'909, 11'000'000})) << "all alike";
    const TimeRange mixed = range({quick, slow, quick, slow}, false);
    EXPECT_LT(mixed.low, 13'000'000) << "they differ";
    EXPECT_GT(mixed.high, 30'000'000);
    EXPECT_GT(mixed.low, 0);
    const TimeRange wild = range({quick, {1000, 1000, 1, 100 * kSecond}, quick}, false);
    EXPECT_GT(wild.low, 0) << "however much they differ";
}

TEST(project, intervals_and_pauses) {
    const Tally tally = tally_of({{1000, 1000, 10, 10'000}});
    const auto at_pace = [&](const Pace &pace, bool optimized) {
        return project(tally, {100'000, true, optimized}, pace).at_pace;
    };
    EXPECT_EQ(at_pace({.batch_size = 1000}, false), (TimeRange{909'090, 1'100'000})) << "full speed";
    EXPECT_EQ(at_pace({.job_interval = kSecond, .batch_size = 1000}, false), (TimeRange{100 * kSecond, 100 * kSecond}))
        << "jobs wait for their turn";
    EXPECT_EQ(at_pace({.job_interval = 1000, .batch_size = 1000}, false), (TimeRange{909'090, 1'100'000}))
        << "jobs are longer than the interval";
    // ten sub-batches a job, a pause of 5 ms after each
    EXPECT_EQ(at_pace({.pause = 5000, .batch_size = 1000}, false), (TimeRange{5'909'090, 6'100'000})) << "pauses";
    const TimeRange optimized = at_pace({.job_interval = kSecond, .batch_size = 1000}, true);
    EXPECT_EQ(optimized.high, 100 * kSecond) << "as long as the size stays";
    EXPECT_LT(optimized.low, 20 * kSecond) << "jobs grow until they fill their interval";
    EXPECT_GT(optimized.low, 10 * kSecond) << "by a fifth a job";
    const TimeRange capped = at_pace({.job_interval = kSecond, .batch_size = 1000, .max_batch_size = 1000}, true);
    EXPECT_EQ(capped, (TimeRange{100 * kSecond, 100 * kSecond})) << "they may not grow";
}

TEST(project, absurd_numbers_do_not_overflow) {
    const Tally tally = tally_of({{1, 1, 1, 100 * kDay, INT64_MAX / 2, INT64_MAX / 2}});
    const Projection all = project(tally, {INT64_MAX / 2, false, true}, {.job_interval = 30 * kDay, .batch_size = 1});
    for (const std::int64_t value : {all.wal_bytes, all.growth_bytes, all.full_speed.high, all.at_pace.high})
        EXPECT_EQ(value, 9'000'000'000'000'000'000);
}

TEST(plan_finish_within, rests_as_long_as_there_is_time) {
    const struct {
        const char *what;
        std::int64_t keys;
        double us_per_key;
        Micros limit;
        bool possible;
        int batch_size;
        Micros job_interval;
    } cases[] = {
        // 10,000 s of work in jobs of 10 s: 1000 jobs in 90 % of a day
        {"a day for three hours", 1'000'000'000, 10, kDay, true, 1'000'000, 77'760'000},
        {"two hours for one", 360'000'000, 10, 2 * kHour, true, 1'000'000, 18'000'000},
        {"too little to rest", 360'000'000, 10, 67 * kHour / 60, true, 1'000'000, 0},
        // an interval of 11 s would be 91 % busy: the optimizer would make the jobs smaller
        {"hardly anything to rest", 360'000'000, 10, 44 * kHour / 36, true, 1'000'000, 0},
        {"just possible", 1'000'000, 10, 11 * kSecond, true, 1'000'000, 0},
        {"just impossible", 1'000'000, 10, 11 * kSecond - 1, false, 1'000'000, 0},
        {"dear keys", 100'000, 1'000'000, 2 * kDay, true, 1000, 1'555'200'000},
        {"cheap keys", 1'000'000'000, 0.1, kDay, true, 2'000'000, 155'520'000},
        {"free keys", 1'000'000'000, 0, kDay, true, 2'000'000, 155'520'000},
        {"a job is not larger than everything", 500, 10, kHour, true, 500, 3'240'000'000},
        {"one key", 1, 10, kHour, true, 1, 3'240'000'000},
        {"nothing to do", 0, 0, kHour, true, 1, 3'240'000'000},
    };
    for (const auto &one : cases) {
        const FinishPlan plan = plan_finish_within(one.keys, one.us_per_key, one.limit);
        EXPECT_EQ(plan.is_possible, one.possible) << one.what;
        EXPECT_EQ(plan.batch_size, one.batch_size) << one.what;
        if (one.possible) {
            EXPECT_EQ(plan.job_interval, one.job_interval) << one.what;
        }
    }
    EXPECT_EQ(plan_finish_within(1'000'000, 10, kSecond).full_speed, 10 * kSecond);
    const FinishPlan capped = plan_finish_within(1'000'000'000, 10, kDay, 100'000);
    EXPECT_EQ(capped.batch_size, 100'000);
    EXPECT_EQ(capped.job_interval, 7'776'000);
}

// The promise itself, over a grid: jobs start in time, and are done before the next one has to.
TEST(plan_finish_within, is_done_in_time) {
    for (const std::int64_t keys : {1LL, 999LL, 1001LL, 123'456LL, 98'765'432LL, 5'000'000'000LL})
        for (const double cost : {0.5, 3.0, 40.0, 700.0, 25'000.0})
            for (const Micros limit : {10 * kSecond, kHour, kDay, 30 * kDay}) {
                const FinishPlan plan = plan_finish_within(keys, cost, limit);
                if (!plan.is_possible)
                    continue;
                const double jobs = std::ceil(static_cast<double>(keys) / plan.batch_size);
                const double job = std::max(static_cast<double>(plan.job_interval), cost * plan.batch_size);
                ASSERT_LE(plan.batch_size, keys);
                ASSERT_LE(job * (jobs - 1) + cost * plan.batch_size, static_cast<double>(limit))
                    << keys << " keys of " << cost << " us within " << limit;
            }
}

} // namespace
} // namespace bbm
