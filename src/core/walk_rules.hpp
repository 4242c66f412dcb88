// How a migration walks its table: as a whole or leaf by leaf; and which commands may be run so. The facts come from the
// catalogs and from the analysis of the command.
#pragma once

#include "core/command_rules.hpp"
#include "core/types.hpp"

namespace bbm {

// As queue() names them; others are functions of users'.
inline constexpr Text kByPrimaryKey = "primary_key";
inline constexpr Text kByValues = "loose_index_scan";
inline constexpr Text kByBlocks = "ctid";

Walk walk_of_strategy(Text batching_strategy);

struct WalkFacts {
    Walk walk = Walk::keys;
    bool has_leaves = false;             // it is partitioned, or other tables inherit from it
    bool is_partitioned = false;
    bool has_key = true;                 // of its own, over all of its leaves
    bool has_statement_triggers = false; // it or a leaf, of users'
    bool is_foreign = false;             // it or a leaf is a table of another server
    bool names_only = false;             // the command says ONLY
    bool can_be_aimed = true;            // the command can be given another name of its table
    bool quarantines = false;            // on_data_error
};

struct WalkChoice {
    Refusal refusal = {};
    bool walks_leaves = false;
};

// A commit on another server and one here are two: only a command that may meet a row twice is run there.
Refusal check_two_commits(const CommandFacts &command);

// Sources of the rules: DESIGN.md, "Parts".
WalkChoice choose_walk(const CommandFacts &command, const WalkFacts &walk);

} // namespace bbm
