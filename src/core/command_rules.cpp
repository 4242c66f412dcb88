#include "core/command_rules.hpp"

namespace bbm {

namespace {

constexpr char kWrongCommand[] = "22023"; // invalid_parameter_value
constexpr char kUnsplittable[] = "0A000"; // feature_not_supported
constexpr Text kUsePlaceholders =
    "Restrict the command yourself: $1 and $2 are the first and the last key of each range, $1 to $4 for a key of two "
    "columns.";

Refusal refuse_split(Text message) {
    return {kUnsplittable, message, "The command would mean something else when it is run range by range.",
            kUsePlaceholders};
}

Refusal check_placeholders(const CommandFacts &facts, bool has_scope) {
    if (facts.has_other_placeholders)
        return {kWrongCommand,
                "command uses a parameter beyond those of a range",
                {},
                "For a key of one column, $1 is the first key of a range and $2 the last; for one of two, $1 and $2 "
                "are the parts of the first and $3 and $4 those of the last."};
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

// MERGE decides about rows by what it does not find.
Refusal check_merge(const CommandFacts &facts) {
    if (facts.needs_subquery)
        return {kUnsplittable,
                "command merges from system columns or a sample of the migration's table",
                {},
                "Make the source a subquery, USING (SELECT ...) AS name, or use $1 and $2."};
    if (facts.has_unmatched)
        return {kUnsplittable, "command merges into the migration's table with WHEN NOT MATCHED",
                "Every range would take the rows that match other ranges for unmatched.",
                "Merge WHEN MATCHED only, and insert what is missing by a migration of the source table; or use $1 and "
                "$2."};
    if (facts.has_unmatched_by_source)
        return {kUnsplittable, "command uses WHEN NOT MATCHED BY SOURCE",
                "Every range would take the rows that match other ranges for unmatched.",
                "Leave that clause to a migration of the target table; or use $1 and $2."};
    return {};
}

// Does every row of the table go its way alone, and does everything that the command does come from such rows?
Refusal check_flow(const CommandFacts &facts) {
    if (facts.reads_elsewhere)
        return refuse_split("command reads the migration's rows outside of a FROM clause");
    if (facts.has_idle_part)
        return {kUnsplittable, "command has a part that does not read the migration's rows",
                "That part would be done as a whole for every range.", kUsePlaceholders};
    if (facts.joins_itself)
        return refuse_split("command joins the migration's rows with themselves");
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

Refusal check_plain(const CommandFacts &facts) {
    if (facts.has_set_operations)
        return refuse_split("command uses UNION, INTERSECT or EXCEPT");
    if (!facts.drives_table)
        return {kWrongCommand,
                "command does not work on the migration's table",
                {},
                "UPDATE or DELETE that table, INSERT from a SELECT of it, MERGE, or use $1 and $2."};
    if (facts.references > 1)
        return refuse_split("command refers to the migration's table more than once");
    if (facts.takes_all_columns && facts.leaves_differ)
        return {kUnsplittable, "command takes all columns of a table whose partitions have them in another order",
                "It would be run for each partition, with the columns as they stand there.",
                "Name the columns instead of * and whole rows, or use $1 and $2."};
    if (Refusal refusal = check_merge(facts))
        return refusal;
    return check_flow(facts);
}

} // namespace

Refusal check_rules(const CommandFacts &facts) {
    if (!facts.is_rewritten)
        return {};
    return {kUnsplittable,
            "command is changed by rewrite rules",
            "A rule on one of its tables replaces it or adds to it.",
            {}};
}

Refusal check_command(const CommandFacts &facts, bool has_scope) {
    if (facts.statements != 1)
        return {kWrongCommand, "command must be exactly one statement", {}, {}};
    if (facts.kind == CommandFacts::Kind::other)
        return {kWrongCommand,
                "command must be UPDATE, DELETE, INSERT, MERGE or SELECT",
                {},
                "Schema changes belong in the migration tool's own transaction."};
    if (Refusal refusal = check_rules(facts))
        return refusal;
    if (facts.has_cursor_position)
        return {kWrongCommand, "command uses WHERE CURRENT OF", "No other session has that cursor.", {}};
    if (facts.assigns_key)
        return {kUnsplittable,
                "command assigns a column that the migration walks by",
                "A row could be handled twice or not at all.",
                {}};
    if (facts.assigns_partition_key)
        return {kUnsplittable,
                "command assigns a column of the partition key",
                "A row that moves to another partition could be handled twice or not at all.",
                {}};
    if (facts.uses_parameters)
        return check_placeholders(facts, has_scope);
    return check_plain(facts);
}

} // namespace bbm
