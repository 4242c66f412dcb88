// Looks for the keys of the next range, as the current user and always by the index.
#pragma once

#include "core/keyset.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"
#include "pg/table_key.hpp"

#include <optional>

namespace bbm::pg {

// Prepared for one table; plans live until they are released.
struct KeyQueries {
    void *inclusive = nullptr;
    void *exclusive = nullptr;
    void *window_inclusive = nullptr;
    void *window_exclusive = nullptr;
    bool descends[kMostKeyColumns] = {};
    KeyColumn columns[kMostKeyColumns] = {};
    std::size_t column_count = 0;
    std::uint32_t table = 0;
    Walk walk = Walk::keys;
    bool is_filtered = false;

    std::span<const KeyColumn> key() const { return {columns, column_count}; }
};

void prepare_key_queries(KeyQueries &queries, Text table, const TableKey &key, Text scope = {});
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

// The range of the next `keys` keys (rows, distinct values, or as many rows as blocks hold) up to `upper`, or nothing if no key is left. Raises 42P16 if a column of the key has
// changed.
std::optional<NextRange> find_next_range(const KeyQueries &queries, Lower lower, Key upper, int keys, Arena arena);

// Place, xmin and key of the next rows up to `upper` go to the receiver (a DestReceiver), as many as `rows` at the most;
// 0: all of them.
void read_window(const KeyQueries &queries, Lower lower, Key upper, int rows, void *receiver);

// The same for about as many keys: where there are many they are not read, and a range without its end's row is one, too.
// For sizes that no person chose.
std::optional<NextRange> find_about_next_range(const KeyQueries &queries, Lower lower, Key upper, int keys,
                                               Arena arena);

// The smallest and the greatest key of a table, the first and the last block that it has now, or nothing if it is empty: of what is committed now, at any isolation
// level, since a bound that is too small would leave rows out.
std::optional<Range> find_whole_range(Text table, const TableKey &key, Arena arena);

// The planner's estimate of the rows that the walk meets, of all or in the range; negative while nobody has analysed
// the table.
std::int64_t estimated_rows(const KeyWalk &walk, std::uint32_t table, const Range *range = nullptr);
std::int64_t count_rows(const KeyWalk &walk, Range range);
// Is there any row that meets the walk's scope, in a range or not?
bool has_row(const KeyWalk &walk);

} // namespace bbm::pg
