// When the launcher has to look at which database again: what a scheduler leaves behind when it goes. Only a hint, in
// shared memory: after a restart of the server every database is due.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

void reserve_due_memory(); // while shared_preload_libraries is read

// Notes the time, or forgets the database with kNever. False if it cannot be remembered: not preloaded, or no room.
bool set_due(std::uint32_t database, Micros when);
// A database that is due, which is then forgotten; 0 if none is.
std::uint32_t take_due(Micros now);
Micros earliest_due();
// Every database that accepts connections and is named in bbm.databases; for the launcher.
void set_all_due();

void become_launcher(); // whom wake_launcher() wakes
void wake_launcher();

} // namespace bbm::pg
