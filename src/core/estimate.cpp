#include "core/estimate.hpp"

#include "core/batching.hpp"
#include "core/optimizer.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

namespace bbm {

namespace {

// 0, 1, the half, the quarters and the eighths.
constexpr int kEnoughSamples = 9;
constexpr double kEnoughShare = 0.05;

// What samples of one table differ by for no reason, and what a plan keeps free for that.
constexpr double kMargin = 0.1;
// One or two samples of a big table may both have met its quiet corner.
constexpr int kFewestForSpread = 3;
constexpr double kUnknownSpread = 0.5;
constexpr double kStandardErrors = 2; // 95 of 100 means lie within

// A job of ten seconds loses little when it is done again, and its bookkeeping does not show.
constexpr double kJobTargetUs = 10e6;
constexpr double kSmallestJob = 1000;
constexpr double kLargestJob = kLargestBatch;
// Of the limit; the rest is for what the samples did not see.
constexpr double kPlannedShare = 0.9;
// Of an interval. Busier, and the optimizer would cut the jobs down, which costs more intervals than there are.
constexpr double kBusiestShare = 0.9;
// A size that changes by a fifth at least is at its end after some forty steps.
constexpr int kMostSteps = 100;

constexpr double kLongest = 9e18; // microseconds that still fit

std::int64_t whole(double value) { return static_cast<std::int64_t>(std::clamp(value, 0.0, kLongest)); }

std::optional<std::int64_t> integer(Text text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

// The distance between two numbers may be twice what fits into a signed one.
std::uint64_t distance(std::int64_t from, std::int64_t to) {
    return static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
}

std::int64_t moved(std::int64_t from, std::uint64_t by) {
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(from) + by);
}

// Both products fit: the fraction is at most 1, and the rest is smaller than its denominator.
std::uint64_t part(std::uint64_t of, Fraction at) {
    return of / at.denominator * at.numerator + of % at.denominator * at.numerator / at.denominator;
}

const Stretch *find_around(std::span<const Stretch> stretches, std::int64_t key) {
    for (const Stretch &stretch : stretches)
        if (stretch.first <= key && key <= stretch.last)
            return &stretch;
    return nullptr;
}

double divide(std::int64_t a, std::int64_t b) { return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b); }

double relative_error(const Tally &tally, bool is_counted) {
    if (is_counted)
        return kMargin;
    if (tally.samples < kFewestForSpread)
        return kUnknownSpread;
    const double variance = tally.squares / (tally.samples - 1);
    const double error = kStandardErrors * std::sqrt(variance / tally.samples);
    return std::max(kMargin, tally.mean_us > 0 ? error / tally.mean_us : 0);
}

// Half as fast is as far away as twice as fast; a difference would go below zero where samples differ much.
TimeRange around(double mean, double error) { return {whole(mean / (1 + error)), whole(mean * (1 + error))}; }

struct Journey {
    double keys;
    double us_per_key;
    double pause_per_key;
};

double job_time(const Journey &walk, double keys) { return keys * (walk.us_per_key + walk.pause_per_key); }

// All jobs of one size. Only an interval makes the last one as long as the others.
double time_at(const Journey &walk, const Pace &pace, double keys) {
    if (pace.job_interval == 0)
        return job_time(walk, keys);
    const double job = job_time(walk, std::min<double>(pace.batch_size, keys));
    return std::ceil(keys / std::max(pace.batch_size, 1)) * std::max(static_cast<double>(pace.job_interval), job);
}

// The optimizer finds its size in the first jobs; all others have that one.
double time_optimized(const Journey &walk, Pace pace) {
    double left = walk.keys, time = 0;
    for (int step = 0; step < kMostSteps && left > pace.batch_size; ++step) {
        const JobSample sample = {whole(job_time(walk, pace.batch_size)), pace.batch_size};
        const auto change = next_batch_size(pace, {&sample, 1});
        if (!change)
            break;
        time += std::max(static_cast<double>(pace.job_interval), job_time(walk, pace.batch_size));
        left -= pace.batch_size;
        pace.batch_size = change->size;
    }
    return time + time_at(walk, pace, left);
}

} // namespace

Fraction sample_fraction(int number) {
    if (number < 2)
        return {static_cast<std::uint32_t>(number), 1};
    const auto place = static_cast<std::uint32_t>(number - 1);
    const std::uint32_t denominator = std::bit_floor(place) * 2;
    return {(place - denominator / 2) * 2 + 1, denominator};
}

std::optional<Stretch> integer_stretch(Range range) {
    if (range.min.size() != 1 || range.max.size() != 1)
        return std::nullopt;
    const auto first = integer(range.min[0]), last = integer(range.max[0]);
    if (!first || !last || *first > *last)
        return std::nullopt;
    return Stretch{*first, *last};
}

double length_of(Stretch stretch) { return static_cast<double>(distance(stretch.first, stretch.last)) + 1; }

