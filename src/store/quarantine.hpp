// Rows that a migration has set aside because its command raises an error for them: every statement on bbm.quarantine.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"

namespace bbm::store {

// In the transaction that moves the job's cursor past the row. Met again it replaces the older error.
void insert_quarantined(const Job &job, Key key, const Failure &failure);
std::int64_t count_quarantined(std::int64_t migration_id);

struct Quarantined {
    std::int64_t id;
    Key key;
};
// All of a migration, in the order they were met; nobody else runs or removes them until the transaction ends.
Vector<Quarantined> &lock_quarantined(std::int64_t migration_id, std::int64_t part_id, Arena arena);
void delete_quarantined(std::int64_t id);

} // namespace bbm::store
