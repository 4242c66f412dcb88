#include "pg/used_columns.hpp"

#include "pg/catalog.hpp"
#include "pg/memory.hpp"
#include "pg/report.hpp"
#include "pg/walker.hpp"

#include <algorithm>
#include <iterator>

extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "nodes/bitmapset.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
}

namespace bbm::pg {

namespace {

struct Used {
    Oid table;
    Bitmapset *columns; // as the catalogs count them, less FirstLowInvalidHeapAttributeNumber
};

void add(Used &used, Query *query, RangeTblEntry *entry) {
#if PG_VERSION_NUM >= 160000
    if (entry->perminfoindex == 0)
        return;
    const RTEPermissionInfo *rights = getRTEPermissionInfo(query->rteperminfos, entry);
#else
    (void)query;
    const RangeTblEntry *rights = entry;
#endif
    for (const Bitmapset *columns : {rights->selectedCols, rights->insertedCols, rights->updatedCols})
        used.columns = bms_add_members(used.columns, columns);
}

bool look_at(Node *node, void *context) {
    if (node == nullptr)
        return false;
    if (!IsA(node, Query))
        return expression_tree_walker(node, walker(look_at), context);
    auto &used = *static_cast<Used *>(context);
    auto *query = reinterpret_cast<Query *>(node);
    ListCell *cell;
    foreach (cell, query->rtable) {
        auto *entry = lfirst_node(RangeTblEntry, cell);
        if (entry->rtekind == RTE_RELATION && entry->relid == used.table)
            add(used, query, entry);
    }
    return query_tree_walker(query, walker(look_at), context, 0);
}

Text type_of(const FormData_pg_attribute &column) {
    const char *type = format_type_be(column.atttypid);
    if (column.attcollation == get_typcollation(column.atttypid))
        return Text(type);
    return format("%s COLLATE %s", type, quote_identifier(get_collation_name(column.attcollation)));
}

// An integer that has become a wider one is the same number in every expression that the server still accepts.
bool is_same_or_wider(Text was, Text is) {
    constexpr Text integers[] = {"smallint", "integer", "bigint"};
    const auto *begin = std::begin(integers), *end = std::end(integers);
    const auto *from = std::find(begin, end, was), *to = std::find(begin, end, is);
    return was == is || (from != end && to != end && from < to);
}

Text find_type(Key columns, Text name) {
    for (std::size_t i = 0; i + 1 < columns.size(); i += 2)
        if (columns[i] == name)
            return columns[i + 1];
    return {};
}

} // namespace

Key used_columns(const void *query, std::uint32_t table) {
    Used used = {table, nullptr};
    (void)look_at(static_cast<Node *>(const_cast<void *>(query)), &used);
    Relation relation = relation_open(table, AccessShareLock);
    const TupleDesc columns = RelationGetDescr(relation);
    auto &out = make<Vector<Text>>(current_arena());
    for (int i = 0; i < columns->natts; ++i) {
        const FormData_pg_attribute &column = *TupleDescAttr(columns, i);
        if (column.attisdropped || !bms_is_member(column.attnum - FirstLowInvalidHeapAttributeNumber, used.columns))
            continue;
        out.push_back(Text(pstrdup(NameStr(column.attname))));
        out.push_back(type_of(column));
    }
    relation_close(relation, AccessShareLock);
    return {out.data(), out.size()};
}

void check_used_columns(Key known, Key now, Key key, std::uint32_t table) {
    for (std::size_t i = 0; i + 1 < known.size(); i += 2) {
        const Text name = known[i], was = known[i + 1], is = find_type(now, name);
        if (is_same_or_wider(was, is) || std::find(key.begin(), key.end(), name) != key.end())
            continue;
        raise(Refusal{
            "42804",
            format("column \"%.*s\" of table %s is not what it was", width(name), name.data(),
                   table_name(table).data()),
            is.empty()
                ? format("It was of type %.*s, and the command uses it no more.", width(was), was.data())
                : format("It was of type %.*s, and is of type %.*s.", width(was), was.data(), width(is), is.data()),
            "If the command is still right, go on with bbm.retry(); else delete the migration and queue it anew."});
    }
}

} // namespace bbm::pg
