#include "pg/key_query.hpp"

#include "pg/block_range.hpp"
#include "pg/catalog.hpp"
#include "pg/index_jump.hpp"
#include "pg/key_value.hpp"
#include "pg/report.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
}

namespace bbm::pg {

namespace {

// Lower bound, upper bound, number of keys minus one.
constexpr std::size_t kMostParameters = 2 * kMostKeyColumns + 1;

// Of fewer keys the exact end costs nothing.
constexpr int kFewestToJump = 2000;

// The only good plan walks the index and stops; no estimate may talk the planner into another one. Foreign servers are
// asked for one arm of a range after the other.
int force_index_walk() {
    const int level = NewGUCNestLevel();
    for (const char *option : {"enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_async_append"})
        (void)set_config_option(option, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return level;
}

enum class Steps { counted, all };

SPIPlanPtr prepare(Text query, std::span<const KeyColumn> key, Steps steps = Steps::counted) {
    Oid types[kMostParameters];
    for (std::size_t i = 0; i < key.size(); ++i)
        types[i] = types[key.size() + i] = key[i].type;
    types[2 * key.size()] = INT8OID;
    const int count = static_cast<int>(2 * key.size() + (steps == Steps::counted));
    SPIPlanPtr plan = SPI_prepare_cursor(c_string(query), count, types, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr)
        elog(ERROR, "could not prepare the walk over a table: %s", SPI_result_code_string(SPI_result));
    SPI_keepplan(plan);
    return plan;
}

void free_plan(void *&plan) {
    if (plan != nullptr)
        SPI_freeplan(static_cast<SPIPlanPtr>(plan));
    plan = nullptr;
}

// The two keys of the only row; the second is empty where the query gave NULL.
std::optional<Range> read_keys(std::span<const KeyColumn> key, Arena arena) {
    if (SPI_processed == 0)
        return std::nullopt;
    HeapTuple row = SPI_tuptable->vals[0];
    TupleDesc description = SPI_tuptable->tupdesc;
    return Range{key_of_row(key, row, description, 1, arena),
                 key_of_row(key, row, description, 1 + static_cast<int>(key.size()), arena)};
}

bool sorts_before(const KeyQueries &queries, Key a, Key b) {
    Value left[kMostKeyColumns], right[kMostKeyColumns];
    key_values(queries.key(), a, left);
    key_values(queries.key(), b, right);
    for (std::size_t i = 0; i < queries.column_count; ++i) {
        const int order = compare(queries.columns[i], left[i], right[i]);
        if (order != 0)
            return (order < 0) != queries.descends[i];
    }
    return false;
}

bool is_by_blocks(Walk walk) { return walk == Walk::blocks || walk == Walk::sweep; }

void check_code(int code) {
    if (code < 0)
        elog(ERROR, "could not look for the next keys: %s", SPI_result_code_string(code));
}

} // namespace

void prepare_key_queries(KeyQueries &queries, Text table, const TableKey &key, Text scope) {
    release_key_queries(queries);
    std::copy(key.columns.begin(), key.columns.end(), queries.columns);
    queries.column_count = key.columns.size();
    queries.table = key.table;
    queries.walk = key.walk;
    queries.is_filtered = !scope.empty();
    std::transform(key.walk_columns.begin(), key.walk_columns.end(), queries.descends,
                   [](const WalkColumn &column) { return column.is_descending; });
    const KeyWalk walk = walk_of(table, key, scope);
    SPI_connect();
    if (scope.empty() && (key.walk == Walk::keys || key.walk == Walk::blocks)) { // windows have all rows
        const Arena arena = current_arena();
        queries.window_inclusive = prepare(window_query(walk, LowerBound::inclusive, arena), key.columns, Steps::all);
        queries.window_exclusive = prepare(window_query(walk, LowerBound::exclusive, arena), key.columns, Steps::all);
    }
    if (is_by_blocks(key.walk)) {
        SPI_finish();
        return;
    }
    queries.inclusive = prepare(next_range_query(walk, LowerBound::inclusive, current_arena()), key.columns);
    queries.exclusive = prepare(next_range_query(walk, LowerBound::exclusive, current_arena()), key.columns);
    SPI_finish();
}

void release_key_queries(KeyQueries &queries) {
    free_plan(queries.inclusive);
    free_plan(queries.exclusive);
    free_plan(queries.window_inclusive);
    free_plan(queries.window_exclusive);
}

std::optional<NextRange> find_next_range(const KeyQueries &queries, Lower lower, Key upper, int keys, Arena arena) {
    if (is_by_blocks(queries.walk))
        return find_next_blocks(queries, lower, upper, keys, arena);
    const std::size_t parts = queries.column_count;
    Datum values[kMostParameters];
    char nulls[kMostParameters];
    std::fill_n(nulls, kMostParameters, ' ');
    check_columns(queries.table, queries.key());
    key_values(queries.key(), lower.key, values);
    key_values(queries.key(), upper, values + parts);
    values[2 * parts] = Int64GetDatum(keys - 1);
    const int level = force_index_walk();
    // Taken with the table's lock held: for a snapshot from before a rewrite (ALTER TABLE) the table is empty.
    PushActiveSnapshot(GetLatestSnapshot());
    SPI_connect();
    void *plan = lower.kind == LowerBound::inclusive ? queries.inclusive : queries.exclusive;
    check_code(SPI_execute_plan(static_cast<SPIPlanPtr>(plan), values, nulls, true, 1));
    std::optional<Range> found = read_keys(queries.key(), arena);
    SPI_finish();
    PopActiveSnapshot();
    AtEOXact_GUC(false, level);
    if (!found)
        return std::nullopt;
    const bool is_full = !found->max.empty();
    return NextRange{{found->min, is_full ? found->max : upper}, is_full, !is_full || same_key(found->max, upper)};
}

std::optional<NextRange> find_about_next_range(const KeyQueries &queries, Lower lower, Key upper, int keys,
                                               Arena arena) {
    using Landing = IndexJump::Landing;
    if (queries.walk != Walk::keys || queries.is_filtered || keys < kFewestToJump)
        return find_next_range(queries, lower, upper, keys, arena);
    const auto first = find_next_range(queries, lower, upper, 1, arena);
    if (!first || first->is_last)
        return first;
    const Key min = first->range.min;
    PushActiveSnapshot(GetLatestSnapshot());
    const IndexJump end = jump(queries.table, queries.key(), queries.descends, min, keys, arena);
    PopActiveSnapshot();
    if (end.landing == Landing::behind_all ||
        (end.landing == Landing::on_key && !sorts_before(queries, end.key, upper)))
        return NextRange{{min, upper}, false, true};
    if (end.landing == Landing::on_key && sorts_before(queries, min, end.key))
        return NextRange{{min, end.key}, true, false};
    return find_next_range(queries, lower, upper, keys, arena);
}

void read_window(const KeyQueries &queries, Lower lower, Key upper, int rows, void *receiver) {
    const std::size_t parts = queries.column_count;
    Datum values[kMostParameters];
    check_columns(queries.table, queries.key());
    key_values(queries.key(), lower.key, values);
    key_values(queries.key(), upper, values + parts);
    ParamListInfo parameters = makeParamList(static_cast<int>(2 * parts));
    for (std::size_t i = 0; i < 2 * parts; ++i)
        parameters->params[i] = {values[i], false, PARAM_FLAG_CONST, queries.columns[i % parts].type};
    SPIExecuteOptions options = {};
    options.params = parameters;
    options.read_only = true;
    options.tcount = static_cast<uint64>(rows);
    options.dest = static_cast<DestReceiver *>(receiver);
    const int level = force_index_walk();
    PushActiveSnapshot(GetLatestSnapshot());
    SPI_connect();
    void *plan = lower.kind == LowerBound::inclusive ? queries.window_inclusive : queries.window_exclusive;
    check_code(SPI_execute_plan_extended(static_cast<SPIPlanPtr>(plan), &options));
    SPI_finish();
    PopActiveSnapshot();
    AtEOXact_GUC(false, level);
}

std::optional<Range> find_whole_range(Text table, const TableKey &key, Arena arena) {
    if (is_by_blocks(key.walk))
        return find_all_blocks(key.table, arena);
    const int level = force_index_walk();
    PushActiveSnapshot(GetLatestSnapshot());
    SPI_connect();
    check_code(SPI_execute(c_string(whole_range_query(walk_of(table, key), current_arena())), true, 1));
    const std::optional<Range> found = read_keys(key.columns, arena);
    SPI_finish();
    PopActiveSnapshot();
    AtEOXact_GUC(false, level);
    return found;
}

std::int64_t estimated_rows(const KeyWalk &walk, std::uint32_t table, const Range *range) {
    const std::int64_t all = estimated_rows(table);
    if ((walk.scope.empty() && range == nullptr) || all < 0)
        return all;
    SPI_connect();
    SPIPlanPtr plan = SPI_prepare(c_string(keys_query(walk, "", range, current_arena())), 0, nullptr);
    CachedPlan *planned = plan == nullptr ? nullptr : SPI_plan_get_cached_plan(plan);
    if (planned == nullptr)
        elog(ERROR, "could not plan the walk over a table: %s", SPI_result_code_string(SPI_result));
    const auto rows = static_cast<std::int64_t>(linitial_node(PlannedStmt, planned->stmt_list)->planTree->plan_rows);
    ReleaseCachedPlan(planned, nullptr); // a plan that is not kept belongs to no resource owner
    SPI_finish();
    return rows;
}

std::int64_t count_rows(const KeyWalk &walk, Range range) {
    SPI_connect();
    check_code(SPI_execute(c_string(keys_query(walk, "pg_catalog.count(*)", &range, current_arena())), true, 1));
    bool is_null;
    const std::int64_t rows = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
    SPI_finish();
    return rows;
}

bool has_row(const KeyWalk &walk) {
    SPI_connect();
    check_code(SPI_execute(c_string(keys_query(walk, "", nullptr, current_arena())), true, 1));
    const bool found = SPI_processed > 0;
    SPI_finish();
    return found;
}

} // namespace bbm::pg
