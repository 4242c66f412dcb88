// What an analysed expression may do: the functions behind its calls, operators and casts, and its constants. Whatever
// is not known here is taken for the worst.
#pragma once

#include "core/types.hpp"

struct Node;
struct Query;

namespace bbm::pg {

// What is allowed to stand in an expression. Each allows less than the one before.
enum class Calls {
    harmless,  // no volatile function
    no_tables, // nor a stable function that may read a table: one of the user's, or one that makes XML of tables
    immutable, // the same result for ever, in every session; nodes that are not known to be so included
};

// The first thing that is not allowed, as words that follow "it": "calls now(), which is stable"; empty if there is
// none. User functions are what they are declared to be. Nothing is run.
Text find_call(Node *expression, Calls allowed);
// The same, but what draws a value without reading or writing a row may stand outside of sub-queries: nextval(),
// gen_random_uuid(), clock_timestamp().
Text find_call_beside_draws(Node *expression);

// How the value of a constant comes from its text.
enum class Reading {
    fixed,       // always the same
    by_settings, // by DateStyle, TimeZone, search_path: another session may read it otherwise
    by_clock,    // the same, and the text may say 'now'
    unknown,
};
Reading how_read(std::uint32_t type);

// A constant in the analysed expression that may have another value when the command is analysed again, or a parameter;
// empty if there is none. Whether a date says 'now' only the text of the command tells.
Text find_loose_literal(Node *expression, Text command);

// nextval() and its like: see find_call_beside_draws().
bool is_draw(std::uint32_t function);
bool is_builtin(std::uint32_t function);

} // namespace bbm::pg
