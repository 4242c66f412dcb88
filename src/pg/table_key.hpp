// The key that a migration walks a table by: the columns of a unique index, how the index sorts them, and their values
// as text.
#pragma once

#include "core/keyset.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

namespace bbm::pg {

inline constexpr std::size_t kMostKeyColumns = 32; // INDEX_MAX_KEYS
inline constexpr std::size_t kLongestName = 64;    // NAMEDATALEN

struct KeyColumn {
    std::uint32_t type = 0;
    std::int16_t number = 0;
    // What decides about the order: its index's operator family, the type that this compares, its collation.
    std::uint32_t family = 0;
    std::uint32_t compared_as = 0;
    std::uint32_t collation = 0;
    std::uint32_t own_collation = 0; // the column's, in which a command compares it
    bool needs_settings = false;     // its text form depends on settings of the session
    bool is_not_null = false;
    char name[kLongestName] = {};
};

struct TableKey {
    std::span<const KeyColumn> columns;
    std::span<const WalkColumn> walk_columns; // the same columns, for core/keyset
    Key names;
    // For people, and with all that decides about the order: `text COLLATE "C"`, `integer DESC`. Keys are only of use
    // as long as these are the same.
    Key type_names;
    std::uint32_t table = 0;
    std::uint32_t index = 0; // that has it; 0 for none
    Walk walk = Walk::keys;
    bool may_be_null = false; // there may be rows without a key; null_condition() is true for them
};

// The columns of `wanted`, in the order of an index over exactly them; without any, those of the primary key. The index
// is unique, its columns NOT NULL, so that every row has one place in the walk. What is returned lives in the current
// memory context.
Refusal find_key(std::uint32_t table, Key wanted, TableKey &key);
// The columns of `wanted`, with which a btree index begins, unique or not: a walk over their distinct values.
Refusal find_value_key(std::uint32_t table, Key wanted, TableKey &key);
// The columns of `wanted`, which must be named, of a foreign table: in the order of their types, which has to be the
// same on the foreign server. Equal keys are in one range, as nobody knows whether the key is unique there.
Refusal find_foreign_key(std::uint32_t table, Key wanted, TableKey &key);
// Where rows lie, for a walk over the blocks of a table or the sweep behind it.
TableKey tid_key(std::uint32_t table, Walk walk);
TableKey copy(const TableKey &key, Arena arena);
// Raises where a column has another name, type or collation since, or may be NULL: what was prepared before means
// another column now, compares in another way, or reads values of another type. Integers may become wider. The caller
// holds a lock on the table.
void check_columns(std::uint32_t table, std::span<const KeyColumn> key);
// False once it is dropped.
bool is_index(std::uint32_t index);

KeyWalk walk_of(Text table, const TableKey &key, Text scope = {});

// Values; key_value.cpp. A key as a person writes it, in its types' own form: a plain value for one column, a text
// array for several. Raises the types' errors, and 22023 for another number of parts.
Key read_key(Text text, const TableKey &key);
// Is a <= b, in the order of the walk?
bool is_ordered(Key a, Key b, const TableKey &key);
// "1, abc"; for messages.
Text key_text(Key key);

} // namespace bbm::pg
