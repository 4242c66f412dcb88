#include "core/keyset.hpp"
#include "heap_arena.hpp"

#include <string>
#include <vector>

namespace bbm {
namespace {

WalkColumn column(Text name, Text type) {
    return {.name = name,
            .type = type,
            .collation = {},
            .less = "pg_catalog.<",
            .less_or_equal = "pg_catalog.<=",
            .equal = "pg_catalog.=",
            .greater_or_equal = "pg_catalog.>=",
            .greater = "pg_catalog.>"};
}

WalkColumn descending(WalkColumn column) {
    column.is_descending = column.nulls_first = true;
    return column;
}

WalkColumn by_pattern(Text name) {
    return {.name = name,
            .type = "pg_catalog.text",
            .collation = {},
            .less = "pg_catalog.~<~",
            .less_or_equal = "pg_catalog.~<=~",
            .equal = "pg_catalog.=",
            .greater_or_equal = "pg_catalog.~>=~",
            .greater = "pg_catalog.~>~"};
}

WalkColumn collated(WalkColumn column, Text collation) {
    column.collation = collation;
    return column;
}

const std::vector<WalkColumn> kId = {column("id", "bigint")};
const std::vector<WalkColumn> kTwo = {column("tenant", "pg_catalog.uuid"), column("Order \"No\"", "\"My\".kind")};
const std::vector<WalkColumn> kThree = {column("a", "integer"), column("b", "text"), column("c", "date")};
const std::vector<WalkColumn> kMixed = {column("a", "integer"), descending(column("b", "text")), column("c", "date")};

const KeyWalk kOneColumn = {.table = "public.orders", .columns = kId};
const KeyWalk kTwoColumns = {.table = "\"My Schema\".\"Orders\"", .columns = kTwo};
const KeyWalk kThreeColumns = {.table = "t", .columns = kThree};

// A walk over several keys of the table t.
KeyWalk over(const std::vector<WalkColumn> &columns) { return {.table = "t", .columns = columns}; }

TEST(keyset, next_range) {
    const struct {
        const char *what;
        KeyWalk walk;
        LowerBound lower;
        const char *keys, *offset;
    } cases[] = {
        {"one column, from the bound on", kOneColumn, LowerBound::inclusive,
         R"(SELECT "id" FROM public.orders)"
         R"( WHERE "id" OPERATOR(pg_catalog.>=) $1::bigint AND "id" OPERATOR(pg_catalog.<=) $2::bigint)"
         R"( ORDER BY "id" USING OPERATOR(pg_catalog.<))",
         "$3"},
        {"one column, after the bound", kOneColumn, LowerBound::exclusive,
         R"(SELECT "id" FROM public.orders)"
         R"( WHERE "id" OPERATOR(pg_catalog.>) $1::bigint AND "id" OPERATOR(pg_catalog.<=) $2::bigint)"
         R"( ORDER BY "id" USING OPERATOR(pg_catalog.<))",
         "$3"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        const std::string keys = one.keys;
        EXPECT_EQ(next_range_query(one.walk, one.lower, heap.arena()),
                  "SELECT * FROM (" + keys + " LIMIT 1) AS first LEFT JOIN (" + keys + " OFFSET " + one.offset +
                      " LIMIT 1) AS last ON true")
            << one.what;
    }
}

TEST(keyset, range_condition) {
    const std::vector<WalkColumn> pattern = {by_pattern("a")};
    const std::vector<WalkColumn> foreign = {column("a", "int"), by_pattern("b")};
    const struct {
        const char *what;
        KeyWalk walk;
        const char *expected;
    } cases[] = {
        {"one column", kOneColumn,
         R"("id" OPERATOR(pg_catalog.>=) $1::bigint AND "id" OPERATOR(pg_catalog.<=) $2::bigint)"},
        {"several columns", kTwoColumns,
         R"((("tenant" OPERATOR(pg_catalog.>=) $1::pg_catalog.uuid AND "tenant" OPERATOR(pg_catalog.<=) $3::pg_catalog.uuid)"
         R"( AND "tenant" OPERATOR(pg_catalog.=))"
         R"( CASE WHEN $1::pg_catalog.uuid OPERATOR(pg_catalog.<) $3::pg_catalog.uuid THEN $1::pg_catalog.uuid END)"
         R"( AND "Order ""No""" OPERATOR(pg_catalog.>=) $2::"My".kind))"
         R"( OR ("tenant" OPERATOR(pg_catalog.>) $1::pg_catalog.uuid AND "tenant" OPERATOR(pg_catalog.<) $3::pg_catalog.uuid))"
         R"( OR ("tenant" OPERATOR(pg_catalog.=))"
         R"( CASE WHEN $1::pg_catalog.uuid OPERATOR(pg_catalog.=) $3::pg_catalog.uuid THEN $1::pg_catalog.uuid END)"
         R"( AND "Order ""No""" OPERATOR(pg_catalog.>=) $2::"My".kind AND "Order ""No""" OPERATOR(pg_catalog.<=) $4::"My".kind))"
         R"( OR ("tenant" OPERATOR(pg_catalog.>=) $1::pg_catalog.uuid AND "tenant" OPERATOR(pg_catalog.<=) $3::pg_catalog.uuid)"
         R"( AND "tenant" OPERATOR(pg_catalog.=))"
         R"( CASE WHEN $1::pg_catalog.uuid OPERATOR(pg_catalog.<) $3::pg_catalog.uuid THEN $3::pg_catalog.uuid END)"
         R"( AND "Order ""No""" OPERATOR(pg_catalog.<=) $4::"My".kind)))"},
        {"other operators", over(pattern),
         R"("a" OPERATOR(pg_catalog.~>=~) $1::pg_catalog.text AND "a" OPERATOR(pg_catalog.~<=~) $2::pg_catalog.text)"},
        {"operators that differ", over(foreign),
         R"((("a" OPERATOR(pg_catalog.>=) $1::int AND "a" OPERATOR(pg_catalog.<=) $3::int)"
         R"( AND "a" OPERATOR(pg_catalog.=) CASE WHEN $1::int OPERATOR(pg_catalog.<) $3::int THEN $1::int END)"
         R"( AND "b" OPERATOR(pg_catalog.~>=~) $2::pg_catalog.text))"
         R"( OR ("a" OPERATOR(pg_catalog.>) $1::int AND "a" OPERATOR(pg_catalog.<) $3::int))"
         R"( OR ("a" OPERATOR(pg_catalog.=) CASE WHEN $1::int OPERATOR(pg_catalog.=) $3::int THEN $1::int END)"
         R"( AND "b" OPERATOR(pg_catalog.~>=~) $2::pg_catalog.text AND "b" OPERATOR(pg_catalog.~<=~) $4::pg_catalog.text))"
         R"( OR ("a" OPERATOR(pg_catalog.>=) $1::int AND "a" OPERATOR(pg_catalog.<=) $3::int)"
         R"( AND "a" OPERATOR(pg_catalog.=) CASE WHEN $1::int OPERATOR(pg_catalog.<) $3::int THEN $3::int END)"
         R"( AND "b" OPERATOR(pg_catalog.~<=~) $4::pg_catalog.text)))"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        EXPECT_EQ(range_condition(one.walk, heap.arena()), one.expected) << one.what;
    }
}

// Arm by arm, in the order of the walk: what keys share with the lower bound, what lies between, what they share with the
// upper one.
TEST(keyset, next_range_of_several_columns) {
    const std::vector<WalkColumn> collations = {collated(column("a", "text"), "x"), descending(column("b", "int")),
                                                column("c", "int")};
    const std::string hint = R"("a" COLLATE x OPERATOR(pg_catalog.>=) $1::text AND "a" COLLATE x OPERATOR(pg_catalog.<=) $4::text AND )";
    const std::string first = R"("a" COLLATE x OPERATOR(pg_catalog.=) CASE WHEN )";
    const std::string one_differs = R"($1::text COLLATE x OPERATOR(pg_catalog.<) $4::text)";
    const std::string two_differ =
        one_differs + R"( OR ($1::text COLLATE x OPERATOR(pg_catalog.=) $4::text AND ($2::int OPERATOR(pg_catalog.>) $5::int)))";
    const std::string one_is_shared = R"($1::text COLLATE x OPERATOR(pg_catalog.=) $4::text)";
    const std::string two_are_shared = one_is_shared + R"( AND $2::int OPERATOR(pg_catalog.=) $5::int)";
    const std::string arms[] = {
        hint + first + two_differ + R"( THEN $1::text END AND "b" OPERATOR(pg_catalog.=) $2::int AND "c" OPERATOR(pg_catalog.>) $3::int)",
        hint + first + one_differs + R"( THEN $1::text END AND "b" OPERATOR(pg_catalog.<) $2::int)",
        R"("a" COLLATE x OPERATOR(pg_catalog.>) $1::text AND "a" COLLATE x OPERATOR(pg_catalog.<) $4::text)",
        first + one_is_shared +
            R"( THEN $1::text END AND "b" OPERATOR(pg_catalog.<) $2::int AND "b" OPERATOR(pg_catalog.>) $5::int)",
        first + two_are_shared +
            R"( THEN $1::text END AND "b" OPERATOR(pg_catalog.=) $2::int)"
            R"( AND "c" OPERATOR(pg_catalog.>) $3::int AND "c" OPERATOR(pg_catalog.<=) $6::int)",
        hint + first + one_differs + R"( THEN $4::text END AND "b" OPERATOR(pg_catalog.>) $5::int)",
        hint + first + two_differ + R"( THEN $4::text END AND "b" OPERATOR(pg_catalog.=) $5::int AND "c" OPERATOR(pg_catalog.<=) $6::int)",
    };
    const auto keys = [&](const std::string &limit) {
        std::string out = "SELECT * FROM (";
        for (const std::string &arm : arms)
            out += (&arm == arms ? "(" : ") UNION ALL (") + std::string(R"(SELECT "a", "b", "c" FROM t WHERE )") + arm +
                   " AND (s\n)" +
                   R"( ORDER BY "a" COLLATE x USING OPERATOR(pg_catalog.<), "b" USING OPERATOR(pg_catalog.>))" +
                   R"(, "c" USING OPERATOR(pg_catalog.<) LIMIT )" + limit;
        return out + ")) AS keys";
    };
    HeapArena heap;
    const KeyWalk walk = {.table = "t", .columns = collations, .scope = "s"};
    EXPECT_EQ(next_range_query(walk, LowerBound::exclusive, heap.arena()),
              "SELECT * FROM (" + keys("1") + " LIMIT 1) AS first LEFT JOIN (" + keys("$7 OPERATOR(pg_catalog.+) 1") +
                  " OFFSET $7 LIMIT 1) AS last ON true");
}

// The lower bound is a key of the range only where the range says so, the upper one always.
TEST(keyset, a_bound_of_several_columns_belongs_to_the_range_by_its_last_column) {
    const std::vector<WalkColumn> columns = {column("a", "int"), descending(column("b", "int"))};
    HeapArena heap;
    const Text from = next_range_query(over(columns), LowerBound::inclusive, heap.arena());
    const Text behind = next_range_query(over(columns), LowerBound::exclusive, heap.arena());
    EXPECT_NE(from.find(R"("b" OPERATOR(pg_catalog.<=) $2::int)"), Text::npos) << from;
    EXPECT_EQ(from.find(R"("b" OPERATOR(pg_catalog.<) $2::int)"), Text::npos) << from;
    EXPECT_NE(behind.find(R"("b" OPERATOR(pg_catalog.<) $2::int)"), Text::npos) << behind;
    EXPECT_EQ(behind.find(R"("b" OPERATOR(pg_catalog.<=) $2::int)"), Text::npos) << behind;
    for (const Text query : {from, behind})
        EXPECT_NE(query.find(R"("b" OPERATOR(pg_catalog.>=) $4::int)"), Text::npos) << query;
}

TEST(keyset, a_single_column_that_descends) {
    const std::vector<WalkColumn> columns = {descending(column("a", "int"))};
    HeapArena heap;
    EXPECT_EQ(range_condition(over(columns), heap.arena()),
              R"("a" OPERATOR(pg_catalog.<=) $1::int AND "a" OPERATOR(pg_catalog.>=) $2::int)");
}

// The planner walks the index only if the order is exactly that of the index, forwards or backwards.
TEST(keyset, the_order_is_that_of_the_index) {
    WalkColumn nulls_first = column("a", "int"), nulls_last = descending(column("a", "int"));
    nulls_first.nulls_first = true;
    nulls_last.nulls_first = false;
    const std::vector<WalkColumn> up = {column("a", "int")}, down = {descending(column("a", "int"))},
                                  up_first = {nulls_first}, down_last = {nulls_last}, pattern = {by_pattern("a")},
                                  german = {collated(column("a", "text"), "public.de")};
    const struct {
        const char *what;
        KeyWalk walk;
        const char *forwards, *backwards;
    } cases[] = {
        {"up", over(up), R"("a" USING OPERATOR(pg_catalog.<))", R"("a" USING OPERATOR(pg_catalog.>))"},
        {"down", over(down), R"("a" USING OPERATOR(pg_catalog.>))", R"("a" USING OPERATOR(pg_catalog.<))"},
        {"up, nulls first", over(up_first), R"("a" USING OPERATOR(pg_catalog.<) NULLS FIRST)",
         R"("a" USING OPERATOR(pg_catalog.>) NULLS LAST)"},
        {"down, nulls last", over(down_last), R"("a" USING OPERATOR(pg_catalog.>) NULLS LAST)",
         R"("a" USING OPERATOR(pg_catalog.<) NULLS FIRST)"},
        {"other operators", over(pattern), R"("a" USING OPERATOR(pg_catalog.~<~))",
         R"("a" USING OPERATOR(pg_catalog.~>~))"},
        {"another collation", over(german), R"("a" COLLATE public.de USING OPERATOR(pg_catalog.<))",
         R"("a" COLLATE public.de USING OPERATOR(pg_catalog.>))"},
        {"mixed", over(kMixed),
         R"("a" USING OPERATOR(pg_catalog.<), "b" USING OPERATOR(pg_catalog.>), "c" USING OPERATOR(pg_catalog.<))",
         R"("a" USING OPERATOR(pg_catalog.>), "b" USING OPERATOR(pg_catalog.<), "c" USING OPERATOR(pg_catalog.>))"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        const std::string forwards = std::string(" ORDER BY ") + one.forwards + " LIMIT 1)";
        const std::string backwards = std::string(" ORDER BY ") + one.backwards + " LIMIT 1)";
        const Text whole = whole_range_query(one.walk, heap.arena());
        EXPECT_NE(whole.find(forwards + " AS first"), Text::npos) << one.what << ": " << whole;
        EXPECT_NE(whole.find(backwards + " AS last"), Text::npos) << one.what << ": " << whole;
        const Text next = next_range_query(one.walk, LowerBound::inclusive, heap.arena());
        EXPECT_NE(next.find(std::string(" ORDER BY ") + one.forwards), Text::npos) << one.what << ": " << next;
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
        const KeyWalk walk = {.table = "t", .columns = kId, .scope = one.scope};
        const std::string keys = R"(SELECT "id" FROM t WHERE "id" OPERATOR(pg_catalog.>) $1::bigint)"
                                 R"( AND "id" OPERATOR(pg_catalog.<=) $2::bigint)" +
                                 std::string(one.expected) + R"( ORDER BY "id" USING OPERATOR(pg_catalog.<))";
        EXPECT_EQ(next_range_query(walk, LowerBound::exclusive, heap.arena()),
                  "SELECT * FROM (" + keys + " LIMIT 1) AS first LEFT JOIN (" + keys +
                      " OFFSET $3 LIMIT 1) AS last ON true")
            << one.what;
    }
}

TEST(keyset, numbers_of_two_digits) {
    const std::vector<WalkColumn> columns(6, column("c", "int"));
    HeapArena heap;
    const Text query = next_range_query(over(columns), LowerBound::inclusive, heap.arena());
    EXPECT_NE(query.find("$6::int AND \"c\" OPERATOR(pg_catalog.<=) $12::int"), Text::npos) << query;
    EXPECT_NE(query.find(" OFFSET $13 LIMIT 1"), Text::npos) << query;
}

TEST(keyset, whole_range) {
    HeapArena heap;
    EXPECT_EQ(whole_range_query(kTwoColumns, heap.arena()),
              R"(SELECT * FROM (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
              R"( ORDER BY "tenant" USING OPERATOR(pg_catalog.<), "Order ""No""" USING OPERATOR(pg_catalog.<))"
              R"( LIMIT 1) AS first, (SELECT "tenant", "Order ""No""" FROM "My Schema"."Orders")"
              R"( ORDER BY "tenant" USING OPERATOR(pg_catalog.>), "Order ""No""" USING OPERATOR(pg_catalog.>))"
              R"( LIMIT 1) AS last)");
}

