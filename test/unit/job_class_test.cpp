#include "core/job_class.hpp"
#include "heap_arena.hpp"

#include <climits>
#include <string>
#include <vector>

namespace bbm {
namespace {

constexpr Text kNull; // a JSON null: no data at all, unlike an empty text

const std::vector<Text> kFrom = {"id"};
const std::vector<Text> kTo = {"id_convert_to_bigint"};
const std::vector<Text> kPair = {"a", "b"};
const std::vector<Text> kNone = {};
const std::vector<Text> kNothing = {kNull};
const std::vector<Text> kHalfNothing = {"a", kNull, "b"};
const std::vector<Text> kEmptyText = {""};
const std::vector<Text> kBraces = {"{table}", "{{copy_from}}", "{braces}"};
const std::vector<Text> kQuotes = {"o'clock", "a\"b"};
const std::vector<Text> kBackslash = {"plain", "C:\\new"};

const std::vector<Argument> kArguments = {
    {"copy_from", kFrom},   {"copy_to", kTo},      {"pair", kPair},     {"none", kNone},     {"nothing", kNothing},
    {"half", kHalfNothing}, {"empty", kEmptyText}, {"braces", kBraces}, {"quotes", kQuotes}, {"backslash", kBackslash},
    {"table", kFrom},       {"column", kTo},       {"a1", kFrom},       {"_x", kTo},         {"Upper", kFrom},
    {"azAZ_09", kPair},
};

Template template_of(Text command) {
    return {.command = command, .table = "public.\"Orders\"", .column = "\"id\"", .arguments = kArguments};
}

struct Rendered {
    std::string text;
    std::string sqlstate, message, detail, hint; // all empty where nothing is refused
};

Rendered render_text(Text command) {
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    const Refusal refusal = render(template_of(command), out, heap.arena());
    return {std::string(view(out)), refusal ? refusal.sqlstate : "", std::string(refusal.message),
            std::string(refusal.detail), std::string(refusal.hint)};
}

template <class Append> std::string appended(Append append, Text value) {
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    append(out, value);
    return std::string(view(out));
}

TEST(render, puts_arguments_in_their_places) {
    const struct {
        const char *command, *expected;
    } cases[] = {
        {"", ""},
        {"UPDATE t SET a = 1", "UPDATE t SET a = 1"},
        {"{copy_from}", "\"id\""},
        {"{{copy_from}}", "'id'"},
        {"UPDATE {table} SET {copy_to} = {copy_from}",
         "UPDATE public.\"Orders\" SET \"id_convert_to_bigint\" = \"id\""},
        {"DELETE FROM {table} WHERE {column} > 0", "DELETE FROM public.\"Orders\" WHERE \"id\" > 0"},
        {"{copy_from}{copy_to}", "\"id\"\"id_convert_to_bigint\""},
        {"{copy_from} {copy_from}", "\"id\" \"id\""},
        {"({pair})", "(\"a\", \"b\")"},
        {"({{pair}})", "('a', 'b')"},
        {"x IN ({{half}})", "x IN ('a', NULL, 'b')"},
        {"coalesce(x, {{nothing}})", "coalesce(x, NULL)"},
        {"x = {{empty}}", "x = ''"},
        {"{{quotes}}", "'o''clock', 'a\"b'"},
        {"{quotes}", "\"o'clock\", \"a\"\"b\""},
        {"({{backslash}})", "('plain',  E'C:\\\\new')"},
        {"{backslash}", "\"plain\", \"C:\\new\""},
        {"{a1} {_x} {Upper}", "\"id\" \"id_convert_to_bigint\" \"id\""},
        {"{azAZ_09}", "\"a\", \"b\""},
        {"line\n{copy_from}\n\tline", "line\n\"id\"\n\tline"},
        {"'größe' = {copy_from} -- 表", "'größe' = \"id\" -- 表"},
        // A brace around a placeholder is the command's own.
        {"'{' || {{copy_from}} || '}'", "'{' || 'id' || '}'"},
        {"{{{copy_from}}}", "{'id'}"},
        {"{ {copy_from} }", "{ \"id\" }"},
    };
    for (const auto &one : cases) {
        const Rendered rendered = render_text(one.command);
        EXPECT_EQ(rendered.sqlstate, "") << one.command << ": " << rendered.message;
        EXPECT_EQ(rendered.text, one.expected) << one.command;
    }
}

TEST(render, table_and_column_are_the_migrations_own) {
    const Rendered own = render_text("{table} {column}");
    EXPECT_EQ(own.text, "public.\"Orders\" \"id\"") << "arguments of these names must not hide them";
    const Template bare = {.command = "{table}.{column}", .table = "t", .column = "c", .arguments = {}};
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    EXPECT_FALSE(render(bare, out, heap.arena()));
    EXPECT_EQ(view(out), "t.c") << "they are ready to use: no more quotes";
}

TEST(render, leaves_other_braces_alone) {
    for (const char *command : {
             "{",
             "}",
             "{{",
             "}}",
             "{}",
             "{{}}",
             "{{{}}}",
             "a }} b {{ c",
             "'{1,2,3}'::int[]",
             "'{{1,2},{3,4}}'::int[]",
             "'{a,b}'::text[]",
             "'{{a,b},{c,d}}'::text[]",
             "'{\"a\", \"b\"}'::text[]",
             "'{}'::text[]",
             "'{\"a\": 1}'::jsonb",
             "'{\"a\": {\"b\": [1, {\"c\": null}]}}'::jsonb",
             "'{\"a\": {}}'",
             "x ~ '^[0-9]{2,3}$'",
             "x ~ 'a{2}'",
             "x ~ '\\{4}'",
             "{0a}",
             "{1a}",
             "{9a}",
             "{ copy_from }",
             "{copy_from }",
             "{copy-from}",
             "{copy_from,copy_to}",
             "{copy.from}",
             "{größe}",
             "{copy_from",
             "{copy_from\n}",
             "tail {",
             "tail {{",
             "tail {{copy_from",
         }) {
        const Rendered rendered = render_text(command);
        EXPECT_EQ(rendered.sqlstate, "") << command << ": " << rendered.message;
        EXPECT_EQ(rendered.text, command);
    }
}

// A text is not terminated: what stands behind it is somebody else's.
TEST(render, does_not_look_behind_the_command) {
    for (Text longer : {"a {copy_from}", "a {copy_fromX", "a {{copy_from}}"}) {
        for (std::size_t size = 0; size < longer.size(); ++size) {
            const Text command = longer.substr(0, size);
            if (command.ends_with('}')) // a placeholder after a brace
                continue;
            const Rendered rendered = render_text(command);
            EXPECT_EQ(rendered.sqlstate, "") << command;
            EXPECT_EQ(rendered.text, command);
        }
    }
}

TEST(render, does_not_expand_what_it_has_put_in) {
    EXPECT_EQ(render_text("{{braces}}").text, "'{table}', '{{copy_from}}', '{braces}'");
    EXPECT_EQ(render_text("{braces}").text, "\"{table}\", \"{{copy_from}}\", \"{braces}\"");
    const std::vector<Text> opening = {"{"}, rest = {"copy_from}"};
    const std::vector<Argument> arguments = {{"l", opening}, {"r", rest}, {"copy_from", kFrom}};
    const Template split = {.command = "{{l}}{{r}}", .table = "t", .column = "c", .arguments = arguments};
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    EXPECT_FALSE(render(split, out, heap.arena()));
    EXPECT_EQ(view(out), "'{''copy_from}'");
}

TEST(render, refuses) {
    const struct {
        const char *command, *message;
    } cases[] = {
        {"UPDATE {tabel} SET x = 1", "command uses the unknown job argument \"tabel\""},
        {"{{missing}}", "command uses the unknown job argument \"missing\""},
        {"{COPY_FROM}", "command uses the unknown job argument \"COPY_FROM\""},
        {"{upper}", "command uses the unknown job argument \"upper\""},
        {"{copy_fro}", "command uses the unknown job argument \"copy_fro\""},
        {"{copy_from_}", "command uses the unknown job argument \"copy_from_\""},
        {"{copy_from} = {missing}", "command uses the unknown job argument \"missing\""},
        {"{missing} {none}", "command uses the unknown job argument \"missing\""},
        {"{none}", "job argument \"none\" is an empty list"},
        {"x IN ({{none}})", "job argument \"none\" is an empty list"},
        {"{nothing}", "job argument \"nothing\" is null, but is used as a name"},
        {"{half}", "job argument \"half\" is null, but is used as a name"},
    };
    for (const auto &one : cases) {
        const Rendered rendered = render_text(one.command);
        EXPECT_EQ(rendered.sqlstate, "22023") << one.command;
        EXPECT_EQ(rendered.message, one.message) << one.command;
    }
}

// {{x}} is the argument x as a literal, so it cannot also be the way to write plain braces.
TEST(render, the_hint_for_an_unknown_argument_gives_no_advice_that_is_refused) {
    const Rendered rendered = render_text("SET tags = '{urgent}'");
    ASSERT_EQ(rendered.sqlstate, "22023");
    EXPECT_FALSE(rendered.hint.empty());
    if (rendered.hint.find("{{") != std::string::npos) {
        EXPECT_EQ(render_text("SET tags = '{{urgent}}'").text, "SET tags = '{urgent}'") << rendered.hint;
    }
}

TEST(render, appends_to_what_stands_there) {
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    out.append("EXPLAIN ");
    EXPECT_FALSE(render(template_of("DELETE FROM {table}"), out, heap.arena()));
    EXPECT_EQ(view(out), "EXPLAIN DELETE FROM public.\"Orders\"");
}

TEST(render, the_message_outlives_the_template) {
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    Refusal refusal;
    {
        const std::string command = "UPDATE t SET a_rather_long_name = {another_rather_long_name}";
        const std::vector<Argument> arguments;
        refusal = render({.command = command, .table = "t", .column = "c", .arguments = arguments}, out, heap.arena());
    }
    ASSERT_TRUE(refusal);
    EXPECT_EQ(refusal.message, "command uses the unknown job argument \"another_rather_long_name\"");
}

TEST(render, takes_long_values) {
    const std::string name(100'000, 'n'), text(100'000, '\'');
    const std::vector<Text> values = {name, text};
    const std::vector<Argument> arguments = {{"long", values}};
    HeapArena heap;
    auto &out = make<String>(heap.arena());
    EXPECT_FALSE(
        render({.command = "{{long}}", .table = "t", .column = "c", .arguments = arguments}, out, heap.arena()));
    EXPECT_EQ(view(out), "'" + name + "', '" + text + text + "'");
}

TEST(render, survives_every_failing_allocation) {
    for (const char *command : {
             "UPDATE {table} SET ({pair}) = ROW({{quotes}}, {{backslash}}) WHERE {column} IS DISTINCT FROM {{half}}",
             "UPDATE a_table_with_a_long_name SET a_column_with_a_long_name = {a_missing_argument_with_a_long_name}",
             "UPDATE a_table_with_a_long_name SET a_column_with_a_long_name = {none}",
             "UPDATE a_table_with_a_long_name SET {nothing} = 1",
         }) {
        const int needed = sweep_out_of_memory([&](Arena arena) {
            auto &out = make<String>(arena);
            (void)render(template_of(command), out, arena);
        });
        EXPECT_GE(needed, 3) << command;
    }
}

TEST(argument_count, counts) {
    const struct {
        const char *job_class;
        int given, expected;
        const char *message;
    } cases[] = {
        {"X", 2, 0, "Wrong number of job arguments for X (given 2, expected 0)"},
        {"CopyColumn", 0, 2, "Wrong number of job arguments for CopyColumn (given 0, expected 2)"},
        {"CopyColumn", 1, 2, "Wrong number of job arguments for CopyColumn (given 1, expected 2)"},
        {"größe", 10, 11, "Wrong number of job arguments for größe (given 10, expected 11)"},
        {"X", INT_MAX, INT_MIN, "Wrong number of job arguments for X (given 2147483647, expected -2147483648)"},
    };
    for (const auto &one : cases) {
        HeapArena heap;
        const Refusal refusal = check_argument_count(one.job_class, one.given, one.expected, heap.arena());
        ASSERT_TRUE(refusal) << one.message;
        EXPECT_STREQ(refusal.sqlstate, "22023");
        EXPECT_EQ(refusal.message, one.message);
        EXPECT_FALSE(refusal.hint.empty());
    }
}

TEST(argument_count, the_right_number_is_not_refused) {
    for (int number : {0, 1, 2, 100}) {
        HeapArena heap;
        EXPECT_FALSE(check_argument_count("X", number, number, heap.arena())) << number;
        EXPECT_EQ(heap.allocations(), 0);
    }
}

TEST(argument_count, survives_every_failing_allocation) {
    const int needed = sweep_out_of_memory([](Arena arena) { (void)check_argument_count("CopyColumn", 1, 2, arena); });
    EXPECT_GE(needed, 2);
}

TEST(quoting, identifiers) {
    const struct {
        const char *value, *expected;
    } cases[] = {
        {"id", "\"id\""},
        {"Mixed Case", "\"Mixed Case\""},
        {"a\"b", "\"a\"\"b\""},
        {"\"", "\"\"\"\""},
        {"\"\"", "\"\"\"\"\"\""},
        {"it's", "\"it's\""},
        {"back\\slash", "\"back\\slash\""},
        {"new\nline", "\"new\nline\""},
        {"a.b", "\"a.b\""},
        {"größe", "\"größe\""},
        {"列", "\"列\""},
        {"x\"; DROP TABLE t; --", "\"x\"\"; DROP TABLE t; --\""},
    };
    for (const auto &one : cases)
        EXPECT_EQ(appended(append_identifier, one.value), one.expected) << one.value;
}

TEST(quoting, literals) {
    const struct {
        const char *value, *expected;
    } cases[] = {
        {"", "''"},
        {"text", "'text'"},
        {"it's", "'it''s'"},
        {"'", "''''"},
        {"''", "''''''"},
        {"\"", "'\"'"},
        {"new\nline\ttab", "'new\nline\ttab'"},
        {"größe 列", "'größe 列'"},
        {"$1 $$", "'$1 $$'"},
        {"NULL", "'NULL'"},
        {"x'; DROP TABLE t; --", "'x''; DROP TABLE t; --'"},
        // A space in front, so that the E cannot join a word before it.
        {"\\", " E'\\\\'"},
        {"a\\b", " E'a\\\\b'"},
        {"\\'", " E'\\\\'''"},
        {"\\n", " E'\\\\n'"},
        {"\\\\", " E'\\\\\\\\'"},
    };
    for (const auto &one : cases)
        EXPECT_EQ(appended(append_literal, one.value), one.expected) << one.value;
}

} // namespace
} // namespace bbm
