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

void append_arm(String &out, const KeyWalk &walk, Text condition) {
    append(out, "SELECT ");
    append_names(out, walk);
    append(out, " FROM ");
    append(out, walk.table);
    append(out, " WHERE ");
    append(out, condition);
    if (!walk.scope.empty())
        append_scope(out, walk, " AND ");
    append_order(out, walk, false);
}

// The arms one after the other are in the order of the walk.
void append_ordered_keys(String &out, const KeyWalk &walk, LowerBound lower, Arena arena) {
    const auto &arms = range_arms(walk, {lower}, arena);
    if (arms.size() == 1)
        return append_arm(out, walk, arms.front());
    append(out, "SELECT * FROM (");
    for (std::size_t i = 0; i < arms.size(); ++i) {
        append(out, i == 0 ? "(" : ") UNION ALL (");
        append_arm(out, walk, arms[i]);
    }
    append(out, ")) AS keys");
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
    append(out, " FROM ");
    append(out, walk.table);
    append_order(out, walk, backwards);
    append(out, " LIMIT 1)");
}

} // namespace

Text next_range_query(const KeyWalk &walk, LowerBound lower, Arena arena) {
    String &out = make<String>(arena);
    append(out, "SELECT * FROM (");
    append_ordered_keys(out, walk, lower, arena);
    append(out, " LIMIT 1) AS first LEFT JOIN (");
    append_ordered_keys(out, walk, lower, arena);
    append(out, " OFFSET $");
    append_number(out, 2 * walk.columns.size() + 1);
    append(out, " LIMIT 1) AS last ON true");
    return view(out);
}

Text keys_query(const KeyWalk &walk, Text what, const Range *range, Arena arena) {
    String &out = make<String>(arena);
    append(out, "SELECT ");
    append(out, what);
    append(out, " FROM ");
    append(out, walk.table);
    append(out, " WHERE true");
    if (range != nullptr) {
        append(out, " AND ");
        append_range(out, walk, range, arena);
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

} // namespace bbm
