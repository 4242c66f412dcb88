// Literals that mean another value each time they are read.
#pragma once

#include "core/types.hpp"

namespace bbm {

// Does the text of a date or a time say now, today, tomorrow or yesterday? The server reads such a word when it
// analyses the command, so that every session has a constant of its own.
bool names_the_clock(Text literal);

} // namespace bbm
