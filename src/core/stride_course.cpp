#include "core/stride_course.hpp"

#include "core/walk_text.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace bbm {

namespace {

// Below this part of what its passes allow, a window has cost more visits of pages than it has saved.
constexpr double kPoor = 1.0 / 3;
// One may be bad luck: a report of a minute that has just begun.
constexpr int kPoorWindows = 2;
// The first rest is a second or so. Each try costs a window: the last rest makes that one in 64. While the snapshot that
// was in the way is there still, nothing is tried.
constexpr int kFirstRest = 8;
constexpr int kLongestRest = 64;

// Rows grow and are not dealt out evenly to the last one: what remains of the theory without anybody in the way.
constexpr double kUsual = 0.9;
constexpr int kShortWindows = 2;  // one may be a query of a millisecond that has nothing to do with the next one
constexpr double kShort = 0.08;   // under the usual share by more than this: somebody is in the way
constexpr double kWorthIt = 0.03; // what twice the transactions have to gain
constexpr int kMostSlices = 8;
// Passes are not equal. Without room for the larger ones half of the slices were a handful of rows that was left over,
// in a transaction of its own.
constexpr double kSlack = 1.25;
// In the first pass each row moves, and takes two to eight times as long as a later one. In a transaction that lasts as
// long the other workers would do several passes, and have to move rows as well: nothing is cleared that is younger
// than it.
constexpr int kFirstPassCuts = 4;
// While somebody else works on the table a page may be met again before a transaction of his that is as long as ours is
// over. It is if there are two others of ours in between, in larger windows lest they become too short.
constexpr int kSlicesOfSeveral = 3;
constexpr int kWindowsOfSeveral = 2;
constexpr int kSteadyWindows = 32;        // then half of them are tried, or twice as many again
constexpr std::int64_t kFewestRows = 256; // fewer tell nothing

// With fewer changed rows than that among those that are looked at, a page has hardly two of them, and one has nothing
// to make room for; each pass would look at the page nevertheless. The way back is longer, so that nothing goes to and
// fro.
constexpr int kSparse = 16;
constexpr int kDense = 8;

// The first pass finds no room.
double allowed_share(int passes) { return static_cast<double>(passes - 1) / passes; }

bool is_telling(const Strides &strides, const WindowSample &sample) {
    return sample.rows >= kFewestRows && sample.hot >= 0 && strides.passes > 1;
}

double hot_share(const WindowSample &sample) {
    return static_cast<double>(sample.hot) / static_cast<double>(sample.rows);
}

double least_usual_share(int passes) { return allowed_share(passes) * kUsual - kShort; }

Text reason_of(double share, bool is_held, Text holder, Arena arena) {
    String &out = make<String>(arena);
    append(out, "only ");
    append_number(out, static_cast<std::size_t>(std::lround(share * 100)));
    append(out, " % of the updates are HOT");
    if (is_held || !holder.empty())
        append(out, ": old snapshots hold back pruning");
    if (!holder.empty()) {
        append(out, " (");
        append(out, holder);
        append(out, ")");
    }
    return view(out);
}

void set_slices(StrideCourse &course, int slices) {
    course.slices = std::clamp(slices, 1, kMostSlices);
    course.steady_windows = 0;
}

// More transactions in a pass: more of the short snapshots of others are over when a page is met again. It does not
// help against a long one.
void adapt_slices(StrideCourse &course, int passes, int slices, double share, bool is_held) {
    ++course.steady_windows;
    course.short_windows = share < least_usual_share(passes) ? course.short_windows + 1 : 0;
    if (course.share_before >= 0 && share < course.share_before + kWorthIt) {
        course.more_is_useless = true;
        set_slices(course, slices / 2);
    } else if (course.steady_windows >= kSteadyWindows) {
        course.more_is_useless = false;
        set_slices(course, slices / 2);
    } else if (!is_held && !course.more_is_useless && slices < kMostSlices &&
               course.short_windows >= kShortWindows) {
        set_slices(course, slices * 2);
        course.share_before = share;
        return;
    }
    course.share_before = -1;
}

} // namespace

bool takes_window(const StrideCourse &course, const Strides &strides) {
    const bool rests = !strides.is_given && (course.plain_windows > 0 || course.held_since != 0);
    return strides.passes > 1 && !course.is_sparse && !rests;
}

NextWindow next_window(const StrideCourse &course, const Strides &strides, int workers) {
    if (strides.passes == 1)
        return {1, 1, strides.window_keys};
    if (workers == 1)
        return {strides.passes, course.slices, strides.window_keys};
    return {strides.passes, std::max(course.slices, kSlicesOfSeveral), kWindowsOfSeveral * strides.window_keys};
}

SliceKeys slice_keys(int rows, NextWindow way) {
    const int keys = static_cast<int>(kSlack * rows / (way.passes * way.slices)) + 1;
    return {way.slices > 1 ? keys / kFirstPassCuts + 1 : keys, keys, way.slices};
}

bool is_short(const Strides &strides, const WindowSample &sample) {
    return is_telling(strides, sample) && hot_share(sample) < least_usual_share(strides.passes);
}

void note_range(StrideCourse &course, const Strides &strides, std::int64_t keys, std::int64_t rows) {
    if (keys >= kFewestRows && rows >= keys / kDense)
        course.is_sparse = false;
    course.plain_keys += keys;
    for (; course.plain_windows > 0 && course.plain_keys >= strides.window_keys; --course.plain_windows)
        course.plain_keys -= strides.window_keys;
}

Text note_window(StrideCourse &course, const Strides &strides, const WindowSample &sample, Text holder, Arena arena) {
    if (!strides.is_given && sample.keys >= kFewestRows && sample.rows < sample.keys / kSparse) {
        course.is_sparse = true;
        return std::exchange(course.said_sparse, true) ? Text() : Text("few of its rows are changed");
    }
    if (!is_telling(strides, sample))
        return {};
    const double share = hot_share(sample);
    const bool is_poor = share < allowed_share(strides.passes) * kPoor;
    course.poor_windows = is_poor ? course.poor_windows + 1 : 0;
    if (!is_poor)
        course.rest = 0;
    adapt_slices(course, strides.passes, sample.slices, share, sample.is_held || !holder.empty());
    // A try after a rest is one window. Where the reason is known there is no bad luck, and it ends when that does.
    const bool is_certain = course.rest > 0 || sample.is_held;
    if (strides.is_given || course.poor_windows < (is_certain ? 1 : kPoorWindows))
        return {};
    course.held_since = sample.is_held ? sample.began : 0;
    const bool is_first = course.rest == 0;
    course.rest = is_first ? kFirstRest : std::min(2 * course.rest, kLongestRest);
    course.plain_windows = course.rest;
    course.plain_keys = 0;
    course.poor_windows = 0;
    return is_first ? reason_of(share, sample.is_held, holder, arena) : Text{};
}

} // namespace bbm
