// Time and sleep. Timestamps say when something is due and never decide correctness; durations come from a clock that
// nobody sets back.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

Micros now();       // microseconds since PostgreSQL's epoch, by the wall clock
Micros stopwatch(); // microseconds of a monotonic clock
double jitter();    // [0, 1)

enum class Cancel {
    raises,  // a cancel request is an ERROR: the process serves a client
    ignored, // a cancel request ends a sleep and nothing else: the process serves bbm
};

// Sleeps on the latch until the deadline, a signal, or somebody sets the latch. Re-reads the configuration if asked to.
// Ends the process when it is told to die or the postmaster is gone.
void sleep_until(Micros deadline, Cancel cancel);
// The same between two pieces of work, but what is left of a second is slept whole: a statement that was timed out has
// set the latch, and would be tried again at once for ever.
void rest_until(Micros deadline, Cancel cancel);
// For less than the milliseconds that the others count in; nothing ends it.
void nap(Micros time);
// Between two pieces of work: dies, re-reads the configuration.
void check_signals(Cancel cancel);

// While they are held, cancel requests and lock_timeout wait. The engine holds them everywhere but inside of attempt(),
// where an error is a value: so they hit the user's statement and the waits around it, and never the bookkeeping that
// records how it ended, which waits for others with none of the user's rows locked.
void hold_cancel();
void release_cancel();

// Cancels the running statement after that long, as statement_timeout would in a client's session.
void start_statement_timer(Micros limit);
void stop_statement_timer();

// What pg_stat_activity shows.
void show_activity(Text running);
void show_idle();
// What a transaction has read of that view it goes on seeing; this makes it read anew.
void forget_statistics();

} // namespace bbm::pg
