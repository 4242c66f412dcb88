#include "core/schedule.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <random>
#include <set>
#include <vector>

namespace bbm {
namespace {

constexpr Micros kNow = 1000;

// In the order of the tests' tables: which table, how many live workers, due when.
struct Entry {
    std::uint32_t table;
    int live_workers = 0;
    Micros due_at = 0;
};

// Ids fall while the queue goes on, so that a choice by id instead of by position is noticed.
std::vector<Candidate> candidates_of(const std::vector<Entry> &entries) {
    std::vector<Candidate> candidates;
    for (const Entry &entry : entries)
        candidates.push_back({.id = 100 - static_cast<std::int64_t>(candidates.size()),
                              .table_root = entry.table,
                              .owner_oid = 10,
                              .live_workers = entry.live_workers,
                              .due_at = entry.due_at});
    return candidates;
}

struct Outcome {
    std::vector<int> chosen;
    Micros wake_at;
};

Outcome choose_among(const std::vector<Candidate> &candidates, Limits limits, std::size_t capacity = 8) {
    constexpr int untouched = -7;
    std::vector<int> chosen(capacity, untouched);
    const Schedule schedule = choose(candidates, limits, kNow, chosen);
    EXPECT_GE(schedule.starts, 0);
    EXPECT_LE(static_cast<std::size_t>(schedule.starts), capacity);
    const auto filled = chosen.begin() + std::clamp<std::ptrdiff_t>(schedule.starts, 0, std::ssize(chosen));
    EXPECT_TRUE(std::all_of(filled, chosen.end(), [](int index) { return index == untouched; }));
    return {{chosen.begin(), filled}, schedule.wake_at};
}

constexpr Limits kPlenty = {.max_running = 100, .free_workers = 100};
constexpr Limits at_once(int migrations) { return {.max_running = migrations, .free_workers = 100}; }
constexpr Limits with_workers(int free) { return {.max_running = 100, .free_workers = free}; }

TEST(schedule, chooses) {
    const struct {
        const char *what;
        std::vector<Entry> entries;
        Limits limits;
        std::vector<int> chosen;
        Micros wake_at;
    } cases[] = {
        {"nothing queued", {}, kPlenty, {}, kNever},
        {"one", {{1}}, kPlenty, {0}, kNever},
        {"all, in queue order", {{3}, {1}, {2}}, kPlenty, {0, 1, 2}, kNever},
        {"due exactly now", {{1, 0, kNow}}, kPlenty, {0}, kNever},
        {"due a moment later", {{1, 0, kNow + 1}}, kPlenty, {}, kNow + 1},
        {"never due by itself", {{1, 0, kNever}}, kPlenty, {}, kNever},
        {"a resting one does not stop the next", {{1, 0, kNow + 5}, {2}}, kPlenty, {1}, kNow + 5},
        {"the earliest deadline wakes",
         {{1, 0, kNow + 50}, {2, 0, kNow + 20}, {3, 0, kNow + 30}},
         kPlenty,
         {},
         kNow + 20},
        {"the deadline of a later one counts too", {{1}, {2, 0, kNow + 20}}, kPlenty, {0}, kNow + 20},

        {"one of two on a table", {{1}, {1}}, kPlenty, {0}, kNever},
        {"one of two on a table, others go on", {{1}, {1}, {2}, {1}, {2}}, kPlenty, {0, 2}, kNever},
        {"a resting one keeps its table", {{1, 0, kNow + 5}, {1}}, kPlenty, {}, kNow + 5},
        {"who waits for the table does not wake", {{1, 0, kNow + 50}, {1, 0, kNow + 5}}, kPlenty, {}, kNow + 50},
        {"one that runs keeps its table", {{1, 1}, {1}}, kPlenty, {}, kNever},
        {"who waits for a running one does not wake", {{1, 1}, {1, 0, kNow + 5}}, kPlenty, {}, kNever},
        {"a later one that runs keeps its table too", {{1}, {1, 1}}, kPlenty, {}, kNever},
        {"a later one that runs, with a resting one before", {{1, 0, kNow + 5}, {1, 1}, {2}}, kPlenty, {2}, kNever},

        {"running ones are not started again", {{1, 1}, {2, 3}}, kPlenty, {}, kNever},
        {"running ones do not wake", {{1, 1, kNow + 5}}, kPlenty, {}, kNever},
        {"the limit on migrations", {{1}, {2}, {3}}, at_once(2), {0, 1}, kNever},
        {"running ones count", {{1, 1}, {2}, {3}}, at_once(2), {1}, kNever},
        {"running ones further back count", {{1}, {2}, {3, 1}}, at_once(2), {0}, kNever},
        {"many workers on one migration count once", {{1, 7}, {2}}, at_once(2), {1}, kNever},
        {"resting ones do not count", {{1, 0, kNow + 5}, {2}, {3}}, at_once(2), {1, 2}, kNow + 5},
        {"more run than the limit, now lower", {{1, 1}, {2, 1}, {3}}, at_once(1), {}, kNever},
        {"no migration allowed", {{1}}, at_once(0), {}, kNever},
        {"a limit below zero", {{1}}, at_once(-1), {}, kNever},
        {"the limit on workers", {{1}, {2}, {3}}, with_workers(2), {0, 1}, kNever},
        {"running ones have their workers already", {{1, 1}, {2}}, with_workers(1), {1}, kNever},
        {"no worker free", {{1}}, with_workers(0), {}, kNever},
        {"workers below zero", {{1}}, with_workers(-3), {}, kNever},
        {"deadlines behind a full house still wake", {{1}, {2}, {3, 0, kNow + 20}}, at_once(1), {0}, kNow + 20},
    };
    for (const auto &one : cases) {
        const Outcome outcome = choose_among(candidates_of(one.entries), one.limits);
        EXPECT_EQ(outcome.chosen, one.chosen) << one.what;
        EXPECT_EQ(outcome.wake_at, one.wake_at) << one.what;
    }
}

// Which table, how many live workers, how many that find something to do.
struct Shared {
    std::uint32_t table;
    int live_workers;
    int wanted_workers;
    Micros due_at = 0;
    bool is_suspect = false;
    bool is_held = false;
};

TEST(schedule, more_workers_for_one_migration) {
    const struct {
        const char *what;
        std::vector<Shared> entries;
        Limits limits;
        std::vector<int> chosen;
    } cases[] = {
        {"all at once", {{1, 0, 3}}, kPlenty, {0, 0, 0}},
        {"those that are missing", {{1, 1, 3}}, kPlenty, {0, 0}},
        {"enough is enough", {{1, 3, 3}}, kPlenty, {}},
        {"too many already", {{1, 4, 2}}, kPlenty, {}},
        {"every migration gets its first before", {{1, 0, 3}, {2, 0, 2}}, kPlenty, {0, 1, 0, 0, 1}},
        {"as far as there is room", {{1, 0, 3}, {2, 0, 3}}, with_workers(3), {0, 1, 0}},
        {"a full house has no room for more", {{1, 1, 3}}, with_workers(0), {}},
        {"the limit on migrations is none on their workers", {{1, 0, 3}, {2, 0, 3}}, at_once(1), {0, 0, 0}},
        {"not before it is due", {{1, 1, 3, kNow + 5}}, kPlenty, {}},
        {"a suspect runs alone", {{1, 0, 3, 0, true}}, kPlenty, {0}},
        {"nor does one join it", {{1, 1, 3, 0, true}}, kPlenty, {}},
        {"on hold nobody joins", {{1, 1, 3, 0, false, true}}, kPlenty, {}},
        {"another migration works on the table", {{1, 1, 3}, {1, 1, 1}}, kPlenty, {}},
        {"it waits behind another one", {{1, 1, 1}, {1, 0, 3}}, kPlenty, {}},
    };
    for (const auto &one : cases) {
        std::vector<Candidate> candidates;
        for (const Shared &entry : one.entries)
            candidates.push_back({.id = static_cast<std::int64_t>(candidates.size()) + 1,
                                  .table_root = entry.table,
                                  .live_workers = entry.live_workers,
                                  .wanted_workers = entry.wanted_workers,
                                  .due_at = entry.due_at,
                                  .is_suspect = entry.is_suspect,
                                  .is_held = entry.is_held});
        EXPECT_EQ(choose_among(candidates, one.limits).chosen, one.chosen) << one.what;
    }
}

TEST(schedule, fills_no_more_than_there_is_room_for) {
    const std::vector<Candidate> candidates = candidates_of({{1}, {2}, {3}, {4, 0, kNow + 9}});
    const struct {
        std::size_t capacity;
        std::vector<int> chosen;
    } cases[] = {{0, {}}, {1, {0}}, {2, {0, 1}}, {3, {0, 1, 2}}, {5, {0, 1, 2}}};
    for (const auto &one : cases) {
        const Outcome outcome = choose_among(candidates, kPlenty, one.capacity);
        EXPECT_EQ(outcome.chosen, one.chosen) << one.capacity;
        EXPECT_EQ(outcome.wake_at, kNow + 9) << "what did not fit must not hide a deadline";
    }
}

TEST(schedule, the_owner_does_not_matter) {
    std::vector<Candidate> candidates = candidates_of({{1}, {1}, {2}});
    candidates[1].owner_oid = 11;
    candidates[2].owner_oid = 12;
    EXPECT_EQ(choose_among(candidates, kPlenty).chosen, (std::vector<int>{0, 2}));
}

TEST(schedule, the_largest_numbers_do_no_harm) {
    const std::vector<Candidate> candidates = candidates_of({{UINT32_MAX, INT_MAX, INT64_MIN}, {0, 0, INT64_MIN}});
    const Outcome outcome = choose_among(candidates, {.max_running = INT_MAX, .free_workers = INT_MAX});
    EXPECT_EQ(outcome.chosen, std::vector<int>{1});
    EXPECT_EQ(outcome.wake_at, kNever);
}

// A worker that only waits for the end of a hold takes no place, but has its job in hand: its table is its own.
TEST(schedule, one_on_hold_with_a_worker_takes_no_place_but_keeps_its_table) {
    for (const bool is_earlier : {true, false}) {
        std::vector<Candidate> candidates =
            candidates_of(is_earlier ? std::vector<Entry>{{1, 1, kNow + 50}, {1}, {2}, {3}}
                                     : std::vector<Entry>{{1}, {1, 1, kNow + 50}, {2}, {3}});
        Candidate &held = candidates[is_earlier ? 0 : 1];
        held.is_held = true;
        EXPECT_EQ(choose_among(candidates, at_once(1)).chosen, (std::vector<int>{2})) << is_earlier;
        EXPECT_EQ(choose_among(candidates, at_once(2)).chosen, (std::vector<int>{2, 3})) << is_earlier;
        held.is_held = false;
        EXPECT_EQ(choose_among(candidates, at_once(1)).chosen, std::vector<int>{}) << is_earlier;
    }
}

// Without a worker it gives its table away, and its hold's end wakes the scheduler.
TEST(schedule, one_on_hold_without_a_worker_holds_nobody_else) {
    std::vector<Candidate> candidates = candidates_of({{1, 0, kNow + 50}, {1}, {2}});
    candidates[0].is_held = true;
    const Outcome outcome = choose_among(candidates, kPlenty);
    EXPECT_EQ(outcome.chosen, (std::vector<int>{1, 2}));
    EXPECT_EQ(outcome.wake_at, kNow + 50);
}

// When the hold is over it waits for whoever has come to work on its table meanwhile.
TEST(schedule, after_a_hold_the_table_may_be_taken) {
    const std::vector<Candidate> candidates = candidates_of({{1}, {1, 1}, {2, 1}});
    EXPECT_EQ(choose_among(candidates, kPlenty).chosen, std::vector<int>{});
}

// Nothing that a queue can look like breaks a promise; seeds are fixed, so a failure comes back.
TEST(schedule, keeps_its_promises_for_any_queue) {
    for (unsigned seed = 0; seed < 3000; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        std::mt19937 random(seed);
        const auto below = [&](unsigned bound) { return static_cast<int>(random() % bound); };
        std::vector<Entry> entries(static_cast<std::size_t>(below(9)));
        for (Entry &entry : entries)
            entry = {static_cast<std::uint32_t>(below(4)), below(4) == 0 ? 1 + below(3) : 0, kNow - 3 + below(7)};
        const std::vector<Candidate> candidates = candidates_of(entries);
        const Limits limits = {.max_running = below(5), .free_workers = below(5)};
        const auto capacity = static_cast<std::size_t>(below(6));
        const Outcome outcome = choose_among(candidates, limits, capacity);

        const auto at = [&](int index) -> const Candidate & { return candidates.at(static_cast<std::size_t>(index)); };
        const auto is_free = [&](std::size_t index) { // nobody before it on its table, and nobody at work there
            for (std::size_t other = 0; other < candidates.size(); ++other)
                if (candidates[other].table_root == candidates[index].table_root &&
                    (other < index || candidates[other].live_workers > 0))
                    return false;
            return true;
        };
        auto live = static_cast<int>(std::ranges::count_if(candidates, [](auto &one) { return one.live_workers > 0; }));

        EXPECT_TRUE(std::ranges::is_sorted(outcome.chosen));
        std::set<std::uint32_t> tables;
        for (int index : outcome.chosen) {
            EXPECT_TRUE(is_free(static_cast<std::size_t>(index))) << index;
            EXPECT_LE(at(index).due_at, kNow) << index;
            EXPECT_TRUE(tables.insert(at(index).table_root).second) << index;
        }
        const int started = static_cast<int>(outcome.chosen.size());
        EXPECT_LE(started, limits.free_workers);
        EXPECT_TRUE(started == 0 || live + started <= limits.max_running);

        const bool is_full =
            live + started >= limits.max_running || started >= limits.free_workers || outcome.chosen.size() == capacity;
        Micros wake_at = kNever;
        for (std::size_t i = 0; i < candidates.size(); ++i) {
            if (!is_free(i))
                continue;
            if (candidates[i].due_at > kNow)
                wake_at = std::min(wake_at, candidates[i].due_at);
            else
                EXPECT_TRUE(is_full || std::ranges::count(outcome.chosen, static_cast<int>(i)) == 1)
                    << i << " could have been started";
        }
        EXPECT_EQ(outcome.wake_at, wake_at);
        if (testing::Test::HasFailure())
            return;
    }
}

// Whoever dies alone is guilty, so two suspects never run at once; others may run beside one.
TEST(schedule, suspects_run_one_at_a_time) {
    auto candidates = candidates_of({{1}, {2}, {3}});
    candidates[0].is_suspect = candidates[1].is_suspect = true;
    const Outcome fresh = choose_among(candidates, kPlenty);
    EXPECT_EQ(fresh.chosen, (std::vector<int>{0, 2}));
    EXPECT_GT(fresh.wake_at, kNow); // the second waits, and nobody tells when the first is cleared
    EXPECT_LT(fresh.wake_at, kNow + 1'000'000);

    candidates[0].live_workers = 1;
    EXPECT_EQ(choose_among(candidates, kPlenty).chosen, (std::vector<int>{2}));

    candidates[0].is_suspect = false; // cleared: it has committed something
    EXPECT_EQ(choose_among(candidates, kPlenty).chosen, (std::vector<int>{1, 2}));
}

} // namespace
} // namespace bbm
