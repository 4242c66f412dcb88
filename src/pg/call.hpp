// The arguments and the results of the functions that SQL calls, in our own types.
#pragma once

#include "core/types.hpp"

#include <initializer_list>
#include <optional>

struct FunctionCallInfoBaseData; // PostgreSQL's

namespace bbm::pg {

using Call = FunctionCallInfoBaseData *;

// Arguments count from 0. NULL is the text without data, the empty list, false, or nothing.
bool given(Call fcinfo, int i);
Text text_at(Call fcinfo, int i);
Text needed_text(Call fcinfo, int i, const char *name); // raises 22004 for NULL
Text json_at(Call fcinfo, int i);                       // job arguments: an array
std::optional<int> integer_at(Call fcinfo, int i);
std::optional<Micros> interval_at(Call fcinfo, int i);
bool flag_at(Call fcinfo, int i);
Key text_array_at(Call fcinfo, int i);
std::uint32_t table_at(Call fcinfo, int i);
// A value of whatever type the caller wrote, in its text form.
Text any_at(Call fcinfo, int i);

std::uintptr_t text_result(Text text);

// A column of a row; without a value it is NULL.
using Column = std::optional<std::uintptr_t>;
Column column(std::int64_t value);
Column column(int value);
Column column(Text value);
Column span_column(Micros value); // an interval in days and the rest, as people read it
std::uintptr_t row_result(Call fcinfo, std::initializer_list<Column> columns);

} // namespace bbm::pg
