#include "core/keyset.hpp"

#include "core/job_class.hpp"

#include <charconv>

namespace bbm {

namespace {

void append(String &out, Text text) { out.append(text.data(), text.size()); }

void append_number(String &out, std::size_t number) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_columns(String &out, const KeyWalk &walk, Text suffix) {
    for (std::size_t i = 0; i < walk.columns.size(); ++i) {
        append(out, i == 0 ? "" : ", ");
        append_identifier(out, walk.columns[i]);
        append(out, suffix);
    }
}

// ("a", "b") OPERATOR(pg_catalog.>=) ($1::t, $2::u): parentheses around one column are harmless.
void append_comparison(String &out, const KeyWalk &walk, Text op, std::size_t first_parameter) {
    append(out, "(");
    append_columns(out, walk, "");
    append(out, ") OPERATOR(pg_catalog.");
    append(out, op);
    append(out, ") (");
    for (std::size_t i = 0; i < walk.types.size(); ++i) {
        append(out, i == 0 ? "$" : ", $");
        append_number(out, first_parameter + i);
        append(out, "::");
        append(out, walk.types[i]);
    }
    append(out, ")");
}

//  AND ("a", "b") OPERATOR(pg_catalog.>=) ('1'::t, '2'::u)
void append_literal_comparison(String &out, const KeyWalk &walk, Text op, Key key) {
    append(out, " AND (");
    append_columns(out, walk, "");
    append(out, ") OPERATOR(pg_catalog.");
    append(out, op);
    append(out, ") (");
    for (std::size_t i = 0; i < key.size(); ++i) {
        append(out, i == 0 ? "" : ", ");
        append_literal(out, key[i]);
        append(out, "::");
        append(out, walk.types[i]);
    }
    append(out, ")");
}

void append_scope(String &out, const KeyWalk &walk, Text prefix) {
    append(out, prefix);
    append(out, "(");
    append(out, walk.scope);
    append(out, "\n)"); // behind a comment at its end
}

void append_ordered_keys(String &out, const KeyWalk &walk, LowerBound lower) {
    append(out, "SELECT ");
    append_columns(out, walk, "");
    append(out, " FROM ");
    append(out, walk.table);
    append(out, " WHERE ");
    append_comparison(out, walk, lower == LowerBound::inclusive ? ">=" : ">", 1);
    append(out, " AND ");
    append_comparison(out, walk, "<=", walk.columns.size() + 1);
    if (!walk.scope.empty())
        append_scope(out, walk, " AND ");
    append(out, " ORDER BY ");
    append_columns(out, walk, "");
}

void append_end(String &out, const KeyWalk &walk, Text direction) {
    append(out, "(SELECT ");
    append_columns(out, walk, "");
    append(out, " FROM ");
    append(out, walk.table);
    append(out, " ORDER BY ");
    append_columns(out, walk, direction);
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
        append_literal_comparison(out, walk, ">=", range->min);
        append_literal_comparison(out, walk, "<=", range->max);
    }
    if (!walk.scope.empty())
        append_scope(out, walk, " AND ");
    return view(out);
}

Text whole_range_query(const KeyWalk &walk, Arena arena) {
    String &out = make<String>(arena);
    append(out, "SELECT * FROM ");
    append_end(out, walk, " ASC");
    append(out, " AS first, ");
    append_end(out, walk, " DESC");
    append(out, " AS last");
    return view(out);
}

} // namespace bbm
