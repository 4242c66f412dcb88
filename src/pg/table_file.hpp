// Looks at a table's file. What it says about the table's rows is judged in core/table_file. The caller holds a lock on
// the table, so that nobody replaces the file meanwhile.
#pragma once

#include "core/table_file.hpp"

namespace bbm::pg {

// 0 if the table has none of its own: it is foreign, or gone. Of a partitioned table the number stands for all of its
// leaves and their files.
std::uint32_t file_number(std::uint32_t table);
TableFile table_file(std::uint32_t table);

struct FileNews {
    FileChange change;
    TableFile file; // to be remembered from now on
};
// Reads rows only if the file is another one, and no longer than `limit`: then it is unclear what happened.
FileNews look_at_file(std::uint32_t table, const TableFile &known, Micros limit);

// Why the migration stops: 55000. Only for changes that stop it.
Refusal file_refusal(FileChange change, std::uint32_t table, std::int64_t migration_id);

} // namespace bbm::pg
