// What happened to a table's file between two looks at it: was it rewritten with all its rows, or emptied? A walk goes
// on over a rewritten table. One that was truncated and loaded anew has rows behind the cursor that nobody has handled.
//
// The kind of command that did it leaves no trace that could not be that of TRUNCATE and another one. The rows do:
// whoever wrote them stands in them, transaction and command, and keeps standing there when they are frozen.
// - A row that was written before the last look proves that nobody has emptied the table since: VACUUM FULL, CLUSTER
// and
//   SET TABLESPACE keep it.
// - ALTER TABLE writes all rows anew, in the command that then gives their file to the table. A load after TRUNCATE
//   writes its rows in later commands.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

namespace bbm {

// What is remembered of a look.
struct TableFile {
    std::uint32_t number = 0;  // 0: a table without a file of its own
    std::int64_t horizon = 0;  // every transaction before this one had ended
    std::uint32_t owner = 0;   // of the table
    std::int64_t inserted = 0; // rows, ever, by the server's statistics
    Micros recovered_at = 0;   // an unlogged table: since when the server has statistics; a crash empties both

    bool operator==(const TableFile &) const = default;
};

// As it is stored. Nothing where the list is none of ours.
Key table_file_texts(const TableFile &file, Arena arena);
std::optional<TableFile> parse_table_file(Key texts);

// Nobody has replaced or emptied the file.
bool is_same_file(const TableFile &known, const TableFile &now);

// Who wrote a row, as it stands in its header.
struct Stamp {
    std::uint32_t transaction = 0;
    std::uint32_t command = 0;

    bool operator==(const Stamp &) const = default;
};

struct RowStamp {
    Stamp written;
    bool has_command = true; // false once somebody has deleted or locked it: the place is his then
};

// From the last look to now, in transactions. Numbers in rows have 32 bits: beyond half of them nothing can be
// compared.
struct SinceLook {
    std::int64_t horizon;
    std::int64_t next; // no transaction has this number yet
};

// The catalogs' rows for a table, its TOAST table and its indexes are written anew when it gets another file: before
// rows are loaded after TRUNCATE, behind them by a rewrite. Other commands may write some of them later.
struct Swap {
    std::optional<Stamp> earliest;
    std::optional<Stamp> agreed; // the earliest of a transaction that has written two kinds of them
};
Swap find_swap(SinceLook since, std::optional<Stamp> table, std::optional<Stamp> toast, std::span<const Stamp> indexes);

enum class RowAge {
    none,        // an insertion that was given up
    older,       // than the last look
    by_rewrite,  // by the command that gave the table its file
    before_swap, // or nobody knows
    after_swap,
};
RowAge row_age(const RowStamp &row, SinceLook since, const Swap &swap);

struct RowsFound {
    bool older = false;
    bool by_rewrite = false;
    bool before_swap = false;
    bool is_complete = true;   // all rows were looked at
    std::int64_t estimate = 0; // of the rows that the table has
};
void add(RowsFound &found, RowAge age);
// Other rows will not change the judgement.
bool is_decided(const RowsFound &found);

enum class FileChange {
    unchanged,
    rewritten, // the walk goes on
    emptied,
    unclear, // as if emptied
};
FileChange judge(const TableFile &known, const TableFile &now, const RowsFound &found);

} // namespace bbm
