// The part that this process is prepared to walk: the queries for its keys, and the command, restricted to it. Of the
// process, like a plan: whoever finds it old prepares it anew.
#pragma once

#include "core/pass_log.hpp"
#include "core/retry.hpp"
#include "core/stride_course.hpp"
#include "core/types.hpp"
#include "pg/key_query.hpp"
#include "worker/session.hpp"

namespace bbm {

enum class Aim {
    ready,
    locked, // somebody holds the table, or waits for it
    gone,   // a leaf that was dropped
};

// How the bounds of the next job are to be looked for.
BoundsSearch search_for_bounds(const Migration &migration);

// A table goes on under its new name: what is walked is the table, not the name. The caller has locked the migration's
// row. Raises where the command cannot follow.
void follow_rename(Migration &migration);

// In the owner's transaction. Locks the part's table as DML does, without waiting, and brings `part` up to date. Raises
// where the table is not what it was: gone, emptied, with another key.
Aim aim_at(Migration &migration, Part &part);

const pg::KeyQueries &keys_of_aim();   // all rows, for sub-batches
const pg::KeyQueries &bounds_of_aim(); // the rows that the filter lets pass, for jobs

// How its windows are to be walked, and how that has gone.
const Strides &strides_of_aim();
StrideCourse &course_of_aim();
Patience &patience_of_aim(); // with other workers

// Is the command prepared for this part, and are the tables that it names still called so? The caller holds the
// table's lock.
bool still_aims_at(const Part &part);

void lose_aim();    // the next one prepares all anew
void release_aim(); // its plans as well

} // namespace bbm
