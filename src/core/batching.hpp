// How many keys the next sub-batch takes, from what the last ones cost.
#pragma once

#include "core/types.hpp"

namespace bbm {

// Keys of a job, and so of a sub-batch, where the user sets no limit. The documented figure.
inline constexpr int kLargestBatch = 2'000'000;

struct SubBatchSample {
    int keys;    // keys the range spanned; what the next range is measured in
    Micros work; // time of the statement itself, not of waiting or sleeping
};

struct SubBatchSize {
    int keys;
    double row_cost_us; // smoothed; 0 = not measured yet
};

// The first sub-batch of a job: what the measured cost suggests, else a size that is safe on any table.
int first_sub_batch_size(const Pace &pace, Micros target);

// The next sub-batch. Grows at most twofold, shrinks at once to a tenth on a five-fold overshoot, never below the floor
// and never above the size that the user gave.
SubBatchSize next_sub_batch_size(SubBatchSize current, SubBatchSample sample, const Pace &pace, Micros target);

// The range behind one in which no row was changed, in the same transaction: it has locked nothing, so what comes may be
// twice as many keys, if they take no longer than what is `left` of the time.
int after_empty_range(int keys, Micros work, Micros left, const Pace &pace);

// Does a batch count only rows that the filter lets pass? As documented, where somebody chose its size; where bbm
// chooses, the filter is asked once for each row: by the command.
bool counts_filtered_rows(const Migration &migration);

// The keys of the next job, a window at the least: fewer than the batch size where several workers are to share a part of so many rows (negative:
// nobody knows), so that none of them is left with all of the rest. A size that a person chose stays.
int share_of_batch(int batch_size, const Migration &migration, std::int64_t rows, int window_keys = 0);

// The size within what the user allows now: he may have lowered it meanwhile.
int within_cap(int keys, const Pace &pace);

} // namespace bbm
