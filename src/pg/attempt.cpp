#include "pg/attempt.hpp"

#include "pg/analysis.hpp"
#include "pg/clock.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/elog.h"
#include "utils/resowner.h"
}

namespace bbm::pg::detail {

namespace {

Text text_of(const char *text, Arena keep) { return text == nullptr ? Text{} : copy(Text(text), keep); }

void take_error(Arena keep, Failure &failure) {
    ErrorData *error = CopyErrorData();
    FlushErrorState();
    failure = {copy(Text(unpack_sql_state(error->sqlerrcode)), keep), text_of(error->message, keep),
               text_of(error->detail, keep), text_of(error->hint, keep), text_of(error->context, keep)};
    FreeErrorData(error);
}

} // namespace

bool attempt(void (*body)(void *), void *argument, Arena keep, Failure &failure) {
    const MemoryContext outer = CurrentMemoryContext;
    PG_TRY();
    {
        release_cancel();
        body(argument);
        hold_cancel();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(outer); // CopyErrorData refuses to work in ErrorContext
        HOLD_INTERRUPTS();
        hold_cancel(); // the error has reset the count
        stop_statement_timer();
        take_error(keep, failure);
        Watch *watch = prepared_watch(); // lives longer than the transaction, and so does its plan
        AbortCurrentTransaction();
        watch_prepared(watch);
        MemoryContextSwitchTo(outer);
        RESUME_INTERRUPTS();
        return false;
    }
    PG_END_TRY();
    return true;
}

bool attempt_inside(void (*body)(void *), void *argument, Arena keep, Failure &failure) {
    const MemoryContext outer = CurrentMemoryContext;
    const ResourceOwner owner = CurrentResourceOwner;
    const bool was_held = QueryCancelHoldoffCount > 0;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(outer);
    PG_TRY();
    {
        release_cancel();
        body(argument);
        if (was_held)
            hold_cancel();
        ReleaseCurrentSubTransaction();
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(outer);
        HOLD_INTERRUPTS();
        if (was_held)
            hold_cancel(); // the error has reset the count
        stop_statement_timer();
        take_error(keep, failure);
        RollbackAndReleaseCurrentSubTransaction();
        MemoryContextSwitchTo(outer);
        CurrentResourceOwner = owner;
        RESUME_INTERRUPTS();
        return false;
    }
    PG_END_TRY();
    MemoryContextSwitchTo(outer);
    CurrentResourceOwner = owner;
    return true;
}

void rolled_back(void (*body)(void *), void *argument) {
    const MemoryContext outer = CurrentMemoryContext;
    const ResourceOwner owner = CurrentResourceOwner;
    ErrorData *volatile error = nullptr;
    BeginInternalSubTransaction(nullptr);
    MemoryContextSwitchTo(outer);
    PG_TRY();
    { body(argument); }
    PG_CATCH();
    {
        MemoryContextSwitchTo(outer);
        error = CopyErrorData();
        FlushErrorState();
    }
    PG_END_TRY();
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(outer);
    CurrentResourceOwner = owner;
    if (error != nullptr)
        ReThrowError(error);
}

} // namespace bbm::pg::detail
