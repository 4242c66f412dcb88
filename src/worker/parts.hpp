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

// The same for a migration's table. Where a partitioned one has no key of its own, its first leaf that has one tells what
// the leaves are walked by. Raises where there is none.
pg::TableKey find_key_to_walk_by(std::uint32_t table, Walk walk, Key columns);

// The part's key as it is now. Raises where there is none any more, or its columns are of types of another kind.
pg::TableKey key_of(const Part &part);
// What the table is called now; empty if it is gone. Raises where that is not what it `was` called and the command cannot
// follow: it would name another table, or none.
Text name_now(const Migration &migration, std::uint32_t table, Text was);
// The names of both, as they are now; a table that is gone keeps its last one.
void look_up_names(Migration &migration, Part &part);
// The part's table as a query names it: its name, known as the command and scope_to know it.
Text walked_table(const Migration &migration, const Part &part);
// Which of its rows are meant: by the migration's condition and the part's. Empty for all.
Text condition_of(const Migration &migration, const Part &part);
// The command aimed at the part's table, by the name that the part has for it.
pg::RangeCommand command_of(const Migration &migration, const Part &part, const pg::TableKey &key);

} // namespace bbm
