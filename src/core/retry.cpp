#include "core/retry.hpp"

#include <algorithm>

namespace bbm {

namespace {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kFirstDelay = kSecond;
constexpr Micros kLongestDelay = 60 * kSecond;
constexpr Micros kResourceDelay = 120 * kSecond; // a full disk is not mended in seconds
constexpr int kMostHalvings = 30;                // of an int
constexpr int kLargestDoubling = 6;              // 2^6 s is beyond kLongestDelay

// The documented figures.
constexpr int kAttempts = 3;
constexpr int kReducedTo = 75;  // percent of a sub-batch that ran into a time-out
constexpr int kLargestCut = 65; // percent of the configured size
constexpr int kBatchDivisor = 2;

// Parts that a job is cut into because of locks. Each is a row of bookkeeping.
constexpr int kMostParts = 16;
// Beyond any number of halvings.
constexpr int kMostBoundsAttempts = 40;

bool is_class(Text sqlstate, Text prefix) { return sqlstate.substr(0, prefix.size()) == prefix; }
bool is_timeout(Text sqlstate) { return sqlstate == kQueryCanceled || sqlstate == kLockNotAvailable; }

// Waits for others and for weather: doubled per attempt, spread over its upper half so that many jobs do not come back
// at once.
Micros back_off(int attempts, double jitter) {
    const int doublings = std::clamp(attempts - 1, 0, kLargestDoubling);
    const Micros delay = std::min(kFirstDelay << doublings, kLongestDelay);
    return delay / 2 + static_cast<Micros>(static_cast<double>(delay / 2) * jitter);
}

// After a time-out a smaller sub-batch has a better chance, down to a limit below which the job is split instead. Where
// bbm chose the size itself there is no limit but one.
int reduced(const FailedRun &run) {
    const int candidate = std::max(static_cast<int>(std::int64_t{run.sub_batch_size} * kReducedTo / 100), 1);
    const int configured = run.configured_sub_batch_size;
    if (configured > 0 && 100.0 * (configured - candidate) / configured > kLargestCut)
        return 0;
    return candidate;
}

RetryDecision after_timeout(const FailedRun &run, double jitter) {
    using Action = RetryDecision::Action;
    if (run.attempts < kAttempts)
        return {Action::retry_job, back_off(run.attempts, jitter), reduced(run)};
    // A statement that takes too long may do so for one row. A lock says nothing about size: it is somebody else's, who
    // may hold all rows, and some time will not.
    const bool waits_for_lock = run.sqlstate == kLockNotAvailable;
    const int smallest = waits_for_lock ? run.whole_batch_size / kMostParts : 0;
    if (run.batch_size > std::max(smallest, 1))
        return {Action::split_job, back_off(1, jitter), 0};
    if (waits_for_lock)
        return {Action::retry_job, back_off(run.attempts, jitter), 0};
    return {Action::give_up_job, 0, 0};
}

} // namespace

FailureClass classify(Text sqlstate) {
    constexpr Text transient[] = {"40001", "40P01", kLockNotAvailable, kQueryCanceled, "25006"};
    if (std::find(std::begin(transient), std::end(transient), sqlstate) != std::end(transient))
        return FailureClass::transient;
    if (is_class(sqlstate, "53") || sqlstate == "58030" || is_class(sqlstate, "57P0"))
        return FailureClass::resources;
    if (is_class(sqlstate, "42") || is_class(sqlstate, "0A") || is_class(sqlstate, "3D") || is_class(sqlstate, "3F") ||
        is_class(sqlstate, "28"))
        return FailureClass::structure;
    for (const Text prefix : {"21", "22", "23", "2F", "38", "39", "44", "P0"})
        if (is_class(sqlstate, prefix))
            return FailureClass::data;
    return FailureClass::unknown;
}

RetryDecision after_failure(const FailedRun &run, double jitter) {
    using Action = RetryDecision::Action;
    switch (classify(run.sqlstate)) {
    case FailureClass::transient:
        if (is_timeout(run.sqlstate))
            return after_timeout(run, jitter);
        return {Action::retry_job, back_off(run.attempts, jitter), 0};
    case FailureClass::resources:
        return {Action::hold_migration, kResourceDelay, 0};
    case FailureClass::structure:
        return {Action::fail_migration, 0, 0};
    case FailureClass::data:
    case FailureClass::unknown:
        break; // the same rows raise the same error: trying again only delays the report
    }
    return {Action::give_up_job, 0, 0};
}

bool too_many_failed(std::int64_t jobs, std::int64_t failed) { return jobs >= kMinimumJobs && failed * 2 > jobs; }

BoundsSearch bounds_search(int batch_size, int bounds_attempts, bool has_filter) {
    const bool filters = has_filter && bounds_attempts < kUnfilteredAfter;
    const int halvings = has_filter && !filters ? bounds_attempts - kUnfilteredAfter : bounds_attempts;
    return {std::max(batch_size >> std::min(halvings, kMostHalvings), 1), filters};
}

bool is_hopeless(int bounds_attempts) { return bounds_attempts >= kMostBoundsAttempts; }

int half_of(int batch_size) { return std::max(batch_size / kBatchDivisor, 1); }

} // namespace bbm
