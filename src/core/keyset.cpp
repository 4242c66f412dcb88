#include "core/keyset.hpp"

#include "core/job_class.hpp"

#include <algorithm>
#include <charconv>

namespace bbm {

namespace {

enum class Side { from, behind, up_to };

// Where the parts of a bound come from: parameters, counted from `first_parameter`, or the key itself.
struct Bound {
    Side side;
    std::size_t first_parameter;
    Key literal = {};
};

void append(String &out, Text text) { out.append(text.data(), text.size()); }

void append_number(String &out, std::size_t number) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_operator(String &out, Text op) {
    append(out, " OPERATOR(");
    append(out, op);
    append(out, ") ");
}

void append_column(String &out, const WalkColumn &column) {
    append_identifier(out, column.name);
    if (column.collation.empty())
        return;
    append(out, " COLLATE ");
    append(out, column.collation);
}

void append_value(String &out, const KeyWalk &walk, const Bound &bound, std::size_t i) {
    if (bound.literal.empty()) {
        append(out, "$");
        append_number(out, bound.first_parameter + i);
    } else {
        append_literal(out, bound.literal[i]);
    }
    append(out, "::");
    append(out, walk.columns[i].type);
}

// The operator that keeps what lies strictly on the side, and the one that keeps the bound itself as well.
Text strict_operator(const WalkColumn &column, Side side) {
    return (side == Side::up_to) != column.is_descending ? column.less : column.greater;
}
Text inclusive_operator(const WalkColumn &column, Side side) {
    return (side == Side::up_to) != column.is_descending ? column.less_or_equal : column.greater_or_equal;
}
Text last_operator(const WalkColumn &column, Side side) {
    return side == Side::behind ? strict_operator(column, side) : inclusive_operator(column, side);
}

// One operator for all columns: a comparison of rows, which an index answers from its first column to its last.
bool is_uniform(const KeyWalk &walk) {
    const WalkColumn &first = walk.columns.front();
    return std::all_of(walk.columns.begin(), walk.columns.end(), [&](const WalkColumn &column) {
        return !column.is_descending && column.less == first.less && column.equal == first.equal;
    });
}

void append_row_comparison(String &out, const KeyWalk &walk, const Bound &bound) {
    append(out, "(");
    for (std::size_t i = 0; i < walk.columns.size(); ++i) {
        append(out, i == 0 ? "" : ", ");
        append_column(out, walk.columns[i]);
    }
    append(out, ")");
    append_operator(out, last_operator(walk.columns.front(), bound.side));
    append(out, "(");
    for (std::size_t i = 0; i < walk.columns.size(); ++i) {
        append(out, i == 0 ? "" : ", ");
        append_value(out, walk, bound, i);
    }
    append(out, ")");
}

void append_part(String &out, const KeyWalk &walk, const Bound &bound, std::size_t i, Text op) {
    append_column(out, walk.columns[i]);
    append_operator(out, op);
    append_value(out, walk, bound, i);
}

// a >= $1 AND (a > $1 OR (a = $1 AND (b < $2 OR ...))): what a comparison of rows means, column by column. The first part
// is there for the index.
void append_expanded(String &out, const KeyWalk &walk, const Bound &bound) {
    const std::size_t last = walk.columns.size() - 1;
    append_part(out, walk, bound, 0, inclusive_operator(walk.columns[0], bound.side));
    append(out, " AND (");
    for (std::size_t i = 0; i < last; ++i) {
        append_part(out, walk, bound, i, strict_operator(walk.columns[i], bound.side));
        append(out, " OR (");
        append_part(out, walk, bound, i, walk.columns[i].equal);
        append(out, " AND (");
    }
    append_part(out, walk, bound, last, last_operator(walk.columns[last], bound.side));
    for (std::size_t i = 0; i < last; ++i)
        append(out, "))");
    append(out, ")");
}

void append_bound(String &out, const KeyWalk &walk, const Bound &bound) {
    if (is_uniform(walk))
        append_row_comparison(out, walk, bound);
    else
        append_expanded(out, walk, bound);
}

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

void append_ordered_keys(String &out, const KeyWalk &walk, LowerBound lower) {
    append(out, "SELECT ");
    append_names(out, walk);
    append(out, " FROM ");
    append(out, walk.table);
    append(out, " WHERE ");
    append_bound(out, walk, {lower == LowerBound::inclusive ? Side::from : Side::behind, 1});
    append(out, " AND ");
    append_bound(out, walk, {Side::up_to, walk.columns.size() + 1});
    if (!walk.scope.empty())
        append_scope(out, walk, " AND ");
    append_order(out, walk, false);
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
    append_ordered_keys(out, walk, lower);
    append(out, " LIMIT 1) AS first LEFT JOIN (");
    append_ordered_keys(out, walk, lower);
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
        append_bound(out, walk, {Side::from, 0, range->min});
        append(out, " AND ");
        append_bound(out, walk, {Side::up_to, 0, range->max});
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
    append_bound(out, walk, {Side::from, 1});
    append(out, " AND ");
    append_bound(out, walk, {Side::up_to, walk.columns.size() + 1});
    return view(out);
}

} // namespace bbm
