// Looks for the keys of the next range, as the current user and always by the index.
#pragma once

#include "core/keyset.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

#include <optional>

namespace bbm::pg {

// Prepared for one table; plans live until they are released.
struct KeyQueries {
    void *inclusive = nullptr;
    void *exclusive = nullptr;
    std::uint32_t type = 0;
};

void prepare_key_queries(KeyQueries &queries, const KeyWalk &walk, std::uint32_t key_type);
void release_key_queries(KeyQueries &queries);

struct Lower {
    LowerBound kind;
    Key key;
};

struct NextRange {
    Range range;
    bool is_full; // it spans as many keys as asked for
    bool is_last; // it ends at the upper bound
};

// The range of the next `keys` keys up to `upper`, or nothing if no key is left.
std::optional<NextRange> find_next_range(const KeyQueries &queries, Lower lower, Key upper, int keys, Arena arena);

// The smallest and the greatest key of a table, or nothing if it is empty: of what is committed now, at any isolation
// level, since a bound that is too small would leave rows out.
std::optional<Range> find_whole_range(const KeyWalk &walk, Arena arena);

// The planner's estimate of the rows that the walk meets, of all or in the range; negative while nobody has analysed
// the table.
std::int64_t estimated_rows(const KeyWalk &walk, std::uint32_t table, const Range *range = nullptr);
std::int64_t count_rows(const KeyWalk &walk, Range range);

// A key value in its type's own form; raises the type's error if it is none.
Text normal_form(Text value, std::uint32_t type);
// Is a <= b, by the type's default order?
bool is_ordered(Text a, Text b, std::uint32_t type);

} // namespace bbm::pg
