// A window: the rows of a range of keys, read once and dealt out to passes by a hash of their keys. It lives in this
// process and can be read again at any time: which pass a row belongs to depends on nothing but its key.
#pragma once

#include "pg/key_query.hpp"
#include "pg/window_scan.hpp"

namespace bbm::pg {

struct OpenedWindow {
    int rows;
    Key max; // where it ends
};
// The window of the next `keys` keys, or of fewer where they are long, in place of the last one. Nothing if no key is left.
std::optional<OpenedWindow> open_window(const KeyQueries &queries, Lower lower, Key upper, int keys, int passes,
                                        Arena arena);
// One that was open, once more, with the rows that are there now. False where there are none.
bool reopen_window(const KeyQueries &queries, Lower lower, Key upper, int passes);
void close_window();
bool is_window_open();

// Rows of one pass that follow each other in the order of the walk.
struct Slice {
    Range range; // their first and last key
    int keys;
    bool is_last;                     // of the pass
    std::span<const RowVersion> rows; // along the pages
};

// The next `keys` rows of the pass (from 0) behind the key, or from its beginning where that is empty; nothing if none
// is left.
std::optional<Slice> next_slice(int pass, Key behind, int keys, Arena arena);
Key key_of_window_row(std::uint32_t row, Arena arena);

} // namespace bbm::pg
