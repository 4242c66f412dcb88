#include "core/retry.hpp"

#include <algorithm>

namespace bbm {

namespace {

constexpr Micros kSecond = 1'000'000;
constexpr Micros kFirstDelay = kSecond;
constexpr Micros kLongestDelay = 60 * kSecond;
constexpr Micros kResourceDelay = 120 * kSecond; // a full disk is not mended in seconds
constexpr int kReducedTo = 75;                   // percent of a sub-batch that ran into a time-out; GitLab's factor
constexpr int kLargestDoubling = 6;              // 2^6 s is beyond kLongestDelay

bool is_class(Text sqlstate, Text prefix) { return sqlstate.substr(0, prefix.size()) == prefix; }

// Waits for others and for weather: doubled per attempt, spread over its upper half so that many jobs do not come back
// at once.
Micros back_off(int attempts, double jitter) {
    const int doublings = std::clamp(attempts - 1, 0, kLargestDoubling);
    const Micros delay = std::min(kFirstDelay << doublings, kLongestDelay);
    return delay / 2 + static_cast<Micros>(static_cast<double>(delay / 2) * jitter);
}

} // namespace

FailureClass classify(Text sqlstate) {
    constexpr Text transient[] = {"40001", "40P01", "55P03", "57014", "25006"};
    if (std::find(std::begin(transient), std::end(transient), sqlstate) != std::end(transient))
        return FailureClass::transient;
    if (is_class(sqlstate, "53") || sqlstate == "58030" || is_class(sqlstate, "57P0"))
        return FailureClass::resources;
    if (is_class(sqlstate, "42") || is_class(sqlstate, "0A") || is_class(sqlstate, "3D") || is_class(sqlstate, "3F") ||
        is_class(sqlstate, "28"))
        return FailureClass::structure;
    return FailureClass::data;
}

int sub_batch_size_after(Text sqlstate, int size) {
    const bool is_timeout = sqlstate == "57014" || sqlstate == "55P03";
    return is_timeout ? std::max(size * kReducedTo / 100, 1) : 0;
}

RetryDecision after_failure(Text sqlstate, int attempts, double jitter) {
    using Action = RetryDecision::Action;
    switch (classify(sqlstate)) {
    case FailureClass::transient:
        return {Action::retry_job, back_off(attempts, jitter)};
    case FailureClass::resources:
        return {Action::retry_job, kResourceDelay};
    case FailureClass::structure:
        return {Action::fail_migration, 0};
    case FailureClass::data:
        break; // the same rows raise the same error: trying again only delays the report
    }
    return {Action::give_up_job, 0};
}

} // namespace bbm
