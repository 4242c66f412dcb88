#include "core/keyset.hpp"

#include "core/job_class.hpp"
#include "core/key_condition.hpp"
#include "core/walk_text.hpp"

namespace bbm {

namespace {

void append_scope(String &out, const KeyWalk &walk, Text prefix) {
    append(out, prefix);
    append(out, "(");
    append(out, walk.scope);
    append(out, "\n)"); // behind a comment at its end
}

void append_names(String &out, const KeyWalk &walk) {
    for (std::size_t i = 0; i < walk.columns.size(); ++i) {
        append(out, i == 0 ? "" : ", ");
        append_identifier(out, walk.columns[i].name);
    }
}

void append_order(String &out, const KeyWalk &walk, bool backwards) {
    append(out, " ORDER BY ");
    for (std::size_t i = 0; i < walk.columns.size(); ++i) {
        const WalkColumn &column = walk.columns[i];
        append(out, i == 0 ? "" : ", ");
        append_column(out, column);
        append(out, " USING OPERATOR(");
        const bool descends = column.is_descending != backwards, nulls_first = column.nulls_first != backwards;
        append(out, descends ? column.greater : column.less);
        append(out, ")");
        if (nulls_first != descends) // what an order without a word about them has
            append(out, nulls_first ? " NULLS FIRST" : " NULLS LAST");
    }
}

void append_from(String &out, const KeyWalk &walk) {
    append(out, " FROM ");
    append(out, walk.table);
}

void append_arm(String &out, const KeyWalk &walk, Text condition, Text before_key = {}) {
    append(out, "SELECT ");
    append(out, before_key);
    append_names(out, walk);
    append_from(out, walk);
    append(out, " WHERE ");
    append(out, condition);
    if (!walk.scope.empty())
        append_scope(out, walk, " AND ");
    append_order(out, walk, false);
}

void append_step_parameter(String &out, const KeyWalk &walk) {
    append(out, "$");
    append_number(out, 2 * walk.columns.size() + 1);
}

enum class Count { one, steps };

// The arms one after the other are in the order of the walk. Each has a limit of its own, for foreign servers; the
// caller adds the one of the whole.
void append_ordered_keys(String &out, const KeyWalk &walk, const KeyBounds &bounds, Count count, Arena arena) {
    const auto &arms = range_arms(walk, bounds, arena);
    if (arms.size() == 1)
        return append_arm(out, walk, arms.front());
    append(out, "SELECT * FROM (");
    for (std::size_t i = 0; i < arms.size(); ++i) {
        append(out, i == 0 ? "(" : ") UNION ALL (");
        append_arm(out, walk, arms[i]);
        append(out, " LIMIT ");
        if (count == Count::steps) {
            append_step_parameter(out, walk);
            append(out, " OPERATOR(pg_catalog.+) ");
        }
        append(out, "1");
    }
    append(out, ")) AS keys");
}

// No table of a person's has this name.
constexpr Text kSteps = "\"bbm steps\"";

void append_parts(String &out, const KeyWalk &walk) {
    for (std::size_t i = 1; i <= walk.columns.size(); ++i) {
        append(out, i == 1 ? "k" : ", k");
        append_number(out, i);
    }
}

// From each value the index leads to the next one, so that it does not matter how many rows have it.
void append_steps(String &out, const KeyWalk &walk, LowerBound lower, Arena arena) {
    append(out, "WITH RECURSIVE ");
    append(out, kSteps);
    append(out, " (");
    append_parts(out, walk);
    append(out, ", step) AS ((SELECT *, 0::pg_catalog.int8 FROM (");
    append_ordered_keys(out, walk, {lower}, Count::one, arena);
    append(out, ") AS key LIMIT 1) UNION ALL SELECT next.*, ");
    append(out, kSteps);
    append(out, ".step OPERATOR(pg_catalog.+) 1::pg_catalog.int8 FROM ");
    append(out, kSteps);
    append(out, ", LATERAL (");
    append_ordered_keys(out, walk, {LowerBound::exclusive, nullptr, kSteps}, Count::one, arena);
    append(out, " LIMIT 1) AS next WHERE ");
    append(out, kSteps);
    append(out, ".step OPERATOR(pg_catalog.<) ");
    append_step_parameter(out, walk);
    append(out, ") ");
}

void append_step(String &out, const KeyWalk &walk) {
    append(out, "(SELECT ");
    append_parts(out, walk);
    append(out, " FROM ");
    append(out, kSteps);
    append(out, " WHERE step OPERATOR(pg_catalog.=) ");
}

Text next_values_query(const KeyWalk &walk, LowerBound lower, Arena arena) {
    String &out = make<String>(arena);
    append_steps(out, walk, lower, arena);
    append(out, "SELECT * FROM ");
    append_step(out, walk);
    append(out, "0) AS first LEFT JOIN ");
    append_step(out, walk);
    append_step_parameter(out, walk);
    append(out, ") AS last ON true");
    return view(out);
}

void append_not_null(String &out, const KeyWalk &walk, Text prefix) {
    for (const WalkColumn &column : walk.columns) {
        if (!column.may_be_null)
            continue;
        append(out, prefix);
        append_identifier(out, column.name);
        append(out, " IS NOT NULL");
        prefix = " AND ";
    }
}

void append_range(String &out, const KeyWalk &walk, const Range *literals, Arena arena) {
    const auto &arms = range_arms(walk, {LowerBound::inclusive, literals}, arena);
    if (arms.size() == 1)
        return append(out, arms.front());
    for (std::size_t i = 0; i < arms.size(); ++i) {
        append(out, i == 0 ? "((" : " OR (");
        append(out, arms[i]);
        append(out, ")");
    }
    append(out, ")");
}

void append_end(String &out, const KeyWalk &walk, bool backwards) {
    append(out, "(SELECT ");
    append_names(out, walk);
    append_from(out, walk);
    append_not_null(out, walk, " WHERE ");
    append_order(out, walk, backwards);
    append(out, " LIMIT 1)");
}

} // namespace

Text next_range_query(const KeyWalk &walk, LowerBound lower, Arena arena) {
    if (walk.walk == Walk::values)
        return next_values_query(walk, lower, arena);
    String &out = make<String>(arena);
    append(out, "SELECT * FROM (");
    append_ordered_keys(out, walk, {lower}, Count::one, arena);
    append(out, " LIMIT 1) AS first LEFT JOIN (");
    append_ordered_keys(out, walk, {lower}, Count::steps, arena);
    append(out, " OFFSET ");
    append_step_parameter(out, walk);
    append(out, " LIMIT 1) AS last ON true");
    return view(out);
}

Text window_query(const KeyWalk &walk, LowerBound lower, Arena arena) {
    String &out = make<String>(arena);
    const auto &arms = range_arms(walk, {lower}, arena);
    for (std::size_t i = 0; i < arms.size(); ++i) {
        append(out, i == 0 ? "(" : ") UNION ALL (");
        append_arm(out, walk, arms[i], "ctid, xmin, ");
    }
    append(out, ")");
    return view(out);
}

Text keys_query(const KeyWalk &walk, Text what, const Range *range, Arena arena) {
    String &out = make<String>(arena);
    append(out, "SELECT ");
    append(out, what);
    append_from(out, walk);
    append(out, " WHERE true");
    if (range != nullptr) {
        append(out, " AND ");
        append_range(out, walk, range, arena);
    } else {
        append_not_null(out, walk, " AND ");
    }
    if (!walk.scope.empty())
        append_scope(out, walk, " AND ");
    return view(out);
}

Text whole_range_query(const KeyWalk &walk, Arena arena) {
    String &out = make<String>(arena);
    append(out, "SELECT * FROM ");
    append_end(out, walk, false);
    append(out, " AS first, ");
    append_end(out, walk, true);
    append(out, " AS last");
    return view(out);
}

Text range_condition(const KeyWalk &walk, Arena arena) {
    String &out = make<String>(arena);
    append_range(out, walk, nullptr, arena);
    return view(out);
}

Text null_condition(const KeyWalk &walk, Arena arena) {
    String &out = make<String>(arena);
    for (const WalkColumn &column : walk.columns) {
        if (!column.may_be_null)
            continue;
        append(out, out.empty() ? "" : " OR ");
        append_identifier(out, column.name);
        append(out, " IS NULL");
    }
    return view(out);
}

} // namespace bbm
