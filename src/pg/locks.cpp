#include "pg/locks.hpp"

extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
}

namespace bbm::pg {

namespace {

// Locks of this method are freed by transactions only. A process that ends between two would leave them in shared
// memory for ever, in the name of whoever gets its slot next.
void release_at_exit(int, Datum) {
    AbortOutOfAnyTransaction();
    LockReleaseAll(DEFAULT_LOCKMETHOD, true);
}

bool release_is_arranged = false;

LOCKTAG tag_of(LockClass lock_class, std::int64_t id) {
    LOCKTAG tag;
    SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, static_cast<uint32>(static_cast<std::uint64_t>(id) >> 32),
                         static_cast<uint32>(id), static_cast<uint16>(lock_class));
    tag.locktag_lockmethodid = DEFAULT_LOCKMETHOD; // freed by an abort, unlike the advisory method's
    return tag;
}

} // namespace

bool try_lock(LockClass lock_class, std::int64_t id) {
    if (!release_is_arranged)
        before_shmem_exit(release_at_exit, 0);
    release_is_arranged = true;
    const LOCKTAG tag = tag_of(lock_class, id);
    return LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL;
}

void unlock(LockClass lock_class, std::int64_t id) {
    const LOCKTAG tag = tag_of(lock_class, id);
#if PG_VERSION_NUM >= 170000
    const bool held = LockHeldByMe(&tag, ExclusiveLock, false);
#else
    const bool held = LockHeldByMe(&tag, ExclusiveLock);
#endif
    if (held)
        (void)LockRelease(&tag, ExclusiveLock, true);
}

// Whoever looks holds the lock for a moment and waits for nothing meanwhile, so this waits for no longer.
void close_migration(std::int64_t id) {
    const LOCKTAG tag = tag_of(LockClass::closing, id);
    (void)LockAcquire(&tag, ExclusiveLock, false, false);
}

bool is_closing(std::int64_t id) {
    const LOCKTAG tag = tag_of(LockClass::closing, id);
    if (LockAcquire(&tag, ShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
        return true;
    (void)LockRelease(&tag, ShareLock, false);
    return false;
}

void lock_claims_on(std::uint32_t root) {
    const LOCKTAG tag = tag_of(LockClass::root, root);
    (void)LockAcquire(&tag, ExclusiveLock, false, false);
}

bool try_lock_table(std::uint32_t table) { return ConditionalLockRelationOid(table, RowExclusiveLock); }

void lock_table_for_writing(std::uint32_t table) { LockRelationOid(table, RowExclusiveLock); }

bool blocks_writers_of(std::uint32_t table) {
    Relation relation = try_relation_open(table, AccessShareLock);
    if (relation == nullptr)
        return false;
    const bool blocks = CheckRelationLockedByMe(relation, ShareLock, true);
    relation_close(relation, AccessShareLock);
    return blocks;
}

} // namespace bbm::pg
