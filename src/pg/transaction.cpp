#include "pg/transaction.hpp"

#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "pgstat.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
}

namespace bbm::pg {

namespace {

// Process-wide, as transactions are: the context to go back to when ours ends.
MemoryContext context_of_caller = nullptr;

} // namespace

void begin_transaction() {
    context_of_caller = CurrentMemoryContext;
    SetCurrentStatementStartTimestamp(); // without it now() stands still in a background worker
    StartTransactionCommand();
    // Exactly once rests on re-checking a row after waiting for it, which only READ COMMITTED does.
    if (XactIsoLevel != XACT_READ_COMMITTED)
        (void)set_config_option("transaction_isolation", "read committed", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
                                true, 0, false);
    PushActiveSnapshot(GetTransactionSnapshot());
    MemoryContextSwitchTo(context_of_caller);
}

void commit_transaction(Durability durability) {
    if (durability == Durability::relaxed)
        (void)set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0,
                                false);
    PopActiveSnapshot();
    CommitTransactionCommand();
    MemoryContextSwitchTo(context_of_caller); // commit leaves TopMemoryContext current
    // Statistics are sent when a session goes idle, which a worker never does; without this autovacuum is blind.
    pgstat_report_stat(false);
}

void leave_callers_transaction(bool is_atomic, Text call, Text reason) {
    if (is_atomic || IsTransactionBlock() || SPI_inside_nonatomic_context())
        raise(Refusal{"25001",
                      format("%.*s cannot run inside a transaction block", static_cast<int>(call.size()), call.data()),
                      reason, "Run CALL as a single statement."});
    // PortalContext lives as long as the CALL, and survives the commits.
    MemoryContextSwitchTo(PortalContext);
    HoldPinnedPortals();
    ForgetPortalSnapshots();
    CommitTransactionCommand();
    MemoryContextSwitchTo(PortalContext);
}

void return_to_caller() {
    StartTransactionCommand();
    MemoryContextSwitchTo(PortalContext);
}

bool wrote_in_this_transaction(std::int64_t xmin) {
    const auto xid = static_cast<TransactionId>(xmin);
    return TransactionIdIsNormal(xid) && TransactionIdIsCurrentTransactionId(xid);
}

} // namespace bbm::pg
