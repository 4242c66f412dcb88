#include "pg/parameters.hpp"

#include "pg/memory.hpp"
#include "pg/range_command.hpp"
#include "pg/text_position.hpp"
#include "pg/walker.hpp"

#include <algorithm>

extern "C" {
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "utils/plancache.h"
}

namespace bbm::pg {

namespace {

// `others` are beyond those of a range.
struct Parameters {
    std::size_t key_columns;
    bool is_used[2 * kMostKeyColumns];
    bool others;

    void see(int number) {
        const auto at = static_cast<std::size_t>(number) - 1;
        if (number <= 0 || at >= 2 * key_columns)
            others = true;
        else
            is_used[at] = true;
    }
    bool uses_all(std::size_t from) const {
        return std::all_of(is_used + from, is_used + from + key_columns, [](bool used) { return used; });
    }
    bool uses_any() const {
        return others || std::any_of(is_used, is_used + 2 * key_columns, [](bool used) { return used; });
    }
};

bool find_bounds(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, Query))
        return query_tree_walker(reinterpret_cast<Query *>(node), walker(find_bounds), context, 0);
    if (IsA(node, Param)) {
        const auto *parameter = reinterpret_cast<Param *>(node);
        if (parameter->paramkind == PARAM_EXTERN)
            static_cast<Parameters *>(context)->see(parameter->paramid);
    }
    return expression_tree_walker(node, walker(find_bounds), context);
}

// `*` and `name.*`, for which the analysis puts all columns that there are.
bool find_stars(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, ColumnRef))
        return IsA(llast(reinterpret_cast<ColumnRef *>(node)->fields), A_Star);
    return raw_expression_tree_walker(node, walker(find_stars), context);
}

bool find_parameters(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (IsA(node, ParamRef)) {
        static_cast<Parameters *>(context)->see(reinterpret_cast<ParamRef *>(node)->number);
        return false;
    }
    return raw_expression_tree_walker(node, walker(find_parameters), context);
}

// SELECT INTO, which creates a table. Of a UNION the first SELECT has the INTO.
bool creates_table(const Node *statement) {
    if (!IsA(statement, SelectStmt))
        return false;
    const auto *select = reinterpret_cast<const SelectStmt *>(statement);
    while (select->op != SETOP_NONE)
        select = select->larg;
    return select->intoClause != nullptr;
}

bool can_be_walked(const Node *statement) {
    return (IsA(statement, SelectStmt) && !creates_table(statement)) || IsA(statement, InsertStmt) ||
           IsA(statement, UpdateStmt) || IsA(statement, DeleteStmt) || IsA(statement, MergeStmt);
}

} // namespace

CommandFacts parse_command(Text command, std::size_t key_columns) {
    CommandFacts facts;
    const char *text = c_string(command);
    ErrorContextCallback frame;
    push_text(frame, text);
    List *statements = raw_parser(text, RAW_PARSE_DEFAULT);
    pop_text(frame);
    facts.statements = list_length(statements);
    if (facts.statements != 1)
        return facts;
    Node *statement = linitial_node(RawStmt, statements)->stmt;
    if (!can_be_walked(statement))
        return facts;
    facts.kind = CommandFacts::Kind::select; // one that can be analysed; which one is told then
    Parameters parameters = {key_columns, {}, false};
    (void)find_parameters(statement, &parameters);
    facts.uses_parameters = parameters.uses_any();
    facts.uses_lower = parameters.uses_all(0);
    facts.uses_upper = parameters.uses_all(key_columns);
    facts.has_other_placeholders = parameters.others;
    facts.takes_all_columns = find_stars(statement, nullptr);
    return facts;
}

bool takes_range(void *plan, std::size_t key_columns) {
    Parameters found = {key_columns, {}, false};
    ListCell *source_cell;
    foreach (source_cell, SPI_plan_get_plan_sources(static_cast<SPIPlanPtr>(plan))) {
        ListCell *cell;
        foreach (cell, static_cast<CachedPlanSource *>(lfirst(source_cell))->query_list)
            (void)find_bounds(static_cast<Node *>(lfirst(cell)), &found);
    }
    return found.uses_all(0) && found.uses_all(key_columns);
}

} // namespace bbm::pg
