#include "core/walk_rules.hpp"

#include <gtest/gtest.h>

namespace bbm {
namespace {

TEST(walk_rules, strategies) {
    EXPECT_EQ(walk_of_strategy("primary_key"), Walk::keys);
    EXPECT_EQ(walk_of_strategy("loose_index_scan"), Walk::values);
    EXPECT_EQ(walk_of_strategy("ctid"), Walk::blocks);
    EXPECT_EQ(walk_of_strategy("public.mine"), Walk::keys);
}

TEST(walk_rules, chooses) {
    constexpr CommandFacts plain = {};
    constexpr CommandFacts placed = {.uses_parameters = true};
    constexpr CommandFacts repeatable = {.is_repeatable = true};
    constexpr CommandFacts overwriting = {.is_repeatable = true, .repeating_overwrites = true};
    constexpr CommandFacts by_default = {.assigns_default = true};
    constexpr CommandFacts abroad = {.writes_foreign = true};
    constexpr CommandFacts abroad_again = {.is_repeatable = true, .writes_foreign = true};
    constexpr WalkFacts parted = {.has_leaves = true, .is_partitioned = true};
    constexpr WalkFacts family = {.has_leaves = true};
    const auto with = [](WalkFacts walk, auto change) {
        change(walk);
        return walk;
    };
    const auto triggered = [](WalkFacts &walk) { walk.has_statement_triggers = true; };
    const auto keyless = [](WalkFacts &walk) { walk.has_key = false; };
    const auto only = [](WalkFacts &walk) { walk.names_only = true; };
    const auto by_blocks = [](WalkFacts &walk) { walk.walk = Walk::blocks; };
    enum class Choice { whole, leaves, refused };
    const struct {
        const char *what;
        CommandFacts command;
        WalkFacts walk;
        Choice choice;
    } cases[] = {
        {"a plain table", plain, {}, Choice::whole},
        {"a plain table with a trigger", plain, with({}, triggered), Choice::whole},
        {"a partitioned table", plain, parted, Choice::leaves},
        {"without a key of its own", plain, with(parted, keyless), Choice::leaves},
        {"children", plain, family, Choice::leaves},
        {"with $1 and $2: by the key of the whole", placed, parted, Choice::whole},
        {"which must be there", placed, with(parted, keyless), Choice::refused},
        {"children have none", placed, family, Choice::refused},
        {"triggers of the parent", plain, with(parted, triggered), Choice::whole},
        {"triggers of the parent, no key", plain, with(with(parted, triggered), keyless), Choice::refused},
        {"triggers of a parent of children", plain, with(family, triggered), Choice::refused},
        {"ONLY a parent of children", plain, with(family, only), Choice::whole},
        {"ONLY a parent of children, with a trigger", plain, with(with(family, only), triggered), Choice::whole},
        {"ONLY a partitioned table", plain, with(parted, only), Choice::refused},
        {"cannot be aimed", plain, with(parted, [](WalkFacts &walk) { walk.can_be_aimed = false; }), Choice::refused},
        {"need not be aimed", plain, with({}, [](WalkFacts &walk) { walk.can_be_aimed = false; }), Choice::whole},
        {"blocks", repeatable, with({}, by_blocks), Choice::whole},
        {"blocks of leaves", repeatable, with(parted, by_blocks), Choice::leaves},
        {"blocks, the same again and again", overwriting, with({}, by_blocks), Choice::refused},
        {"a default of the whole", by_default, parted, Choice::whole},
        {"a default of a parent", by_default, family, Choice::refused},
        {"blocks, not repeatable", plain, with({}, by_blocks), Choice::refused},
        {"a partitioned table has no blocks", repeatable, with(with(parted, by_blocks), triggered), Choice::refused},
        {"blocks and quarantine", repeatable,
         with(with({}, by_blocks), [](WalkFacts &walk) { walk.quarantines = true; }), Choice::refused},
        {"another server", abroad, {}, Choice::refused},
        {"another server, again and again", abroad_again, {}, Choice::whole},
        {"a function on another server's rows", {.kind = CommandFacts::Kind::select, .uses_parameters = true},
         with({}, [](WalkFacts &walk) { walk.is_foreign = true; }), Choice::refused},
        {"reading another server's rows", {.kind = CommandFacts::Kind::insert},
         with({}, [](WalkFacts &walk) { walk.is_foreign = true; }), Choice::whole},
        {"partitions on another server", abroad_again, parted, Choice::leaves},
    };
    for (const auto &one : cases) {
        const WalkChoice choice = choose_walk(one.command, one.walk);
        const Choice made = choice.refusal         ? Choice::refused
                            : choice.walks_leaves ? Choice::leaves
                                                  : Choice::whole;
        EXPECT_EQ(made, one.choice) << one.what;
        EXPECT_EQ(choice.refusal.sqlstate != nullptr, !choice.refusal.message.empty()) << one.what;
    }
}

} // namespace
} // namespace bbm
