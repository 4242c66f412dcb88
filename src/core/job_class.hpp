// Job classes: DML with named arguments. {name} becomes the argument as quoted identifiers, {{name}} as literals; an
// argument that is a list becomes a comma-separated list. {table} and {column} are the migration's own.
#pragma once

#include "core/arena.hpp"
#include "core/types.hpp"

#include <span>

namespace bbm {

struct Argument {
    Text name;
    std::span<const Text> values; // one for a plain argument; NULL in JSON has data() == nullptr
};

struct Template {
    Text command;
    Text table;  // ready to use: qualified and quoted
    Text column; // ready to use
    std::span<const Argument> arguments;
};

// Writes the statement into `out`. Refuses an unknown name, an empty list, a NULL as identifier. Braces around anything
// but a name (JSON, lists, an open brace) are left as they are.
Refusal render(const Template &source, String &out, Arena arena);

// "Wrong number of job arguments for X (given 2, expected 0)", the documents' message, or nothing to refuse.
Refusal check_argument_count(Text job_class_name, int given, int expected, Arena arena);

void append_identifier(String &out, Text name);
void append_literal(String &out, Text value);

} // namespace bbm
