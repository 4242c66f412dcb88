#include "pg/mentions.hpp"

#include "pg/memory.hpp"
#include "pg/walker.hpp"

#include <algorithm>
#include <cstring>

extern "C" {
#include "postgres.h"

#include "catalog/namespace.h"
#include "common/keywords.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "utils/lsyscache.h"
}

namespace {

// Here String is the server's.
char *string_at(const List *strings, int i) { return strVal(list_nth(strings, i)); }
char *last_string(const List *strings) { return strVal(llast(strings)); }

} // namespace

namespace bbm::pg {

namespace {

// A name that the walk has found. The parser tells where it begins; where it ends is up to the scanner.
struct Place {
    int start;
    bool has_alias;
    bool is_only;
    bool takes_only;
    int qualifiers; // of the name of a column, its parts that name the table; 0 for a table
};

struct Found {
    Oid table;
    const char *name; // of the table, without its schema
    Vector<Place> *places;
    bool has_qualifiers; // a column is named with schema and table
    bool has_namesake;   // something else is called like the table
    bool is_odd;         // a place where no alias can stand
};

// What holds where the walk is.
struct Search {
    Found *found;
    List *ctes;             // the names of those in scope
    const RangeVar *target; // of the statement; its name is never that of a CTE
    bool target_takes_only;
};

bool is_cte(const Search &search, const RangeVar *range) {
    if (range->schemaname != nullptr)
        return false;
    ListCell *cell;
    foreach (cell, search.ctes)
        if (std::strcmp(static_cast<const char *>(lfirst(cell)), range->relname) == 0)
            return true;
    return false;
}

bool is_table(const Search &search, RangeVar *range) {
    return RangeVarGetRelid(range, NoLock, true) == search.found->table;
}

void see_name(const Search &search, const char *name) {
    search.found->has_namesake = search.found->has_namesake || std::strcmp(name, search.found->name) == 0;
}

void see_table(const Search &search, RangeVar *range) {
    const bool is_target = range == search.target;
    const bool is_mention = (is_target || !is_cte(search, range)) && is_table(search, range);
    if (is_mention)
        search.found->places->push_back(
            {range->location, range->alias != nullptr, !range->inh, !is_target || search.target_takes_only, 0});
    if (range->alias != nullptr || !is_mention)
        see_name(search, range->alias != nullptr ? range->alias->aliasname : range->relname);
}

// schema.table.column, maybe with a database before it. What has fewer parts goes by the alias.
void see_column(const Search &search, const ColumnRef *column) {
    const int qualifiers = list_length(column->fields) - 1;
    if (qualifiers < 2)
        return;
    const auto part = [&](int i) { return string_at(column->fields, i); };
    if (!is_table(search, makeRangeVar(part(qualifiers - 2), part(qualifiers - 1), column->location)))
        return;
    search.found->places->push_back({column->location, false, false, false, qualifiers});
    search.found->has_qualifiers = true;
}

bool find_in(Node *node, void *context);

// Without RECURSIVE each sees those before it, and its own name means something else inside of it.
List *see_ctes(const Search &search, const WithClause *with) {
    Search inside = search;
    ListCell *cell;
    inside.ctes = list_copy(search.ctes);
    if (with->recursive)
        foreach (cell, with->ctes)
            inside.ctes = lappend(inside.ctes, lfirst_node(CommonTableExpr, cell)->ctename);
    foreach (cell, with->ctes) {
        auto *cte = lfirst_node(CommonTableExpr, cell);
        (void)find_in(cte->ctequery, &inside);
        inside.ctes = lappend(inside.ctes, cte->ctename);
    }
    return inside.ctes;
}

// TABLE x has no room for an alias, but what orders or locks its rows may ask for one.
bool is_odd(const SelectStmt *select) {
    const bool is_table_command =
        list_length(select->targetList) == 1 && linitial_node(ResTarget, select->targetList)->location == -1;
    return is_table_command && (select->sortClause != NIL || select->lockingClause != NIL);
}

const WithClause *enter(Search &inside, Node *node) {
    switch (nodeTag(node)) {
    case T_SelectStmt:
        inside.found->is_odd = inside.found->is_odd || is_odd(reinterpret_cast<SelectStmt *>(node));
        return reinterpret_cast<SelectStmt *>(node)->withClause;
    case T_InsertStmt:
        inside.target = reinterpret_cast<InsertStmt *>(node)->relation;
        return reinterpret_cast<InsertStmt *>(node)->withClause;
    case T_UpdateStmt:
        inside.target = reinterpret_cast<UpdateStmt *>(node)->relation;
        return reinterpret_cast<UpdateStmt *>(node)->withClause;
    case T_DeleteStmt:
        inside.target = reinterpret_cast<DeleteStmt *>(node)->relation;
        return reinterpret_cast<DeleteStmt *>(node)->withClause;
    default:
        inside.target = reinterpret_cast<MergeStmt *>(node)->relation;
        return reinterpret_cast<MergeStmt *>(node)->withClause;
    }
}

bool find_in_statement(Node *node, const Search &search) {
    Search inside = search;
    const WithClause *with = enter(inside, node);
    inside.target_takes_only = !IsA(node, InsertStmt);
    if (with != nullptr)
        inside.ctes = see_ctes(inside, with);
    return raw_expression_tree_walker(node, walker(find_in), &inside);
}

bool find_in(Node *node, void *context) {
    if (node == nullptr)
        return false;
    const auto &search = *static_cast<const Search *>(context);
    switch (nodeTag(node)) {
    case T_SelectStmt:
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
    case T_MergeStmt:
        return find_in_statement(node, search);
    case T_WithClause:    // has been seen with its statement
    case T_LockingClause: // names aliases
        return false;
    case T_RangeVar:
        return see_table(search, reinterpret_cast<RangeVar *>(node)), false;
    case T_ColumnRef:
        return see_column(search, reinterpret_cast<ColumnRef *>(node)), false;
    case T_Alias:
        return see_name(search, reinterpret_cast<Alias *>(node)->aliasname), false;
    case T_JoinExpr: // USING (...) AS name is none of the walker's business
        if (const Alias *alias = reinterpret_cast<JoinExpr *>(node)->join_using_alias)
            see_name(search, alias->aliasname);
        return raw_expression_tree_walker(node, walker(find_in), context);
    case T_FuncCall: // without an alias a function in FROM is called as it is
        see_name(search, last_string(reinterpret_cast<FuncCall *>(node)->funcname));
        return raw_expression_tree_walker(node, walker(find_in), context);
    default:
        return raw_expression_tree_walker(node, walker(find_in), context);
    }
}

struct Token {
    int code;
    int start;
    int end;
    bool is_unicode; // U&"..."
};
using Tokens = std::span<const Token>;

Tokens scan(const char *text) {
    auto &tokens = make<Vector<Token>>(current_arena());
    core_yy_extra_type extra;
    core_yyscan_t scanner = scanner_init(text, &extra, &ScanKeywords, ScanKeywordTokens);
    extra.escape_string_warning = false; // the parser has warned
    for (;;) {
        core_YYSTYPE value;
        YYLTYPE start;
        const int code = core_yylex(&value, &start, scanner);
        if (code == 0)
            break;
        // The scanner has left a zero byte behind the token.
        const char *token = extra.scanbuf + start;
        tokens.push_back(
            {code, start, start + static_cast<int>(std::strlen(token)), pg_strncasecmp(token, "u&\"", 3) == 0});
    }
    scanner_finish(scanner);
    return {tokens.data(), tokens.size()};
}

int code_of(const char *keyword) { return ScanKeywordTokens[ScanKeywordLookup(keyword, &ScanKeywords)]; }

bool is_code(Tokens tokens, std::size_t at, int code) { return at < tokens.size() && tokens[at].code == code; }

// The last token of a name of so many parts; 0: of as many as there are.
std::size_t end_of_name(Tokens tokens, std::size_t at, int parts) {
    for (;;) {
        if (tokens[at].is_unicode && is_code(tokens, at + 1, code_of("uescape")))
            at += 2;
        if (--parts == 0 || !is_code(tokens, at + 1, '.'))
            return at;
        at += 2;
    }
}

// False where the text is not what the parser saw.
bool measure(Tokens tokens, const Place &place, Mention &mention) {
    const auto found = std::lower_bound(tokens.begin(), tokens.end(), place.start,
                                        [](const Token &token, int start) { return token.start < start; });
    if (found == tokens.end() || found->start != place.start)
        return false;
    auto first = static_cast<std::size_t>(found - tokens.begin()), last = end_of_name(tokens, first, place.qualifiers);
    std::size_t before = first; // the token behind the one that says ONLY or TABLE
    if (place.qualifiers == 0 && is_code(tokens, last + 1, '*'))
        ++last;
    if (place.is_only && first > 0 && is_code(tokens, first - 1, '(')) {
        before = --first;
        ++last;
    }
    if (place.is_only && before > 0)
        --before;
    const bool is_table_command = before > 0 && is_code(tokens, before - 1, code_of("table"));
    if (last >= tokens.size())
        return false;
    mention = {tokens[first].start,
               tokens[last].end - tokens[first].start,
               place.has_alias || is_table_command,
               place.is_only,
               place.takes_only,
               place.qualifiers > 0};
    return true;
}

// A column that is named with its schema means the same by the alias only if nothing else in the text goes by that
// name: it would be taken for the column of whatever is nearer.
bool can_be_renamed(const Found &found) { return !found.is_odd && !(found.has_qualifiers && found.has_namesake); }

std::optional<std::span<const Mention>> find(const char *text, RawParseMode mode, Oid table) {
    const List *statements = raw_parser(text, mode);
    const char *name = get_rel_name(table);
    if (list_length(statements) != 1 || name == nullptr)
        return std::nullopt;
    auto &places = make<Vector<Place>>(current_arena());
    Found found = {table, name, &places, false, false, false};
    Search search = {&found, NIL, nullptr, false};
    (void)find_in(linitial_node(RawStmt, statements)->stmt, &search);
    std::sort(places.begin(), places.end(), [](const Place &a, const Place &b) { return a.start < b.start; });
    const Tokens tokens = scan(text);
    auto &mentions = make<Vector<Mention>>(current_arena());
    for (const Place &place : places) {
        Mention mention;
        if (!measure(tokens, place, mention))
            return std::nullopt;
        // (a, b) = (SELECT ...) comes by once for each column.
        if (mentions.empty() || mentions.back() != mention)
            mentions.push_back(mention);
    }
    if (!can_be_renamed(found))
        return std::nullopt;
    return std::span<const Mention>(mentions.data(), mentions.size());
}

} // namespace

std::optional<std::span<const Mention>> find_mentions(Text command, std::uint32_t table) {
    return find(c_string(command), RAW_PARSE_DEFAULT, table);
}

std::optional<std::span<const Mention>> find_mentions_in_condition(Text condition, std::uint32_t table) {
    return find(c_string(condition), RAW_PARSE_PLPGSQL_EXPR, table);
}

} // namespace bbm::pg
