// Listens to the analysis of statements of ours: tells what they are, and adds the range of keys to them. The server
// analyses a prepared statement again whenever a table changes, so listening to it goes on until it is released.
#pragma once

#include "core/command_rules.hpp"
#include "pg/range_command.hpp"

namespace bbm::pg {

struct Watch {
    const char *text = nullptr; // what will be analysed
    const RangeCommand *command = nullptr;
    CommandFacts *facts = nullptr; // without, nothing is collected, and a command that cannot be restricted raises
    int times = 0;                 // how often it came by: a restriction that was not added must never be run
    Arena keep = {};               // where the texts of the facts live
    bool reads_window = false;     // the table is read by a window scan
    Watch *other_form = nullptr;   // of the same command, watched with it
};

// The engine's prepared command, in one or two forms, and one that is looked at in passing (queue, explain), maybe by a
// trigger of the former. What they point to stays valid until nullptr is given, or the transaction (in
// passing: also a subtransaction) is aborted, which ends the watch by itself.
void watch_prepared(Watch *watch);
Watch *prepared_watch();
void watch_in_passing(Watch *watch);
bool is_watched(const Watch &watch);

} // namespace bbm::pg
