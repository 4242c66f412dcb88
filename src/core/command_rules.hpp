// Which commands may be cut into ranges. The facts come from PostgreSQL's own analysis of the command.
#pragma once

#include "core/types.hpp"

namespace bbm {

struct CommandFacts {
    enum class Kind { update, remove, insert, merge, select, other } kind = Kind::other;
    int statements = 1;
    bool uses_parameters = false;        // any of them
    bool uses_lower = false;             // all parts of the first key: $1, for one column
    bool uses_upper = false;             // all parts of the last key: $2
    bool has_other_placeholders = false; // beyond them
    bool is_rewritten = false;           // rules turn it into something else than one statement
    bool has_cursor_position = false;    // WHERE CURRENT OF
    bool assigns_key = false;
    bool assigns_partition_key = false;
    bool assigns_default = false;   // by that word; a leaf may have another one
    bool takes_all_columns = false; // by a star or as whole rows
    bool leaves_differ = false;     // a partition or child has not the same columns in the same order
    int references = 0;             // how often the migration's table stands in the whole command
    // The flow of the table's rows from where they are read, updated or deleted to all that the command changes.
    bool drives_table = false;    // there is one
    bool has_idle_part = false;   // something is changed or selected that it does not reach
    bool reads_elsewhere = false; // the rows that flow are read in expressions
    bool joins_itself = false;    // two flows meet in one query
    bool on_outer_side = false;   // on the nullable side of an outer join
    bool has_limit = false;       // these of any query that it passes
    bool has_aggregates = false;  // grouping and DISTINCT included
    bool has_windows = false;
    bool has_set_operations = false;
    bool has_row_locks = false;
    // MERGE
    bool has_unmatched = false;           // the table is the target, and what matches no row of it is inserted
    bool has_unmatched_by_source = false; // what the flow does not bring is looked for
    bool needs_subquery = false;          // the table is the source, in a form that cannot be restricted
    // Is it met twice, by a walk or by a commit that was lost?
    bool is_repeatable = false;        // does no harm to a row that it meets twice
    bool writes_foreign = false;       // a table of another server
    bool repeating_overwrites = false; // but then undoes what others have assigned to the row's columns meanwhile
    Text repeatable_because = {};
    Text why_not_repeatable = {};
    Key used_columns = {}; // of the table: name, type, name, type ...
    // Is it an UPDATE of the table and nothing around it? The columns that it assigns.
    bool updates_table = false;
    Key assigned_columns = {};
};

// Nothing to refuse, or the reason with what to do instead.
Refusal check_command(const CommandFacts &facts, bool has_scope);
// The part of it that is asked again: a rule may come while the migration is at work.
Refusal check_rules(const CommandFacts &facts);

} // namespace bbm