// The frozen range is that of the table: rows that come to match later lie in it.
TEST(keyset, the_scope_is_no_part_of_the_whole_range_and_of_the_condition) {
    HeapArena heap;
    const KeyWalk walk = {.table = "t", .columns = kId, .scope = "NOT archived"};
    EXPECT_EQ(whole_range_query(walk, heap.arena()).find("archived"), Text::npos);
    EXPECT_EQ(range_condition(walk, heap.arena()).find("archived"), Text::npos);
}

TEST(keyset, keys_of_all_or_of_a_range) {
    const Text one[] = {"5"}, nine[] = {"it's 9"}, two[] = {"5", "a\\b"}, last[] = {"9", ""};
    const Range of_one = {one, nine}, of_two = {two, last};
    const std::vector<WalkColumn> mixed = {column("a", "int"), descending(column("b", "text"))};
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
         R"(SELECT f() FROM public.orders WHERE true AND "id" OPERATOR(pg_catalog.>=) '5'::bigint)"
         R"( AND "id" OPERATOR(pg_catalog.<=) 'it''s 9'::bigint)"},
        {"of several columns; no range for the estimate, which sees the bounds", over(mixed), &of_two,
         R"(SELECT f() FROM t WHERE true AND ()"
         R"(("a" OPERATOR(pg_catalog.=) CASE WHEN '5'::int OPERATOR(pg_catalog.<) '9'::int THEN '5'::int END)"
         R"( AND "b" OPERATOR(pg_catalog.<=)  E'a\\b'::text))"
         R"( OR ("a" OPERATOR(pg_catalog.>) '5'::int AND "a" OPERATOR(pg_catalog.<) '9'::int))"
         R"( OR ("a" OPERATOR(pg_catalog.=) CASE WHEN '5'::int OPERATOR(pg_catalog.=) '9'::int THEN '5'::int END)"
         R"( AND "b" OPERATOR(pg_catalog.<=)  E'a\\b'::text AND "b" OPERATOR(pg_catalog.>=) ''::text))"
         R"( OR ("a" OPERATOR(pg_catalog.=) CASE WHEN '5'::int OPERATOR(pg_catalog.<) '9'::int THEN '9'::int END)"
         R"( AND "b" OPERATOR(pg_catalog.>=) ''::text)))"},
        {"those the filter lets pass", scoped, nullptr,
         "SELECT f() FROM public.orders WHERE true AND (n > 0 -- always\n)"},
    };
    for (const auto &one_case : cases) {
        HeapArena heap;
        EXPECT_EQ(keys_query(one_case.walk, "f()", one_case.range, heap.arena()), one_case.expected) << one_case.what;
    }
}

