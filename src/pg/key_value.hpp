// Values of key columns as PostgreSQL's Datums, for the other files of this floor.
#pragma once

#include "pg/table_key.hpp"

namespace bbm::pg {

using Value = std::uintptr_t; // a Datum

// Fills in a value for each column, in the current memory context.
void key_values(std::span<const KeyColumn> key, Key texts, Value *values);
// The columns from `first` on of a row (a HeapTuple with its TupleDesc); empty where the first is NULL.
Key key_of_row(std::span<const KeyColumn> key, void *row, void *description, int first, Arena arena);

} // namespace bbm::pg
