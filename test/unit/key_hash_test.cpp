#include "core/key_hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>
#include <vector>

namespace bbm {
namespace {

using Counts = std::array<int, 64>;

std::uint64_t hash_text(std::uint64_t seed, std::string_view text) {
    return key_hash(seed, std::as_bytes(std::span(text.data(), text.size())));
}

// The largest pass above its share of a page with `rows` keys, over many pages.
template <class HashOf> int worst_excess(int rows, int passes, HashOf hash_of) {
    constexpr int kPages = 200;
    int worst = 0;
    for (int page = 0; page < kPages; ++page) {
        Counts counts = {};
        for (int row = 0; row < rows; ++row)
            ++counts[static_cast<std::size_t>(pass_of(hash_of(std::uint64_t{1} * page * rows + row), passes))];
        worst = std::max(worst, *std::max_element(counts.begin(), counts.end()) - (rows + passes - 1) / passes);
    }
    return worst;
}

// Windows in tables were dealt out by these: whoever changes them loses rows of walks that go on.
TEST(key_hash, never_changes) {
    EXPECT_EQ(key_hash_integer(0, 0), 0u);
    EXPECT_EQ(key_hash_integer(0, 1), 0x46f10de74f7a6103u);
    EXPECT_EQ(key_hash_integer(0, 1'000'000), 0xb266c47d1ac806c0u);
    EXPECT_EQ(key_hash_integer(0, ~std::uint64_t{0}), 0xb90ef218b0859efdu);
    EXPECT_EQ(key_hash_integer(key_hash_integer(0, 7), 8), 0x048c13fa9511aed9u);
    EXPECT_EQ(hash_text(0, ""), 0x433a24406cfa9962u);
    EXPECT_EQ(hash_text(0, "a"), 0x1fabc0f6cd7784b4u);
    EXPECT_EQ(hash_text(0, "abcdefgh"), 0xa890221a805f06a1u);
    EXPECT_EQ(hash_text(0, "abcdefghi"), 0x69a167322b002577u);
    EXPECT_EQ(hash_text(7, "abcdefghi"), 0xafbefb09451cc423u);
    EXPECT_EQ(key_hash_integer(hash_text(0, "tenant"), 42), 0xf466d5749b668223u);
}

TEST(key_hash, passes) {
    EXPECT_EQ(pass_of(0, 8), 0);
    EXPECT_EQ(pass_of(~std::uint64_t{0}, 8), 7);
    EXPECT_EQ(pass_of(std::uint64_t{1} << 63, 8), 4);
    EXPECT_EQ(pass_of(std::uint64_t{1} << 63, 3), 1);
    EXPECT_EQ(pass_of(~std::uint64_t{0}, 1), 0);
    EXPECT_EQ(pass_of(~std::uint64_t{0}, 64), 63);
}

TEST(key_hash, deals_even_steps_evenly) {
    std::vector<std::uint64_t> steps(32);
    std::iota(steps.begin(), steps.end(), 1);
    for (std::uint64_t power = 100; power <= 1'000'000'000'000; power *= 10)
        steps.push_back(power);
    for (int bit = 6; bit <= 44; ++bit)
        steps.push_back(std::uint64_t{1} << bit);
    for (const std::uint64_t seconds : {60, 3600, 86400})
        steps.push_back(seconds * 1'000'000);
    for (const std::uint64_t step : steps)
        for (const int rows : {64, 80})
            for (const int passes : {8, 16})
                EXPECT_LE(
                    worst_excess(rows, passes, [&](std::uint64_t row) { return key_hash_integer(0, row * step); }), 3)
                    << "step " << step << ", " << rows << " rows, " << passes << " passes";
}

TEST(key_hash, negative_keys_are_dealt_evenly) {
    for (const int passes : {8, 16})
        EXPECT_LE(
            worst_excess(64, passes, [](std::uint64_t row) { return key_hash_integer(0, std::uint64_t{0} - row); }), 3);
}

TEST(key_hash, last_column_is_dealt_evenly_within_a_prefix) {
    for (const std::uint64_t tenant : {0, 1, 2, 17, 123456789}) {
        const std::uint64_t by_number = key_hash_integer(0, tenant);
        const std::uint64_t by_name = hash_text(0, std::to_string(tenant));
        for (const std::uint64_t seed : {by_number, by_name, key_hash_integer(by_name, 5)})
            EXPECT_LE(worst_excess(80, 8, [&](std::uint64_t row) { return key_hash_integer(seed, row); }), 3);
    }
}

// Lots drawn by chance: 10,000 in each pass, give or take 100 (one standard deviation); 5 of them are allowed.
template <class HashOf> void expect_like_chance(const char *what, HashOf hash_of) {
    constexpr int kPasses = 16, kMean = 10'000;
    Counts counts = {};
    for (int i = 0; i < kPasses * kMean; ++i)
        ++counts[static_cast<std::size_t>(pass_of(hash_of(i), kPasses))];
    for (int pass = 0; pass < kPasses; ++pass)
        EXPECT_NEAR(counts[static_cast<std::size_t>(pass)], kMean, 500) << what << ", pass " << pass;
}

TEST(key_hash, deals_bytes_like_chance) {
    expect_like_chance("numbers as text", [](int i) { return hash_text(0, std::to_string(i)); });
    expect_like_chance("with a prefix", [](int i) { return hash_text(0, "customer-000" + std::to_string(i)); });
    expect_like_chance("with a suffix", [](int i) { return hash_text(0, std::to_string(i) + "@example.org"); });
    expect_like_chance("16 bytes, of which few change", [](int i) {
        std::array<std::byte, 16> bytes = {};
        bytes[5] = static_cast<std::byte>(i), bytes[6] = static_cast<std::byte>(i >> 8);
        bytes[15] = static_cast<std::byte>(i >> 16);
        return key_hash(0, bytes);
    });
    expect_like_chance("lengths", [](int i) {
        return hash_text(0, std::string(static_cast<std::size_t>(i % 4000), 'x') + std::to_string(i / 4000));
    });
    expect_like_chance("a seed that counts", [](int i) { return hash_text(static_cast<std::uint64_t>(i), "x"); });
    expect_like_chance("a prefix that counts", [](int i) { return key_hash_integer(key_hash_integer(0, i), 1); });
}

// Consecutive texts stay apart within a page as lots do: hardly ever more than twice the share.
TEST(key_hash, texts_of_a_page) {
    EXPECT_LE(worst_excess(64, 8, [](std::uint64_t row) { return hash_text(0, "item-" + std::to_string(row)); }), 12);
}

TEST(key_hash, tells_keys_apart) {
    EXPECT_NE(hash_text(0, "a"), hash_text(0, std::string_view("a\0", 2)));
    EXPECT_NE(hash_text(hash_text(0, "ab"), "c"), hash_text(hash_text(0, "a"), "bc"));
    EXPECT_NE(key_hash_integer(key_hash_integer(0, 1), 2), key_hash_integer(key_hash_integer(0, 2), 1));
}

} // namespace
} // namespace bbm
