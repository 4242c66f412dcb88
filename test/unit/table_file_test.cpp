#include "core/table_file.hpp"

#include "heap_arena.hpp"

#include <gtest/gtest.h>

#include <array>
#include <climits>

namespace bbm {

void PrintTo(RowAge value, std::ostream *out) {
    *out << std::array{"none", "older", "by_rewrite", "before_swap", "after_swap"}.at(static_cast<std::size_t>(value));
}
void PrintTo(FileChange value, std::ostream *out) {
    *out << std::array{"unchanged", "rewritten", "emptied", "unclear"}.at(static_cast<std::size_t>(value));
}

namespace {

constexpr std::int64_t kEpoch = std::int64_t{1} << 32;
constexpr SinceLook kSince = {1000, 1100};

Swap one_swap(Stamp table, Stamp index) { return find_swap(kSince, table, std::nullopt, {&index, 1}); }

TEST(TableFile, comes_back_from_its_texts) {
    const TableFile files[] = {{},
                               {16384, 1000, 10, 0, 0},
                               {UINT_MAX, kEpoch * 7 + 5, UINT_MAX, 123'456'789'012, 800'000'000'000'000},
                               {1, INT64_MIN, 0, INT64_MAX, -1}};
    for (const TableFile &file : files) {
        HeapArena heap;
        EXPECT_EQ(parse_table_file(table_file_texts(file, heap.arena())), file);
    }
    EXPECT_EQ(sweep_out_of_memory([](Arena arena) { (void)table_file_texts({}, arena); }), 6);
}

TEST(TableFile, is_not_read_from_other_lists) {
    const Text good[] = {"1", "2", "3", "4", "5"};
    const Text empty[] = {"1", "2", "", "4", "5"}, word[] = {"1", "2", "3", "x", "5"},
               rest[] = {"1", "2", "3", "4", "5 "};
    EXPECT_TRUE(parse_table_file(good));
    EXPECT_FALSE(parse_table_file({}));
    EXPECT_FALSE(parse_table_file(Key(good).first(4)));
    for (const Key list : {Key(empty), Key(word), Key(rest)})
        EXPECT_FALSE(parse_table_file(list));
}

TEST(TableFile, rows_are_older_than_the_look_or_not_whatever_the_counter_says) {
    const struct {
        const char *what;
        SinceLook since;
        std::uint32_t transaction;
        bool is_older;
    } cases[] = {
        {"just before the look", {1000, 1100}, 999, true},
        {"at the look", {1000, 1100}, 1000, false},
        {"the newest", {1000, 1100}, 1099, false},
        {"of the epoch before", {1000, 1100}, 4'000'000'000, true},
        {"frozen long ago, with a number that comes later", {1000, 1100}, 500'000, true},
        {"nothing since: all are older", {1000, 1000}, 1000, true},
        {"across the wrap, before", {kEpoch - 10, kEpoch + 50}, 4'294'967'285, true},
        {"across the wrap, at the look", {kEpoch - 10, kEpoch + 50}, 4'294'967'286, false},
        {"across the wrap, behind it", {kEpoch - 10, kEpoch + 50}, 49, false},
        {"across the wrap, a number not given out", {kEpoch - 10, kEpoch + 50}, 50, true},
        {"a later epoch", {kEpoch * 9 + 100, kEpoch * 9 + 200}, 99, true},
        {"a later epoch, since", {kEpoch * 9 + 100, kEpoch * 9 + 200}, 150, false},
        {"as far as can be", {1000, 1000 + (std::int64_t{1} << 31) - 1}, 999, true},
        {"too far", {1000, 1000 + (std::int64_t{1} << 31)}, 999, false},
        {"epochs away", {1000, 1000 + kEpoch + 5}, 999, false},
        {"the counter was set back", {1000, 900}, 950, false},
        {"frozen by a server before 9.4", {1000, 1100}, 2, false},
        {"the first one", {1000, 1100}, 1, false},
        {"no transaction", {1000, 1100}, 3, true},
    };
    for (const auto &c : cases)
        EXPECT_EQ(row_age({{c.transaction, 0}, true}, c.since, {}) == RowAge::older, c.is_older) << c.what;
    EXPECT_EQ(row_age({{0, 0}, true}, kSince, {}), RowAge::none) << "an insertion that was given up";
}

TEST(TableFile, a_rewrite_shows_in_who_wrote_a_row) {
    const Swap alter = one_swap({1050, 6}, {1050, 7});
    EXPECT_EQ(row_age({{1050, 6}, true}, kSince, alter), RowAge::by_rewrite);
    EXPECT_EQ(row_age({{1050, 7}, true}, kSince, alter), RowAge::after_swap) << "loaded in a later command";
    EXPECT_EQ(row_age({{1050, 6}, false}, kSince, alter), RowAge::before_swap) << "somebody else's command";
    EXPECT_EQ(row_age({{1049, 0}, true}, kSince, alter), RowAge::before_swap);
    EXPECT_EQ(row_age({{1051, 0}, true}, kSince, alter), RowAge::after_swap);
    EXPECT_EQ(row_age({{1051, 0}, false}, kSince, alter), RowAge::after_swap);
    EXPECT_EQ(row_age({{999, 0}, false}, kSince, alter), RowAge::older);
}

TEST(TableFile, catalog_rows_that_disagree_are_no_rewrite) {
    const Stamp old = {900, 3}, table = {1050, 6}, index = {1050, 9}, other = {1060, 0};
    const Stamp both[] = {{1050, 9}, {1050, 7}}, mixed[] = {{1050, 9}, {1060, 0}};
    const struct {
        const char *what;
        std::optional<Stamp> table, toast;
        std::span<const Stamp> indexes;
        std::optional<Stamp> agreed, earliest;
    } cases[] = {
        {"none is known", {}, {}, {}, {}, {}},
        {"only the table", table, {}, {}, {}, table},
        {"all are from before the look", old, old, {&old, 1}, {}, {}},
        {"table and index", table, {}, {&index, 1}, table, table},
        {"table and the first of the indexes", other, {}, both, {}, {{1050, 7}}},
        {"a later index besides", table, {}, mixed, {}, table},
        {"a later command on the table alone", other, {{1050, 17}}, both, {{1050, 7}}, {{1050, 7}}},
        {"TOAST is the last", table, {{1050, 17}}, both, table, table},
        {"all but TOAST were written later", {{1050, 20}}, {{1050, 1}}, both, {{1050, 1}}, {{1050, 1}}},
        {"an index that was not touched", table, {}, {&old, 1}, {}, table},
    };
    for (const auto &c : cases) {
        const Swap swap = find_swap(kSince, c.table, c.toast, c.indexes);
        EXPECT_EQ(swap.agreed, c.agreed) << c.what;
        EXPECT_EQ(swap.earliest, c.earliest) << c.what;
    }
}

RowsFound found(std::initializer_list<RowAge> ages, bool is_complete = true, std::int64_t estimate = 100) {
    RowsFound rows;
    for (const RowAge age : ages)
        add(rows, age);
    rows.is_complete = is_complete;
    rows.estimate = estimate;
    return rows;
}

TEST(TableFile, judgement) {
    using enum RowAge;
    const TableFile known = {1, 1000, 10, 500, 0}, same = {1, 1100, 11, 900, 0}, other = {2, 1100, 10, 500, 0};
    const TableFile owned = {2, 1100, 11, 500, 0}, loaded = {2, 1100, 10, 550, 0}, busy = {2, 1100, 10, 549, 0};
    const TableFile crashed = {2, 1100, 10, 0, 0}, recovered = {1, 1100, 10, 0, 77};
    const struct {
        const char *what;
        TableFile now;
        RowsFound rows;
        FileChange expected;
    } cases[] = {
        {"the same file, whatever else", same, found({after_swap}), FileChange::unchanged},
        {"one old row", other, found({after_swap, before_swap, older}), FileChange::rewritten},
        {"one old row, not all read", other, found({older}, false), FileChange::rewritten},
        {"one old row, another owner, many rows new", {2, 1100, 11, 9999, 0}, found({older}), FileChange::rewritten},
        {"a rewrite", other, found({by_rewrite}), FileChange::rewritten},
        {"a rewrite, with some rows inserted", busy, found({by_rewrite}), FileChange::rewritten},
        {"a rewrite of what was loaded before", loaded, found({by_rewrite}), FileChange::unclear},
        {"a rewrite of a small table, with a row inserted", busy, found({by_rewrite}, true, 50), FileChange::unclear},
        {"a rewrite of nobody knows how many rows", other, found({by_rewrite}, true, 0), FileChange::rewritten},
        {"the same, with a row inserted", busy, found({by_rewrite}, true, 0), FileChange::unclear},
        {"a rewrite, and the statistics are lost", crashed, found({by_rewrite}), FileChange::unclear},
        {"a load, and then another owner", owned, found({by_rewrite}), FileChange::unclear},
        {"nothing in it", other, found({}), FileChange::emptied},
        {"only what was given up", other, found({none}), FileChange::emptied},
        {"all is new", other, found({after_swap, none}), FileChange::emptied},
        {"all that was read is new", other, found({after_swap}, false), FileChange::unclear},
        {"all is new, some of it from before the file", other, found({after_swap, before_swap}), FileChange::unclear},
        {"an unlogged table, after a crash", recovered, found({}), FileChange::emptied},
        {"an unlogged table, after a crash of another time", recovered, found({older}), FileChange::rewritten},
    };
    for (const auto &c : cases)
        EXPECT_EQ(judge(known, c.now, c.rows), c.expected) << c.what;
}

TEST(TableFile, reading_stops_at_a_row_that_decides) {
    for (const RowAge age : {RowAge::older, RowAge::by_rewrite})
        EXPECT_TRUE(is_decided(found({RowAge::after_swap, age})));
    EXPECT_FALSE(is_decided(found({RowAge::none, RowAge::after_swap, RowAge::before_swap})));
}

} // namespace

} // namespace bbm
