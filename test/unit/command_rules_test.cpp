#include "core/command_rules.hpp"

#include <gtest/gtest.h>

#include <iterator>

namespace bbm {
namespace {

using Kind = CommandFacts::Kind;

constexpr const char *kAccepted = nullptr;
constexpr const char *kWrong = "22023";
constexpr const char *kUnsplittable = "0A000";

// UPDATE orders SET ...: what bbm is made for.
CommandFacts plain_update() { return {.kind = Kind::update, .references = 1, .drives_table = true}; }

// The same with WHERE id BETWEEN $1 AND $2.
CommandFacts with_range() {
    CommandFacts facts = plain_update();
    facts.uses_parameters = facts.uses_lower = facts.uses_upper = true;
    return facts;
}

struct Rule {
    void (*change)(CommandFacts &);
    const char *sqlstate;
    Text message;
};

void expect_refusal(const Refusal &refusal, const char *sqlstate, Text message) {
    if (sqlstate == kAccepted) {
        EXPECT_FALSE(refusal) << refusal.message;
        return;
    }
    ASSERT_TRUE(refusal) << "accepted instead of: " << message;
    EXPECT_STREQ(refusal.sqlstate, sqlstate) << message;
    EXPECT_EQ(refusal.message, message);
}

// For every command, in the order in which they are told.
constexpr Rule kAnyCommand[] = {
    {[](CommandFacts &facts) { facts.statements = 2; }, kWrong, "command must be exactly one statement"},
    {[](CommandFacts &facts) { facts.kind = Kind::other; }, kWrong,
     "command must be UPDATE, DELETE, INSERT, MERGE or SELECT"},
    {[](CommandFacts &facts) { facts.is_rewritten = true; }, kUnsplittable, "command is changed by rewrite rules"},
    {[](CommandFacts &facts) { facts.has_cursor_position = true; }, kWrong, "command uses WHERE CURRENT OF"},
    {[](CommandFacts &facts) { facts.assigns_key = true; }, kUnsplittable,
     "command assigns a column that the migration walks by"},
    {[](CommandFacts &facts) { facts.assigns_partition_key = true; }, kUnsplittable,
     "command assigns a column of the partition key"},
};

// For commands that bbm restricts by itself, in the order in which they are told.
constexpr Rule kPlainCommand[] = {
    {[](CommandFacts &facts) { facts.has_set_operations = true; }, kUnsplittable,
     "command uses UNION, INTERSECT or EXCEPT"},
    {[](CommandFacts &facts) { facts.drives_table = false; }, kWrong, "command does not work on the migration's table"},
    {[](CommandFacts &facts) { facts.references = 2; }, kUnsplittable,
     "command refers to the migration's table more than once"},
    {[](CommandFacts &facts) { facts.takes_all_columns = facts.leaves_differ = true; }, kUnsplittable,
     "command takes all columns of a table whose partitions have them in another order"},
    {[](CommandFacts &facts) { facts.needs_subquery = true; }, kUnsplittable,
     "command merges from system columns or a sample of the migration's table"},
    {[](CommandFacts &facts) { facts.has_unmatched = true; }, kUnsplittable,
     "command merges into the migration's table with WHEN NOT MATCHED"},
    {[](CommandFacts &facts) { facts.has_unmatched_by_source = true; }, kUnsplittable,
     "command uses WHEN NOT MATCHED BY SOURCE"},
    {[](CommandFacts &facts) { facts.reads_elsewhere = true; }, kUnsplittable,
     "command reads the migration's rows outside of a FROM clause"},
    {[](CommandFacts &facts) { facts.has_idle_part = true; }, kUnsplittable,
     "command has a part that does not read the migration's rows"},
    {[](CommandFacts &facts) { facts.joins_itself = true; }, kUnsplittable,
     "command joins the migration's rows with themselves"},
    {[](CommandFacts &facts) { facts.on_outer_side = true; }, kUnsplittable,
     "command has the migration's table on the nullable side of an outer join"},
    {[](CommandFacts &facts) { facts.has_limit = true; }, kUnsplittable, "command uses LIMIT or OFFSET"},
    {[](CommandFacts &facts) { facts.has_aggregates = true; }, kUnsplittable,
     "command uses aggregates, GROUP BY or DISTINCT"},
    {[](CommandFacts &facts) { facts.has_windows = true; }, kUnsplittable, "command uses window functions"},
    {[](CommandFacts &facts) { facts.has_row_locks = true; }, kUnsplittable, "command locks rows"},
};

constexpr Text kOther = "command uses a parameter beyond those of a range";
constexpr Text kPart = "command uses only a part of the range";
constexpr Text kScoped = "scope_to cannot be combined with a command that uses $1 and $2";

TEST(command_rules, accepts_by_kind) {
    for (bool has_scope : {false, true}) {
        for (Kind kind : {Kind::update, Kind::remove, Kind::insert, Kind::merge, Kind::select}) {
            CommandFacts facts = plain_update();
            facts.kind = kind;
            expect_refusal(check_command(facts, has_scope), kAccepted, {});
        }
    }
    for (Kind kind : {Kind::update, Kind::remove, Kind::insert, Kind::merge, Kind::select}) {
        CommandFacts facts = with_range();
        facts.kind = kind;
        expect_refusal(check_command(facts, false), kAccepted, {});
    }
}

TEST(command_rules, nothing_known_is_refused) { EXPECT_TRUE(check_command({}, false)); }

TEST(command_rules, exactly_one_statement) {
    for (int statements : {-1, 0, 2, 3, 1000}) {
        for (CommandFacts facts : {plain_update(), with_range()}) {
            facts.statements = statements;
            expect_refusal(check_command(facts, false), kWrong, "command must be exactly one statement");
        }
    }
}

TEST(command_rules, each_fact_of_any_command) {
    for (const Rule &rule : kAnyCommand) {
        for (CommandFacts facts : {plain_update(), with_range()}) {
            rule.change(facts);
            expect_refusal(check_command(facts, false), rule.sqlstate, rule.message);
            expect_refusal(check_command(facts, true), rule.sqlstate, rule.message);
        }
    }
}

TEST(command_rules, each_fact_of_a_plain_command) {
    for (const Rule &rule : kPlainCommand) {
        CommandFacts facts = plain_update();
        rule.change(facts);
        expect_refusal(check_command(facts, false), rule.sqlstate, rule.message);
        expect_refusal(check_command(facts, true), rule.sqlstate, rule.message);
    }
}

// Who writes the range into the command knows what it means when it is split.
TEST(command_rules, a_command_with_its_own_range_need_not_be_understood) {
    CommandFacts all = with_range();
    for (const Rule &rule : kPlainCommand) {
        CommandFacts facts = with_range();
        rule.change(facts);
        rule.change(all);
        expect_refusal(check_command(facts, false), kAccepted, {});
    }
    expect_refusal(check_command(all, false), kAccepted, {});
}

TEST(command_rules, placeholders_and_scope) {
    const struct {
        bool any, lower, upper, other, scope;
        const char *sqlstate;
        Text message;
    } cases[] = {
        // clang-format off
        //any   first  last   others scope
        {false, false, false, false, false, kAccepted, {}},
        {false, false, false, false, true,  kAccepted, {}},
        {true,  true,  true,  false, false, kAccepted, {}},
        {true,  true,  true,  false, true,  kWrong, kScoped},
        {true,  true,  false, false, false, kWrong, kPart},
        {true,  true,  false, false, true,  kWrong, kPart},
        {true,  false, true,  false, false, kWrong, kPart},
        {true,  false, true,  false, true,  kWrong, kPart},
        {true,  false, false, false, false, kWrong, kPart}, // some of each
        {true,  false, false, false, true,  kWrong, kPart},
        {true,  false, false, true,  false, kWrong, kOther},
        {true,  false, false, true,  true,  kWrong, kOther},
        {true,  true,  false, true,  false, kWrong, kOther},
        {true,  false, true,  true,  false, kWrong, kOther},
        {true,  true,  true,  true,  false, kWrong, kOther},
        {true,  true,  true,  true,  true,  kWrong, kOther},
        // clang-format on
    };
    for (const auto &one : cases) {
        SCOPED_TRACE(testing::Message() << "any " << one.any << ", first " << one.lower << ", last " << one.upper
                                        << ", others " << one.other << ", scope " << one.scope);
        CommandFacts facts = plain_update();
        facts.uses_parameters = one.any;
        facts.uses_lower = one.lower;
        facts.uses_upper = one.upper;
        facts.has_other_placeholders = one.other;
        expect_refusal(check_command(facts, one.scope), one.sqlstate, one.message);
    }
}

TEST(command_rules, the_table_stands_once) {
    for (int references : {2, 3, 100}) {
        CommandFacts facts = plain_update();
        facts.references = references;
        expect_refusal(check_command(facts, false), kUnsplittable,
                       "command refers to the migration's table more than once");
    }
}

TEST(command_rules, a_star_alone_does_no_harm) {
    CommandFacts star = plain_update(), leaves = plain_update();
    star.takes_all_columns = true;
    leaves.leaves_differ = true;
    expect_refusal(check_command(star, false), kAccepted, {});
    expect_refusal(check_command(leaves, false), kAccepted, {});
}

TEST(command_rules, the_first_reason_is_told) {
    for (auto first = std::begin(kAnyCommand); first != std::end(kAnyCommand); ++first) {
        for (auto second = first + 1; second != std::end(kAnyCommand); ++second) {
            CommandFacts facts = plain_update();
            second->change(facts);
            first->change(facts);
            expect_refusal(check_command(facts, false), first->sqlstate, first->message);
        }
        for (const Rule &plain : kPlainCommand) {
            CommandFacts facts = plain_update();
            plain.change(facts);
            first->change(facts);
            expect_refusal(check_command(facts, false), first->sqlstate, first->message);
        }
        CommandFacts facts = plain_update();
        facts.uses_parameters = facts.uses_lower = facts.has_other_placeholders = true;
        first->change(facts);
        expect_refusal(check_command(facts, true), first->sqlstate, first->message);
    }
    for (auto first = std::begin(kPlainCommand); first != std::end(kPlainCommand); ++first) {
        for (auto second = first + 1; second != std::end(kPlainCommand); ++second) {
            CommandFacts facts = plain_update();
            second->change(facts);
            first->change(facts);
            expect_refusal(check_command(facts, false), first->sqlstate, first->message);
        }
    }
}

// A refusal tells what to do instead, or why there is nothing to do.
TEST(command_rules, a_refusal_helps) {
    const auto expect_help = [](const CommandFacts &facts, bool has_scope) {
        const Refusal refusal = check_command(facts, has_scope);
        ASSERT_TRUE(refusal);
        EXPECT_FALSE(refusal.detail.empty() && refusal.hint.empty()) << refusal.message;
    };
    for (const Rule &rule : kPlainCommand) {
        CommandFacts facts = plain_update();
        rule.change(facts);
        const Refusal refusal = check_command(facts, false);
        EXPECT_NE(refusal.hint.find("$1 and $2"), Text::npos) << rule.message;
    }
    for (const Rule &rule : kAnyCommand) {
        CommandFacts facts = plain_update();
        rule.change(facts);
        if (facts.statements == 1) // says it all
            expect_help(facts, false);
    }
    expect_help(with_range(), true);
    CommandFacts half = with_range();
    half.uses_upper = false;
    expect_help(half, false);
    CommandFacts other = with_range();
    other.has_other_placeholders = true;
    EXPECT_NE(check_command(other, false).hint.find("$1 is the first key of a range and $2 the last"), Text::npos);
}

} // namespace
} // namespace bbm
