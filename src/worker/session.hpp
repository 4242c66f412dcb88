// In whose session the engine runs: a background worker's, or a client's that said CALL bbm.run.
#pragma once

#include "core/types.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/transaction.hpp"

namespace bbm {

struct Session {
    pg::Cancel cancel;
    pg::Scope settings; // for how long the owner's settings hold
    bool skips_delays;  // intervals and pauses: a person waits
    Micros deadline;    // start no sub-batch after it; kNever without
};

// Locks the extension against DROP for the rest of the transaction. A worker whose extension is gone leaves; a client
// gets an error.
void require_extension(const Session &session);

// A transaction of bookkeeping, outside of any attempt. A worker does not let itself be cancelled in it; a client may
// be: the abort frees his job's lock, and whoever comes next takes the job over.
template <class Body> void keep_books(const Session &session, pg::Durability durability, Body &&body) {
    if (session.cancel == pg::Cancel::raises)
        pg::release_cancel();
    pg::in_transaction(durability, [&] {
        require_extension(session);
        body();
    });
    pg::hold_cancel();
}

// Opens a transaction with the owner's settings and the extension locked.
void begin_as_owner(const Session &session, const Migration &migration);

} // namespace bbm
