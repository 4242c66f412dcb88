// MERGE: the migration's table as its target, or as its source. A source row outside of the range must not be shown to
// it at all, for it would match nothing and be inserted; so a table that is merged from becomes a subquery, which the
// range goes into.
#pragma once

#include "pg/flow.hpp"

struct Node;

namespace bbm::pg {

bool is_unmatched_by_source(const Query *merge);

// False for a MERGE whose source cannot become a subquery.
bool can_take_range(Target target, CommandFacts &facts);

// Where the conditions go: the target as it was, or the new subquery.
Target wrap_merge_source(Target target);

// ANDs to the conditions of the query.
void add_condition(Query *query, Node *condition);

} // namespace bbm::pg
