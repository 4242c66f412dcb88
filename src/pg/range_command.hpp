// The user's command, restricted to a range of keys. Plain DML gets the restriction added to its analysed form, before
// rewriting and planning, so permissions, row security and triggers apply to it as to any statement.
#pragma once

#include "core/command_rules.hpp"
#include "core/types.hpp"
#include "pg/table_key.hpp"
#include "pg/window.hpp"

namespace bbm::pg {

void install_command_hook(); // when the library is loaded

struct RangeCommand {
    Text text;
    std::uint32_t table = 0;
    TableKey key;
    Text scope;                    // a condition over the table's columns; empty for none
    Text known_as = {};            // what scope calls the table, quoted; empty: as it is called
    bool has_placeholders = false; // the text restricts itself with $1 and $2
    Key used_columns = {};         // that it used when it was queued, and their types; empty: not known
    Text search_path = {};         // for inspect() and explain(); empty for the current one
    bool reads_windows = false;    // is to be prepared for run_slice(), too
    bool meets_rows_twice = false; // by the way it is run; raises 55000 when it does not leave out done rows any more
};

// Parses the text: the number of statements, and which parameters it uses: the parts of the first key of a range, then
// those of the last one. Nothing is looked up.
CommandFacts parse_command(Text command, std::size_t key_columns);

// Raises 42601 unless the text is one condition and nothing else.
void check_condition(Text scope);

// Adds what the analysis of the command by the current user tells. Raises PostgreSQL's own errors.
void inspect(const RangeCommand &command, CommandFacts &facts);

// Raises what executing it would raise for want of privileges or because of row security.
void check_privileges(const RangeCommand &command);

// The plan as EXPLAIN prints it, for a range.
Text explain(const RangeCommand &command, Range range);

// One process prepares one command at a time; a second call replaces the first. Raises 55000 from inside of a running
// command, where a trigger of the user's may call any function.
void prepare_command(const RangeCommand &command);

enum class Deferred {
    fire,  // deferred triggers at once: COMMIT would, where neither a time-out nor a cancel request reaches them
    leave, // to the transaction, which is a client's: its own events wait there, too
};
// Runs it for the inclusive range; the rows it affected.
std::int64_t run_command(Range range, Deferred deferred = Deferred::fire);
// Runs it for the rows of the slice alone. One that has another version by now is looked for by its key, unless that is
// its place: then whoever walks by places has to look for it himself.
std::int64_t run_slice(const Slice &slice, Deferred deferred = Deferred::fire);
bool is_command_prepared();
void release_command();

} // namespace bbm::pg
