#include "core/optimizer.hpp"

#include "core/batching.hpp"

#include <algorithm>
#include <cmath>

namespace bbm {

namespace {

// The documented figures.
constexpr double kAlpha = 0.4;
constexpr double kTargetLow = 0.90;
constexpr double kTargetHigh = 0.95;
constexpr double kLargestGrowth = 1.2;
constexpr int kSmallestOptimized = 1000;
constexpr int kIntervalBatch = 1000;

// Without an interval. The first job is long enough to measure, short enough to be wrong about; then ten seconds keep
// bookkeeping below a thousandth and lose little when a job has to be done again. The band is wide, so that the noise
// of a busy server does not change the size after every job.
constexpr int kUnmeasuredBatch = 10'000;
constexpr Micros kJobTarget = 10'000'000;
constexpr double kBandLow = 0.7;
constexpr double kBandHigh = 1.3;

int largest(int max_batch_size) { return max_batch_size > 0 ? max_batch_size : kLargestBatch; }

int clamped(double size, int low, int high) {
    return static_cast<int>(std::clamp(std::trunc(size), static_cast<double>(low), static_cast<double>(high)));
}

// A row found by bisection, or a part of a job that was split again and again, says nothing about whole jobs.
constexpr int kSmallestShare = 4;

int smallest_that_counts(const Pace &pace) { return pace.batch_size / kSmallestShare; }

template <class Value> std::optional<double> smoothed(std::span<const JobSample> samples, int smallest, Value value) {
    double weight = 1, sum = 0, weights = 0;
    for (const JobSample &sample : samples.first(std::min(samples.size(), kSmoothedJobs))) {
        if (sample.batch_size < smallest)
            continue;
        sum += weight * value(sample);
        weights += weight;
        weight *= 1 - kAlpha;
    }
    return weights > 0 ? std::optional<double>(sum / weights) : std::nullopt;
}

std::optional<BatchSizeChange> changed(const Pace &pace, int size, double efficiency) {
    if (size == pace.batch_size)
        return std::nullopt;
    return BatchSizeChange{size, efficiency};
}

std::optional<BatchSizeChange> fit_interval(const Pace &pace, std::span<const JobSample> samples) {
    const auto efficiency = smoothed_efficiency(samples, pace.job_interval, smallest_that_counts(pace));
    if (!efficiency || (*efficiency >= kTargetLow && *efficiency <= kTargetHigh))
        return std::nullopt;
    const double multiplier = *efficiency > 0 ? std::min(kTargetHigh / *efficiency, kLargestGrowth) : kLargestGrowth;
    const int high = largest(pace.max_batch_size);
    const int low = std::min({kSmallestOptimized, high, std::max(pace.batch_size, 1)});
    double wanted = pace.batch_size * multiplier;
    if (multiplier > 1) // up to the documented minimum as far as the interval allows
        wanted = std::max(
            {wanted, pace.batch_size + 1.0,
             std::min<double>(kSmallestOptimized, pace.batch_size * kTargetHigh / std::max(*efficiency, 0.001))});
    return changed(pace, clamped(wanted, low, high), *efficiency);
}

std::optional<BatchSizeChange> fit_target(const Pace &pace, std::span<const JobSample> samples) {
    const auto cost = smoothed(samples, smallest_that_counts(pace), [](const JobSample &sample) {
        return static_cast<double>(sample.elapsed) / std::max(sample.batch_size, 1);
    });
    if (!cost)
        return std::nullopt;
    const double efficiency = *cost * pace.batch_size / static_cast<double>(kJobTarget);
    if (efficiency >= kBandLow && efficiency <= kBandHigh)
        return std::nullopt;
    const int high = largest(pace.max_batch_size);
    const double wanted = static_cast<double>(kJobTarget) / std::max(*cost, 1e-6);
    return changed(pace, clamped(wanted, std::min(kSmallestOptimized, high), high), efficiency);
}

} // namespace

std::optional<double> smoothed_efficiency(std::span<const JobSample> newest_first, Micros interval, int smallest) {
    const auto efficiency = smoothed(newest_first, smallest, [&](const JobSample &sample) {
        return static_cast<double>(sample.elapsed) / static_cast<double>(interval);
    });
    return efficiency ? std::optional<double>(std::round(*efficiency * 100) / 100) : std::nullopt;
}

int default_batch_size(Micros job_interval, int max_batch_size) {
    return std::min(job_interval > 0 ? kIntervalBatch : kUnmeasuredBatch, largest(max_batch_size));
}

bool has_fixed_size(const Pace &pace) { return pace.batch_size_given && pace.job_interval == 0; }

std::optional<BatchSizeChange> next_batch_size(const Pace &pace, std::span<const JobSample> newest_first) {
    if (pace.job_interval > 0)
        return fit_interval(pace, newest_first);
    if (has_fixed_size(pace))
        return std::nullopt;
    return fit_target(pace, newest_first);
}

} // namespace bbm
