// How many keys the next job takes: the documented optimizer where jobs have an interval, else jobs of about ten
// seconds.
#pragma once

#include "core/types.hpp"

#include <optional>
#include <span>

namespace bbm {

struct JobSample {
    Micros elapsed; // pauses included: they fill the interval as work does
    int batch_size;
};

// The samples that count, newest first; more are ignored.
inline constexpr std::size_t kSmoothedJobs = 20;

// The exponential moving average of elapsed / interval, rounded to two decimals; nothing without samples. Jobs with a
// batch smaller than `smallest` are left out. Source of the formula: GitLab's batch optimizer.
std::optional<double> smoothed_efficiency(std::span<const JobSample> newest_first, Micros interval, int smallest = 0);

// The size of a migration's first job when the user gives none.
int default_batch_size(Micros job_interval, int max_batch_size);

// The size stays what a person gave: without an interval small jobs cost little.
bool has_fixed_size(const Pace &pace);

struct BatchSizeChange {
    int size;
    double efficiency; // of the jobs so far: 1 where they take as long as they should
};

// Nothing where the size stays. It differs from its source in three places: it acts on the jobs there are, a size below
// the documented minimum is raised to it only as far as the interval allows, and jobs too short to measure grow.
std::optional<BatchSizeChange> next_batch_size(const Pace &pace, std::span<const JobSample> newest_first);

} // namespace bbm
