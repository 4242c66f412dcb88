// A column of a key in words: its type, its order, its operators.
#pragma once

#include "pg/table_key.hpp"

namespace bbm::pg {

struct ColumnOrder {
    std::uint32_t operator_class;
    std::uint32_t collation;
    bool is_descending = false;
    bool nulls_first = false;
    bool may_be_null = false;
};

// A key that is being described.
struct KeyParts {
    std::span<KeyColumn> columns;
    std::span<WalkColumn> walk;
    std::span<Text> names;
    std::span<Text> type_names;
};

KeyParts make_parts(std::size_t columns); // in the current memory context
// `number` is the column's in its table; system columns have one as well.
void describe_column(const KeyParts &parts, std::size_t i, std::uint32_t table, std::int16_t number,
                     const ColumnOrder &order);
// When all columns are described.
TableKey finish(const KeyParts &parts, std::uint32_t table, Walk walk);

} // namespace bbm::pg
