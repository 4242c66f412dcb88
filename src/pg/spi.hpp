// Statements on bbm's own tables: run as the extension's owner, with search_path pinned and plans kept. The text of
// such a statement is a constant of the store; nothing a user typed is ever part of it.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"
#include "pg/row_place.hpp"

#include <initializer_list>

namespace bbm::pg {

struct Parameter {
    enum class Kind { integer, real, text, key, integers, timestamp, boolean, json, place } kind;
    bool is_null = false;
    std::int64_t integer = 0;
    double real = 0;
    Text text = {};
    Key key = {};
    std::span<const int> integers = {};
};

inline Parameter integer(std::int64_t value) { return {.kind = Parameter::Kind::integer, .integer = value}; }
inline Parameter real(double value) { return {.kind = Parameter::Kind::real, .real = value}; }
inline Parameter boolean(bool value) { return {.kind = Parameter::Kind::boolean, .integer = value}; }
// NULL where the text has no data.
inline Parameter text(Text value) {
    return {.kind = Parameter::Kind::text, .is_null = value.data() == nullptr, .text = value};
}
inline Parameter place(RowPlace value) { return {.kind = Parameter::Kind::place, .integer = value}; } // tid
inline Parameter json(Text value) {
    return {.kind = Parameter::Kind::json, .is_null = value.data() == nullptr, .text = value};
}
// text[]; NULL for the empty key.
inline Parameter key(Key value) { return {.kind = Parameter::Kind::key, .is_null = value.empty(), .key = value}; }
// integer[]; NULL for none.
inline Parameter integers(std::span<const int> value) {
    return {.kind = Parameter::Kind::integers, .is_null = value.empty(), .integers = value};
}
// NULL for zero, which stands for "now" and "never set".
inline Parameter timestamp(Micros value) {
    return {.kind = Parameter::Kind::timestamp, .is_null = value == 0, .integer = value};
}
// NULL for zero, which stands for "not given".
inline Parameter positive(std::int64_t value) {
    return {.kind = Parameter::Kind::integer, .is_null = value == 0, .integer = value};
}

// NULL for a negative number, which stands for "nobody knows".
inline Parameter known(std::int64_t value) {
    return {.kind = Parameter::Kind::integer, .is_null = value < 0, .integer = value};
}

enum class Sees {
    as_usual, // what the transaction's isolation level lets it see
    latest,   // what is committed now, at any isolation level; for reading only
};

struct Statement {
    const char *sql;
    Sees sees = Sees::as_usual;
    void *plan = nullptr; // a saved plan, made at first use
};

// One row of a result; columns count from 1. NULL reads as zero, false, the empty text or the empty key.
class Row {
public:
    Row(void *table, std::uint64_t number) : table_(table), number_(number) {}
    bool is_null(int column) const;
    std::int64_t integer(int column) const; // bigint, integer, oid, timestamptz (microseconds)
    double real(int column) const;
    bool boolean(int column) const;
    RowPlace place(int column) const;         // tid
    Text text(int column, Arena arena) const; // text
    Key key(int column, Arena arena) const;   // text[]
    std::span<const int> integers(int column, Arena arena) const; // integer[]

private:
    std::uintptr_t datum(int column, bool &null) const;
    void *table_;
    std::uint64_t number_;
};

namespace detail {
std::uint64_t begin_query(Statement &statement, std::initializer_list<Parameter> parameters);
void *result_table();
void end_query(const Statement &statement);
} // namespace detail

// Runs the statement; the number of rows it touched or returned.
std::uint64_t execute(Statement &statement, std::initializer_list<Parameter> parameters);

// Runs the statement and gives each row to the reader, which must copy what it keeps.
template <class Reader>
std::uint64_t query(Statement &statement, std::initializer_list<Parameter> parameters, Reader &&reader) {
    const std::uint64_t rows = detail::begin_query(statement, parameters);
    void *table = detail::result_table();
    for (std::uint64_t i = 0; i < rows; ++i)
        reader(Row(table, i));
    detail::end_query(statement);
    return rows;
}

} // namespace bbm::pg
