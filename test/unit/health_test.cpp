#include "core/health.hpp"

#include "heap_arena.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bbm {
namespace {

constexpr std::uint64_t kMB = 1024 * 1024;
constexpr std::uint64_t kGB = 1024 * kMB;
constexpr Micros kSecond = 1'000'000;
constexpr std::uint64_t kNone = UINT64_MAX;

TEST(segment_of, reads_the_name_with_the_real_size) {
    const struct {
        Text name;
        std::uint64_t size;
        std::uint64_t expected; // kNone: it tells no position
    } cases[] = {
        {"000000010000000000000001", 16 * kMB, 1},
        {"000000010000000000000000", 16 * kMB, 0},
        {"0000000100000000000000FF", 16 * kMB, 255},
        {"000000010000000100000000", 16 * kMB, 256},
        {"0000000100000002000000A0", 16 * kMB, 672},
        {"000000010000000000000FFF", 1 * kMB, 4095},
        {"000000010000000100000000", 1 * kMB, 4096},
        {"00000001000000000000003F", 64 * kMB, 63},
        {"000000010000000100000000", 64 * kMB, 64},
        {"000000010000000000000003", 1 * kGB, 3},
        {"000000010000000100000000", 1 * kGB, 4},
        {"00000001FFFFFFFF000000FF", 16 * kMB, 0xFFFFFFFFFF},
        // the timeline does not matter: positions go on where the new one begins
        {"0000000A0000000200000010", 16 * kMB, 528},
        {"FFFFFFFF0000000200000010", 16 * kMB, 528},
        // the last segment of a timeline
        {"000000010000000200000010.partial", 16 * kMB, 528},
        // begins where the backup began, which may be long ago
        {"000000010000000200000010.00000028.backup", 16 * kMB, kNone},
        {"00000002.history", 16 * kMB, kNone},
        // written with another segment size
        {"000000010000000000000100", 16 * kMB, kNone},
        {"000000010000000000000004", 1 * kGB, kNone},
        {"", 16 * kMB, kNone},
        {"0", 16 * kMB, kNone},
        {"00000001000000000000000", 16 * kMB, kNone},
        {"0000000100000000000000011", 16 * kMB, kNone},
        {"000000010000000000000001.", 16 * kMB, kNone},
        {"000000010000000000000001.gz", 16 * kMB, kNone},
        {"00000001000000000000000g", 16 * kMB, kNone},
        {"00000001000000000000000a", 16 * kMB, kNone},
        {"00000001-000000000000001", 16 * kMB, kNone},
        {"000000010000000 00000001", 16 * kMB, kNone},
        {"000000010000000000000001", 0, kNone},
    };
    for (const auto &one : cases)
        EXPECT_EQ(segment_of(one.name, one.size).value_or(kNone), one.expected) << one.name << " of " << one.size;
}

TEST(wal_archive, one_look) {
    const std::uint64_t mb16 = 16 * kMB;
    const struct {
        const char *what;
        Archiving archiving;
        Verdict verdict;
        double value;
    } cases[] = {
        {"off", {false, 500 * mb16, mb16, "000000010000000000000001", {}, 0}, Verdict::not_available, 0},
        {"never ran", {true, 500 * mb16, mb16, {}, {}, 0}, Verdict::not_available, 0},
        {"level: the segment before the current one is archived",
         {true, 10 * mb16 + 1, mb16, "000000010000000000000009", {}, 0},
         Verdict::normal,
         1},
        {"on the border of two segments",
         {true, 10 * mb16, mb16, "000000010000000000000009", {}, 0},
         Verdict::normal,
         0},
        {"at the limit", {true, 43 * mb16 + 1, mb16, "000000010000000000000001", {}, 0}, Verdict::normal, 42},
        {"one above", {true, 44 * mb16 + 1, mb16, "000000010000000000000001", {}, 0}, Verdict::stop, 43},
        {"across the border of two log files",
         {true, 256 * mb16 + 1, mb16, "0000000100000000000000FE", {}, 0},
         Verdict::normal,
         2},
        {"far across", {true, 600 * mb16 + 1, mb16, "0000000100000000000000FF", {}, 0}, Verdict::stop, 345},
        {"segments of 1 MB", {true, 5000 * kMB + 1, kMB, "000000010000000100000383", {}, 0}, Verdict::normal, 5},
        {"segments of 1 MB, above", {true, 5000 * kMB + 1, kMB, "000000010000000000000FFF", {}, 0}, Verdict::stop, 905},
        {"segments of 1 GB", {true, 6 * kGB + 1, kGB, "000000010000000100000001", {}, 0}, Verdict::normal, 1},
        {"segments of 1 GB, above", {true, 50 * kGB + 1, kGB, "000000010000000100000001", {}, 0}, Verdict::stop, 45},
        {"after a change of timeline",
         {true, 12 * mb16 + 1, mb16, "00000001000000000000000A", {}, 0},
         Verdict::normal,
         2},
        {"the last of the old timeline",
         {true, 10 * mb16 + 1, mb16, "00000001000000000000000A.partial", {}, 0},
         Verdict::normal,
         0},
        {"a failure after a success does not count",
         {true, 12 * mb16 + 1, mb16, "00000001000000000000000A", "000000010000000000000003", 0},
         Verdict::normal,
         2},
        {"never archived: what failed waits as well",
         {true, 10 * mb16 + 1, mb16, {}, "00000001000000000000000A", 0},
         Verdict::normal,
         1},
        {"never archived, above", {true, 60 * mb16 + 1, mb16, {}, "000000010000000000000001", 0}, Verdict::stop, 60},
        {"failed at the very first segment",
         {true, 60 * mb16 + 1, mb16, {}, "000000010000000000000000", 59},
         Verdict::stop,
         60},
        {"archived beyond the position, after a reset",
         {true, 3 * mb16, mb16, "00000001000000000000000A", {}, 0},
         Verdict::normal,
         0},
        {"at the beginning of all WAL", {true, 0, mb16, "000000010000000000000000", {}, 0}, Verdict::normal, 0},
        {"a history tells no position, nothing waits",
         {true, 500 * mb16, mb16, "00000002.history", {}, 0},
         Verdict::normal,
         1},
        {"a history tells no position, many wait",
         {true, 500 * mb16, mb16, "00000002.history", {}, 42},
         Verdict::stop,
         43},
        {"the history cannot be archived", {true, 500 * mb16, mb16, {}, "00000002.history", 99}, Verdict::stop, 100},
        {"a backup that began long ago",
         {true, 500 * mb16, mb16, "000000010000000000000001.00000028.backup", {}, 2},
         Verdict::normal,
         3},
        {"no command is set: never ran, but they pile up", {true, 500 * mb16, mb16, {}, {}, 43}, Verdict::stop, 44},
        {"never ran, and a few wait", {true, 500 * mb16, mb16, {}, {}, 3}, Verdict::normal, 4},
    };
    HeapArena heap;
    for (const auto &one : cases) {
        const Reading reading = judge_archiving(one.archiving, heap.arena());
        EXPECT_EQ(reading.verdict, one.verdict) << one.what << ": " << reading.reason;
        EXPECT_EQ(reading.value, one.value) << one.what;
        EXPECT_EQ(reading.indicator, "wal_archive") << one.what;
        EXPECT_FALSE(reading.reason.empty()) << one.what;
    }
}

TEST(wal_archive, says_how_much) {
    HeapArena heap;
    const Archiving many = {true, 58 * 16 * kMB + 1, 16 * kMB, "000000010000000000000001", {}, 0};
    EXPECT_EQ(judge_archiving(many, heap.arena()).reason, "WAL archive backlog is 57 segments");
    const Archiving one = {true, 2 * 16 * kMB + 1, 16 * kMB, "000000010000000000000001", {}, 0};
    EXPECT_EQ(judge_archiving(one, heap.arena()).reason, "WAL archive backlog is 1 segment");
}

TEST(autovacuum, any_is_one_too_many) {
    HeapArena heap;
    const Reading none = judge_vacuums({"public.t", 0, {}}, heap.arena());
    EXPECT_EQ(none.verdict, Verdict::normal);
    EXPECT_EQ(none.reason, "no vacuum is at work on table public.t");
    EXPECT_EQ(utilisation(none), 0);
    const Reading one = judge_vacuums({"public.t", 1, "2030-01-01 12:00:00"}, heap.arena());
    EXPECT_EQ(one.verdict, Verdict::stop);
    EXPECT_EQ(one.value, 1);
    EXPECT_EQ(one.limit, 0);
    EXPECT_EQ(one.reason, "vacuum is at work on table public.t since 2030-01-01 12:00:00");
    EXPECT_EQ(judge_vacuums({"public.t", 2, "x"}, heap.arena()).verdict, Verdict::stop);
    EXPECT_EQ(judge_vacuums({{}, 0, {}}, heap.arena()).verdict, Verdict::not_available); // it is gone
}

TEST(wal_rate, two_looks) {
    constexpr Micros start = 1'000 * kSecond;
    constexpr std::uint64_t from = 7 * kGB;
    const struct {
        const char *what;
        WalSample since;
        WalSample now;
        int limit_kb;
        Verdict verdict;
        double value;
        bool is_renewed;
    } cases[] = {
        {"the first look", {}, {from, start}, 100, Verdict::normal, 0, true},
        {"the first look, without a limit", {}, {from, start}, 0, Verdict::not_available, 0, true},
        {"no limit", {from, start}, {from + kGB, start + kSecond}, 0, Verdict::not_available, 0, true},
        {"a limit below zero is none",
         {from, start},
         {from + kGB, start + kSecond},
         -1,
         Verdict::not_available,
         0,
         true},
        {"nothing written", {from, start}, {from, start + kSecond}, 1, Verdict::normal, 0, true},
        {"at the limit", {from, start}, {from + 100 * 1024, start + kSecond}, 100, Verdict::normal, 100, true},
        {"a byte above",
         {from, start},
         {from + 100 * 1024 + 1, start + kSecond},
         100,
         Verdict::stop,
         100 + 1.0 / 1024,
         true},
        {"over ten seconds", {from, start}, {from + 1000 * 1024, start + 10 * kSecond}, 99, Verdict::stop, 100, true},
        {"a long look back", {from, start}, {from + kGB, start + 1024 * kSecond}, 1025, Verdict::normal, 1024, true},
        {"a moment later: what was written counts for a second",
         {from, start},
         {from + 500 * 1024, start + 1},
         499,
         Verdict::stop,
         500,
         false},
        {"in the same moment", {from, start}, {from + 1024, start}, 100, Verdict::normal, 1, false},
        {"just before the window is full",
         {from, start},
         {from + 1024, start + kSecond - 1},
         100,
         Verdict::normal,
         1,
         false},
        {"a clock that went back starts anew", {from, start}, {from + kGB, start - 1}, 1, Verdict::normal, 0, true},
        {"a position that went back starts anew",
         {from, start},
         {from - 1, start + kSecond},
         1,
         Verdict::normal,
         0,
         true},
        {"the greatest numbers", {0, 1}, {UINT64_MAX, INT64_MAX}, 1, Verdict::stop, 0x1p54 / (0x1p63 / 1e6), true},
    };
    HeapArena heap;
    for (const auto &one : cases) {
        WalSample since = one.since;
        const Reading reading = judge_wal_rate(since, one.now, one.limit_kb, heap.arena());
        EXPECT_EQ(reading.verdict, one.verdict) << one.what;
        EXPECT_NEAR(reading.value, one.value, one.value * 1e-9) << one.what;
        EXPECT_EQ(since.at, one.is_renewed ? one.now.at : one.since.at) << one.what;
        EXPECT_EQ(since.position, one.is_renewed ? one.now.position : one.since.position) << one.what;
    }
}

TEST(wal_rate, frequent_looks_see_the_rate_of_the_whole_second) {
    HeapArena heap;
    WalSample since;
    double value = 0;
    for (int tick = 0; tick <= 30; ++tick) // 10 kB each tenth of a second
        value = judge_wal_rate(since, {static_cast<std::uint64_t>(tick) * 10 * 1024, kSecond + tick * kSecond / 10},
                               1000, heap.arena())
                    .value;
    EXPECT_DOUBLE_EQ(value, 100);
}

constexpr int kLimit_ms = 10'000;

Standbys one_standby(std::uint64_t replayed, Micros measured = 0) { return {1, 0, replayed, measured}; }

TEST(replica_lag, one_look) {
    constexpr Micros start = 1'000 * kSecond;
    const struct {
        const char *what;
        WalSample mark;
        WalSample now;
        Standbys standbys;
        int limit_ms;
        Verdict verdict;
        double value;
    } cases[] = {
        {"no limit", {}, {5000, start}, one_standby(10, 99 * kSecond), 0, Verdict::not_available, 0},
        {"no standby", {}, {5000, start}, {0, 0, 0, 0}, kLimit_ms, Verdict::normal, 0},
        {"level and idle", {}, {5000, start}, one_standby(5000), kLimit_ms, Verdict::normal, 0},
        {"level: what was measured last is over",
         {},
         {5000, start},
         one_standby(5000, 99 * kSecond),
         kLimit_ms,
         Verdict::normal,
         0},
        {"ahead of what we looked at",
         {},
         {5000, start},
         one_standby(6000, 99 * kSecond),
         kLimit_ms,
         Verdict::normal,
         0},
        {"behind, measured", {}, {5000, start}, one_standby(4000, 3 * kSecond), kLimit_ms, Verdict::normal, 3000},
        {"behind, measured, at the limit",
         {},
         {5000, start},
         one_standby(4000, 10 * kSecond),
         kLimit_ms,
         Verdict::normal,
         10'000},
        {"behind, measured, above",
         {},
         {5000, start},
         one_standby(4000, 10 * kSecond + 1),
         kLimit_ms,
         Verdict::stop,
         10'000.001},
        {"behind, nothing measured, first look", {}, {5000, start}, one_standby(4000), kLimit_ms, Verdict::normal, 0},
        {"the mark is not replayed for long",
         {4500, start - 11 * kSecond},
         {5000, start},
         one_standby(4000),
         kLimit_ms,
         Verdict::stop,
         11'000},
        {"a measure that is stale and good",
         {4500, start - 11 * kSecond},
         {5000, start},
         one_standby(4000, 2000),
         kLimit_ms,
         Verdict::stop,
         11'000},
        {"the mark is young, the measure is bad",
         {4500, start - kSecond},
         {5000, start},
         one_standby(4000, 12 * kSecond),
         kLimit_ms,
         Verdict::stop,
         12'000},
        {"the mark is replayed",
         {4000, start - 11 * kSecond},
         {5000, start},
         one_standby(4000, 2000),
         kLimit_ms,
         Verdict::normal,
         2},
        {"nothing is written: level, though the mark is old",
         {5000, start - 11 * kSecond},
         {5000, start},
         one_standby(5000),
         kLimit_ms,
         Verdict::normal,
         0},
        {"a clock that went back takes a new mark",
         {4500, start + 5 * kSecond},
         {5000, start},
         one_standby(4000),
         kLimit_ms,
         Verdict::normal,
         0},
        {"one of two is silent", {}, {5000, start}, {2, 1, 5000, 0}, kLimit_ms, Verdict::stop, 0},
        {"silent, without a limit", {}, {5000, start}, {1, 1, 0, 0}, 0, Verdict::not_available, 0},
        {"the smallest limit", {}, {5000, start}, one_standby(4000, 1001), 1, Verdict::stop, 1.001},
    };
    HeapArena heap;
    for (const auto &one : cases) {
        WalSample mark = one.mark;
        const Reading reading = judge_replica_lag(mark, one.now, one.standbys, one.limit_ms, heap.arena());
        EXPECT_EQ(reading.verdict, one.verdict) << one.what << ": " << reading.reason;
        EXPECT_DOUBLE_EQ(reading.value, one.value) << one.what;
        EXPECT_FALSE(reading.reason.empty()) << one.what;
    }
}

// Replay stands still for a minute while WAL goes on; the server keeps showing the 2 ms of before.
TEST(replica_lag, grows_while_replay_stands_still_and_is_gone_with_it) {
    HeapArena heap;
    WalSample mark;
    std::uint64_t written = 1000;
    Micros now = kSecond;
    const auto look = [&](Standbys standbys) {
        return judge_replica_lag(mark, {written, now}, standbys, kLimit_ms, heap.arena());
    };
    EXPECT_EQ(look(one_standby(written)).verdict, Verdict::normal);
    int stopped_after = -1;
    for (int second = 1; second <= 60; ++second) {
        now += kSecond;
        written += 100;
        const Reading reading = look(one_standby(1000, 2000));
        if (reading.verdict == Verdict::stop && stopped_after < 0)
            stopped_after = second;
        EXPECT_LE(reading.value, 1000.0 * second) << "never more than the truth";
    }
    EXPECT_EQ(stopped_after, 12); // the mark was taken in the first second: one more than the limit, and above it
    now += kSecond;
    EXPECT_EQ(look(one_standby(written)).verdict, Verdict::normal);
    EXPECT_EQ(mark.position, written);
}

TEST(replica_lag, the_slowest_standby_counts_and_forgets_its_mark_when_it_leaves) {
    HeapArena heap;
    WalSample mark = {4500, kSecond};
    const WalSample now = {5000, 20 * kSecond};
    EXPECT_EQ(judge_replica_lag(mark, now, {2, 0, 4000, 0}, kLimit_ms, heap.arena()).verdict, Verdict::stop);
    EXPECT_EQ(judge_replica_lag(mark, now, {1, 0, 4900, 0}, kLimit_ms, heap.arena()).verdict, Verdict::normal);
    mark = {4500, kSecond};
    EXPECT_EQ(judge_replica_lag(mark, now, {0, 0, 0, 0}, kLimit_ms, heap.arena()).verdict, Verdict::normal);
    EXPECT_EQ(judge_replica_lag(mark, now, one_standby(4000), kLimit_ms, heap.arena()).value, 0)
        << "a new one starts anew";
}

TEST(replica_lag, a_lag_that_cannot_be_read_is_a_full_one) {
    HeapArena heap;
    WalSample mark;
    const Reading reading = judge_replica_lag(mark, {5000, kSecond}, {1, 1, 0, 0}, kLimit_ms, heap.arena());
    EXPECT_EQ(reading.reason, "replay lag cannot be read: a standby has not said what it has replayed");
    EXPECT_GE(utilisation(reading), 1);
}

TEST(health_function, one_value) {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const struct {
        std::optional<double> value;
        Verdict verdict;
        Text reason;
    } cases[] = {
        {0.0, Verdict::normal, "ops.load returned 0.00"},
        {0.5, Verdict::normal, "ops.load returned 0.50"},
        {0.999, Verdict::normal, "ops.load returned 1.00"},
        {1.0, Verdict::stop, "ops.load returned 1.00"},
        {7.25, Verdict::stop, "ops.load returned 7.25"},
        {-1.0, Verdict::normal, "ops.load returned -1.00"},
        {infinity, Verdict::stop, "ops.load returned inf"},
        {-infinity, Verdict::normal, "ops.load returned -inf"},
        {std::nan(""), Verdict::unknown, "ops.load returned NaN"},
        {std::nullopt, Verdict::unknown, "ops.load returned NULL"},
    };
    HeapArena heap;
    for (const auto &one : cases) {
        const Reading reading = judge_users_value("ops.load", one.value, heap.arena());
        EXPECT_EQ(reading.verdict, one.verdict) << one.reason;
        EXPECT_EQ(reading.reason, one.reason);
        EXPECT_EQ(reading.limit, 1);
    }
    const Reading failed = users_value_unknown("division by zero", heap.arena());
    EXPECT_EQ(failed.verdict, Verdict::unknown);
    EXPECT_EQ(failed.reason, "division by zero");
}

TEST(utilisation, is_a_share_of_the_limit) {
    const struct {
        const char *what;
        Reading reading;
        double expected;
    } cases[] = {
        {"half", {.value = 21, .limit = 42, .verdict = Verdict::normal}, 0.5},
        {"all", {.value = 42, .limit = 42, .verdict = Verdict::normal}, 1},
        {"twice", {.value = 84, .limit = 42, .verdict = Verdict::stop}, 2},
        {"nothing allowed, nothing there", {.value = 0, .limit = 0, .verdict = Verdict::normal}, 0},
        {"nothing allowed, two there", {.value = 2, .limit = 0, .verdict = Verdict::stop}, 2},
        {"stop without a value", {.value = 0, .limit = 10, .verdict = Verdict::stop}, 1},
        {"unknown", {.value = 99, .limit = 1, .verdict = Verdict::unknown}, 0},
        {"not available", {.value = 99, .limit = 1, .verdict = Verdict::not_available}, 0},
    };
    for (const auto &one : cases)
        EXPECT_EQ(utilisation(one.reading), one.expected) << one.what;
}

TEST(find_stop, is_the_first) {
    HeapArena heap;
    Vector<Reading> &readings = make<Vector<Reading>>(heap.arena());
    EXPECT_EQ(find_stop(readings), nullptr);
    readings.push_back({.indicator = "a", .verdict = Verdict::normal});
    readings.push_back({.indicator = "b", .verdict = Verdict::unknown});
    readings.push_back({.indicator = "c", .verdict = Verdict::not_available});
    EXPECT_EQ(find_stop(readings), nullptr);
    readings.push_back({.indicator = "d", .verdict = Verdict::stop});
    readings.push_back({.indicator = "e", .verdict = Verdict::stop});
    EXPECT_EQ(find_stop(readings)->indicator, "d");
}

TEST(verdict, has_a_name) {
    EXPECT_EQ(name(Verdict::normal), "normal");
    EXPECT_EQ(name(Verdict::stop), "stop");
    EXPECT_EQ(name(Verdict::unknown), "unknown");
    EXPECT_EQ(name(Verdict::not_available), "not available");
}

TEST(health, runs_out_of_memory_cleanly) {
    EXPECT_GT(sweep_out_of_memory([](Arena arena) {
                  (void)judge_archiving({true, kGB, 16 * kMB, "000000010000000000000001", {}, 0}, arena);
                  (void)judge_vacuums({"a table with a rather long name", 1, "2030-01-01 12:00:00"}, arena);
                  (void)users_value_unknown("an error message that fits into no small buffer", arena);
              }),
              0);
}

} // namespace
} // namespace bbm
