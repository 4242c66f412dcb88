#include "core/strides.hpp"

#include "heap_arena.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace bbm {
namespace {

// A large table in the order of its key, as a backfill finds it.
constexpr StrideFacts kUsual = {.is_update = true, .is_heap = true, .rows = 1e6, .rows_per_page = 80, .correlation = 1};

template <class Change> StrideFacts with(Change change, StrideFacts facts = kUsual) {
    change(facts);
    return facts;
}

TEST(strides, chooses) {
    const double unknown = std::numeric_limits<double>::quiet_NaN();
    const struct {
        StrideFacts facts;
        int passes;
        Text because;
    } cases[] = {
        {kUsual, 10, "no index uses a written column"},
        {with([&](auto &f) { f.correlation = unknown; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.correlation = -1; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.walk = Walk::blocks; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.walk = Walk::blocks, f.correlation = 0; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.rows_per_page = 0; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.secondary_indexes = 1; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.secondary_indexes = 2; }), 16, "2 more indexes use no written column"},
        {with([](auto &f) { f.secondary_indexes = 12; }), 16, "12 more indexes use no written column"},
        {with([](auto &f) { f.fillfactor = 91; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.fillfactor = 90; }), 16, "fillfactor is 90"},
        {with([](auto &f) { f.fillfactor = 70, f.secondary_indexes = 3; }), 16, "fillfactor is 70"},
        {with([](auto &f) { f.before_trigger = "touch"; }), 10,
         "what trigger \"touch\" writes is not known, and is measured"},
        {with([](auto &f) { f.has_placeholders = true; }), 1, "the command restricts itself, with $1 and $2"},
        {with([](auto &f) { f.is_update = false; }), 1, "the command is no UPDATE of the table"},
        {with([](auto &f) { f.is_heap = false; }), 1, "the table's rows are not kept in a heap of this server"},
        {with([](auto &f) { f.walk = Walk::values; }), 1, "rows of one value belong together"},
        {with([](auto &f) { f.walk = Walk::sweep; }), 1, "a sweep is one statement"},
        {with([](auto &f) { f.indexed_column = "x", f.index_name = "t_x_idx"; }), 1,
         "index \"t_x_idx\" uses column \"x\", which is written"},
        {with([](auto &f) { f.indexed_column = "x", f.index_name = "i", f.fillfactor = 50; }), 1,
         "index \"i\" uses column \"x\", which is written"},
        {with([](auto &f) { f.rows_per_page = 7.9; }), 1, "a page has fewer than 8 rows"},
        {with([](auto &f) { f.rows_per_page = 8; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.correlation = 0.49; }), 1, "rows lie in another order than their keys"},
        {with([](auto &f) { f.correlation = -0.49; }), 1, "rows lie in another order than their keys"},
        {with([](auto &f) { f.correlation = 0, f.blocks = StrideFacts::Blocks::yes; }), 1,
         "rows lie in another order than their keys; with batching_strategy => 'ctid' there would be passes"},
        {with([](auto &f) { f.correlation = 0, f.blocks = StrideFacts::Blocks::with_condition; }), 1,
         "rows lie in another order than their keys; with batching_strategy => 'ctid' and a condition that leaves out rows "
         "that have the value there would be passes"},
        {with([](auto &f) { f.correlation = 0.5; }), 10, "no index uses a written column"},
        {with([](auto &f) { f.rows = 10239; }), 1, "the table is smaller than a window"},
        {with([](auto &f) { f.rows = 10240; }), 10, "no index uses a written column"},
    };
    HeapArena heap;
    for (const auto &one : cases) {
        const Strides made = choose_strides(one.facts, 0, heap.arena());
        EXPECT_EQ(made.passes, one.passes) << one.because;
        EXPECT_EQ(made.because, one.because);
        EXPECT_EQ(made.window_keys > 0, made.passes > 1) << one.because;
        EXPECT_FALSE(made.is_given);
    }
}

TEST(strides, windows) {
    const struct {
        double rows_per_page;
        int keys;
    } cases[] = {{0, 8192},    {-1, 8192},   {std::numeric_limits<double>::quiet_NaN(), 8192},
                 {8, 1024},    {80, 10240},  {255.9, 32755},
                 {256, 32768}, {1e30, 32768}};
    HeapArena heap;
    for (const auto &one : cases)
        EXPECT_EQ(
            choose_strides(with([&](auto &f) { f.rows_per_page = one.rows_per_page; }), 0, heap.arena()).window_keys,
            one.keys)
            << one.rows_per_page;
    EXPECT_EQ(choose_strides(with([](auto &f) { f.rows_per_page = 1; }), 8, heap.arena()).window_keys, 1000);
}

TEST(strides, follows_a_person_where_it_can) {
    const struct {
        StrideFacts facts;
        int wanted;
        int passes;
        Text because;
    } cases[] = {
        {kUsual, 1, 1, "bbm.passes is 1"},
        {kUsual, 2, 2, "bbm.passes is 2"},
        {kUsual, 64, 64, "bbm.passes is 64"},
        {with([](auto &f) { f.indexed_column = "x", f.index_name = "i"; }), 4, 4, "bbm.passes is 4"},
        {with([](auto &f) { f.rows = 3; }), 4, 4, "bbm.passes is 4"},
        {with([](auto &f) { f.correlation = 0; }), 4, 4, "bbm.passes is 4"},
        {with([](auto &f) { f.rows_per_page = 2; }), 4, 4, "bbm.passes is 4"},
        {with([](auto &f) { f.has_placeholders = true; }), 4, 1, "the command restricts itself, with $1 and $2"},
        {with([](auto &f) { f.is_update = false; }), 4, 1, "the command is no UPDATE of the table"},
        {with([](auto &f) { f.walk = Walk::values; }), 4, 1, "rows of one value belong together"},
    };
    HeapArena heap;
    for (const auto &one : cases) {
        const Strides made = choose_strides(one.facts, one.wanted, heap.arena());
        EXPECT_EQ(made.passes, one.passes) << one.because;
        EXPECT_EQ(made.because, one.because);
        EXPECT_EQ(made.window_keys > 0, made.passes > 1) << one.because;
        EXPECT_EQ(made.is_given, made.because.starts_with("bbm.passes")) << one.because;
    }
}

TEST(strides, in_jobs) {
    HeapArena heap;
    const Strides chosen = choose_strides(kUsual, 0, heap.arena()), given = choose_strides(kUsual, 4, heap.arena()),
                  plain = choose_strides(kUsual, 1, heap.arena());
    EXPECT_EQ(in_jobs_of(1000, chosen, heap.arena()).passes, chosen.passes);
    EXPECT_EQ(in_jobs_of(999, chosen, heap.arena()).passes, 1);
    EXPECT_EQ(in_jobs_of(999, chosen, heap.arena()).because, "a job has fewer than 1000 keys");
    EXPECT_EQ(in_jobs_of(1, given, heap.arena()).passes, 4);
    EXPECT_EQ(in_jobs_of(1, plain, heap.arena()).because, plain.because);
}

TEST(strides, out_of_memory) {
    const StrideFacts facts =
        with([](auto &f) { f.indexed_column = "x", f.index_name = "a_rather_long_name_of_an_index"; });
    EXPECT_GT(sweep_out_of_memory([&](Arena arena) { (void)choose_strides(facts, 0, arena); }), 0);
}

} // namespace
} // namespace bbm