WalkColumn nullable(WalkColumn column) {
    column.may_be_null = true;
    return column;
}

// One look into the index for each value: from one to the next. No name of a column's can be taken for one of ours.
// Where rows are, who put them there, and their keys, in the order of the walk.
TEST(keyset, rows_of_a_window) {
    HeapArena heap;
    EXPECT_EQ(window_query(kOneColumn, LowerBound::inclusive, heap.arena()),
              R"((SELECT ctid, xmin, "id" FROM public.orders)"
              R"( WHERE "id" OPERATOR(pg_catalog.>=) $1::bigint AND "id" OPERATOR(pg_catalog.<=) $2::bigint)"
              R"( ORDER BY "id" USING OPERATOR(pg_catalog.<)))");
}

TEST(keyset, rows_of_a_window_of_several_columns) {
    for (const auto &columns : {kTwo, kThree, kMixed})
        for (const auto lower : {LowerBound::inclusive, LowerBound::exclusive}) {
            HeapArena heap;
            const KeyWalk walk = over(columns);
            const std::string query(window_query(walk, lower, heap.arena()));
            // The same arms as where the next keys are looked for, from the first one on, without their limits.
            std::string keys(next_range_query(walk, lower, heap.arena()));
            keys = keys.substr(0, keys.find(") AS keys"));
            keys = keys.substr(keys.find("(("));
            for (std::size_t found; (found = keys.find(" LIMIT 1)")) != std::string::npos;)
                keys.erase(found, 8);
            for (std::size_t found = 0; (found = keys.find("(SELECT ", found)) != std::string::npos; found += 8)
                keys.insert(found + 8, "ctid, xmin, ");
            EXPECT_EQ(query, keys.substr(1)) << columns.size();
        }
}

