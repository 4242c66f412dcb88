// The whole C ABI of bbm: the library's start, the functions that SQL calls, the mains of the background workers. Each
// reads its arguments, calls one function and returns.
#include "command/control.hpp"
#include "command/ended.hpp"
#include "command/estimate.hpp"
#include "command/gate.hpp"
#include "command/health.hpp"
#include "command/queue.hpp"
#include "command/reference.hpp"
#include "command/repeatable.hpp"
#include "command/run.hpp"
#include "command/run_batch.hpp"
#include "command/scaffold.hpp"
#include "pg/call.hpp"
#include "pg/due.hpp"
#include "pg/guard.hpp"
#include "pg/identity.hpp"
#include "pg/memory.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "pg/transaction.hpp"
#include "pg/window_scan.hpp"
#include "pg/workers.hpp"
#include "worker/processes.hpp"

#include <optional>

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace {

using bbm::Micros;
using bbm::Text;

using bbm::pg::any_at;
using bbm::pg::Column;
using bbm::pg::column;
using bbm::pg::flag_at;
using bbm::pg::given;
using bbm::pg::integer_at;
using bbm::pg::interval_at;
using bbm::pg::json_at;
using bbm::pg::needed_text;
using bbm::pg::row_result;
using bbm::pg::span_column;
using bbm::pg::table_at;
using bbm::pg::text_array_at;
using bbm::pg::text_at;
using bbm::pg::text_result;

// A migration by id, by name or by configuration: which, the declared types of the function tell.
enum class NamedBy { id, name, configuration };

NamedBy how_named(FunctionCallInfo fcinfo) {
    Oid *types;
    int count;
    (void)get_func_signature(fcinfo->flinfo->fn_oid, &types, &count);
    if (types[0] == INT8OID)
        return NamedBy::id;
    return count < 2 || types[1] != REGCLASSOID ? NamedBy::name : NamedBy::configuration;
}

struct Reference {
    std::int64_t id; // 0: there is none
    int next;        // the number of the argument behind it
};

Reference find_migration_at(FunctionCallInfo fcinfo) {
    switch (how_named(fcinfo)) {
    case NamedBy::id:
        if (!given(fcinfo, 0))
            bbm::pg::raise(bbm::Refusal{"22004", "id must not be null", {}, {}});
        return {bbm::exists(PG_GETARG_INT64(0)) ? PG_GETARG_INT64(0) : 0, 1};
    case NamedBy::name:
        return {bbm::find_name(needed_text(fcinfo, 0, "the name of the migration")), 1};
    case NamedBy::configuration:
        break;
    }
    return {bbm::find_identity(needed_text(fcinfo, 0, "the name of the migration"), table_at(fcinfo, 1),
                               needed_text(fcinfo, 2, "column_name"), json_at(fcinfo, 3)),
            4};
}

Reference migration_at(FunctionCallInfo fcinfo) {
    const Reference found = find_migration_at(fcinfo);
    if (found.id != 0)
        return found;
    switch (how_named(fcinfo)) {
    case NamedBy::id:
        bbm::refuse_unknown_id(PG_GETARG_INT64(0));
    case NamedBy::name:
        bbm::refuse_unknown_name(text_at(fcinfo, 0));
    case NamedBy::configuration:
        break;
    }
    bbm::refuse_unknown_identity(text_at(fcinfo, 0), table_at(fcinfo, 1), text_at(fcinfo, 2), json_at(fcinfo, 3));
}

// What bbm.queue and bbm.estimate have in common: the first fifteen arguments.
bbm::QueueRequest request_at(FunctionCallInfo fcinfo) {
    return {.job_class_name = needed_text(fcinfo, 0, "job_class_name"),
            .table = table_at(fcinfo, 1),
            .column_name = text_at(fcinfo, 2),
            .job_arguments = json_at(fcinfo, 3),
            .command = text_at(fcinfo, 4),
            .scope_to = text_at(fcinfo, 5),
            .job_interval = interval_at(fcinfo, 6),
            .batch_size = integer_at(fcinfo, 7),
            .sub_batch_size = integer_at(fcinfo, 8),
            .max_batch_size = integer_at(fcinfo, 9),
            .pause = interval_at(fcinfo, 10),
            .batch_min_value = any_at(fcinfo, 11),
            .batch_max_value = any_at(fcinfo, 12),
            .batching_strategy = needed_text(fcinfo, 13, "batching_strategy"),
            .cursor_columns = text_array_at(fcinfo, 14)};
}

constexpr Text kHoldsNoSnapshot = "It holds no snapshot while it waits.";

// In the order of the function's columns.
Datum estimate_result(FunctionCallInfo fcinfo, const bbm::Estimate &found) {
    const bbm::Sample &sum = found.tally.sum;
    const bbm::Projection &all = found.all;
    const auto per = [](std::int64_t what, std::int64_t many) { return many > 0 ? column(what / many) : Column(); };
    const auto known = [&](Micros value) { return found.tally.samples > 0 ? span_column(value) : Column(); };
    return row_result(fcinfo, {column(all.rows),
                               column(found.keys),
                               column(found.based_on),
                               column(found.tally.samples),
                               column(sum.keys),
                               column(sum.rows),
                               column(found.batch_size),
                               column(all.jobs),
                               per(all.rows, all.jobs),
                               known(all.batch_mean),
                               known(all.batch.low),
                               known(all.batch.high),
                               per(sum.rows * USECS_PER_SEC, sum.work),
                               span_column(all.full_speed.low),
                               span_column(all.full_speed.high),
                               span_column(all.at_pace.low),
                               span_column(all.at_pace.high),
                               per(sum.wal_bytes, sum.rows),
                               column(all.wal_bytes),
                               column(all.growth_bytes)});
}

Datum nothing() { return static_cast<Datum>(0); }

bool is_atomic(FunctionCallInfo fcinfo) {
    const auto *context = reinterpret_cast<const CallContext *>(fcinfo->context);
    return context == nullptr || !IsA(context, CallContext) || context->atomic;
}

void put_reading(const ReturnSetInfo &result, const bbm::Reading &reading) {
    const bool is_read = reading.verdict != bbm::Verdict::not_available;
    const bool has_value = is_read && reading.verdict != bbm::Verdict::unknown;
    Datum values[] = {text_result(reading.indicator), Float8GetDatum(reading.value),      Float8GetDatum(reading.limit),
                      text_result(reading.unit),      text_result(name(reading.verdict)), text_result(reading.reason)};
    bool nulls[] = {false, !has_value, !is_read, !is_read, false, false};
    tuplestore_putvalues(result.setResult, result.setDesc, values, nulls);
}

} // namespace

