// Who runs what. A worker's session is its owner's; only bookkeeping is done as the extension's owner, for the length
// of one fixed statement.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

// Between the two: SQL text that is a constant of ours, nothing of the user's. Not to be nested. An abort undoes both.
void become_extension_owner();
void become_oneself();

// What maintenance commands do: the body runs with the rights of that role, whoever called, and cannot break out of
// them. For the walk over a migration's table, its plan and its filter: functions of the owner's may run in them.
// Undone by an abort, too.
struct RoleScope {
    std::uint32_t user;
    int security_context;
    int guc_level;
};
RoleScope enter_role(std::uint32_t role, Text search_path);
void leave_role(const RoleScope &scope);
template <class Body> auto as_role(std::uint32_t role, Text search_path, Body &&body) {
    const RoleScope scope = enter_role(role, search_path);
    auto result = body();
    leave_role(scope);
    return result;
}

struct Role {
    std::uint32_t oid;
    Text name; // in the current memory context
};
Role current_role();
bool is_superuser(std::uint32_t role);
bool can_log_in(std::uint32_t role);
std::uint32_t role_named(Text name); // 0 if there is none
// Has the current user the rights of that role? Dropped roles: only superusers.
bool may_act_as(std::uint32_t role);

std::uint32_t login_role();           // who the client authenticated as, whatever SET ROLE said since
bool can_connect(std::uint32_t role); // to this database
// May the current user run text that this role wrote, as if it were his own? Only where the author could act as him
// anyway: himself, a superuser, a member of him. The name must still be that number's: a restored number is another
// role.
bool trusts_author(std::uint32_t role, Text name);

std::int64_t system_identifier();
std::uint32_t current_database();
bool is_home(std::int64_t system, std::uint32_t database);
Text current_search_path(); // as written, in the current memory context
bool in_recovery();
int process_id();

// Locks the extension against DROP for the rest of the transaction; false if it is gone, or is not the one that this
// process saw first: created anew it has other migrations with the same numbers.
bool lock_extension();
void forget_extension(); // the next call sees it first

enum class Scope {
    session,
    transaction,
    call, // until close_settings()
};
// What holds for the user's statement in a session that nobody watches: RLS raises instead of hiding rows, locks are
// not waited for long, nothing runs in parallel, the search_path is the one the command was queued with.
void apply_owners_settings(Text search_path, Micros lock_timeout, Scope scope);

int open_settings();
void close_settings(int level);
// In a transaction of a client's, who gets his own settings back. After an error the abort does that.
template <class Body> void with_owners_settings(Text search_path, Micros lock_timeout, Body &&body) {
    const int level = open_settings();
    apply_owners_settings(search_path, lock_timeout, Scope::call);
    body();
    close_settings(level);
}

} // namespace bbm::pg
