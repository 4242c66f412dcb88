#include "core/key_condition.hpp"

#include "core/job_class.hpp"
#include "core/walk_text.hpp"

namespace bbm {

namespace {

enum class Side { lower, upper };
enum class Strictness { strict, inclusive };

// The columns of a walk between two keys, cut into arms by the number of leading columns that a key shares with one of
// the bounds; the next column lies on the inner side of that bound. For bounds L and U over (a, b, c), in the order of
// the walk:
//
//     lower arms:   a = L.a, b = L.b, c behind L.c
//                   a = L.a, b behind L.b
//     middle arms:  a between
//                   a = L.a, b between
//                   a = L.a, b = L.b, c between
//     upper arms:   a = U.a, b before U.b
//                   a = U.a, b = U.b, c before U.c
//
// There are keys in a lower or an upper arm only if the bounds differ in one of its leading columns, in a middle arm
// only if they share them all. Where that is not so the first column is compared with NULL, for which an index is not
// read.
//
// A comparison of rows says the same in one condition, and costs more: a B-tree finds where it begins, but reads on
// behind its end up to the last key with the first column's value. And columns that sort in opposite directions have
// none.
struct Between {
    const KeyWalk &walk;
    const KeyBounds &bounds;

    std::size_t columns() const { return walk.columns.size(); }
    bool is_last(std::size_t i) const { return i + 1 == columns(); }

    void append_value(String &out, std::size_t i, Side side) const {
        if (side == Side::lower && !bounds.lower_row.empty()) {
            append(out, bounds.lower_row);
            append(out, ".k");
            return append_number(out, i + 1);
        }
        if (bounds.literals != nullptr) {
            append_literal(out, (side == Side::lower ? bounds.literals->min : bounds.literals->max)[i]);
        } else {
            append(out, "$");
            append_number(out, 1 + i + (side == Side::lower ? 0 : columns()));
        }
        append(out, "::");
        append(out, walk.columns[i].type);
    }

    // On the inner side of the bound.
    Text inner_operator(std::size_t i, Side side, Strictness strictness) const {
        const WalkColumn &column = walk.columns[i];
        const bool is_strict = strictness == Strictness::strict;
        if ((side == Side::upper) != column.is_descending)
            return is_strict ? column.less : column.less_or_equal;
        return is_strict ? column.greater : column.greater_or_equal;
    }

    // Of a bound only the last column can be one of its keys.
    Strictness strictness(std::size_t i, Side side) const {
        const bool keeps_bound = is_last(i) && (side == Side::upper || bounds.lower == LowerBound::inclusive);
        return keeps_bound ? Strictness::inclusive : Strictness::strict;
    }

    void append_inner(String &out, std::size_t i, Side side, Strictness strict) const {
        append_column(out, walk.columns[i]);
        append_operator(out, inner_operator(i, side, strict));
        append_value(out, i, side);
    }

    // Compares the bounds with each other.
    void append_bounds(String &out, std::size_t i, Text op) const {
        append_value(out, i, Side::lower);
        if (const Text collation = walk.columns[i].collation; !collation.empty()) {
            append(out, " COLLATE ");
            append(out, collation);
        }
        append_operator(out, op);
        append_value(out, i, Side::upper);
    }

    void append_bounds_share(String &out, std::size_t leading) const {
        for (std::size_t i = 0; i < leading; ++i) {
            append(out, i == 0 ? "" : " AND ");
            append_bounds(out, i, walk.columns[i].equal);
        }
    }

    void append_bounds_differ(String &out, std::size_t leading) const {
        for (std::size_t i = 0; i < leading; ++i) {
            append_bounds(out, i, inner_operator(i, Side::upper, Strictness::strict));
            if (i + 1 == leading)
                break;
            append(out, " OR (");
            append_bounds(out, i, walk.columns[i].equal);
            append(out, " AND (");
        }
        for (std::size_t i = 1; i < leading; ++i)
            append(out, "))");
    }

    // The leading columns are those of a bound.
    void append_shared(String &out, std::size_t leading, Side side) const {
        for (std::size_t i = 1; i < leading; ++i) {
            append(out, " AND ");
            append_column(out, walk.columns[i]);
            append_operator(out, walk.columns[i].equal);
            append_value(out, i, side);
        }
        append(out, " AND ");
    }

    // `a` as a bound has it, if the condition over the bounds holds.
    template <class Condition> void append_first(String &out, Side side, Condition append_condition) const {
        append_column(out, walk.columns[0]);
        append_operator(out, walk.columns[0].equal);
        append(out, "CASE WHEN ");
        append_condition();
        append(out, " THEN ");
        append_value(out, 0, side);
        append(out, " END");
    }

    // A range over the first column says nothing that is new. But of parameters the planner takes a comparison with one
    // bound for a third of the rows, and one with two for few: where the first column has few values it would read the
    // whole table.
    void append_estimate(String &out) const {
        if (bounds.literals != nullptr)
            return;
        append_inner(out, 0, Side::lower, Strictness::inclusive);
        append(out, " AND ");
        append_inner(out, 0, Side::upper, Strictness::inclusive);
        append(out, " AND ");
    }

    void append_outer_arm(String &out, std::size_t leading, Side side) const {
        append_estimate(out);
        append_first(out, side, [&] { append_bounds_differ(out, leading); });
        append_shared(out, leading, side);
        append_inner(out, leading, side, strictness(leading, side));
    }

    void append_middle_arm(String &out, std::size_t leading) const {
        if (leading > 0) {
            append_first(out, Side::lower, [&] { append_bounds_share(out, leading); });
            append_shared(out, leading, Side::lower);
        }
        append_inner(out, leading, Side::lower, strictness(leading, Side::lower));
        append(out, " AND ");
        append_inner(out, leading, Side::upper, strictness(leading, Side::upper));
    }

    // Nothing is said about columns behind one that lies between the bounds.
    void append_not_null(String &out) const {
        for (std::size_t i = 1; i < columns(); ++i) {
            if (!walk.columns[i].may_be_null)
                continue;
            append(out, " AND ");
            append_identifier(out, walk.columns[i].name);
            append(out, " IS NOT NULL");
        }
    }
};

} // namespace

const Vector<Text> &range_arms(const KeyWalk &walk, const KeyBounds &bounds, Arena arena) {
    const Between between = {walk, bounds};
    auto &arms = make<Vector<Text>>(arena);
    const auto add = [&](auto append_arm) {
        String &out = make<String>(arena);
        append_arm(out);
        between.append_not_null(out);
        arms.push_back(view(out));
    };
    const std::size_t last = walk.columns.size() - 1;
    for (std::size_t leading = last; leading >= 1; --leading)
        add([&](String &out) { between.append_outer_arm(out, leading, Side::lower); });
    for (std::size_t leading = 0; leading <= last; ++leading)
        add([&](String &out) { between.append_middle_arm(out, leading); });
    for (std::size_t leading = 1; leading <= last; ++leading)
        add([&](String &out) { between.append_outer_arm(out, leading, Side::upper); });
    return arms;
}

} // namespace bbm
