#include "core/keyset.hpp"
#include "heap_arena.hpp"

#include <string>
#include <vector>

namespace bbm {
namespace {

const std::vector<Text> kId = {"id"}, kBigint = {"bigint"};
const std::vector<Text> kTwo = {"tenant", "Order \"No\""}, kTwoTypes = {"uuid", "character varying(20)"};
const std::vector<Text> kThree = {"a", "b", "c"}, kThreeTypes = {"integer", "text", "date"};

const KeyWalk kOneColumn = {.table = "public.orders", .columns = kId, .types = kBigint, .scope = {}};
const KeyWalk kTwoColumns = {.table = "\"My Schema\".\"Orders\"", .columns = kTwo, .types = kTwoTypes, .scope = {}};
const KeyWalk kThreeColumns = {.table = "t", .columns = kThree, .types = kThreeTypes, .scope = {}};

TEST(keyset, next_range) {
    const struct {
        const char *what;
        KeyWalk walk;
        LowerBound lower;
        const char *expected;
    } cases[] = {
        {"one column, from the bound on", kOneColumn, LowerBound::inclusive,
         R"(SELECT * FROM (SELECT "id" FROM public.orders)"
         R"( WHERE ("id") OPERATOR(pg_catalog.>=) ($1::bigint) AND ("id") OPERATOR(pg_catalog.<=) ($2::bigint))"
         R"( ORDER BY "id" LIMIT 1) AS first LEFT JOIN (SELECT "id" FROM public.orders)"
         R"( WHERE ("id") OPERATOR(pg_catalog.>=) ($1::bigint) AND ("id") OPERATOR(pg_catalog.<=) ($2::bigint))"
         R"( ORDER BY "id" OFFSET $3 LIMIT 1) AS last ON true)"},
        {"one column, after the bound", kOneColumn, LowerBound::exclusive,
         R"(SELECT * FROM (SELECT "id" FROM public.orders)"
         R"( WHERE ("id") OPERATOR(pg_catalog.>) ($1::bigint) AND ("id") OPERATOR(pg_catalog.<=) ($2::bigint))"
         R"( ORDER BY "id" LIMIT 1) AS first LEFT JOIN (SELECT "id" FROM public.orders)"
         R"( WHERE ("id") OPERATOR(pg_catalog.>) ($1::bigint) AND ("id") OPERATOR(pg_catalog.<=) ($2::bigint))"
         R"( ORDER BY "id" OFFSET $3 LIMIT 1) AS last ON true)"},
        {"two columns, from the bound on", kTwoColumns, LowerBound::inclusive,
         R"(SELECT * FROM (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
         R"( WHERE ("tenant", "Order ""No""") OPERATOR(pg_catalog.>=) ($1::uuid, $2::character varying(20)))"
         R"( AND ("tenant", "Order ""No""") OPERATOR(pg_catalog.<=) ($3::uuid, $4::character varying(20)))"
         R"( ORDER BY "tenant", "Order ""No""" LIMIT 1) AS first)"
         R"( LEFT JOIN (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
         R"( WHERE ("tenant", "Order ""No""") OPERATOR(pg_catalog.>=) ($1::uuid, $2::character varying(20)))"
         R"( AND ("tenant", "Order ""No""") OPERATOR(pg_catalog.<=) ($3::uuid, $4::character varying(20)))"
         R"( ORDER BY "tenant", "Order ""No""" OFFSET $5 LIMIT 1) AS last ON true)"},
        {"two columns, after the bound", kTwoColumns, LowerBound::exclusive,
         R"(SELECT * FROM (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
         R"( WHERE ("tenant", "Order ""No""") OPERATOR(pg_catalog.>) ($1::uuid, $2::character varying(20)))"
         R"( AND ("tenant", "Order ""No""") OPERATOR(pg_catalog.<=) ($3::uuid, $4::character varying(20)))"
         R"( ORDER BY "tenant", "Order ""No""" LIMIT 1) AS first)"
         R"( LEFT JOIN (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
         R"( WHERE ("tenant", "Order ""No""") OPERATOR(pg_catalog.>) ($1::uuid, $2::character varying(20)))"
         R"( AND ("tenant", "Order ""No""") OPERATOR(pg_catalog.<=) ($3::uuid, $4::character varying(20)))"
         R"( ORDER BY "tenant", "Order ""No""" OFFSET $5 LIMIT 1) AS last ON true)"},
        {"three columns", kThreeColumns, LowerBound::exclusive,
         R"(SELECT * FROM (SELECT "a", "b", "c" FROM t)"
         R"( WHERE ("a", "b", "c") OPERATOR(pg_catalog.>) ($1::integer, $2::text, $3::date))"
         R"( AND ("a", "b", "c") OPERATOR(pg_catalog.<=) ($4::integer, $5::text, $6::date))"
         R"( ORDER BY "a", "b", "c" LIMIT 1) AS first LEFT JOIN (SELECT "a", "b", "c" FROM t)"
         R"( WHERE ("a", "b", "c") OPERATOR(pg_catalog.>) ($1::integer, $2::text, $3::date))"
         R"( AND ("a", "b", "c") OPERATOR(pg_catalog.<=) ($4::integer, $5::text, $6::date))"
         R"( ORDER BY "a", "b", "c" OFFSET $7 LIMIT 1) AS last ON true)"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        EXPECT_EQ(next_range_query(one.walk, one.lower, heap.arena()), one.expected) << one.what;
    }
}

