#include "core/bisection.hpp"

#include <algorithm>

namespace bbm {

Bisection search_in(int keys) {
    if (keys <= 1)
        return {};
    return {keys, keys / 2};
}

Bisection after_good_part(Bisection search) {
    const int remaining = search.remaining - search.keys;
    if (remaining <= 0)
        return {};
    return {remaining, std::max(remaining / 2, 1)};
}

} // namespace bbm
