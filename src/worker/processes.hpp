// The mains of bbm's background processes. None of them returns.
#pragma once

#include <cstdint>

namespace bbm {

// Static, one a server, connected to no database: starts schedulers where and when work is due.
[[noreturn]] void run_launcher();
// One a database with work: starts workers, wakes and cancels them, leaves when nothing is due.
[[noreturn]] void run_scheduler(std::uint32_t database);
// One a running migration, in the session of its owner.
[[noreturn]] void run_worker();

} // namespace bbm
