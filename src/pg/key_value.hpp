// Values of key columns as PostgreSQL's Datums, for the other files of this floor.
#pragma once

#include "pg/table_key.hpp"

namespace bbm::pg {

using Value = std::uintptr_t; // a Datum

// Fills in a value for each column, in the current memory context.
void key_values(std::span<const KeyColumn> key, Key texts, Value *values);
// The columns from `first` on of a row (a HeapTuple with its TupleDesc); empty where the first is NULL.
Key key_of_row(std::span<const KeyColumn> key, void *row, void *description, int first, Arena arena);

Key key_texts(std::span<const KeyColumn> key, const Value *values, Arena arena);
// Less than 0 where a sorts before b in ascending order; no values are NULL.
int compare(const KeyColumn &column, Value a, Value b);

// What values are written with is what they are read with, whatever the session's settings: of dates, floats, arrays and
// the like. A level to go back from.
int fix_text_forms();
void end_text_forms(int level);

} // namespace bbm::pg
