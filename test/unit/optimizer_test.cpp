#include "core/optimizer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <climits>
#include <cmath>
#include <vector>

namespace bbm {
namespace {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kInterval = 120 * kSecond;
constexpr int kLargest = 2'000'000;

// Jobs that took this part of the interval, newest first.
std::vector<JobSample> jobs_of(const std::vector<double> &efficiencies, int batch_size = 1000) {
    std::vector<JobSample> samples;
    for (const double efficiency : efficiencies)
        samples.push_back({std::llround(efficiency * static_cast<double>(kInterval)), batch_size});
    return samples;
}

Pace with_interval(int batch_size, int max_batch_size = 0) {
    return {.job_interval = kInterval, .batch_size = batch_size, .max_batch_size = max_batch_size};
}

// The size after one decision; the old one where it stays.
int size_after(const Pace &pace, std::span<const JobSample> samples) {
    const auto change = next_batch_size(pace, samples);
    return change ? change->size : pace.batch_size;
}

TEST(smoothed_efficiency, weighs_the_newest_most) {
    const struct {
        const char *what;
        std::vector<double> newest_first;
        double expected;
    } cases[] = {
        {"one job", {0.5}, 0.5},
        {"the newest weighs 1, the next 0.6", {1, 0}, 0.63}, // 1 / 1.6
        {"and the other way round", {0, 0.8}, 0.3},          // 0.48 / 1.6
        {"the third weighs 0.36", {0, 0, 1}, 0.18},          // 0.36 / 1.96 = 0.1837
        {"equal ones have no weight", {0.7, 0.7, 0.7, 0.7}, 0.7},
        {"rounded to two decimals", {0.904}, 0.9},
        {"rounded up", {0.9051}, 0.91},
        {"far beyond the interval", {48}, 48},
        {"no time at all", {0, 0}, 0},
    };
    for (const auto &one : cases)
        EXPECT_DOUBLE_EQ(smoothed_efficiency(jobs_of(one.newest_first), kInterval).value(), one.expected) << one.what;
}

TEST(smoothed_efficiency, knows_nothing_without_jobs) { EXPECT_FALSE(smoothed_efficiency({}, kInterval)); }

// Source: 1 - 0.6^5 = 0.92.
TEST(smoothed_efficiency, the_five_newest_carry_nine_tenths) {
    std::vector<double> efficiencies(20, 0.0);
    std::fill_n(efficiencies.begin(), 5, 1.0);
    EXPECT_DOUBLE_EQ(smoothed_efficiency(jobs_of(efficiencies), kInterval).value(), 0.92);
}

TEST(smoothed_efficiency, only_twenty_jobs_count) {
    std::vector<double> efficiencies(20, 0.5);
    const auto twenty = smoothed_efficiency(jobs_of(efficiencies), kInterval);
    efficiencies.resize(40, 1e9);
    EXPECT_EQ(smoothed_efficiency(jobs_of(efficiencies), kInterval), twenty);
    static_assert(kSmoothedJobs == 20);
}

TEST(optimizer, with_an_interval) {
    const struct {
        const char *what;
        int batch_size;
        double efficiency;
        int max_batch_size;
        int expected;
    } cases[] = {
        {"in the band, lower end", 10'000, 0.90, 0, 10'000},
        {"in the band, upper end", 10'000, 0.95, 0, 10'000},
        {"rounded into the band from below", 10'000, 0.8951, 0, 10'000},
        {"rounded into the band from above", 10'000, 0.9549, 0, 10'000},
        {"just below the band", 10'000, 0.89, 0, 10'674}, // * 0.95 / 0.89
        {"just above the band", 10'000, 0.96, 0, 9'895},  // * 0.95 / 0.96
        {"growth is limited", 10'000, 0.5, 0, 12'000},
        {"growth is limited from 0.7917 on", 10'000, 0.79, 0, 12'000},
        {"growth below the limit", 10'000, 0.85, 0, 11'176}, // 11176.5
        {"no time at all grows too", 10'000, 0, 0, 12'000},
        {"too short to see after rounding", 10'000, 0.004, 0, 12'000},
        {"shrinking is not limited", 100'000, 10, 0, 9'500},
        {"truncated, not rounded", 1001, 0.5, 0, 1201},    // 1201.2
        {"truncated, not rounded up", 1004, 0.5, 0, 1204}, // 1204.8
        {"not below the least", 1500, 3, 0, 1000},
        {"on the least", 1000, 3, 0, 1000},
        {"the largest stops growth", 1'900'000, 0.5, 0, kLargest},
        {"on the largest", kLargest, 0.5, 0, kLargest},
        {"a limit stops growth", 10'000, 0.5, 11'000, 11'000},
        {"on the limit", 11'000, 0.5, 11'000, 11'000},
        {"a limit that came down", 20'000, 0.5, 11'000, 11'000},
        {"a limit that came down, slow jobs", 20'000, 1.0, 11'000, 11'000},
        {"a limit that came down, in the band", 20'000, 0.92, 11'000, 20'000},
        {"a limit below the least", 300, 0.5, 310, 310},
        {"a limit below the least, slow jobs", 300, 3, 310, 300},
        {"a limit beyond the largest", kLargest, 0.5, 3'000'000, 2'400'000},
        {"a small size, jobs too short to see: raised to the least", 100, 0, 0, 1000},
        {"a small size, very fast jobs: raised to the least", 100, 0.05, 0, 1000},
        {"a small size, fast jobs: as far as the interval allows", 100, 0.1, 0, 950},
        {"a small size, jobs that are nearly long enough", 100, 0.89, 0, 106},
        {"a small size grows by one at least", 1, 0.85, 0, 2},
        {"a small size near its limit", 100, 0, 110, 110},
        {"a small size, slow jobs: never raised", 500, 1.5, 0, 500},
        {"a small size, slow jobs, with a limit", 500, 1.5, 5000, 500},
        {"one", 1, 100, 0, 1},
    };
    for (const auto &one : cases) {
        const Pace pace = with_interval(one.batch_size, one.max_batch_size);
        EXPECT_EQ(size_after(pace, jobs_of({one.efficiency}, one.batch_size)), one.expected) << one.what;
    }
}

TEST(optimizer, says_nothing_where_the_size_stays) {
    EXPECT_FALSE(next_batch_size(with_interval(10'000), jobs_of({0.92})));
    EXPECT_FALSE(next_batch_size(with_interval(1000), jobs_of({3})));
    EXPECT_FALSE(next_batch_size(with_interval(kLargest), jobs_of({0.1})));
}

TEST(optimizer, says_what_it_went_by) {
    const auto change = next_batch_size(with_interval(1000), jobs_of({0.123}));
    ASSERT_TRUE(change);
    EXPECT_EQ(change->size, 1200);
    EXPECT_DOUBLE_EQ(change->efficiency, 0.12);
}

// Difference one: the source waits for twenty jobs, forty minutes at the usual interval.
TEST(optimizer, acts_on_the_jobs_there_are) {
    EXPECT_FALSE(next_batch_size(with_interval(1000), {}));
    for (std::size_t count = 1; count <= 25; ++count)
        EXPECT_EQ(size_after(with_interval(1000), jobs_of(std::vector<double>(count, 0.1))), 1200) << count;
}

// Difference two: the source raises 500 to 1000 although the jobs are too slow already, or would be then.
TEST(optimizer, slow_jobs_never_raise_a_size) {
    for (const int batch_size : {1, 2, 10, 500, 999, 1000, 1001, 5000, 2'000'000})
        for (const double efficiency : {0.96, 1.0, 1.5, 10.0, 1e6})
            for (const int max_batch_size : {0, 1, 500, 100'000})
                EXPECT_LE(size_after(with_interval(batch_size, max_batch_size), jobs_of({efficiency})), batch_size)
                    << batch_size << ' ' << efficiency << ' ' << max_batch_size;
}

// Difference three: a job that took no measurable part of its interval changes nothing at the source.
TEST(optimizer, jobs_too_short_to_measure_grow) {
    int size = 1000;
    for (const int expected : {1200, 1440, 1728, 2073, 2487}) {
        size = size_after(with_interval(size), jobs_of({0, 0, 0}));
        EXPECT_EQ(size, expected);
    }
}

TEST(optimizer, a_size_that_was_given_follows_its_interval) {
    Pace pace = with_interval(1000);
    pace.batch_size_given = true;
    EXPECT_EQ(size_after(pace, jobs_of({0.5})), 1200);
}

TEST(optimizer, reaches_the_target_and_stays) {
    for (const double seconds_per_key : {1e-4, 0.001, 0.03}) {
        Pace pace = with_interval(1000);
        std::vector<JobSample> newest_first;
        int changes_at_the_end = 0;
        for (int job = 0; job < 200; ++job) {
            const double seconds = seconds_per_key * pace.batch_size;
            newest_first.insert(newest_first.begin(), {static_cast<Micros>(seconds * kSecond), pace.batch_size});
            const int size = size_after(pace, newest_first);
            changes_at_the_end += job >= 150 && size != pace.batch_size;
            pace.batch_size = size;
        }
        const double efficiency = seconds_per_key * pace.batch_size / 120;
        EXPECT_GT(efficiency, 0.85) << seconds_per_key;
        EXPECT_LT(efficiency, 1.0) << seconds_per_key;
        EXPECT_LE(changes_at_the_end, 2) << seconds_per_key;
    }
}

// Without an interval: jobs of ten seconds, where nobody gave a size.
TEST(optimizer, without_an_interval) {
    const struct {
        const char *what;
        Pace pace;
        JobSample job;
        int expected;
    } cases[] = {
        {"ten seconds stay", {.batch_size = 10'000}, {10 * kSecond, 10'000}, 10'000},
        {"seven seconds stay", {.batch_size = 10'000}, {7 * kSecond, 10'000}, 10'000},
        {"thirteen seconds stay", {.batch_size = 10'000}, {13 * kSecond, 10'000}, 10'000},
        {"shorter ones grow at once", {.batch_size = 10'000}, {kSecond, 10'000}, 100'000},
        {"longer ones shrink at once", {.batch_size = 10'000}, {20 * kSecond, 10'000}, 5'000},
        {"measured by what the job had", {.batch_size = 10'000}, {kSecond, 5000}, 50'000},
        {"a part of a job says nothing", {.batch_size = 10'000}, {kSecond, 2499}, 10'000},
        {"not below the least", {.batch_size = 10'000}, {1000 * kSecond, 10'000}, 1000},
        {"not beyond the largest", {.batch_size = 10'000}, {1, 10'000}, kLargest},
        {"no time at all", {.batch_size = 10'000}, {0, 10'000}, kLargest},
        {"a limit", {.batch_size = 10'000, .max_batch_size = 30'000}, {kSecond, 10'000}, 30'000},
        {"a limit below the least", {.batch_size = 500, .max_batch_size = 500}, {kSecond, 500}, 500},
        {"nor does one without keys", {.batch_size = 10'000}, {kSecond, 0}, 10'000},
    };
    for (const auto &one : cases)
        EXPECT_EQ(size_after(one.pace, std::array{one.job}), one.expected) << one.what;
}

TEST(optimizer, without_an_interval_a_given_size_stays) {
    for (const int batch_size : {1, 100, 10'000, kLargest, INT_MAX})
        for (const Micros elapsed : {Micros{0}, kSecond, 1000 * kSecond}) {
            const Pace pace = {.batch_size = batch_size, .batch_size_given = true};
            EXPECT_FALSE(next_batch_size(pace, std::array{JobSample{elapsed, batch_size}})) << batch_size;
        }
}

TEST(optimizer, without_an_interval_one_hiccup_is_smoothed) {
    const std::array samples = {JobSample{30 * kSecond, 10'000}, JobSample{10 * kSecond, 10'000},
                                JobSample{10 * kSecond, 10'000}};
    const int size = size_after({.batch_size = 10'000}, samples);
    EXPECT_GT(size, 3'334); // what the newest alone would say
    EXPECT_LT(size, 10'000);
}

TEST(optimizer, stays_within_its_limits_whatever_the_numbers) {
    for (const Micros interval : {Micros{0}, Micros{1}, kInterval, Micros{INT64_MAX}})
        for (const int batch_size : {1, 999, 1000, 10'000, kLargest, INT_MAX})
            for (const int max_batch_size : {0, 1, 999, 1'000'000, INT_MAX})
                for (const Micros elapsed : {Micros{-1}, Micros{0}, Micros{1}, kInterval, Micros{INT64_MAX}})
                    for (const int keys : {-1, 0, 1, INT_MAX}) {
                        const Pace pace = {
                            .job_interval = interval, .batch_size = batch_size, .max_batch_size = max_batch_size};
                        const auto change = next_batch_size(pace, std::array{JobSample{elapsed, keys}});
                        if (!change)
                            continue;
                        ASSERT_GE(change->size, 1) << interval << ' ' << batch_size << ' ' << max_batch_size;
                        ASSERT_LE(change->size, max_batch_size > 0 ? max_batch_size : kLargest);
                        ASSERT_NE(change->size, batch_size);
                    }
}

TEST(default_batch_size, by_what_is_given) {
    const struct {
        const char *what;
        Micros job_interval;
        int max_batch_size;
        int expected;
    } cases[] = {
        {"nothing given", 0, 0, 10'000},
        {"a small limit", 0, 500, 500},
        {"a limit of one", 0, 1, 1},
        {"a limit out of the way", 0, 50'000, 10'000},
        {"with an interval, as documented", kInterval, 0, 1000},
        {"with the shortest interval", 1, 0, 1000},
        {"with an interval and a small limit", kInterval, 200, 200},
        {"with an interval and a limit out of the way", kInterval, 5000, 1000},
    };
    for (const auto &one : cases)
        EXPECT_EQ(default_batch_size(one.job_interval, one.max_batch_size), one.expected) << one.what;
}

} // namespace
} // namespace bbm
