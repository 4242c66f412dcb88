#include "pg/range_command.hpp"

#include "pg/analysis.hpp"
#include "pg/facts.hpp"
#include "pg/key_value.hpp"
#include "pg/memory.hpp"
#include "pg/parameters.hpp"
#include "pg/report.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "nodes/parsenodes.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
}

namespace bbm::pg {

namespace {

// Makes the text unlike any statement that a trigger or function of the user's may run meanwhile.
constexpr char kPlain[] = "/* bbm */ ";
constexpr char kOfWindow[] = "/* bbm pass */ ";
constexpr char kExplain[] = "EXPLAIN (VERBOSE) /* bbm */ ";

// The prepared command; everything in it lives in `context`, the plan in PostgreSQL's cache.
struct Prepared {
    Context context;
    RangeCommand command;
    Watch watch;
    Watch window_watch;
    SPIPlanPtr plan;
    SPIPlanPtr window_plan; // of the rows that a window scan finds
};

Prepared prepared = {};

// Where the command runs at this moment. After an error nobody resets it, so it counts only as long as the transaction
// it stands for is open.
struct Running {
    LocalTransactionId transaction;
    SubTransactionId subtransaction;
};
Running running = {InvalidLocalTransactionId, InvalidSubTransactionId};

LocalTransactionId this_transaction() {
#if PG_VERSION_NUM >= 170000
    return MyProc->vxid.lxid;
#else
    return MyProc->lxid;
#endif
}

bool is_running() {
    return running.subtransaction != InvalidSubTransactionId && running.transaction == this_transaction() &&
           SubTransactionIsActive(running.subtransaction);
}

const char *text_of(const char *prefix, const RangeCommand &command, Arena arena) {
    String &text = make<String>(arena);
    text.append(prefix);
    text.append(command.text.data(), command.text.size());
    return text.c_str();
}

void check_code(int code) {
    if (code < 0)
        elog(ERROR, "could not run the command of a migration: %s", SPI_result_code_string(code));
}

constexpr std::size_t kMostParameters = 2 * kMostKeyColumns;

// The parameters have the types of the key.
SPIPlanPtr analyse(const Watch &watch, int options) {
    const auto key = watch.command->key.columns;
    Oid types[kMostParameters];
    for (std::size_t i = 0; i < key.size(); ++i)
        types[i] = types[key.size() + i] = key[i].type;
    const int times = watch.times;
    SPIPlanPtr plan = SPI_prepare_cursor(watch.text, static_cast<int>(2 * key.size()), types, options);
    if (plan == nullptr)
        elog(ERROR, "could not prepare the command of a migration: %s", SPI_result_code_string(SPI_result));
    if (watch.times == times)
        elog(ERROR, "could not restrict the command of a migration to a range");
    return plan;
}

const CachedPlanSource *source_of(SPIPlanPtr plan) {
    return static_cast<CachedPlanSource *>(linitial(SPI_plan_get_plan_sources(plan)));
}

// One table and nothing else: the plan for any range is the plan for every range, so planning each anew is a waste.
// With joins the size of the range matters, and the server's own choice between the two is better.
bool touches_one_table(SPIPlanPtr plan) {
    const CachedPlanSource *source = source_of(plan);
    if (list_length(source->query_list) != 1)
        return false;
    const auto *query = linitial_node(Query, source->query_list);
    return list_length(query->rtable) == 1 && !query->hasSubLinks && query->cteList == NIL;
}

SPIPlanPtr prepare_plan(const Watch &watch) {
    SPIPlanPtr plan = analyse(watch, 0);
    // A range over several columns has so many conditions that planning it anew costs more than its values tell.
    if (touches_one_table(plan) || watch.command->key.columns.size() > 1) {
        SPI_freeplan(plan);
        plan = analyse(watch, CURSOR_OPT_GENERIC_PLAN);
    }
    SPI_keepplan(plan);
    return plan;
}

SPIPlanPtr prepare_window_plan(const Watch &watch) {
    SPIPlanPtr plan = analyse(watch, CURSOR_OPT_GENERIC_PLAN);
    if (!reads_by_window_scan(plan))
        elog(ERROR, "could not have the command of a migration read a window");
    SPI_keepplan(plan);
    return plan;
}

// The rows of EXPLAIN as lines.
Text lines_of_result(Arena arena) {
    String &out = make<String>(arena);
    for (uint64 i = 0; i < SPI_processed; ++i) {
        const char *line = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
        if (i > 0)
            out.push_back('\n');
        out.append(line);
    }
    return view(out);
}

// Looks at the command as a worker would see it: row security raises instead of hiding rows.
int see_as_worker(const RangeCommand &command) {
    const int level = NewGUCNestLevel();
    (void)set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    if (!command.search_path.empty())
        (void)set_config_option("search_path", c_string(command.search_path), PGC_USERSET, PGC_S_SESSION,
                                GUC_ACTION_SAVE, true, 0, false);
    return level;
}

void range_values(const TableKey &key, Range range, Datum *values) {
    key_values(key.columns, range.min, values);
    key_values(key.columns, range.max, values + key.columns.size());
}

Text explain_with(const RangeCommand &command, Datum *values, char nulls_are) {
    char nulls[kMostParameters];
    std::fill_n(nulls, kMostParameters, nulls_are);
    const Arena arena = current_arena();
    const int level = see_as_worker(command);
    SPI_connect();
    Watch watch = {text_of(kExplain, command, current_arena()), &command};
    watch_in_passing(&watch);
    SPIPlanPtr plan = analyse(watch, 0);
    check_code(SPI_execute_plan(plan, values, nulls, false, 0));
    watch_in_passing(nullptr);
    const Text lines = lines_of_result(arena);
    SPI_finish();
    AtEOXact_GUC(false, level);
    return lines;
}

std::int64_t execute(SPIPlanPtr plan, Range range) {
    Datum values[kMostParameters];
    char nulls[kMostParameters];
    std::fill_n(nulls, kMostParameters, ' ');
    check_columns(prepared.command.table, prepared.command.key.columns);
    range_values(prepared.command.key, range, values);
    running = {this_transaction(), GetCurrentSubTransactionId()};
    SPI_connect();
    check_code(SPI_execute_plan(plan, values, nulls, false, 0));
    const auto rows = static_cast<std::int64_t>(SPI_processed);
    SPI_finish();
    running.subtransaction = InvalidSubTransactionId;
    return rows;
}

void fire_deferred() {
    running = {this_transaction(), GetCurrentSubTransactionId()};
    AfterTriggerFireDeferred();
    running.subtransaction = InvalidSubTransactionId;
}

// Analysed anew without coming by the hook it would have run over the whole table, and must not be committed. Nor must
// it where a rule has come, which may have left rows out: the hook sees the command before rules are applied.
void check_restriction(SPIPlanPtr plan) {
    raise_if(check_rules({.is_rewritten = is_rewritten(plan)}));
    if (!takes_range(plan, prepared.command.key.columns.size()))
        elog(ERROR, "the command of a migration was not restricted to its range");
}

std::int64_t run_window_plan(const Slice &slice, std::span<bool> missed) {
    arm_window_scan(prepared.command.table, slice.rows, missed);
    const std::int64_t rows = execute(prepared.window_plan, slice.range);
    disarm_window_scan(); // a plan that knows that it will find nothing has no scan
    check_restriction(prepared.window_plan);
    if (!reads_by_window_scan(prepared.window_plan))
        elog(ERROR, "the command of a migration was not restricted to its window");
    return rows;
}

std::int64_t run_missed(const Slice &slice, std::span<const bool> missed) {
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < missed.size(); ++i)
        if (missed[i]) {
            const Key key = key_of_window_row(slice.rows[i].row, current_arena());
            rows += run_command({key, key}, Deferred::leave);
        }
    return rows;
}

void free_plan(SPIPlanPtr &plan) {
    if (plan != nullptr)
        SPI_freeplan(plan);
    plan = nullptr;
}

} // namespace

