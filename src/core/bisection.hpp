// The search for the row that a command fails for: halves, each in a small transaction of its own, so that everything
// before the row is committed when it is found.
#pragma once

namespace bbm {

struct Bisection {
    int remaining = 0; // keys in which a bad row is known to be; 0: no search under way
    int keys = 0;      // of the next part to try

    bool is_active() const { return remaining > 0; }
    bool operator==(const Bisection &) const = default;
};

// A range of that many keys has failed; one of its own, or a part of a search. One key alone is the bad row: no search.
Bisection search_in(int keys);
// The part was done without error: the bad row is in the rest, if the error comes back at all.
Bisection after_good_part(Bisection search);

} // namespace bbm
