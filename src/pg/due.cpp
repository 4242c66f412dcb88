#include "pg/due.hpp"

#include "pg/clock.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "pg/workers.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/snapmgr.h"
#include "utils/varlena.h"
}

namespace bbm::pg {

namespace {

constexpr Micros kNotDue = INT64_MAX;
// Databases with work that is not due yet. A scheduler that finds no room stays and sleeps itself.
constexpr int kSlots = 4096;

struct Slot {
    Oid database;
    Micros when;
};

struct SharedState {
    LWLock *lock;
    pid_t launcher;
    Slot slots[kSlots];
};

SharedState *shared = nullptr;
shmem_request_hook_type next_request_hook = nullptr;
shmem_startup_hook_type next_startup_hook = nullptr;
constexpr char kName[] = "bbm";

void request_memory() {
    if (next_request_hook != nullptr)
        next_request_hook();
    RequestAddinShmemSpace(sizeof(SharedState));
    RequestNamedLWLockTranche(kName, 1);
}

void start_memory() {
    if (next_startup_hook != nullptr)
        next_startup_hook();
    bool found;
    LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
    shared = static_cast<SharedState *>(ShmemInitStruct(kName, sizeof(SharedState), &found));
    if (!found) {
        std::fill_n(shared->slots, kSlots, Slot{InvalidOid, kNotDue});
        shared->launcher = 0;
        shared->lock = &GetNamedLWLockTranche(kName)->lock;
    }
    LWLockRelease(AddinShmemInitLock);
}

Slot *slot_of(Oid database) {
    Slot *end = shared->slots + kSlots;
    Slot *slot = std::find_if(shared->slots, end, [&](const Slot &one) { return one.database == database; });
    return slot == end ? nullptr : slot;
}

// bbm.databases as a list of names; NIL for all.
List *wanted_databases() {
    List *names = NIL;
    if (settings().databases != nullptr && !SplitIdentifierString(pstrdup(settings().databases), ',', &names))
        ereport(LOG, (errmsg("invalid list syntax in parameter \"%s\"", "bbm.databases")));
    return names;
}

bool is_wanted(List *names, const char *name) {
    if (names == NIL)
        return true;
    ListCell *cell;
    foreach (cell, names)
        if (strcmp(static_cast<char *>(lfirst(cell)), name) == 0)
            return true;
    return false;
}

void set_due_where_wanted(List *wanted, const Form_pg_database database) {
    if (database->datallowconn && !database->datistemplate && is_wanted(wanted, NameStr(database->datname)))
        (void)set_due(database->oid, now());
}

} // namespace

void reserve_due_memory() {
    next_request_hook = shmem_request_hook;
    shmem_request_hook = request_memory;
    next_startup_hook = shmem_startup_hook;
    shmem_startup_hook = start_memory;
}

bool set_due(std::uint32_t database, Micros when) {
    if (shared == nullptr)
        return false;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    Slot *slot = slot_of(database);
    if (slot == nullptr && when != kNotDue)
        slot = slot_of(InvalidOid);
    if (slot != nullptr)
        *slot = when == kNotDue ? Slot{InvalidOid, kNotDue} : Slot{database, when};
    LWLockRelease(shared->lock);
    return slot != nullptr || when == kNotDue;
}

std::uint32_t take_due(Micros at) {
    Oid database = InvalidOid;
    LWLockAcquire(shared->lock, LW_EXCLUSIVE);
    for (Slot &slot : shared->slots)
        if (slot.when <= at) {
            database = slot.database;
            slot = {InvalidOid, kNotDue};
            break;
        }
    LWLockRelease(shared->lock);
    return database;
}

Micros earliest_due() {
    Micros earliest = kNotDue;
    LWLockAcquire(shared->lock, LW_SHARED);
    for (const Slot &slot : shared->slots)
        earliest = std::min(earliest, slot.when);
    LWLockRelease(shared->lock);
    return earliest;
}

void set_all_due() {
    StartTransactionCommand();
    (void)GetTransactionSnapshot();
    List *wanted = wanted_databases();
    Relation relation = table_open(DatabaseRelationId, AccessShareLock);
    TableScanDesc scan = table_beginscan_catalog(relation, 0, nullptr);
    HeapTuple tuple;
    while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
        set_due_where_wanted(wanted, reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple)));
    table_endscan(scan);
    table_close(relation, AccessShareLock);
    CommitTransactionCommand();
}

void become_launcher() { shared->launcher = MyProcPid; }

void wake_launcher() {
    if (shared != nullptr && shared->launcher != 0)
        wake(shared->launcher);
}

} // namespace bbm::pg
