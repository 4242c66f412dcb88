#include "pg/identity.hpp"

#include "pg/memory.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

// What become_oneself() restores. Not nested, so one of each is enough.
Oid saved_user;
int saved_security_context;
int saved_guc_level;

Oid first_seen_extension = InvalidOid;

// The schema's owner is the extension's owner: the install script creates it.
Oid extension_owner() {
    HeapTuple tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum("bbm"));
    if (!HeapTupleIsValid(tuple))
        raise(Refusal{"55000", "extension \"bbm\" is not installed in this database", {}, "Run CREATE EXTENSION bbm;"});
    const Oid owner = reinterpret_cast<Form_pg_namespace>(GETSTRUCT(tuple))->nspowner;
    ReleaseSysCache(tuple);
    return owner;
}

void set_option(const char *name, const char *value, GucAction action) {
    (void)set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, action, true, 0, false);
}

} // namespace

void become_extension_owner() {
    const Oid owner = extension_owner();
    GetUserIdAndSecContext(&saved_user, &saved_security_context);
    saved_guc_level = NewGUCNestLevel();
    set_option("search_path", "pg_catalog, pg_temp", GUC_ACTION_SAVE);
    set_option("enable_seqscan", "off", GUC_ACTION_SAVE); // the reason stands at spi.cpp's prepare()
    set_option("jit", "off", GUC_ACTION_SAVE);            // a scan that is costed as forbidden would be compiled
    // A bitmap visits every dead entry of a row that is updated often.
    set_option("enable_bitmapscan", "off", GUC_ACTION_SAVE);
    SetUserIdAndSecContext(owner,
                           saved_security_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

void become_oneself() {
    SetUserIdAndSecContext(saved_user, saved_security_context);
    AtEOXact_GUC(true, saved_guc_level);
}

RoleScope enter_role(std::uint32_t role, Text search_path) {
    RoleScope scope;
    GetUserIdAndSecContext(&scope.user, &scope.security_context);
    scope.guc_level = NewGUCNestLevel();
    set_option("search_path", c_string(search_path), GUC_ACTION_SAVE);
    SetUserIdAndSecContext(role, scope.security_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
    return scope;
}

void leave_role(const RoleScope &scope) {
    SetUserIdAndSecContext(scope.user, scope.security_context);
    AtEOXact_GUC(false, scope.guc_level); // what functions of the role have set ends here, too
}

Role current_role() {
    const Oid user = GetUserId();
    return {user, Text(GetUserNameFromId(user, false))};
}

bool is_superuser(std::uint32_t role) { return superuser_arg(role); }

std::uint32_t role_named(Text name) { return get_role_oid(c_string(name), true); }

bool can_log_in(std::uint32_t role) {
    HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
    if (!HeapTupleIsValid(tuple))
        return false;
    const bool login = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple))->rolcanlogin;
    ReleaseSysCache(tuple);
    return login;
}

bool may_act_as(std::uint32_t role) {
    if (superuser())
        return true;
    return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(role)) && has_privs_of_role(GetUserId(), role);
}

std::uint32_t login_role() { return GetAuthenticatedUserId(); }

bool can_connect(std::uint32_t role) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(DatabaseRelationId, MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#else
    return pg_database_aclcheck(MyDatabaseId, role, ACL_CONNECT) == ACLCHECK_OK;
#endif
}

bool trusts_author(std::uint32_t role, Text name) {
    if (role_named(name) != role)
        return false;
    return role == GetUserId() || superuser_arg(role) || is_member_of_role_nosuper(role, GetUserId());
}

std::int64_t system_identifier() { return static_cast<std::int64_t>(GetSystemIdentifier()); }
std::uint32_t current_database() { return MyDatabaseId; }
bool is_home(std::int64_t system, std::uint32_t database) {
    return system == system_identifier() && database == MyDatabaseId;
}

Text current_search_path() { return copy(Text(namespace_search_path), current_arena()); }
bool in_recovery() { return RecoveryInProgress(); }
int process_id() { return MyProcPid; }

bool lock_extension() {
    if (!OidIsValid(first_seen_extension))
        first_seen_extension = get_extension_oid("bbm", true);
    if (!OidIsValid(first_seen_extension))
        return false;
    LockDatabaseObject(ExtensionRelationId, first_seen_extension, 0, AccessShareLock);
    return get_extension_oid("bbm", true) == first_seen_extension; // it may have gone while we waited
}

void forget_extension() { first_seen_extension = InvalidOid; }

void apply_owners_settings(Text search_path, Micros lock_timeout, Scope scope) {
    const GucAction action = scope == Scope::session       ? GUC_ACTION_SET
                             : scope == Scope::transaction ? GUC_ACTION_LOCAL
                                                           : GUC_ACTION_SAVE;
    set_option("search_path", c_string(search_path), action);
    set_option("lock_timeout", c_string(format("%lld", static_cast<long long>(lock_timeout / 1000))), action);
    set_option("row_security", "off", action);
    // Below the default second: we are the victim, not the user's query.
    set_option("deadlock_timeout", "100ms", action);
    set_option("max_parallel_workers_per_gather", "0", action);
    set_option("jit", "off", action); // compiling costs more than a sub-batch
    if (scope != Scope::session)
        return; // the rest belongs to the client whose session this is
    set_option("application_name", "bbm", action);
    set_option("default_transaction_isolation", "read committed", action);
    set_option("statement_timeout", "0", action);
    set_option("idle_in_transaction_session_timeout", "0", action);
#if PG_VERSION_NUM >= 170000
    set_option("transaction_timeout", "0", action); // it would end the process, not the statement
#endif
}

int open_settings() { return NewGUCNestLevel(); }
void close_settings(int level) { AtEOXact_GUC(false, level); }

} // namespace bbm::pg