TEST(keyset, next_values) {
    const std::vector<WalkColumn> columns = {nullable(column("step", "integer"))};
    const KeyWalk walk = {.table = "t", .columns = columns, .scope = "s", .walk = Walk::values};
    const std::string keys = R"(SELECT "step" FROM t WHERE )";
    const std::string up_to = R"( AND "step" OPERATOR(pg_catalog.<=) $2::integer AND (s)"
                              "\n)"
                              R"( ORDER BY "step" USING OPERATOR(pg_catalog.<))";
    HeapArena heap;
    EXPECT_EQ(next_range_query(walk, LowerBound::exclusive, heap.arena()),
              R"(WITH RECURSIVE "bbm steps" (k1, step) AS ((SELECT *, 0::pg_catalog.int8 FROM ()" + keys +
                  R"("step" OPERATOR(pg_catalog.>) $1::integer)" + up_to +
                  R"() AS key LIMIT 1) UNION ALL SELECT next.*, "bbm steps".step OPERATOR(pg_catalog.+) 1::pg_catalog.int8)"
                  R"( FROM "bbm steps", LATERAL ()" +
                  keys + R"("step" OPERATOR(pg_catalog.>) "bbm steps".k1)" + up_to +
                  R"( LIMIT 1) AS next WHERE "bbm steps".step OPERATOR(pg_catalog.<) $3))"
                  R"( SELECT * FROM (SELECT k1 FROM "bbm steps" WHERE step OPERATOR(pg_catalog.=) 0) AS first)"
                  R"( LEFT JOIN (SELECT k1 FROM "bbm steps" WHERE step OPERATOR(pg_catalog.=) $3) AS last ON true)");
    const Text from = next_range_query(walk, LowerBound::inclusive, heap.arena());
    EXPECT_NE(from.find(R"("step" OPERATOR(pg_catalog.>=) $1::integer)"), Text::npos) << from;
    EXPECT_NE(from.find(R"("step" OPERATOR(pg_catalog.>) "bbm steps".k1)"), Text::npos) << from;
}

