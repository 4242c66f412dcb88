// What the windows of a walk have shown, and how the next one is walked: in passes or plainly, and each pass in how
// many transactions.
#pragma once

#include "core/strides.hpp"

namespace bbm {

// What the rows of one window have shown.
struct WindowSample {
    std::int64_t rows = 0; // updated
    std::int64_t hot = 0;  // of these, within their page; negative: not counted
    std::int64_t keys = 0; // that were looked at, changed or not
    int slices = 1;          // of each pass
    std::uint32_t began = 0; // the transaction of its first slice
    bool is_held = false;    // what that one has replaced cannot be cleared away yet: somebody has an older snapshot
};

// Of one process and one part. A hint about the recent past: whoever has none begins anew.
struct StrideCourse {
    int poor_windows = 0;         // in a row
    int plain_windows = 0;        // to come, before passes are tried again
    std::int64_t plain_keys = 0;  // of the next of them that are walked already
    int rest = 0;                 // how many plain windows the last change took; 0 = none since passes paid
    std::uint32_t held_since = 0; // until nobody has a snapshot older than this transaction passes gain nothing; 0: none
    int slices = 1;               // transactions of a pass, at the least
    int steady_windows = 0;       // since slices were changed
    int short_windows = 0;        // in a row
    double share_before = -1;     // of HOT updates, when slices were doubled; negative: nothing to compare with
    bool more_is_useless = false; // slices were doubled and nothing was better
    bool is_sparse = false;       // few rows are changed of those that are looked at: no windows, as long as that is so
    bool said_sparse = false;
};

struct NextWindow {
    int passes;
    int slices; // of each pass
    int keys;
};
// Is what comes next walked by a window, or by plain ranges?
bool takes_window(const StrideCourse &course, const Strides &strides);
// `workers`: of the migration.
NextWindow next_window(const StrideCourse &course, const Strides &strides, int workers);
// The most rows of a slice; 0: no limit.
struct SliceKeys {
    int first_pass = 0;
    int others = 0;
    int of_pass = 1; // slices of every pass but the first
};
// Of a window with so many rows.
SliceKeys slice_keys(int rows, NextWindow way);

// Have fewer updates stayed in their page than usual? Then somebody may be in the way, and is worth looking for.
bool is_short(const Strides &strides, const WindowSample &sample);

// Takes in what a range has shown that was walked without windows.
void note_range(StrideCourse &course, const Strides &strides, std::int64_t keys, std::int64_t rows);

// Takes in what the window at hand has shown. `holder` is what keeps old row versions from being cleared, in words;
// empty for nothing. If passes end for a while the reason is returned, and nothing otherwise.
Text note_window(StrideCourse &course, const Strides &strides, const WindowSample &sample, Text holder, Arena arena);

} // namespace bbm
