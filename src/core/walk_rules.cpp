#include "core/walk_rules.hpp"

namespace bbm {

namespace {

constexpr char kUnsupported[] = "0A000"; // feature_not_supported
constexpr char kWrongValue[] = "22023";  // invalid_parameter_value
constexpr Text kOnEachLeaf = "Queue the migration on each partition or child of the table.";

Refusal refuse_two_commits(const CommandFacts &command) {
    return {kUnsupported, "command changes rows of another server, and might do so twice", command.why_not_repeatable,
            "A commit there and one here are two. Queue it on each of the servers, or let the command mark the rows "
            "that are done and leave out those that are.  See bbm.is_repeatable()."};
}

// A row that moves is met twice there, and once more by each sweep.
Refusal check_blocks(const CommandFacts &command) {
    constexpr Text kRefusal = "batching strategy ctid needs a command that leaves out rows that are done";
    if (command.is_repeatable && !command.repeating_overwrites)
        return {};
    if (command.is_repeatable)
        return {kUnsupported, kRefusal, "it assigns the same to a row again and again",
                "Leave out rows that have the value, as in UPDATE ... SET a = b WHERE a IS DISTINCT FROM b; or batch "
                "over a "
                "key.  See bbm.is_repeatable()."};
    return {kUnsupported, kRefusal, command.why_not_repeatable,
            "Let the command mark the rows that are done and leave out those that are, as in UPDATE ... SET n = n + 1, "
            "done = true WHERE NOT done; or batch over a key.  See bbm.is_repeatable()."};
}

// Each leaf by itself: no other way to walk children, and the better way to walk partitions. But the triggers that fire
// once a statement are those of the table that it names.
WalkChoice choose_for_leaves(const CommandFacts &command, const WalkFacts &walk) {
    const bool is_plain = !command.uses_parameters;
    if (is_plain && !walk.has_statement_triggers && !command.assigns_default) {
        if (walk.can_be_aimed)
            return {{}, true};
        return {{kUnsupported, "command cannot be given another name of its table",
                 "The table is walked leaf by leaf, and the command would have to name each of them.",
                 "Name the table as in UPDATE orders AS o ..., and its columns as in o.total."},
                false};
    }
    if (walk.is_partitioned && walk.has_key && walk.walk != Walk::blocks)
        return {};
    const Text detail = !is_plain ? "A key may stand in more than one of its partitions or children."
                        : command.assigns_default
                            ? "A partition or child may have another DEFAULT than the table which the command names."
                            : "A trigger that fires once a statement is not that of the table which the command names.";
    return {{kUnsupported, "the table cannot be walked as a whole", detail, kOnEachLeaf}, false};
}

} // namespace

Walk walk_of_strategy(Text batching_strategy) {
    if (batching_strategy == kByValues)
        return Walk::values;
    return batching_strategy == kByBlocks ? Walk::blocks : Walk::keys;
}

Refusal check_two_commits(const CommandFacts &command) {
    return command.writes_foreign && !command.is_repeatable ? refuse_two_commits(command) : Refusal{};
}

WalkChoice choose_walk(const CommandFacts &command, const WalkFacts &walk) {
    if (Refusal refusal = check_two_commits(command))
        return {refusal, false};
    // What a function does, nobody knows.
    if (walk.is_foreign && command.kind == CommandFacts::Kind::select && !command.is_repeatable)
        return {refuse_two_commits(command), false};
    if (Refusal refusal = walk.walk == Walk::blocks ? check_blocks(command) : Refusal{})
        return {refusal, false};
    if (walk.walk == Walk::blocks && walk.quarantines)
        return {{kWrongValue,
                 "on_data_error => 'quarantine' cannot be combined with batching strategy ctid",
                 "A row without a key cannot be named.",
                 {}},
                false};
    if (walk.names_only && walk.is_partitioned)
        return {
            {kWrongValue, "command works on no row: a partitioned table has none of its own", {}, "Leave out ONLY."},
            false};
    if (!walk.has_leaves || walk.names_only)
        return {};
    return choose_for_leaves(command, walk);
}

} // namespace bbm
