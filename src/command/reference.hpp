// Which migration does the caller mean, and may he?
#pragma once

#include "core/lifecycle.hpp"
#include "core/types.hpp"

namespace bbm {

// Of the current generation; 0 if there is none. find_name raises 42725 if the name is ambiguous.
bool exists(std::int64_t id);
std::int64_t find_name(Text job_class_name);
std::int64_t find_identity(Text job_class_name, std::uint32_t table, Text column_name, Text job_arguments);
// Raise 42704.
[[noreturn]] void refuse_unknown_id(std::int64_t id);
[[noreturn]] void refuse_unknown_name(Text job_class_name);
[[noreturn]] void refuse_unknown_identity(Text job_class_name, std::uint32_t table, Text column_name,
                                          Text job_arguments);

// The migration, in the current memory context. Raise 42704 if it does not exist, 42501 if the caller has not the
// rights of its owner. lock_for_change also raises 25006 on a standby, and holds the row until the transaction ends.
Migration require(std::int64_t id);
Migration lock_for_change(std::int64_t id);

// The same, and refuses an old generation: it is history.
Migration lock_current(std::int64_t id);
void refuse_history(const Migration &migration);

// The four parts of its identity, for messages.
Text configuration(const Migration &migration);
// `migration "x"`, for messages.
Text label(const Migration &migration);
// `migration "x" has failed`, 55000, with its last error and what to do.
Refusal has_failed(const Migration &migration);
// `cannot <verb> migration "x" in status "y"`, 55000.
[[noreturn]] void refuse_transition(const Migration &migration, MigrationEvent event, Text hint);

} // namespace bbm
