#include "core/command_rules.hpp"

namespace bbm {

namespace {

constexpr char kWrongCommand[] = "22023"; // invalid_parameter_value
constexpr char kUnsplittable[] = "0A000"; // feature_not_supported
constexpr Text kUsePlaceholders =
    "Restrict the command yourself: use $1 and $2 as the first and last key of each range.";

Refusal refuse_split(Text message) {
    return {kUnsplittable, message, "The command would mean something else when it is run range by range.",
            kUsePlaceholders};
}

Refusal check_placeholders(const CommandFacts &facts, bool has_scope) {
    if (facts.has_other_placeholders)
        return {kWrongCommand,
                "command uses a parameter beyond those of a range",
                {},
                "For a key of one column, $1 is the first key of a range and $2 the last; for one of two, $1 and $2 are the "
                "parts of the first and $3 and $4 those of the last."};
    if (!facts.uses_lower || !facts.uses_upper)
        return {kWrongCommand, "command uses only a part of the range",
                "It would process rows outside of the range in every batch.",
                "Use all parameters of the range, or none: without them it is added by bbm."};
    if (has_scope)
        return {kWrongCommand,
                "scope_to cannot be combined with a command that uses $1 and $2",
                {},
                "Write the condition into the command."};
    return {};
}

Refusal check_plain(const CommandFacts &facts) {
    using Kind = CommandFacts::Kind;
    if (facts.kind == Kind::select || facts.kind == Kind::merge)
        return {kWrongCommand,
                "command must be UPDATE, DELETE or INSERT ... SELECT, or use $1 and $2",
                {},
                kUsePlaceholders};
    if (facts.has_set_operations)
        return refuse_split("command uses UNION, INTERSECT or EXCEPT");
    if (!facts.drives_table)
        return {kWrongCommand,
                "command does not work on the migration's table",
                {},
                "UPDATE or DELETE that table, INSERT from a SELECT of it, or use $1 and $2."};
    if (facts.references > 1)
        return refuse_split("command refers to the migration's table more than once");
    if (facts.has_modifying_cte)
        return refuse_split("command changes data in a WITH clause");
    if (facts.on_outer_side)
        return refuse_split("command has the migration's table on the nullable side of an outer join");
    if (facts.has_limit)
        return refuse_split("command uses LIMIT or OFFSET");
    if (facts.has_aggregates)
        return refuse_split("command uses aggregates, GROUP BY or DISTINCT");
    if (facts.has_windows)
        return refuse_split("command uses window functions");
    if (facts.has_row_locks)
        return refuse_split("command locks rows");
    return {};
}

} // namespace

Refusal check_command(const CommandFacts &facts, bool has_scope) {
    if (facts.statements != 1)
        return {kWrongCommand, "command must be exactly one statement", {}, {}};
    if (facts.kind == CommandFacts::Kind::other)
        return {kWrongCommand,
                "command must be UPDATE, DELETE, INSERT, MERGE or SELECT",
                {},
                "Schema changes belong in the migration tool's own transaction."};
    if (facts.is_rewritten)
        return {kUnsplittable,
                "command is changed by rewrite rules",
                "A rule on one of its tables replaces it or adds to it.",
                {}};
    if (facts.has_cursor_position)
        return {kWrongCommand, "command uses WHERE CURRENT OF", "No other session has that cursor.", {}};
    if (facts.assigns_key)
        return {kUnsplittable,
                "command assigns the column that the migration walks by",
                "A row could be handled twice or not at all.",
                {}};
    if (facts.uses_parameters)
        return check_placeholders(facts, has_scope);
    return check_plain(facts);
}

} // namespace bbm