// The filter stands in both halves, in parentheses of its own, and a comment at its end ends with its line.
TEST(keyset, the_scope_counts_matching_rows_only) {
    const struct {
        const char *what, *scope, *expected;
    } cases[] = {
        {"none", "", ""},
        {"a condition", "NOT archived", " AND (NOT archived\n)"},
        {"an alternative stays together", "a OR b", " AND (a OR b\n)"},
        {"a comment at the end", "x > 1 -- why", " AND (x > 1 -- why\n)"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        const KeyWalk walk = {.table = "t", .columns = kId, .types = kBigint, .scope = one.scope};
        const std::string keys = R"(SELECT "id" FROM t WHERE ("id") OPERATOR(pg_catalog.>) ($1::bigint))"
                                 R"( AND ("id") OPERATOR(pg_catalog.<=) ($2::bigint))" +
                                 std::string(one.expected) + R"( ORDER BY "id")";
        EXPECT_EQ(next_range_query(walk, LowerBound::exclusive, heap.arena()),
                  "SELECT * FROM (" + keys + " LIMIT 1) AS first LEFT JOIN (" + keys +
                      " OFFSET $3 LIMIT 1) AS last ON true")
            << one.what;
    }
}

TEST(keyset, numbers_of_two_digits) {
    const std::vector<Text> columns(6, "c"), types(6, "int");
    HeapArena heap;
    const Text query = next_range_query({.table = "t", .columns = columns, .types = types, .scope = {}},
                                        LowerBound::inclusive, heap.arena());
    EXPECT_NE(query.find("($7::int, $8::int, $9::int, $10::int, $11::int, $12::int)"), Text::npos) << query;
    EXPECT_NE(query.find(" OFFSET $13 LIMIT 1"), Text::npos) << query;
}

TEST(keyset, whole_range) {
    const struct {
        const char *what;
        KeyWalk walk;
        const char *expected;
    } cases[] = {
        {"one column", kOneColumn,
         R"(SELECT * FROM (SELECT "id" FROM public.orders ORDER BY "id" ASC LIMIT 1) AS first,)"
         R"( (SELECT "id" FROM public.orders ORDER BY "id" DESC LIMIT 1) AS last)"},
        {"two columns", kTwoColumns,
         R"(SELECT * FROM (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
         R"( ORDER BY "tenant" ASC, "Order ""No""" ASC LIMIT 1) AS first,)"
         R"( (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
         R"( ORDER BY "tenant" DESC, "Order ""No""" DESC LIMIT 1) AS last)"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        EXPECT_EQ(whole_range_query(one.walk, heap.arena()), one.expected) << one.what;
    }
}

