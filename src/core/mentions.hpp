// Where a command's text names the migration's table. Texts with another name in these places are made from it: the
// table's name of today, or that of one of its partitions.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm {

// Bytes of the text. The span covers the name with its schema and, of a table, a `*` behind it or the parentheses of
// ONLY (name).
struct Mention {
    int start = 0;
    int length = 0;
    bool has_alias = false;    // or needs none
    bool is_only = false;      // ONLY stands before it
    bool takes_only = false;   // ONLY may stand before it: not in INSERT INTO
    bool is_qualifier = false; // of a column, as `public.orders` in public.orders.total

    bool operator==(const Mention &) const = default;
};

// The command with `table` (qualified and quoted) for each of its mentions, which are in the order of the text. A table
// that is called otherwise now gets its old name as an alias where it has none, so that `orders.total` elsewhere in the
// text still means its column; so does public.orders.total, which becomes orders.total. ONLY is added where `only` asks
// for it.
//
// What it cannot mend: two tables of one name in different schemas, named in one FROM without aliases. They would get
// the same alias, and the server says so.
Text with_table(Text command, std::span<const Mention> mentions, Text table, bool only, Arena arena);

// Three integers for each mention.
Vector<int> &pack(std::span<const Mention> mentions, Arena arena);
// Nothing where the integers are no such list.
Vector<Mention> &unpack(std::span<const int> packed, Arena arena);

} // namespace bbm
