#include "pg/key_query.hpp"

#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace bbm::pg {

namespace {

struct Prepared {
    SPIPlanPtr inclusive;
    SPIPlanPtr exclusive;
    Oid type;
};

Prepared prepared = {};

constexpr int kParameters = 3; // lower, upper, number of keys minus one

// The only good plan walks the index and stops; no estimate may talk the planner into another one.
int force_index_walk() {
    const int level = NewGUCNestLevel();
    for (const char *option : {"enable_seqscan", "enable_bitmapscan", "enable_sort"})
        (void)set_config_option(option, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return level;
}

SPIPlanPtr prepare(Text query) {
    Oid types[kParameters] = {prepared.type, prepared.type, INT8OID};
    SPIPlanPtr plan = SPI_prepare_cursor(c_string(query), kParameters, types, CURSOR_OPT_GENERIC_PLAN);
    if (plan == nullptr)
        elog(ERROR, "could not prepare the walk over a table: %s", SPI_result_code_string(SPI_result));
    SPI_keepplan(plan);
    return plan;
}

void free_plan(SPIPlanPtr &plan) {
    if (plan != nullptr)
        SPI_freeplan(plan);
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

void prepare_key_queries(const KeyWalk &walk, std::uint32_t key_type) {
    release_key_queries();
    prepared.type = key_type;
    SPI_connect();
    prepared.inclusive = prepare(next_range_query(walk, LowerBound::inclusive, current_arena()));
    prepared.exclusive = prepare(next_range_query(walk, LowerBound::exclusive, current_arena()));
    SPI_finish();
}

void release_key_queries() {
    free_plan(prepared.inclusive);
    free_plan(prepared.exclusive);
}

std::optional<NextRange> find_next_range(Lower lower, Key upper, int keys, Arena arena) {
    Datum values[kParameters] = {key_datum(lower.key[0], prepared.type), key_datum(upper[0], prepared.type),
                                 Int64GetDatum(keys - 1)};
    const int level = force_index_walk();
    SPI_connect();
    SPIPlanPtr plan = lower.kind == LowerBound::inclusive ? prepared.inclusive : prepared.exclusive;
    check_code(SPI_execute_plan(plan, values, "   ", true, 1));
    std::optional<Range> found = read_keys(arena);
    SPI_finish();
    AtEOXact_GUC(true, level);
    if (!found)
        return std::nullopt;
    const bool is_full = !found->max.empty();
    return NextRange{{found->min, is_full ? found->max : upper}, is_full, !is_full || found->max[0] == upper[0]};
}

std::optional<Range> find_whole_range(const KeyWalk &walk, Arena arena) {
    const int level = force_index_walk();
    SPI_connect();
    check_code(SPI_execute(c_string(whole_range_query(walk, current_arena())), true, 1));
    const std::optional<Range> found = read_keys(arena);
    SPI_finish();
    AtEOXact_GUC(true, level);
    return found;
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
