// Transactions of our own, in a background worker or inside CALL bbm.run.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

enum class Durability {
    relaxed, // asynchronous commit: a crash loses data and cursor together, nothing that was recorded elsewhere
    durable, // as the server is configured to commit
};

void begin_transaction();
void commit_transaction(Durability durability);

// The caller's memory context is current during the body and afterwards; what the body leaves there survives the
// commit. There is no destructor: after an error the abort tidies up.
template <class Body> void in_transaction(Durability durability, Body &&body) {
    begin_transaction();
    body();
    commit_transaction(durability);
}

// CALL bbm.run works as VACUUM does: it ends the transaction it was called in, runs transactions of its own, and leaves
// a fresh one for the rest of the CALL; so do the procedures that wait. Raises 25001 inside a transaction block, a
// function or another procedure; `call` and `reason` are for the message.
void leave_callers_transaction(bool is_atomic, Text call, Text reason);
void return_to_caller();

// Is this transaction, or one of its subtransactions, the one that wrote a row with this xmin?
bool wrote_in_this_transaction(std::int64_t xmin);

} // namespace bbm::pg
