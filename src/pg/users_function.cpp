#include "core/retry.hpp"
#include "pg/attempt.hpp"
#include "pg/clock.hpp"
#include "pg/health.hpp"
#include "pg/memory.hpp"
#include "pg/named_function.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
}

namespace bbm::pg {

namespace {

// Nobody works while it runs. What takes longer says by that alone that it is no reading of a gauge.
constexpr Micros kLongestCall = 1'000'000;
// One that took too long is left alone for that time: otherwise the worker would do nothing but wait for it.
constexpr Micros kRestAfterLongCall = 30'000'000;

// A gauge that is broken guards nobody, and nobody looks at bbm.health all the time.
constexpr Micros kBetweenLogLines = 60'000'000;

// By the stopwatch; 0 = never.
Micros left_alone_until = 0;
Micros logged_at = 0;

void log_sometimes(Text message) {
    if (logged_at != 0 && stopwatch() - logged_at < kBetweenLogLines)
        return;
    logged_at = stopwatch();
    report(Level::log, format("bbm.health_function holds nothing: %.*s", width(message), message.data()));
}

Oid find_gauge(const char *function_name) {
    static constexpr std::uint32_t arguments[] = {REGCLASSOID};
    std::uint32_t function = InvalidOid;
    raise_if(find_function(function_name, {arguments, FLOAT8OID}, function));
    return function;
}

std::optional<double> call(Oid function, Oid table) {
    FmgrInfo info;
    fmgr_info(function, &info);
    LOCAL_FCINFO(fcinfo, 1);
    InitFunctionCallInfoData(*fcinfo, &info, 1, InvalidOid, nullptr, nullptr);
    fcinfo->args[0].value = ObjectIdGetDatum(table);
    fcinfo->args[0].isnull = false;
    const Datum value = FunctionCallInvoke(fcinfo);
    return fcinfo->isnull ? std::nullopt : std::optional(DatumGetFloat8(value));
}

} // namespace

std::optional<Reading> read_users_indicator(std::uint32_t table, Arena arena) {
    if (settings().health_function[0] == '\0' || table == 0)
        return std::nullopt;
    const char *function_name = copy(Text(settings().health_function), arena).data(); // it may change its own setting
    const bool in_worker = MyBackendType == B_BG_WORKER;
    const Micros start = stopwatch();
    if (in_worker && start < left_alone_until)
        return users_value_unknown(format("%s took too long and is left alone for a while", function_name), arena);
    std::optional<double> value;
    const auto error = attempt_inside(arena, [&] {
        if (in_worker)
            start_statement_timer(kLongestCall);
        value = call(find_gauge(function_name), table);
        stop_statement_timer();
    });
    if (error && error->sqlstate == kQueryCanceled && !in_worker)
        raise(*error);
    if (error && stopwatch() - start >= kLongestCall)
        left_alone_until = stopwatch() + kRestAfterLongCall;
    const Reading reading =
        error ? users_value_unknown(error->message, arena) : judge_users_value(function_name, value, arena);
    if (in_worker && reading.verdict == Verdict::unknown)
        log_sometimes(reading.reason);
    return reading;
}

} // namespace bbm::pg