// From a value of several columns, too, the next one is found arm by arm; the bounds are compared as they are there.
TEST(keyset, next_values_of_several_columns) {
    const std::vector<WalkColumn> columns = {column("a", "int"), descending(column("b", "int"))};
    KeyWalk walk = over(columns);
    walk.walk = Walk::values;
    HeapArena heap;
    const Text query = next_range_query(walk, LowerBound::inclusive, heap.arena());
    for (const Text part :
         {Text(R"(CASE WHEN "bbm steps".k1 OPERATOR(pg_catalog.<) $3::int THEN "bbm steps".k1 END AND "b" OPERATOR(pg_catalog.<) "bbm steps".k2 ORDER BY)"),
          Text(R"(CASE WHEN "bbm steps".k1 OPERATOR(pg_catalog.<) $3::int THEN $3::int END AND "b" OPERATOR(pg_catalog.>=) $4::int ORDER BY)"),
          Text(R"(CASE WHEN $1::int OPERATOR(pg_catalog.<) $3::int THEN $1::int END AND "b" OPERATOR(pg_catalog.<=) $2::int ORDER BY)")})
        EXPECT_NE(query.find(part), Text::npos) << part << "\n" << query;
}

// Between two values of the first column nothing is said about the others.
TEST(keyset, rows_with_a_null_are_in_no_range) {
    const std::vector<WalkColumn> all = {nullable(column("a", "int")), nullable(column("b", "int")), column("c", "int")};
    const std::vector<WalkColumn> one = {nullable(column("a", "int"))};
    const KeyWalk walk = {.table = "t", .columns = all, .walk = Walk::values};
    HeapArena heap;
    const Text condition = range_condition(walk, heap.arena());
    EXPECT_NE(condition.find(R"(("a" OPERATOR(pg_catalog.>) $1::int AND "a" OPERATOR(pg_catalog.<) $4::int AND "b" IS NOT NULL))"),
              Text::npos)
        << condition;
    EXPECT_EQ(condition.find(R"("a" IS NOT NULL)"), Text::npos) << condition;
    EXPECT_EQ(condition.find(R"("c" IS NOT NULL)"), Text::npos) << condition;
    EXPECT_EQ(range_condition(over(one), heap.arena()),
              R"("a" OPERATOR(pg_catalog.>=) $1::int AND "a" OPERATOR(pg_catalog.<=) $2::int)");
    const std::string not_null = R"( WHERE "a" IS NOT NULL AND "b" IS NOT NULL ORDER BY)";
    const Text whole = whole_range_query(walk, heap.arena());
    EXPECT_NE(whole.find(not_null), whole.rfind(not_null)) << whole;
    EXPECT_EQ(keys_query(walk, "", nullptr, heap.arena()),
              R"(SELECT  FROM t WHERE true AND "a" IS NOT NULL AND "b" IS NOT NULL)");
    EXPECT_EQ(null_condition(walk, heap.arena()), R"("a" IS NULL OR "b" IS NULL)");
    EXPECT_EQ(null_condition(over(one), heap.arena()), R"("a" IS NULL)");
    EXPECT_EQ(null_condition(kTwoColumns, heap.arena()), "");
}

