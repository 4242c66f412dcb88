// Whether a walk takes its windows in passes, and in how many. A pass changes a part of each page's rows and is
// committed; the server gives the room of their old versions to the next pass, whose updates stay in the page then and
// need no new entries in indexes (HOT).
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

#include <limits>

namespace bbm {

struct StrideFacts {
    Walk walk = Walk::keys;
    bool is_update = false; // of the walked table itself, at the top of the command
    bool is_heap = false;   // no foreign table, no other access method
    bool has_placeholders = false;
    Text indexed_column = {}; // written by the command and used by an index; empty for none
    Text index_name = {};     // that index
    Text before_trigger = {}; // may write more columns than the command; empty for none
    enum class Blocks { no, with_condition, yes } blocks = Blocks::no; // may they be walked? core/walk_rules
    int fillfactor = 100;
    int secondary_indexes = 0;                                     // beside the one that is walked
    double rows = 0;                                               // as the planner estimates
    double rows_per_page = 0;                                      // 0 = not known
    double correlation = std::numeric_limits<double>::quiet_NaN(); // of the key's first column with the places of rows
};

struct Strides {
    int passes = 1;        // 1 = a plain walk
    int window_keys = 0;   // of a window; 0 where the walk is plain
    bool is_given = false; // a person wanted that many passes: what is measured changes nothing
    Text because = {};     // a short sentence without a full stop
};

// `wanted` is bbm.passes: 0 = to be chosen here, 1 = plain, more = that many wherever passes can be made at all.
Strides choose_strides(const StrideFacts &facts, int wanted, Arena arena);

// The same in jobs of so many keys. Small ones are walked plainly: a window ends with its job, and each of its passes has
// a transaction of its own.
Strides in_jobs_of(int keys, const Strides &strides, Arena arena);

} // namespace bbm
