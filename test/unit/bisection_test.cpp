#include "core/bisection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace bbm {
namespace {

TEST(bisection, one_key_is_no_search) {
    for (int keys : {1, 0, -1})
        EXPECT_FALSE(search_in(keys).is_active()) << keys;
}

TEST(bisection, the_first_half_comes_first) {
    const struct {
        int keys, part;
    } cases[] = {{2, 1}, {3, 1}, {4, 2}, {5, 2}, {100, 50}, {2'000'000, 1'000'000}, {2'147'483'647, 1'073'741'823}};
    for (const auto &one : cases)
        EXPECT_EQ(search_in(one.keys), (Bisection{one.keys, one.part})) << one.keys;
}

TEST(bisection, a_good_part_leaves_the_rest) {
    const struct {
        Bisection search, expected;
    } cases[] = {
        {{2, 1}, {1, 1}}, {{3, 1}, {2, 1}}, {{10, 5}, {5, 2}}, {{1, 1}, {}},
        {{5, 5}, {}},     {{2, 3}, {}}, // a part is never longer than the rest, but nothing depends on that
    };
    for (const auto &one : cases)
        EXPECT_EQ(after_good_part(one.search), one.expected) << one.search.remaining << ' ' << one.search.keys;
}

TEST(bisection, an_error_that_does_not_come_back_ends_the_search) {
    Bisection search = search_in(1000);
    int parts = 0;
    for (; search.is_active(); ++parts)
        search = after_good_part(search);
    EXPECT_LE(parts, std::bit_width(1000u) + 1);
}

// The walk of a job as the runner does it: key i of keys[0..n) is bad or not, a part with a bad key is rolled back
// whole, one bad key alone is set aside.
struct Walk {
    std::vector<int> done;
    std::vector<int> set_aside;
    int transactions = 0;
};

Walk walk(int n, const std::vector<int> &bad, int sub_batch_size) {
    Walk result;
    result.done.resize(static_cast<std::size_t>(n));
    Bisection search;
    int at = 0;
    while (at < n && result.transactions < 100'000) {
        const int keys = search.is_active() ? search.keys : sub_batch_size;
        const int end = std::min(at + keys, n);
        ++result.transactions;
        const bool fails = std::any_of(bad.begin(), bad.end(), [&](int key) { return key >= at && key < end; });
        if (!fails) {
            for (int key = at; key < end; ++key)
                ++result.done[static_cast<std::size_t>(key)];
            if (search.is_active())
                search = after_good_part(search);
            at = end;
        } else if (end - at == 1) {
            result.set_aside.push_back(at++);
            search = {};
        } else {
            search = search_in(keys);
        }
    }
    return result;
}

// Each bad key costs one failed sub-batch and a search in it.
int most_transactions(int n, int bad, int sub_batch_size) {
    const int searches = bad * (std::bit_width(static_cast<unsigned>(sub_batch_size)) + 2);
    return (n + sub_batch_size - 1) / sub_batch_size + searches;
}

void expect_exact(int n, const std::vector<int> &bad, int sub_batch_size) {
    const Walk result = walk(n, bad, sub_batch_size);
    ASSERT_EQ(result.set_aside, bad) << n << " keys by " << sub_batch_size;
    for (int key = 0; key < n; ++key) {
        const bool is_bad = std::binary_search(bad.begin(), bad.end(), key);
        ASSERT_EQ(result.done[static_cast<std::size_t>(key)], is_bad ? 0 : 1)
            << "key " << key << " of " << n << " by " << sub_batch_size;
    }
    ASSERT_LE(result.transactions, most_transactions(n, static_cast<int>(bad.size()), sub_batch_size))
        << n << " keys by " << sub_batch_size << ", first bad " << (bad.empty() ? -1 : bad.front());
}

TEST(bisection, no_bad_key_costs_nothing) {
    for (int n = 1; n <= 300; ++n)
        EXPECT_EQ(walk(n, {}, 10).transactions, (n + 9) / 10) << n;
}

TEST(bisection, finds_any_one_key) {
    for (int n = 1; n <= 300; ++n)
        for (int bad = 0; bad < n; ++bad)
            ASSERT_NO_FATAL_FAILURE(expect_exact(n, {bad}, n));
}

TEST(bisection, finds_any_two_keys) {
    for (int n = 2; n <= 70; ++n)
        for (int one = 0; one < n; ++one)
            for (int two = one + 1; two < n; ++two)
                ASSERT_NO_FATAL_FAILURE(expect_exact(n, {one, two}, n));
}

TEST(bisection, finds_any_three_keys) {
    for (int n : {3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40})
        for (int one = 0; one < n; ++one)
            for (int two = one + 1; two < n; ++two)
                for (int three = two + 1; three < n; ++three)
                    ASSERT_NO_FATAL_FAILURE(expect_exact(n, {one, two, three}, n));
}

// Sub-batches that do not divide the job, and ones that reach beyond its end.
TEST(bisection, whatever_the_size_of_the_sub_batches) {
    for (int n : {1, 2, 3, 10, 57, 200})
        for (int sub_batch_size : {1, 2, 3, 7, 10, 64, 1000})
            for (int one = 0; one < n; ++one)
                for (int distance : {1, 2, 9}) {
                    ASSERT_NO_FATAL_FAILURE(expect_exact(n, {one}, sub_batch_size));
                    if (one + distance < n) {
                        ASSERT_NO_FATAL_FAILURE(expect_exact(n, {one, one + distance}, sub_batch_size));
                    }
                }
}

TEST(bisection, every_key_bad) {
    for (int n : {1, 2, 3, 10, 33}) {
        std::vector<int> all(static_cast<std::size_t>(n));
        for (int key = 0; key < n; ++key)
            all[static_cast<std::size_t>(key)] = key;
        ASSERT_NO_FATAL_FAILURE(expect_exact(n, all, n));
    }
}

TEST(bisection, a_large_job_is_searched_in_a_score_of_transactions) {
    for (int bad : {0, 1, 999'999, 1'000'000, 1'999'999})
        ASSERT_NO_FATAL_FAILURE(expect_exact(2'000'000, {bad}, 2'000'000));
    EXPECT_LE(most_transactions(2'000'000, 1, 2'000'000), 24);
}

} // namespace
} // namespace bbm
