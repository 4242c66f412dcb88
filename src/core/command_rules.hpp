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
    bool drives_table = false;           // updates or deletes the migration's table, or inserts from a SELECT of it
    bool on_outer_side = false;          // the table stands on the nullable side of an outer join
    int references = 0;                  // how often the migration's table stands in the whole command
    bool assigns_key = false;
    bool is_rewritten = false; // rules turn it into something else than one statement
    bool has_modifying_cte = false;
    bool has_limit = false;      // these of the SELECT that drives an INSERT
    bool has_aggregates = false; // grouping and DISTINCT included
    bool has_windows = false;
    bool has_set_operations = false;
    bool has_row_locks = false;
    bool has_cursor_position = false; // WHERE CURRENT OF
};

// Nothing to refuse, or the reason with what to do instead.
Refusal check_command(const CommandFacts &facts, bool has_scope);

} // namespace bbm