std::optional<Stretch> room_for_sample(Stretch whole, std::span<const Stretch> sampled, std::uint64_t width,
                                       Fraction at) {
    const std::uint64_t length = distance(whole.first, whole.last);
    const std::uint64_t free = length - std::min(length, width - std::min<std::uint64_t>(width, 1));
    Stretch room = {moved(whole.first, part(free, at)), whole.last};
    while (const Stretch *other = find_around(sampled, room.first)) {
        if (other->last >= whole.last)
            return std::nullopt;
        room.first = other->last + 1;
    }
    for (const Stretch &other : sampled)
        if (other.first > room.first)
            room.last = std::min(room.last, other.first - 1);
    return room;
}

void add(Coverage &coverage, Stretch stretch, std::int64_t keys) {
    ++coverage.stretches;
    coverage.length += length_of(stretch);
    coverage.keys += static_cast<double>(keys);
    coverage.densities += static_cast<double>(keys) / length_of(stretch);
}

bool is_complete(const Coverage &coverage, Stretch whole) { return coverage.length >= length_of(whole); }

std::int64_t total_keys(const Coverage &coverage, Stretch range) {
    const double density = coverage.stretches == 0 ? 0 : coverage.densities / coverage.stretches;
    const double rest = std::max(0.0, length_of(range) - coverage.length);
    return whole(std::round(coverage.keys + density * rest));
}

void add(Tally &tally, const Sample &sample) {
    tally.sum.keys += sample.keys;
    tally.sum.rows += sample.rows;
    tally.sum.changes += sample.changes;
    tally.sum.work += sample.work;
    tally.sum.wal_bytes += sample.wal_bytes;
    tally.sum.growth_bytes += sample.growth_bytes;
    if (sample.keys <= 0)
        return;
    const double cost = divide(sample.work, sample.keys);
    tally.least_us = tally.samples == 0 ? cost : std::min(tally.least_us, cost);
    tally.most_us = std::max(tally.most_us, cost);
    ++tally.samples;
    const double before = cost - tally.mean_us; // Welford: sums of squares would cancel each other out
    tally.mean_us += before / tally.samples;
    tally.squares += before * (cost - tally.mean_us);
}

double us_per_key(const Tally &tally, Micros pause) {
    return divide(tally.sum.work, tally.sum.keys) +
           static_cast<double>(pause) * divide(tally.sum.changes, tally.sum.keys);
}

bool is_enough(const Tally &tally, std::int64_t total_keys) {
    return tally.samples >= kEnoughSamples &&
           static_cast<double>(tally.sum.keys) >= kEnoughShare * static_cast<double>(total_keys);
}

Projection project(const Tally &tally, const Total &total, const Pace &pace) {
    const double keys = static_cast<double>(total.keys), mean = us_per_key(tally, 0);
    const double scale = tally.sum.keys == 0 ? 0 : keys / static_cast<double>(tally.sum.keys);
    const double batch = std::min<double>(pace.batch_size, keys);
    const double error = relative_error(tally, total.is_counted);
    const double pause = us_per_key(tally, pace.pause) - mean;
    const Journey quick = {keys, mean / (1 + error), pause}, slow = {keys, mean * (1 + error), pause};
    Projection result = {};
    result.rows = std::llround(static_cast<double>(tally.sum.rows) * scale);
    result.jobs = whole(std::ceil(keys / std::max(pace.batch_size, 1)));
    result.wal_bytes = whole(static_cast<double>(tally.sum.wal_bytes) * scale);
    result.growth_bytes = whole(static_cast<double>(tally.sum.growth_bytes) * scale);
    result.batch_mean = whole(mean * batch);
    result.batch = {whole(tally.least_us * batch), whole(tally.most_us * batch)};
    result.full_speed = around(mean * keys, error);
    result.at_pace = result.full_speed; // to the microsecond, where nothing is waited for
    if (pace.job_interval > 0 || pace.pause > 0)
        result.at_pace = {whole(time_at(quick, pace, keys)), whole(time_at(slow, pace, keys))};
    if (total.is_optimized && pace.job_interval > 0)
        result.at_pace = {std::min(result.at_pace.low, whole(time_optimized(quick, pace))), result.at_pace.high};
    return result;
}

FinishPlan plan_finish_within(std::int64_t total_keys, double us_per_key, Micros limit, int max_batch_size) {
    FinishPlan plan;
    const double keys = static_cast<double>(std::max<std::int64_t>(total_keys, 1));
    const double full_speed = keys * us_per_key;
    plan.full_speed = whole(full_speed);
    plan.is_possible = full_speed * (1 + kMargin) <= static_cast<double>(limit);
    const double wanted = us_per_key > 0 ? kJobTargetUs / us_per_key : kLargestJob;
    const double largest = std::min(keys, max_batch_size > 0 ? max_batch_size : kLargestJob);
    const double size = std::min(std::floor(std::clamp(wanted, kSmallestJob, kLargestJob)), largest);
    plan.batch_size = static_cast<int>(size);
    const double interval = std::floor(static_cast<double>(limit) * kPlannedShare / std::ceil(keys / size));
    if (size * us_per_key <= interval * kBusiestShare)
        plan.job_interval = whole(interval);
    return plan;
}

} // namespace bbm