// PostgreSQL 15 marks exported functions with nothing, and the build hides everything else.
#pragma GCC visibility push(default)
extern "C" {

#ifdef PG_MODULE_MAGIC_EXT
PG_MODULE_MAGIC_EXT(.name = "bbm", .version = "1.0.0");
#else
PG_MODULE_MAGIC;
#endif

void _PG_init(void);
void bbm_launcher_main(Datum argument);
void bbm_scheduler_main(Datum argument);
void bbm_worker_main(Datum argument);

PG_FUNCTION_INFO_V1(bbm_define);
PG_FUNCTION_INFO_V1(bbm_undefine);
PG_FUNCTION_INFO_V1(bbm_queue);
PG_FUNCTION_INFO_V1(bbm_window_scan);
PG_FUNCTION_INFO_V1(bbm_estimate);
PG_FUNCTION_INFO_V1(bbm_pause);
PG_FUNCTION_INFO_V1(bbm_resume);
PG_FUNCTION_INFO_V1(bbm_retry);
PG_FUNCTION_INFO_V1(bbm_hold);
PG_FUNCTION_INFO_V1(bbm_mark_finished);
PG_FUNCTION_INFO_V1(bbm_requeue);
PG_FUNCTION_INFO_V1(bbm_finished);
PG_FUNCTION_INFO_V1(bbm_cleanup);
PG_FUNCTION_INFO_V1(bbm_delete);
PG_FUNCTION_INFO_V1(bbm_alter);
PG_FUNCTION_INFO_V1(bbm_finalize);
PG_FUNCTION_INFO_V1(bbm_ensure_finished);
PG_FUNCTION_INFO_V1(bbm_wait);
PG_FUNCTION_INFO_V1(bbm_finish);
PG_FUNCTION_INFO_V1(bbm_await);
PG_FUNCTION_INFO_V1(bbm_explain_text);
PG_FUNCTION_INFO_V1(bbm_is_repeatable);
PG_FUNCTION_INFO_V1(bbm_read_health);
PG_FUNCTION_INFO_V1(bbm_adopt);
PG_FUNCTION_INFO_V1(bbm_is_home);
PG_FUNCTION_INFO_V1(bbm_ensure_running);
PG_FUNCTION_INFO_V1(bbm_run);
PG_FUNCTION_INFO_V1(bbm_run_batch);
PG_FUNCTION_INFO_V1(bbm_scaffold_text);

void _PG_init(void) {
    bbm::pg::define_settings();
    bbm::pg::install_command_hook();
    if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
        return;
    bbm::pg::reserve_due_memory();
    bbm::pg::register_launcher();
}

void bbm_launcher_main(Datum) {
    bbm::pg::guarded([] { bbm::run_launcher(); });
}

void bbm_scheduler_main(Datum argument) {
    bbm::pg::guarded([&] { bbm::run_scheduler(DatumGetObjectId(argument)); });
}

void bbm_worker_main(Datum) {
    bbm::pg::guarded([] { bbm::run_worker(); });
}

Datum bbm_define(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        bbm::define({needed_text(fcinfo, 0, "name"), needed_text(fcinfo, 1, "command"), text_array_at(fcinfo, 2),
                     text_at(fcinfo, 3), text_at(fcinfo, 4)});
        return nothing();
    });
}

