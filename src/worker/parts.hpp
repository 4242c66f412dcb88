// The parts of a migration: which tables it walks, by which key, from where to where.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"
#include "pg/range_command.hpp"
#include "pg/table_key.hpp"

namespace bbm {

// The key by which a table is walked: that of the index over these columns, or the primary key if there are none; or
// what the batching strategy walks by.
Refusal find_key(std::uint32_t table, Walk walk, Key columns, pg::TableKey &key);

// The part's key as it is now. Raises where there is none any more, or its columns are of types of another kind.
pg::TableKey key_of(const Part &part);
// The part's table as a query names it: its name now, known as the migration's table.
Text walked_table(const Migration &migration, const Part &part);
// Which of its rows are meant: by the migration's condition and the part's. Empty for all.
Text condition_of(const Migration &migration, const Part &part);
pg::RangeCommand command_of(const Migration &migration, const Part &part, const pg::TableKey &key);

// A table as a part, with its range now, and within the bounds that were given.
Part describe_part(const Migration &migration, std::uint32_t table, const pg::TableKey &key);
// All of them: the table itself, or each of its leaves.
Vector<Part> &plan_parts(const Migration &migration, const pg::TableKey &key, Arena arena);

// Leaves that the table has got since: they are walked as well. False if there are none.
bool add_new_leaves(const Migration &migration);

} // namespace bbm
