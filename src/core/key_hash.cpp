#include "core/key_hash.hpp"

#include <algorithm>

namespace bbm {

namespace {

// A pass needs as much room in a page as its largest predecessor has left there, so the rows of a page should be dealt
// out evenly. Multiples of a constant, taken modulo 2^64, are: each step turns the hash by the same part of a circle.
// Which steps are good depends on the constant. This one was found by a search: whatever the step (1 to 32, all powers
// of two and ten, minutes, hours and days in microseconds), no pass gets more than 3 rows above its share of a page.
// The usual golden ratio is worse: with steps of 10^9 one pass gets 12 to 24 more.
constexpr std::uint64_t kTurn = 0x46f1'0de7'4f7a'6103;
// Odd, and half of their bits are set in no order.
constexpr std::uint64_t kFirstMix = 0xd1b5'4a32'd192'ed03;
constexpr std::uint64_t kSecondMix = 0x8f3e'21c5'9d04'b76b;

// Every bit of the result depends on every bit of the value; no two values share one.
std::uint64_t stir(std::uint64_t value) {
    value = (value ^ value >> 32) * kFirstMix;
    value = (value ^ value >> 29) * kSecondMix;
    return value ^ value >> 32;
}

// Little endian on every machine.
std::uint64_t read_word(std::span<const std::byte> bytes) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i)
        word |= std::to_integer<std::uint64_t>(bytes[i]) << 8 * i;
    return word;
}

} // namespace

// The seed moves the whole circle, so that what follows within one prefix of the key stays even.
std::uint64_t key_hash_integer(std::uint64_t seed, std::uint64_t value) { return stir(seed) + value * kTurn; }

std::uint64_t key_hash(std::uint64_t seed, std::span<const std::byte> bytes) {
    constexpr std::size_t word_size = sizeof(std::uint64_t);
    // The length first: a value and the same with a zero behind it are different keys.
    std::uint64_t hash = stir(seed + kTurn) ^ bytes.size();
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(word_size, bytes.size())))
        hash = stir(hash ^ read_word(bytes.first(std::min(word_size, bytes.size()))));
    return stir(hash);
}

int pass_of(std::uint64_t hash, int passes) {
    return static_cast<int>((hash >> 32) * static_cast<std::uint64_t>(passes) >> 32);
}

} // namespace bbm