Datum bbm_undefine(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] { return BoolGetDatum(bbm::undefine(needed_text(fcinfo, 0, "name"))); });
}

Datum bbm_queue(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        bbm::QueueRequest request = request_at(fcinfo);
        request.workers = integer_at(fcinfo, 15);
        request.priority = integer_at(fcinfo, 16).value_or(0);
        request.finish_within = interval_at(fcinfo, 17);
        request.on_data_error = needed_text(fcinfo, 18, "on_data_error");
        request.start = flag_at(fcinfo, 19);
        request.if_not_exists = flag_at(fcinfo, 20);
        request.with_nulls = flag_at(fcinfo, 21);
        return Int64GetDatum(bbm::queue(request));
    });
}

Datum bbm_estimate(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded(
        [&] { return estimate_result(fcinfo, bbm::estimate(request_at(fcinfo), interval_at(fcinfo, 15))); });
}

Datum bbm_pause(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return BoolGetDatum(bbm::pause(id, flag_at(fcinfo, next), text_at(fcinfo, next + 1)));
    });
}

Datum bbm_resume(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return BoolGetDatum(bbm::resume(id, text_at(fcinfo, next)));
    });
}

Datum bbm_retry(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return Int32GetDatum(bbm::retry(id, text_at(fcinfo, next)));
    });
}

Datum bbm_hold(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        if (!given(fcinfo, next))
            bbm::pg::raise(bbm::Refusal{"22004", "duration must not be null", {}, {}});
        return BoolGetDatum(bbm::hold(id, *interval_at(fcinfo, next), text_at(fcinfo, next + 1)));
    });
}

Datum bbm_mark_finished(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return BoolGetDatum(bbm::mark_finished(id, text_at(fcinfo, next)));
    });
}

Datum bbm_requeue(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return Int64GetDatum(bbm::requeue(id, text_at(fcinfo, next)));
    });
}

Datum bbm_finished(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] { return BoolGetDatum(bbm::is_finished(migration_at(fcinfo).id)); });
}

Datum bbm_cleanup(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] { return Int32GetDatum(bbm::clean_up(needed_text(fcinfo, 0, "name"))); });
}

Datum bbm_delete(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return BoolGetDatum(bbm::remove(id, text_at(fcinfo, next)));
    });
}

Datum bbm_alter(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        bbm::alter(id, {integer_at(fcinfo, next), integer_at(fcinfo, next + 1), integer_at(fcinfo, next + 2),
                        interval_at(fcinfo, next + 3), interval_at(fcinfo, next + 4), integer_at(fcinfo, next + 5),
                        integer_at(fcinfo, next + 6)});
        return nothing();
    });
}

Datum bbm_finalize(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        bbm::finalize(migration_at(fcinfo).id, bbm::Waits::inside);
        return nothing();
    });
}

