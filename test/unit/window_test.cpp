#include "core/window.hpp"

#include "core/key_hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace bbm {
namespace {

constexpr std::array<Text, 1> kNine = {"9"}, kTwenty = {"20"}, kThirty = {"30"};
constexpr std::array<Text, 2> kPair = {"a", "b"}, kOtherPair = {"a", "c"};

Position at(Key cursor, Window window = {}) { return {cursor, window}; }

bool same(const Position &a, const Position &b) {
    return same_key(a.cursor, b.cursor) && same_key(a.window.max, b.window.max) && a.window.passes == b.window.passes &&
           a.window.pass == b.window.pass && same_key(a.window.cursor, b.window.cursor);
}

TEST(window, is_open_where_it_has_an_end) {
    EXPECT_FALSE(Window{}.is_open());
    EXPECT_TRUE((Window{kTwenty, 4, 0, {}}.is_open()));
    EXPECT_TRUE((Window{kPair, 1, 0, {}}.is_open()));
}

TEST(window, move_behind) {
    const struct {
        const char *what;
        Position before, after;
    } cases[] = {
        {"the job's first row", at({}), at(kTwenty)},
        {"a later one", at(kNine), at(kTwenty)},
        {"within a pass", at(kNine, {kThirty, 4, 2, {}}), at(kNine, {kThirty, 4, 2, kTwenty})},
        {"further in a pass", at({}, {kThirty, 4, 0, kNine}), at({}, {kThirty, 4, 0, kTwenty})},
        {"the last row of a window", at(kNine, {kTwenty, 1, 0, kNine}), at(kNine, {kTwenty, 1, 0, kTwenty})},
    };
    for (const auto &one : cases) {
        Position moved = one.before;
        move_behind(moved, kTwenty);
        EXPECT_TRUE(same(moved, one.after)) << one.what;
    }
}

TEST(window, end_pass) {
    const struct {
        const char *what;
        Position before, after;
    } cases[] = {
        {"the next one begins at the beginning", at(kNine, {kThirty, 4, 0, kTwenty}), at(kNine, {kThirty, 4, 1, {}})},
        {"one without a row", at({}, {kThirty, 4, 1, {}}), at({}, {kThirty, 4, 2, {}})},
        {"behind the last one the window is done", at(kNine, {kThirty, 4, 3, kTwenty}), at(kThirty)},
        {"also where it had no row", at({}, {kThirty, 4, 3, {}}), at(kThirty)},
        {"a window of one pass", at(kNine, {kThirty, 1, 0, kThirty}), at(kThirty)},
        {"a key of two columns", at({}, {kPair, 2, 1, kPair}), at(kPair)},
    };
    for (const auto &one : cases) {
        Position moved = one.before;
        end_pass(moved);
        EXPECT_TRUE(same(moved, one.after)) << one.what;
    }
}

TEST(window, end_window) {
    for (const int pass : {0, 1, 3}) {
        Position moved = at(kNine, {kThirty, 4, pass, kTwenty});
        end_window(moved);
        EXPECT_TRUE(same(moved, at(kThirty))) << pass;
    }
}

TEST(window, is_done) {
    const struct {
        const char *what;
        Position position;
        Key max;
        bool is_done;
    } cases[] = {
        {"not begun", at({}), kThirty, false},
        {"on its way", at(kTwenty), kThirty, false},
        {"at its end", at(kThirty), kThirty, true},
        {"in a window", at(kTwenty, {kThirty, 4, 3, kThirty}), kThirty, false},
        {"in one that nobody should have opened", at(kThirty, {kThirty, 4, 0, {}}), kThirty, false},
        {"two columns", at(kPair), kPair, true},
        {"two columns, not yet", at(kPair), kOtherPair, false},
        {"as text", at(kNine), kPair, false},
    };
    for (const auto &one : cases) {
        Job job;
        job.range = {kNine, one.max};
        job.at = one.position;
        EXPECT_EQ(is_done(job), one.is_done) << one.what;
    }
}

// A job over keys 0 to n - 1 as the worker walks it. What a transaction does is lost with it, or kept together with the
// position; whoever takes over knows the position and nothing else.
struct Walked {
    static constexpr int kKeys = 97;
    std::vector<std::string> texts;
    std::vector<Text> views;
    std::vector<int> times = std::vector<int>(kKeys);
    Job job;

    Walked(const Walked &) = delete; // keys are places in it
    Walked() {
        for (int key = 0; key < kKeys; ++key)
            texts.push_back(std::to_string(key));
        views.assign(texts.begin(), texts.end());
        job.range = {key(0), key(kKeys - 1)};
    }
    Key key(int number) const { return Key(&views[static_cast<std::size_t>(number)], 1); }
    static int number(Key key) { return key.empty() ? -1 : std::stoi(std::string(key.front())); }

    // Rows of the pass behind its cursor, up to the end of the window.
    std::vector<int> slice(std::size_t most, bool &is_last) const {
        const Window &window = job.at.window;
        std::vector<int> rows;
        is_last = true;
        for (int row = std::max(number(job.at.cursor), number(window.cursor)) + 1; row <= number(window.max); ++row) {
            if (pass_of(key_hash_integer(0, static_cast<std::uint64_t>(row)), window.passes) != window.pass)
                continue;
            is_last = rows.size() < most;
            if (!is_last)
                break;
            rows.push_back(row);
        }
        return rows;
    }
    void step(int window_keys, int passes, std::size_t most) {
        if (!job.at.window.is_open())
            job.at.window = {key(std::min(number(job.at.cursor) + window_keys, kKeys - 1)), passes, 0, {}};
        bool is_last = false;
        const auto rows = slice(most, is_last);
        for (const int row : rows)
            ++times[static_cast<std::size_t>(row)];
        if (!rows.empty())
            move_behind(job.at, key(rows.back()));
        if (is_last)
            end_pass(job.at);
    }
};

TEST(window, every_row_once_wherever_transactions_are_lost) {
    std::mt19937 random(7);
    for (int walk = 0; walk < 300; ++walk) {
        Walked walked;
        for (int steps = 0; !is_done(walked.job); ++steps) {
            ASSERT_LT(steps, 10'000) << walk;
            const auto [times, position] = std::pair(walked.times, walked.job.at);
            // Each process has its own opinion of windows, passes and slices. An open window keeps its own.
            walked.step(1 + static_cast<int>(random() % 50), 1 + static_cast<int>(random() % 9), 1 + random() % 10);
            if (random() % 4 == 0) {
                walked.times = times;
                walked.job.at = position;
            }
        }
        EXPECT_TRUE(std::all_of(walked.times.begin(), walked.times.end(), [](int times) { return times == 1; }))
            << walk;
    }
}

} // namespace
} // namespace bbm
