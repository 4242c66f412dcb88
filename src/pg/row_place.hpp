// Where a row of one of our own tables stands. While somebody's old snapshot is open, every version that a row has had
// since stays, and a look-up by an index visits all of them. By its place the newest version is found at once.
#pragma once

#include "core/types.hpp"

#include <cstdint>

namespace bbm::pg {

// A hint, and never more: vacuum may give the place to another row. Whoever goes there asks for the row's id as well.
using RowPlace = std::int64_t; // block and number within it; 0: nobody knows

// Where the version at that place has moved since, in as many steps as there were updates; the place itself if it is
// the newest one, or nothing is there any more.
RowPlace newest_place(const char *table, RowPlace place);

// Clears the place's page of dead versions, if it is full and nobody sees them any more. A look-up by an index does so
// by itself, one by place does not.
void prune_page(const char *table, RowPlace place);

} // namespace bbm::pg