// The frozen range is that of the table: rows that come to match later lie in it.
TEST(keyset, the_whole_range_knows_no_scope) {
    HeapArena heap;
    const KeyWalk walk = {.table = "t", .columns = kId, .types = kBigint, .scope = "NOT archived"};
    EXPECT_EQ(whole_range_query(walk, heap.arena()).find("archived"), Text::npos);
}

TEST(keys_query, of_all_keys_or_a_range) {
    const Text one[] = {"5"}, nine[] = {"it's 9"}, two[] = {"5", "a"}, last[] = {"9", "b"};
    const Range of_one = {one, nine}, of_two = {two, last};
    KeyWalk scoped = kOneColumn;
    scoped.scope = "n > 0 -- always";
    const struct {
        const char *what;
        KeyWalk walk;
        const Range *range;
        const char *expected;
    } cases[] = {
        {"all", kOneColumn, nullptr, "SELECT f() FROM public.orders WHERE true"},
        {"those of a range", kOneColumn, &of_one,
         R"(SELECT f() FROM public.orders WHERE true AND ("id") OPERATOR(pg_catalog.>=) ('5'::bigint))"
         R"( AND ("id") OPERATOR(pg_catalog.<=) ('it''s 9'::bigint))"},
        {"of two columns", kTwoColumns, &of_two,
         R"(SELECT f() FROM "My Schema"."Orders" WHERE true)"
         R"( AND ("tenant", "Order ""No""") OPERATOR(pg_catalog.>=) ('5'::uuid, 'a'::character varying(20)))"
         R"( AND ("tenant", "Order ""No""") OPERATOR(pg_catalog.<=) ('9'::uuid, 'b'::character varying(20)))"},
        {"those the filter lets pass", scoped, nullptr,
         "SELECT f() FROM public.orders WHERE true AND (n > 0 -- always\n)"},
    };
    for (const auto &one_case : cases) {
        HeapArena heap;
        EXPECT_EQ(keys_query(one_case.walk, "f()", one_case.range, heap.arena()), one_case.expected) << one_case.what;
    }
}

TEST(keyset, the_text_lives_in_the_arena) {
    HeapArena heap;
    std::string expected;
    Text query;
    {
        const std::string table = "a_schema_with_a_long_name.a_table_with_a_long_name";
        query = whole_range_query({.table = table, .columns = kId, .types = kBigint, .scope = {}}, heap.arena());
        expected = "SELECT * FROM (SELECT \"id\" FROM " + table +
                   " ORDER BY \"id\" ASC LIMIT 1) AS first, (SELECT \"id\" FROM " + table +
                   " ORDER BY \"id\" DESC LIMIT 1) AS last";
    }
    EXPECT_EQ(query, expected);
}

TEST(keyset, two_queries_of_one_arena_do_not_disturb_each_other) {
    HeapArena heap;
    const Text from = next_range_query(kOneColumn, LowerBound::inclusive, heap.arena());
    const std::string before(from);
    const Text after = next_range_query(kOneColumn, LowerBound::exclusive, heap.arena());
    EXPECT_EQ(from, before);
    EXPECT_NE(from, after);
}

TEST(keyset, survives_every_failing_allocation) {
    EXPECT_GE(
        sweep_out_of_memory([](Arena arena) { (void)next_range_query(kTwoColumns, LowerBound::inclusive, arena); }), 3);
    EXPECT_GE(
        sweep_out_of_memory([](Arena arena) { (void)next_range_query(kOneColumn, LowerBound::exclusive, arena); }), 3);
    EXPECT_GE(sweep_out_of_memory([](Arena arena) { (void)whole_range_query(kTwoColumns, arena); }), 3);
}

} // namespace
} // namespace bbm
