// May a command meet the same row twice and do no harm? A walk by ctid meets the new version of a row that it has
// changed; a commit on another server can be lost to us, so that the same range is run again.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

struct Repeatable {
    bool is_repeatable = false;
    Text because = {};
    Text why_not = {};
    // What others assign to a written column between the two meetings is overwritten, as it would be if the row had
    // only been met the second time. Commands that mark rows, and deletions, leave it alone.
    bool overwrites = false;
};

// Of the analysed command (a Query), with scope_to among its conditions, before rewriting; of the table that it has to
// change; and of the command's text. Nothing of the user's is run; what is not proven is not repeatable.
Repeatable judge_repeatable(const void *query, std::uint32_t table, Text command);

} // namespace bbm::pg
