// What a few samples say about a whole migration: where to take them, what they come to, how long everything takes.
#pragma once

#include "core/types.hpp"

#include <optional>
#include <span>

namespace bbm {

// ---- where

struct Fraction {
    std::uint32_t numerator;
    std::uint32_t denominator; // a power of two

    bool operator==(const Fraction &) const = default;
};

// 0, 1, 1/2, 1/4, 3/4, 1/8, 3/8 ...: whenever the time is over, the samples so far lie evenly. Numbers count from 0.
Fraction sample_fraction(int number);
// More places than there will ever be time for.
inline constexpr int kMostFractions = 1025;

// A part of an integer key, both ends inclusive.
struct Stretch {
    std::int64_t first;
    std::int64_t last;

    bool operator==(const Stretch &) const = default;
};

// Keys of one integer column have arithmetic; nothing for all others, which are sampled from their beginning.
std::optional<Stretch> integer_stretch(Range range);
// Keys that would fit; exact below 2^53.
double length_of(Stretch stretch);

// Room for the next sample: it begins at the fraction of the whole, early enough for one of the `width` to fit in at
// the end, or behind the stretch that was sampled there, and ends before the next one. Nothing if all is sampled from
// there to the end.
std::optional<Stretch> room_for_sample(Stretch whole, std::span<const Stretch> sampled, std::uint64_t width,
                                       Fraction at);

// How much of a key has been looked at, and how many keys were there.
struct Coverage {
    int stretches = 0;
    double length = 0;
    double keys = 0;
    double densities = 0; // the sum over the stretches
};

void add(Coverage &coverage, Stretch stretch, std::int64_t keys);
bool is_complete(const Coverage &coverage, Stretch whole);
// What was counted, and for the rest the mean density: stretches of as many keys are longer where the keys are thin, so
// that their lengths must not be weights.
std::int64_t total_keys(const Coverage &coverage, Stretch whole);

// ---- what they come to

struct Sample {
    std::int64_t keys = 0;    // as the batch size counts them
    std::int64_t rows = 0;    // that the command affected
    std::int64_t changes = 0; // sub-batches that affected any; each is followed by the pause
    Micros work = 0;
    std::int64_t wal_bytes = 0;
    std::int64_t growth_bytes = 0;

    bool operator==(const Sample &) const = default;
};

struct Tally {
    int samples = 0;
    Sample sum;
    double least_us = 0; // a key costs, in the cheapest and in the dearest sample
    double most_us = 0;
    double mean_us = 0; // of the samples, each with the same weight, and the sum of the squared distances from it
    double squares = 0;
};

// One that has met no key is no sample, but work that others pay for.
void add(Tally &tally, const Sample &sample);
// What a key costs on average, with its part of the pauses.
double us_per_key(const Tally &tally, Micros pause);
// Every sample leaves dead rows behind: more of them would cost more than they tell.
bool is_enough(const Tally &tally, std::int64_t total_keys);

// ---- how long everything takes

struct Total {
    std::int64_t keys;
    bool is_counted;   // the samples cover everything
    bool is_optimized; // batch sizes follow the interval
};

struct TimeRange {
    Micros low;
    Micros high;

    bool operator==(const TimeRange &) const = default;
};

struct Projection {
    std::int64_t rows;
    std::int64_t jobs; // of the first job's size
    std::int64_t wal_bytes;
    std::int64_t growth_bytes;
    Micros batch_mean; // one batch takes
    TimeRange batch;   // the cheapest and the dearest
    TimeRange full_speed;
    TimeRange at_pace; // with the interval and the pauses
};

Projection project(const Tally &tally, const Total &total, const Pace &pace);

// ---- queue(finish_within)

struct FinishPlan {
    bool is_possible = true;
    int batch_size = 0;
    Micros job_interval = 0; // 0: there is no time to rest
    Micros full_speed = 0;   // how long it takes without rest
};

// The gentlest pace that is done in time, or none where even full speed is not. A largest size of 0 is none.
FinishPlan plan_finish_within(std::int64_t total_keys, double us_per_key, Micros limit, int max_batch_size = 0);

} // namespace bbm