TEST(keyset, range_of_blocks) {
    const std::vector<WalkColumn> place = {column("ctid", "tid")};
    const KeyWalk walk = {.table = "t", .columns = place, .walk = Walk::blocks};
    HeapArena heap;
    EXPECT_EQ(range_condition(walk, heap.arena()),
              R"("ctid" OPERATOR(pg_catalog.>=) $1::tid AND "ctid" OPERATOR(pg_catalog.<=) $2::tid)");
}

TEST(keyset, the_text_lives_in_the_arena) {
    HeapArena heap;
    std::string expected;
    Text query;
    {
        const std::string table = "a_schema_with_a_long_name.a_table_with_a_long_name";
        query = keys_query({.table = table, .columns = kId}, "1", nullptr, heap.arena());
        expected = "SELECT 1 FROM " + table + " WHERE true";
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
        sweep_out_of_memory([](Arena arena) { (void)next_range_query(over(kMixed), LowerBound::exclusive, arena); }),
        3);
    KeyWalk values = kTwoColumns;
    values.walk = Walk::values;
    EXPECT_GE(sweep_out_of_memory([&](Arena arena) { (void)next_range_query(values, LowerBound::inclusive, arena); }),
              3);
    EXPECT_GE(sweep_out_of_memory([](Arena arena) { (void)whole_range_query(kTwoColumns, arena); }), 3);
    EXPECT_GE(sweep_out_of_memory([](Arena arena) { (void)range_condition(over(kMixed), arena); }), 3);
}

} // namespace
} // namespace bbm