void inspect(const RangeCommand &command, CommandFacts &facts) {
    const Arena keep = current_arena();
    const int level = see_as_worker(command);
    SPI_connect();
    Watch watch = {text_of(kPlain, command, current_arena()), &command, &facts, 0, keep};
    watch_in_passing(&watch);
    SPIPlanPtr plan = analyse(watch, 0);
    watch_in_passing(nullptr);
    collect_rewritten(plan, command, facts);
    SPI_finish();
    AtEOXact_GUC(false, level);
}

// EXPLAIN starts the executor, which checks privileges, and runs nothing.
void check_privileges(const RangeCommand &command) {
    Datum values[kMostParameters] = {};
    (void)explain_with(command, values, 'n');
}

Text explain(const RangeCommand &command, Range range) {
    Datum values[kMostParameters];
    range_values(command.key, range, values);
    return explain_with(command, values, ' ');
}

void prepare_command(const RangeCommand &command) {
    if (is_running())
        raise(Refusal{"55000", "the command of a migration cannot run inside of another one", {}, {}});
    release_command();
    if (prepared.context.context == nullptr)
        prepared.context = make_context("bbm command");
    const Arena arena = prepared.context.arena();
    prepared.command = {copy(command.text, arena),
                        command.table,
                        copy(command.key, arena),
                        copy(command.scope, arena),
                        copy(command.known_as, arena),
                        command.has_placeholders,
                        copy(command.used_columns, arena),
                        {},
                        command.reads_windows,
                        command.meets_rows_twice};
    prepared.watch = {text_of(kPlain, command, arena), &prepared.command};
    prepared.window_watch = {text_of(kOfWindow, command, arena), &prepared.command};
    prepared.window_watch.reads_window = true;
    if (command.reads_windows)
        prepared.watch.other_form = &prepared.window_watch;
    watch_prepared(&prepared.watch);
    SPI_connect();
    prepared.plan = prepare_plan(prepared.watch);
    if (command.reads_windows)
        prepared.window_plan = prepare_window_plan(prepared.window_watch);
    SPI_finish();
}

bool is_command_prepared() { return prepared.plan != nullptr && is_watched(prepared.watch); }

std::int64_t run_command(Range range, Deferred deferred) {
    if (!is_command_prepared())
        elog(ERROR, "the command of a migration is not prepared");
    const std::int64_t rows = execute(prepared.plan, range);
    if (deferred == Deferred::fire)
        fire_deferred();
    check_restriction(prepared.plan);
    return rows;
}

std::int64_t run_slice(const Slice &slice, Deferred deferred) {
    if (!is_command_prepared())
        elog(ERROR, "the command of a migration is not prepared");
    const auto missed = make_array<bool>(current_arena(), slice.rows.size());
    std::int64_t rows = 0;
    if (prepared.window_plan != nullptr)
        rows = run_window_plan(slice, missed);
    else // a window that another process has opened, and passes are not wanted any more
        std::fill(missed.begin(), missed.end(), true);
    if (prepared.command.key.walk == Walk::keys)
        rows += run_missed(slice, missed);
    if (deferred == Deferred::fire)
        fire_deferred();
    return rows;
}

void release_command() {
    watch_prepared(nullptr);
    free_plan(prepared.plan);
    free_plan(prepared.window_plan);
    if (prepared.context.context != nullptr)
        prepared.context.reset();
}

} // namespace bbm::pg
