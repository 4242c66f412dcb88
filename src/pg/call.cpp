#include "pg/call.hpp"

#include "pg/key_value.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace bbm::pg {

bool given(Call fcinfo, int i) { return !PG_ARGISNULL(i); }

Text text_at(Call fcinfo, int i) {
    if (!given(fcinfo, i))
        return {};
    return Text(text_to_cstring(PG_GETARG_TEXT_PP(i)));
}

Text needed_text(Call fcinfo, int i, const char *name) {
    if (!given(fcinfo, i))
        raise(Refusal{"22004", format("%s must not be null", name), {}, {}});
    return text_at(fcinfo, i);
}

Text json_at(Call fcinfo, int i) {
    if (!given(fcinfo, i))
        return "[]";
    Jsonb *json = PG_GETARG_JSONB_P(i);
    if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
        raise(Refusal{"22023", "job_arguments must be a JSON array", {}, "For example: '[\"a\", \"b\"]'."});
    return Text(JsonbToCString(nullptr, &json->root, VARSIZE(json)));
}

std::optional<int> integer_at(Call fcinfo, int i) {
    return given(fcinfo, i) ? std::optional<int>(PG_GETARG_INT32(i)) : std::nullopt;
}

// Added to a time of today it is still one.
constexpr Micros kLongestInterval = Micros{100} * 366 * USECS_PER_DAY;

std::optional<Micros> interval_at(Call fcinfo, int i) {
    if (!given(fcinfo, i))
        return std::nullopt;
    const Interval *span = PG_GETARG_INTERVAL_P(i);
    const Micros days = span->day + Micros{span->month} * DAYS_PER_MONTH;
    Micros sum;
    if (pg_mul_s64_overflow(days, USECS_PER_DAY, &sum) || pg_add_s64_overflow(sum, span->time, &sum) ||
        sum > kLongestInterval || sum < -kLongestInterval)
        raise(Refusal{"22008", "interval out of range", {}, "No interval may be longer than a century."});
    return sum;
}

bool flag_at(Call fcinfo, int i) { return given(fcinfo, i) && PG_GETARG_BOOL(i); }

Key text_array_at(Call fcinfo, int i) {
    if (!given(fcinfo, i))
        return {};
    Datum *items;
    int count;
    deconstruct_array(PG_GETARG_ARRAYTYPE_P(i), TEXTOID, -1, false, TYPALIGN_INT, &items, nullptr, &count);
    const auto texts = make_array<Text>(current_arena(), static_cast<std::size_t>(count));
    for (int n = 0; n < count; ++n)
        texts[static_cast<std::size_t>(n)] = Text(TextDatumGetCString(items[n]));
    return texts;
}

Text any_at(Call fcinfo, int i) {
    if (!given(fcinfo, i))
        return {};
    Oid output;
    bool is_varlena;
    getTypeOutputInfo(get_fn_expr_argtype(fcinfo->flinfo, i), &output, &is_varlena);
    const int level = fix_text_forms(); // "IST" is the zone of India and of Israel
    const Text text(OidOutputFunctionCall(output, PG_GETARG_DATUM(i)));
    end_text_forms(level);
    return text;
}

std::uint32_t table_at(Call fcinfo, int i) {
    if (!given(fcinfo, i))
        raise(Refusal{"22004", "table_name must not be null", {}, {}});
    return PG_GETARG_OID(i);
}

Datum text_result(Text text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

Column column(std::int64_t value) { return Int64GetDatum(value); }
Column column(int value) { return Int32GetDatum(value); }
Column column(Text value) { return text_result(value); }

Column span_column(Micros value) {
    auto *span = static_cast<Interval *>(palloc0(sizeof(Interval)));
    span->day = static_cast<int32>(value / USECS_PER_DAY);
    span->time = value % USECS_PER_DAY;
    return IntervalPGetDatum(span);
}

Datum row_result(Call fcinfo, std::initializer_list<Column> columns) {
    TupleDesc shape;
    if (get_call_result_type(fcinfo, nullptr, &shape) != TYPEFUNC_COMPOSITE ||
        shape->natts != static_cast<int>(columns.size()))
        elog(ERROR, "the function's columns are not those of its library");
    auto *values = static_cast<Datum *>(palloc0(sizeof(Datum) * columns.size()));
    auto *nulls = static_cast<bool *>(palloc0(sizeof(bool) * columns.size()));
    int number = 0;
    for (const Column &value : columns) {
        values[number] = value.value_or(0);
        nulls[number++] = !value.has_value();
    }
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(shape), values, nulls));
}

} // namespace bbm::pg
