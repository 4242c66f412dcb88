#include "pg/key_query.hpp"

#include "pg/catalog.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"
}

namespace bbm::pg {

namespace {

constexpr int kParameters = 3; // lower, upper, number of keys minus one

// The only good plan walks the index and stops; no estimate may talk the planner into another one.
int force_index_walk() {
    const int level = NewGUCNestLevel();
    for (const char *option : {"enable_seqscan", "enable_bitmapscan", "enable_sort"})
        (void)set_config_option(option, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return level;
}

SPIPlanPtr prepare(Text query, Oid type) {
    Oid types[kParameters] = {type, type, INT8OID};
    SPIPlanPtr plan = SPI_prepare_cursor(c_string(query), kParameters, types, CURSOR_OPT_GENERIC_PLAN);
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

Datum key_datum(Text value, Oid type) {
    Oid input, argument;
    getTypeInputInfo(type, &input, &argument);
    return OidInputFunctionCall(input, c_string(value), argument, -1);
}

Key key_of(const char *value, Arena arena) {
    const auto key = make_array<Text>(arena, 1);
    key[0] = copy(Text(value), arena);
    return key;
}

// The two keys of the only row; the second is empty where the query gave NULL.
std::optional<Range> read_keys(Arena arena) {
    if (SPI_processed == 0)
        return std::nullopt;
    const char *first = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
    const char *last = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2);
    return Range{key_of(first, arena), last == nullptr ? Key{} : key_of(last, arena)};
}

void check_code(int code) {
    if (code < 0)
        elog(ERROR, "could not look for the next keys: %s", SPI_result_code_string(code));
}

} // namespace

void prepare_key_queries(KeyQueries &queries, const KeyWalk &walk, std::uint32_t key_type) {
    release_key_queries(queries);
    queries.type = key_type;
    SPI_connect();
    queries.inclusive = prepare(next_range_query(walk, LowerBound::inclusive, current_arena()), key_type);
    queries.exclusive = prepare(next_range_query(walk, LowerBound::exclusive, current_arena()), key_type);
    SPI_finish();
}

void release_key_queries(KeyQueries &queries) {
    free_plan(queries.inclusive);
    free_plan(queries.exclusive);
}

std::optional<NextRange> find_next_range(const KeyQueries &queries, Lower lower, Key upper, int keys, Arena arena) {
    Datum values[kParameters] = {key_datum(lower.key[0], queries.type), key_datum(upper[0], queries.type),
                                 Int64GetDatum(keys - 1)};
    const int level = force_index_walk();
    // Taken with the table's lock held: for a snapshot from before a rewrite (ALTER TABLE) the table is empty.
    PushActiveSnapshot(GetLatestSnapshot());
    SPI_connect();
    void *plan = lower.kind == LowerBound::inclusive ? queries.inclusive : queries.exclusive;
    check_code(SPI_execute_plan(static_cast<SPIPlanPtr>(plan), values, "   ", true, 1));
    std::optional<Range> found = read_keys(arena);
    SPI_finish();
    PopActiveSnapshot();
    AtEOXact_GUC(false, level);
    if (!found)
        return std::nullopt;
    const bool is_full = !found->max.empty();
    return NextRange{{found->min, is_full ? found->max : upper}, is_full, !is_full || found->max[0] == upper[0]};
}

std::optional<Range> find_whole_range(const KeyWalk &walk, Arena arena) {
    const int level = force_index_walk();
    PushActiveSnapshot(GetLatestSnapshot());
    SPI_connect();
    check_code(SPI_execute(c_string(whole_range_query(walk, current_arena())), true, 1));
    const std::optional<Range> found = read_keys(arena);
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

Text normal_form(Text value, std::uint32_t type) {
    Oid output;
    bool is_varlena;
    getTypeOutputInfo(type, &output, &is_varlena);
    return Text(OidOutputFunctionCall(output, key_datum(value, type)));
}

bool is_ordered(Text a, Text b, std::uint32_t type) {
    const TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_CMP_PROC_FINFO);
    const Datum order = FunctionCall2Coll(const_cast<FmgrInfo *>(&entry->cmp_proc_finfo), entry->typcollation,
                                          key_datum(a, type), key_datum(b, type));
    return DatumGetInt32(order) <= 0;
}

} // namespace bbm::pg
