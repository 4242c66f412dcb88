// Which keys lie between two others, as conditions that a B-tree answers without reading a key that does not.
#pragma once

#include "core/arena.hpp"
#include "core/keyset.hpp"

namespace bbm {

// Two keys of a walk: the parameters from $1 on, or the keys of `literals`. The upper one belongs to the range.
struct KeyBounds {
    LowerBound lower;
    const Range *literals = nullptr;
    Text lower_row = {}; // a relation with the parts k1, k2 ... of the lower one
};

// One condition or, of several columns, more: each key of the range meets exactly one of them, and the keys of an
// earlier one come before those of a later one. A NULL is in no arm.
const Vector<Text> &range_arms(const KeyWalk &walk, const KeyBounds &bounds, Arena arena);

} // namespace bbm
