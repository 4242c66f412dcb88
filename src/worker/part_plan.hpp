// Which parts a migration has: found when it is queued, and looked for again at its end.
#pragma once

#include "core/command_rules.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"
#include "pg/table_key.hpp"

namespace bbm {

// Asks all the rules about the command and the walk. Raises, or fills in how the table is walked. The current user is the
// owner, with his search_path.
CommandFacts choose_walk(Migration &migration, const pg::TableKey &key);

// All of them, with their ranges now, within the bounds that were given: the table itself, or each of its leaves; and the
// rows without a key, where they are wanted.
Vector<Part> &plan_parts(const Migration &migration, const pg::TableKey &key, Arena arena);

// How the reason ends for which a person has to decide about new leaves.
inline constexpr Text kRowsMayBeDone = "belongs to the table now, and its rows may be done";

// Leaves that the table has got since: they are walked as well. False if there are none.
bool add_new_leaves(const Migration &migration);

// What a walk by blocks has left is swept up until a sweep finds nothing. False if the last one did. Raises where it
// never ends.
bool add_sweeps(const Migration &migration);

} // namespace bbm
