#include "core/mentions.hpp"
#include "heap_arena.hpp"

#include <climits>
#include <string>
#include <vector>

namespace bbm {
namespace {

struct Marked {
    std::string command;
    std::vector<Mention> mentions;
};

// [flags|name]: a: has an alias; o: ONLY stands before it; t: takes ONLY; q: qualifies a column.
Marked parse(const std::string &marked) {
    Marked out;
    for (std::size_t i = 0; i < marked.size(); ++i) {
        if (marked[i] != '[') {
            out.command.push_back(marked[i]);
            continue;
        }
        const std::size_t bar = marked.find('|', i), end = marked.find(']', bar);
        const std::string flags = marked.substr(i + 1, bar - i - 1);
        const auto has = [&](char flag) { return flags.find(flag) != std::string::npos; };
        out.mentions.push_back({static_cast<int>(out.command.size()), static_cast<int>(end - bar - 1), has('a'),
                                has('o'), has('t'), has('q')});
        out.command += marked.substr(bar + 1, end - bar - 1);
        i = end;
    }
    return out;
}

std::string renamed(const char *command, bool only = false, Text table = "sales.\"New\"") {
    const Marked marked = parse(command);
    HeapArena heap;
    return std::string(with_table(marked.command, marked.mentions, table, only, heap.arena()));
}

TEST(with_table, names_the_table) {
    const struct {
        const char *what, *command, *expected;
    } cases[] = {
        {"no mention", "SELECT handle($1, $2)", "SELECT handle($1, $2)"},
        {"an empty text", "", ""},
        {"plain", "UPDATE [t|orders] SET n = orders.n + 1", "UPDATE sales.\"New\" AS orders SET n = orders.n + 1"},
        {"nothing but it", "[t|orders]", "sales.\"New\" AS orders"},
        {"as it was written", "UPDATE [t|ORDERS] SET n = 1", "UPDATE sales.\"New\" AS ORDERS SET n = 1"},
        {"qualified", "DELETE FROM [t|public.orders]", "DELETE FROM sales.\"New\" AS \"orders\""},
        {"qualified, with capitals", "DELETE FROM [t|Public.Orders]", "DELETE FROM sales.\"New\" AS \"orders\""},
        {"a key word behind a dot", "DELETE FROM [t|public.USER]", "DELETE FROM sales.\"New\" AS \"user\""},
        {"with its database", "DELETE FROM [t|db.public.orders]", "DELETE FROM sales.\"New\" AS \"orders\""},
        {"quoted", "DELETE FROM [t|\"Orders\"]", "DELETE FROM sales.\"New\" AS \"Orders\""},
        {"quoted and qualified", "DELETE FROM [t|\"My\".\"Orders\"] WHERE \"Orders\".n = 1",
         "DELETE FROM sales.\"New\" AS \"Orders\" WHERE \"Orders\".n = 1"},
        {"a quote in the name", "DELETE FROM [t|\"a\"\"b.\"\"c\"]", "DELETE FROM sales.\"New\" AS \"a\"\"b.\"\"c\""},
        {"quotes at its ends", "DELETE FROM [t|\"\"\"a\"\"\"]", "DELETE FROM sales.\"New\" AS \"\"\"a\"\"\""},
        {"a comment's signs in the name", "DELETE FROM [t|public.\"a--b/*c\"]",
         "DELETE FROM sales.\"New\" AS \"a--b/*c\""},
        {"comments between the parts", "UPDATE [t|public /* x.y */ . -- z\n orders] SET n = 1",
         "UPDATE sales.\"New\" AS \"orders\" SET n = 1"},
        {"comments that nest", "UPDATE [t|public/* a /* b */ c */.orders] SET n = 1",
         "UPDATE sales.\"New\" AS \"orders\" SET n = 1"},
        {"a line that ends in a carriage return", "UPDATE [t|public.--x\rorders] SET n = 1",
         "UPDATE sales.\"New\" AS \"orders\" SET n = 1"},
        {"escapes", "UPDATE [t|U&\"d\\0061ta\"] SET n = 1", "UPDATE sales.\"New\" AS U&\"d\\0061ta\" SET n = 1"},
        {"escapes behind a dot", "UPDATE [t|public.u&\"d\\0061ta\"] SET n = 1",
         "UPDATE sales.\"New\" AS u&\"d\\0061ta\" SET n = 1"},
        {"an escape of one's own", "UPDATE [t|public.U&\"d!0061ta\" UESCAPE '!'] SET n = 1",
         "UPDATE sales.\"New\" AS U&\"d!0061ta\" UESCAPE '!' SET n = 1"},
        {"in lower case, with a comment", "UPDATE [t|U&\"d!0061ta\"/* . */uescape '!'] SET n = 1",
         "UPDATE sales.\"New\" AS U&\"d!0061ta\"/* . */uescape '!' SET n = 1"},
        {"an escape in the schema", "UPDATE [t|U&\"d!0061ta\" UESCAPE '!'.orders] SET n = 1",
         "UPDATE sales.\"New\" AS \"orders\" SET n = 1"},
        {"a table called uescape", "UPDATE [t|U&\"data\".uescape] SET n = 1",
         "UPDATE sales.\"New\" AS \"uescape\" SET n = 1"},
        {"names that begin with u", "UPDATE [t|u.users] SET n = 1", "UPDATE sales.\"New\" AS \"users\" SET n = 1"},
        {"a dollar sign", "UPDATE [t|public.a$1] SET n = 1", "UPDATE sales.\"New\" AS \"a$1\" SET n = 1"},
        {"letters beyond ASCII", "UPDATE [t|public.Größe] SET n = 1", "UPDATE sales.\"New\" AS Größe SET n = 1"},
        {"letters before it", "/* größe 列 */ UPDATE [t|orders] SET n = '列' WHERE a = 'ß'",
         "/* größe 列 */ UPDATE sales.\"New\" AS orders SET n = '列' WHERE a = 'ß'"},
        {"an alias", "UPDATE [at|orders] o SET n = o.n", "UPDATE sales.\"New\" o SET n = o.n"},
        {"an alias with AS", "UPDATE [at|public.orders] AS o SET n = o.n", "UPDATE sales.\"New\" AS o SET n = o.n"},
        {"a star", "UPDATE [t|orders *] SET n = 1", "UPDATE sales.\"New\" AS orders SET n = 1"},
        {"a star close by", "UPDATE [t|orders*]SET n = 1", "UPDATE sales.\"New\" AS orders SET n = 1"},
        {"a star and an alias", "UPDATE [at|orders*]o SET n = 1", "UPDATE sales.\"New\" o SET n = 1"},
        {"ONLY", "UPDATE ONLY [ot|orders] SET n = 1", "UPDATE ONLY sales.\"New\" AS orders SET n = 1"},
        {"ONLY with parentheses", "UPDATE ONLY [ot|( public.orders )] SET n = 1",
         "UPDATE ONLY sales.\"New\" AS \"orders\" SET n = 1"},
        {"ONLY, all close by", "UPDATE ONLY[aot|(\"orders\")]o SET n = 1", "UPDATE ONLY sales.\"New\" o SET n = 1"},
        {"quotes instead of blanks", "DELETE FROM[t|\"Orders\"]WHERE n = 1",
         "DELETE FROM sales.\"New\" AS \"Orders\" WHERE n = 1"},
        {"an alias in quotes", "DELETE FROM[at|\"Orders\"]\"o\"WHERE n = 1",
         "DELETE FROM sales.\"New\" \"o\"WHERE n = 1"},
        {"no blank where none is needed", "SELECT FROM (([|orders])),[|orders]/**/,[a|orders]--\n AS o",
         "SELECT FROM ((sales.\"New\" AS orders)),sales.\"New\" AS orders/**/,sales.\"New\"--\n AS o"},
        {"several",
         "INSERT INTO [|orders] SELECT * FROM [at|public.orders] AS o WHERE EXISTS (SELECT FROM [t|\"orders\"])",
         "INSERT INTO sales.\"New\" AS orders SELECT * FROM sales.\"New\" AS o WHERE EXISTS (SELECT FROM "
         "sales.\"New\" AS \"orders\")"},
        {"a column with its schema",
         "UPDATE [t|public.orders] SET n = [q|public.orders].n WHERE [q|public . \"orders\"].id = 1",
         "UPDATE sales.\"New\" AS \"orders\" SET n = \"orders\".n WHERE \"orders\".id = 1"},
    };
    for (const auto &one : cases)
        EXPECT_EQ(renamed(one.command), one.expected) << one.what;
}

// The alias would be what it is called anyway, and could only be in the way of another table of that name.
TEST(with_table, gives_no_alias_without_need) {
    const struct {
        const char *command, *table, *expected;
    } cases[] = {
        {"UPDATE [t|orders] SET n = 1", "sales.orders", "UPDATE sales.orders SET n = 1"},
        {"UPDATE [t|public.Orders*]SET n = 1", "sales.orders", "UPDATE sales.orders SET n = 1"},
        {"UPDATE [t|\"orders\"] SET n = 1", "sales.orders", "UPDATE sales.orders SET n = 1"},
        {"UPDATE [t|\"Orders\"] SET n = 1", "sales.\"Orders\"", "UPDATE sales.\"Orders\" SET n = 1"},
        {"UPDATE [t|Orders] SET n = 1", "sales.\"Orders\"", "UPDATE sales.\"Orders\" AS Orders SET n = 1"},
        {"UPDATE [t|\"Orders\"] SET n = 1", "sales.orders", "UPDATE sales.orders AS \"Orders\" SET n = 1"},
        {"UPDATE [t|\"or\"\"ders\"] SET n = 1", "sales.\"or\"\"ders\"", "UPDATE sales.\"or\"\"ders\" SET n = 1"},
        {"UPDATE [t|\"or.ders\"] SET n = 1", "sales.ders", "UPDATE sales.ders AS \"or.ders\" SET n = 1"},
        {"UPDATE [t|u&\"orders\"] SET n = 1", "sales.orders", "UPDATE sales.orders AS u&\"orders\" SET n = 1"},
        {"UPDATE [t|orders] SET n = [q|public.orders].n", "sales.orders", "UPDATE sales.orders SET n = \"orders\".n"},
        {"SELECT FROM [t|a.orders], b.orders", "a.orders", "SELECT FROM a.orders, b.orders"},
    };
    for (const auto &one : cases)
        EXPECT_EQ(renamed(one.command, false, one.table), one.expected);
}

TEST(with_table, adds_only_where_it_may_stand) {
    const struct {
        const char *command, *expected;
    } cases[] = {
        {"UPDATE [t|orders] SET n = 1", "UPDATE ONLY leaf AS orders SET n = 1"},
        {"UPDATE [at|orders*] o SET n = 1", "UPDATE ONLY leaf o SET n = 1"},
        {"UPDATE ONLY [ot|orders] SET n = 1", "UPDATE ONLY leaf AS orders SET n = 1"},
        {"UPDATE ONLY[ot|(orders)]SET n = 1", "UPDATE ONLY leaf AS orders SET n = 1"},
        {"INSERT INTO [|orders] SELECT * FROM [t|orders]",
         "INSERT INTO leaf AS orders SELECT * FROM ONLY leaf AS orders"},
        {"DELETE FROM [t|orders] WHERE [q|public.orders].id = 1",
         "DELETE FROM ONLY leaf AS orders WHERE \"orders\".id = 1"},
    };
    for (const auto &one : cases)
        EXPECT_EQ(renamed(one.command, true, "leaf"), one.expected);
}

// Not a name at all, or one that is cut off: nothing is read beyond the text.
TEST(with_table, stands_any_text) {
    for (const char *name : {"", "*", ".", "\"", "U&\"", "u&", "/*", "/*/", "--", "'", "a.\"", "U&\"a\" uescape '"}) {
        HeapArena heap;
        const std::vector<Mention> mentions = {{0, static_cast<int>(Text(name).size()), false, false, true, false}};
        EXPECT_EQ(with_table(name, mentions, "t", false, heap.arena()).substr(0, 5), "t AS ") << name;
    }
}

TEST(pack, keeps_all_there_is) {
    std::vector<Mention> mentions;
    for (int flags = 0; flags < 16; ++flags)
        mentions.push_back(
            {flags * 10, INT_MAX - flags, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, (flags & 8) != 0});
    HeapArena heap;
    const auto &packed = pack(mentions, heap.arena());
    EXPECT_EQ(packed.size(), 3 * mentions.size());
    const auto &unpacked = unpack({packed.data(), packed.size()}, heap.arena());
    EXPECT_TRUE(std::equal(unpacked.begin(), unpacked.end(), mentions.begin(), mentions.end()));
}

// They stand in tables that outlive this version.
TEST(pack, has_this_form) {
    HeapArena heap;
    const std::vector<Mention> mentions = {
        {7, 6, true, false, false, false}, {20, 15, false, true, true, false}, {40, 9, false, false, false, true}};
    const auto &packed = pack(mentions, heap.arena());
    EXPECT_EQ(std::vector<int>(packed.begin(), packed.end()), (std::vector<int>{7, 6, 1, 20, 15, 6, 40, 9, 8}));
}

TEST(pack, none_and_no_list) {
    HeapArena heap;
    EXPECT_TRUE(pack({}, heap.arena()).empty());
    EXPECT_TRUE(unpack({}, heap.arena()).empty());
    const int broken[] = {7, 6, 1, 20};
    EXPECT_TRUE(unpack(broken, heap.arena()).empty());
}

TEST(mentions, survive_every_failing_allocation) {
    const Marked marked = parse("UPDATE [t|a_schema_with_a_long_name.orders] SET n = 1 WHERE [q|public.orders].id = 1");
    const int needed = sweep_out_of_memory([&](Arena arena) {
        const auto &packed = pack(marked.mentions, arena);
        const auto &mentions = unpack({packed.data(), packed.size()}, arena);
        (void)with_table(marked.command, {mentions.data(), mentions.size()}, "another_schema.with_a_long_name", true,
                         arena);
    });
    EXPECT_GE(needed, 6);
}

} // namespace
} // namespace bbm
