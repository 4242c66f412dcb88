// What the catalogs say about the table of a migration and its key.
#pragma once

#include "core/types.hpp"
#include "pg/table_key.hpp"

namespace bbm::pg {

// The table's name now, qualified and quoted, in the current memory context; empty if it is gone.
Text table_name(std::uint32_t table);

// The topmost table that it is a partition or a child of, or itself; 0 if it is gone. Of several parents the first.
std::uint32_t table_root(std::uint32_t table);

// The tables with rows below it, itself included if it has rows of its own: partitions of partitions, children of children.
// No locks: any of them may be gone when it is looked at.
Vector<std::uint32_t> &leaves_of(std::uint32_t table, Arena arena);
enum class TableKind {
    plain,
    partitioned,
    parent, // other tables inherit from it
    foreign,
};
TableKind kind_of_table(std::uint32_t table);

// The bound of a partition with those of the tables above it, as text; empty for other tables.
Text partition_bound(std::uint32_t table);
inline constexpr Text kDefaultBound = "DEFAULT";

// Triggers of users' that fire once a statement, and not for each row.
bool has_statement_triggers(std::uint32_t table);

// A reason why a table of this kind cannot be migrated, or nothing.
Refusal check_table(std::uint32_t table);

// The planner's estimate of the rows, -1 where it has none.
std::int64_t estimated_rows(std::uint32_t table);

// The first column that an UPDATE may set to itself, other than the key; empty if there is none.
Text assignable_column(std::uint32_t table, const TableKey &key);
// A name made of the table's and the suffix that no relation in its schema has; qualified and quoted.
Text unused_name(std::uint32_t table, Text suffix);

} // namespace bbm::pg
