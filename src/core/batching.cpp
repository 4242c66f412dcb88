#include "core/batching.hpp"

#include <algorithm>
#include <cmath>

namespace bbm {

namespace {

// Small enough that the first sub-batch of an unknown table hurts nobody, even with a millisecond of triggers per row.
constexpr int kUnmeasuredSubBatch = 100;
// A size that the user gave is tried as it is, up to this: beyond, it is a cap to grow to.
constexpr int kLargestUnmeasured = 10'000;
// Below this, bookkeeping costs more than the work; also what the design promises as the floor.
constexpr int kSmallestSubBatch = 10;
// Half the weight to the newest sample: the size reacts after one sub-batch and still forgets a single hiccup in three.
constexpr double kNewestWeight = 0.5;
constexpr double kLargestGrowth = 2.0;
// Jobs that each worker gets of a part: when the first of them has nothing left to do, the others have a sixteenth of
// their share at the most. With a quarter two workers were outside of jobs for 8 % of their time, with this for 4 %.
constexpr int kSharesOfAWorker = 16;
// Less is not worth a worker of its own.
constexpr std::int64_t kSmallestShare = 1'000;
// Where nobody knows: small enough for a table that was just loaded, large enough to cost little on a big one.
constexpr std::int64_t kUnknownShare = 10'000;
constexpr double kOvershoot = 5.0;
constexpr int kOvershootDivisor = 10;

int clamped(double keys, int low, int high) {
    return static_cast<int>(std::clamp(std::floor(keys), static_cast<double>(low), static_cast<double>(high)));
}

int cap(const Pace &pace) { return pace.sub_batch_size > 0 ? pace.sub_batch_size : kLargestBatch; }
int floor_of(const Pace &pace) { return std::min(kSmallestSubBatch, cap(pace)); }

} // namespace

int first_sub_batch_size(const Pace &pace, Micros target) {
    if (pace.row_cost_us <= 0)
        return pace.sub_batch_size > 0 ? std::min(pace.sub_batch_size, kLargestUnmeasured) : kUnmeasuredSubBatch;
    return clamped(static_cast<double>(target) / pace.row_cost_us, floor_of(pace), cap(pace));
}

SubBatchSize next_sub_batch_size(SubBatchSize current, SubBatchSample sample, const Pace &pace, Micros target) {
    if (sample.keys <= 0)
        return current;
    const double work = static_cast<double>(std::max<Micros>(sample.work, 1));
    const double cost = work / sample.keys;
    const double smoothed =
        current.row_cost_us > 0 ? kNewestWeight * cost + (1 - kNewestWeight) * current.row_cost_us : cost;
    if (work >= kOvershoot * static_cast<double>(target))
        return {clamped(current.keys / kOvershootDivisor, floor_of(pace), cap(pace)), smoothed};
    const double wanted = std::min(static_cast<double>(target) / smoothed, kLargestGrowth * current.keys);
    return {clamped(wanted, floor_of(pace), cap(pace)), smoothed};
}

int after_empty_range(int keys, Micros work, Micros left, const Pace &pace) {
    const bool fits = static_cast<double>(work) * kLargestGrowth <= static_cast<double>(left);
    return fits ? clamped(kLargestGrowth * keys, 1, cap(pace)) : keys;
}

bool counts_filtered_rows(const Migration &migration) {
    return (migration.pace.batch_size_given || migration.pace.job_interval > 0) && !migration.scope_to.empty();
}

int share_of_batch(int batch_size, const Migration &migration, std::int64_t rows, int window_keys) {
    if (migration.workers <= 1 || migration.pace.batch_size_given)
        return batch_size;
    const std::int64_t share = rows < 0 ? kUnknownShare : rows / (migration.workers * kSharesOfAWorker);
    return static_cast<int>(std::min<std::int64_t>(batch_size, std::max<std::int64_t>({share, kSmallestShare, window_keys})));
}

int within_cap(int keys, const Pace &pace) { return std::min(keys, cap(pace)); }

} // namespace bbm
