// Deals keys out to passes. What a pass is made of outlives the process: a window that stands in a table was dealt by
// these functions. They never change, and tests pin their values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bbm {

// Columns of a key one after the other: the hash of those before is the seed of the next, 0 that of the first.
// Integers that follow each other in even steps are spread evenly; for all else it is like drawing lots.
std::uint64_t key_hash_integer(std::uint64_t seed, std::uint64_t value);
std::uint64_t key_hash(std::uint64_t seed, std::span<const std::byte> bytes);

// 0 to passes - 1, by the upper half of the hash.
int pass_of(std::uint64_t hash, int passes);

} // namespace bbm
