// The words that conditions and queries over a walk are made of.
#pragma once

#include "core/keyset.hpp"

namespace bbm {

void append(String &out, Text text);
void append_number(String &out, std::size_t number);
void append_operator(String &out, Text op);
// By its name, in its collation.
void append_column(String &out, const WalkColumn &column);

} // namespace bbm
