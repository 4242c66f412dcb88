// The parts of a migration, each a table that it walks: every statement on bbm.part.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"

#include <optional>

namespace bbm::store {

// Sets its id. A part without a range is known, and has nothing to be cut.
void insert_part(std::int64_t migration_id, Part &part);
std::optional<Part> load_part(std::int64_t id, Arena arena);
// All of them, in the order in which they are walked.
Vector<Part> &parts_of(std::int64_t migration_id, Arena arena);
// The one that the next job is cut from, or nothing: all keys are in jobs.
std::optional<Part> next_uncut_part(std::int64_t migration_id, Arena arena);

// Tables that are walked by blocks, and what their sweeps found.
struct Swept {
    std::uint32_t table;
    int sweeps;        // since the migration became active
    std::int64_t rows; // of the newest one; negative: there was none
};
Vector<Swept> &swept_tables(std::int64_t migration_id, Arena arena);

// The end of a new job. At the end of the range no more is cut.
void set_frontier(const Part &part, Key frontier);
void mark_cut(std::int64_t id);
void mark_detached(std::int64_t id);
void set_table_file(std::int64_t id, Key table_file);
void set_table_name(const Part &part, Text table_name);

} // namespace bbm::store
