#include "pg/spi.hpp"

#include "pg/identity.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/itemptr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
}

namespace bbm::pg {

namespace {

constexpr int kMostParameters = 40;

Oid type_of(const Parameter &parameter) {
    switch (parameter.kind) {
    case Parameter::Kind::integer:
        return INT8OID;
    case Parameter::Kind::real:
        return FLOAT8OID;
    case Parameter::Kind::text:
        return TEXTOID;
    case Parameter::Kind::key:
        return TEXTARRAYOID;
    case Parameter::Kind::integers:
        return INT4ARRAYOID;
    case Parameter::Kind::timestamp:
        return TIMESTAMPTZOID;
    case Parameter::Kind::boolean:
        return BOOLOID;
    case Parameter::Kind::place:
        return TIDOID;
    case Parameter::Kind::json:
        break;
    }
    return JSONBOID;
}

Datum text_datum(Text value) {
    return PointerGetDatum(cstring_to_text_with_len(value.data(), static_cast<int>(value.size())));
}

Datum key_datum(Key value) {
    Datum *parts = static_cast<Datum *>(palloc(sizeof(Datum) * value.size()));
    for (std::size_t i = 0; i < value.size(); ++i)
        parts[i] = text_datum(value[i]);
    return PointerGetDatum(construct_array(parts, static_cast<int>(value.size()), TEXTOID, -1, false, TYPALIGN_INT));
}

Datum integers_datum(std::span<const int> value) {
    Datum *parts = static_cast<Datum *>(palloc(sizeof(Datum) * value.size()));
    std::transform(value.begin(), value.end(), parts, [](int part) { return Int32GetDatum(part); });
    return PointerGetDatum(
        construct_array(parts, static_cast<int>(value.size()), INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

Datum place_datum(RowPlace place) {
    auto *tid = static_cast<ItemPointer>(palloc(sizeof(ItemPointerData)));
    ItemPointerSet(tid, static_cast<BlockNumber>(place >> 16), static_cast<OffsetNumber>(place & 0xFFFF));
    return PointerGetDatum(tid);
}

Datum datum_of(const Parameter &parameter) {
    if (parameter.is_null)
        return static_cast<Datum>(0);
    switch (parameter.kind) {
    case Parameter::Kind::integer:
    case Parameter::Kind::timestamp:
        return Int64GetDatum(parameter.integer);
    case Parameter::Kind::real:
        return Float8GetDatum(parameter.real);
    case Parameter::Kind::text:
        return text_datum(parameter.text);
    case Parameter::Kind::key:
        return key_datum(parameter.key);
    case Parameter::Kind::integers:
        return integers_datum(parameter.integers);
    case Parameter::Kind::boolean:
        return BoolGetDatum(parameter.integer != 0);
    case Parameter::Kind::place:
        return place_datum(parameter.integer);
    case Parameter::Kind::json:
        break;
    }
    return DirectFunctionCall1(jsonb_in, CStringGetDatum(c_string(parameter.text)));
}

// Generic, and planned with sequential scans off: a plan made while a table was empty would otherwise keep its
// sequential scan for ever, since nothing tells it that the table has grown.
void prepare(Statement &statement, std::initializer_list<Parameter> parameters) {
    Oid types[kMostParameters];
    int count = 0;
    for (const Parameter &parameter : parameters)
        types[count++] = type_of(parameter);
    SPIPlanPtr plan = SPI_prepare_cursor(statement.sql, count, types, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr || SPI_keepplan(plan) != 0)
        elog(ERROR, "could not prepare \"%s\": %s", statement.sql, SPI_result_code_string(SPI_result));
    statement.plan = plan;
}

void run(Statement &statement, std::initializer_list<Parameter> parameters) {
    Datum values[kMostParameters];
    char nulls[kMostParameters] = {};
    int count = 0;
    for (const Parameter &parameter : parameters) {
        values[count] = datum_of(parameter);
        nulls[count++] = parameter.is_null ? 'n' : ' ';
    }
    const bool read_only = statement.sees == Sees::latest; // then SPI takes the snapshot that is active
    const int code = SPI_execute_plan(static_cast<SPIPlanPtr>(statement.plan), values, nulls, read_only, 0);
    if (code < 0)
        elog(ERROR, "could not run \"%s\": %s", statement.sql, SPI_result_code_string(code));
}

MemoryContext context_of_reader = nullptr;

Text unpack(Datum value, Arena arena) {
    const varlena *packed = PG_DETOAST_DATUM_PACKED(value);
    return copy(Text(VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed)), arena);
}

} // namespace

namespace detail {

std::uint64_t begin_query(Statement &statement, std::initializer_list<Parameter> parameters) {
    Assert(parameters.size() <= kMostParameters);
    const MemoryContext caller = CurrentMemoryContext;
    become_extension_owner();
    if (statement.sees == Sees::latest)
        PushActiveSnapshot(GetLatestSnapshot());
    SPI_connect();
    if (statement.plan == nullptr)
        prepare(statement, parameters);
    run(statement, parameters);
    context_of_reader = MemoryContextSwitchTo(caller);
    return SPI_processed;
}

void *result_table() { return SPI_tuptable; }

void end_query(const Statement &statement) {
    MemoryContextSwitchTo(context_of_reader);
    SPI_finish();
    if (statement.sees == Sees::latest)
        PopActiveSnapshot();
    become_oneself();
}

} // namespace detail

std::uint64_t execute(Statement &statement, std::initializer_list<Parameter> parameters) {
    const std::uint64_t rows = detail::begin_query(statement, parameters);
    detail::end_query(statement);
    return rows;
}

std::uintptr_t Row::datum(int column, bool &null) const {
    const auto *table = static_cast<SPITupleTable *>(table_);
    return SPI_getbinval(table->vals[number_], table->tupdesc, column, &null);
}

bool Row::is_null(int column) const {
    bool null;
    (void)datum(column, null);
    return null;
}

std::int64_t Row::integer(int column) const {
    bool null;
    const Datum value = datum(column, null);
    if (null)
        return 0;
    switch (SPI_gettypeid(static_cast<SPITupleTable *>(table_)->tupdesc, column)) {
    case INT4OID:
        return DatumGetInt32(value);
    case OIDOID:
        return DatumGetObjectId(value);
    default:
        return DatumGetInt64(value);
    }
}

double Row::real(int column) const {
    bool null;
    const Datum value = datum(column, null);
    return null ? 0 : DatumGetFloat8(value);
}

bool Row::boolean(int column) const {
    bool null;
    const Datum value = datum(column, null);
    return !null && DatumGetBool(value);
}

RowPlace Row::place(int column) const {
    bool null;
    const Datum value = datum(column, null);
    if (null)
        return 0;
    const auto *tid = reinterpret_cast<ItemPointer>(DatumGetPointer(value));
    return static_cast<RowPlace>(ItemPointerGetBlockNumber(tid)) << 16 | ItemPointerGetOffsetNumber(tid);
}

Text Row::text(int column, Arena arena) const {
    bool null;
    const Datum value = datum(column, null);
    return null ? Text{} : unpack(value, arena);
}

Key Row::key(int column, Arena arena) const {
    bool null;
    const Datum value = datum(column, null);
    if (null)
        return {};
    Datum *parts;
    bool *nulls;
    int count;
    deconstruct_array(DatumGetArrayTypeP(value), TEXTOID, -1, false, TYPALIGN_INT, &parts, &nulls, &count);
    const auto key = make_array<Text>(arena, static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i)
        key[static_cast<std::size_t>(i)] = nulls[i] ? Text{} : unpack(parts[i], arena);
    return key;
}

std::span<const int> Row::integers(int column, Arena arena) const {
    bool null;
    const Datum value = datum(column, null);
    if (null)
        return {};
    Datum *parts;
    int count;
    deconstruct_array(DatumGetArrayTypeP(value), INT4OID, sizeof(int32), true, TYPALIGN_INT, &parts, nullptr, &count);
    const auto integers = make_array<int>(arena, static_cast<std::size_t>(count));
    std::transform(parts, parts + count, integers.begin(), [](Datum part) { return DatumGetInt32(part); });
    return integers;
}

} // namespace bbm::pg
