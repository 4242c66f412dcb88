#include "core/walk_text.hpp"

#include "core/job_class.hpp"

#include <charconv>

namespace bbm {

void append(String &out, Text text) { out.append(text.data(), text.size()); }

void append_number(String &out, std::size_t number) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number).ptr);
}

void append_operator(String &out, Text op) {
    append(out, " OPERATOR(");
    append(out, op);
    append(out, ") ");
}

void append_column(String &out, const WalkColumn &column) {
    append_identifier(out, column.name);
    if (column.collation.empty())
        return;
    append(out, " COLLATE ");
    append(out, column.collation);
}

} // namespace bbm
