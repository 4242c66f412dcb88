// What a table does by itself when its rows are changed: triggers, rules, foreign keys, generated columns.
#pragma once

#include "core/types.hpp"

struct Bitmapset;
struct List;
struct Query;

namespace bbm::pg {

struct TableEffects {
    Text obstacle;      // a reason why one change of a row may be more than that, or nothing
    Bitmapset *written; // the assigned columns and those generated from them; numbers as pull_varattnos() gives them
    List *tables;       // OIDs of the table and, unless ONLY it is meant, of all below it
    bool is_remote;     // some of the rows are another server's, who may have triggers and rules of its own
};

// Of the table that an UPDATE or DELETE changes, with all its partitions and children as they
// are now.
TableEffects effects_of(const Query *query, Bitmapset *assigned);

} // namespace bbm::pg