Datum bbm_ensure_finished(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [found, next] = find_migration_at(fcinfo);
        if (found == 0 && flag_at(fcinfo, next + 1)) {
            bbm::pg::report(bbm::pg::Level::notice, "the migration does not exist, skipping");
            return nothing();
        }
        bbm::ensure_finished(migration_at(fcinfo).id, flag_at(fcinfo, next));
        return nothing();
    });
}

Datum bbm_wait(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        return BoolGetDatum(bbm::wait(id, interval_at(fcinfo, next), bbm::Waits::inside));
    });
}

Datum bbm_finish(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const std::int64_t id = migration_at(fcinfo).id;
        bbm::pg::leave_callers_transaction(is_atomic(fcinfo), "CALL bbm.finish()", kHoldsNoSnapshot);
        bbm::finalize(id, bbm::Waits::outside);
        bbm::pg::return_to_caller();
        return nothing();
    });
}

Datum bbm_await(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        const auto timeout = interval_at(fcinfo, next);
        bbm::pg::leave_callers_transaction(is_atomic(fcinfo), "CALL bbm.await()", kHoldsNoSnapshot);
        const bool is_finished = bbm::wait(id, timeout, bbm::Waits::outside);
        bbm::pg::return_to_caller();
        return row_result(fcinfo, {Column(BoolGetDatum(is_finished))});
    });
}

Datum bbm_window_scan(PG_FUNCTION_ARGS) {
    (void)fcinfo;
    return PointerGetDatum(bbm::pg::window_scan_routine());
}

Datum bbm_explain_text(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] { return text_result(bbm::explain(migration_at(fcinfo).id)); });
}

Datum bbm_is_repeatable(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const bbm::CommandFacts found =
            bbm::judge_command(needed_text(fcinfo, 0, "command"), table_at(fcinfo, 1), text_at(fcinfo, 2));
        return row_result(fcinfo, {Column(BoolGetDatum(found.is_repeatable)),
                                   column(found.is_repeatable ? found.repeatable_because : found.why_not_repeatable)});
    });
}

Datum bbm_read_health(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        InitMaterializedSRF(fcinfo, 0);
        const auto *result = reinterpret_cast<const ReturnSetInfo *>(fcinfo->resultinfo);
        const std::uint32_t table = given(fcinfo, 0) ? PG_GETARG_OID(0) : 0;
        for (const bbm::Reading &reading : bbm::read_health_here(table, bbm::pg::current_arena()))
            put_reading(*result, reading);
        return nothing();
    });
}

Datum bbm_adopt(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] { return BoolGetDatum(bbm::adopt(migration_at(fcinfo).id)); });
}

Datum bbm_is_home(PG_FUNCTION_ARGS) { return BoolGetDatum(bbm::pg::is_home(PG_GETARG_INT64(0), PG_GETARG_OID(1))); }

Datum bbm_ensure_running(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        (void)fcinfo;
        return BoolGetDatum(bbm::ensure_running());
    });
}

Datum bbm_run(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        std::optional<std::int64_t> id;
        if (given(fcinfo, 0))
            id = migration_at(fcinfo).id;
        const auto max_time = interval_at(fcinfo, 1);
        bbm::pg::leave_callers_transaction(is_atomic(fcinfo), "CALL bbm.run()", "It commits after every sub-batch.");
        bbm::run_here(id, max_time);
        bbm::pg::return_to_caller();
        return nothing();
    });
}

Datum bbm_run_batch(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        const auto [id, next] = migration_at(fcinfo);
        const bbm::RunBatch ran =
            bbm::run_batch(id, any_at(fcinfo, next), any_at(fcinfo, next + 1), flag_at(fcinfo, next + 2),
                           given(fcinfo, next + 3) ? table_at(fcinfo, next + 3) : 0);
        return row_result(fcinfo, {column(ran.rows_affected), span_column(ran.duration), column(ran.wal_bytes)});
    });
}

Datum bbm_scaffold_text(PG_FUNCTION_ARGS) {
    return bbm::pg::guarded([&] {
        return text_result(bbm::scaffold(needed_text(fcinfo, 0, "name"), table_at(fcinfo, 1), text_at(fcinfo, 2)));
    });
}

} // extern "C"
#pragma GCC visibility pop
