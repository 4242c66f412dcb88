#include "pg/catalog.hpp"

#include "pg/memory.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

constexpr char kWrongObjectType[] = "42809";
constexpr char kUndefinedTable[] = "42P01";

// Of what is no table.
const char *kind_name(char kind) {
    switch (kind) {
    case RELKIND_RELATION:
    case RELKIND_PARTITIONED_TABLE:
    case RELKIND_FOREIGN_TABLE:
        return nullptr;
    case RELKIND_VIEW:
        return "a view";
    case RELKIND_MATVIEW:
        return "a materialized view";
    case RELKIND_SEQUENCE:
        return "a sequence";
    case RELKIND_INDEX:
    case RELKIND_PARTITIONED_INDEX:
        return "an index";
    default:
        return "not a table";
    }
}

bool is_part_of(const TableKey &key, AttrNumber number) {
    return std::any_of(key.columns.begin(), key.columns.end(),
                       [&](const KeyColumn &column) { return column.number == number; });
}

Oid first_parent(Relation inherits, Oid child) {
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(child));
    SysScanDesc scan = systable_beginscan(inherits, InheritsRelidSeqnoIndexId, true, nullptr, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    const Oid parent =
        HeapTupleIsValid(tuple) ? reinterpret_cast<Form_pg_inherits>(GETSTRUCT(tuple))->inhparent : InvalidOid;
    systable_endscan(scan);
    return parent;
}

} // namespace

Text table_name(std::uint32_t table) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        return {};
    const auto *form = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple));
    const char *schema = get_namespace_name(form->relnamespace);
    const Text name(schema == nullptr ? "" : quote_qualified_identifier(schema, NameStr(form->relname)));
    ReleaseSysCache(tuple);
    return name;
}

std::uint32_t table_root(std::uint32_t table) {
    if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table)))
        return InvalidOid;
    Relation inherits = table_open(InheritsRelationId, AccessShareLock);
    for (Oid parent = table; OidIsValid(parent); parent = first_parent(inherits, table))
        table = parent;
    table_close(inherits, AccessShareLock);
    return table;
}

Vector<std::uint32_t> &leaves_of(std::uint32_t table, Arena arena) {
    auto &leaves = make<Vector<std::uint32_t>>(arena);
    ListCell *cell;
    foreach (cell, find_all_inheritors(table, NoLock, nullptr)) {
        const char kind = get_rel_relkind(lfirst_oid(cell));
        if (kind == RELKIND_RELATION || kind == RELKIND_FOREIGN_TABLE)
            leaves.push_back(lfirst_oid(cell));
    }
    return leaves;
}

TableKind kind_of_table(std::uint32_t table) {
    const char kind = get_rel_relkind(table);
    if (kind == RELKIND_PARTITIONED_TABLE)
        return TableKind::partitioned;
    if (kind == RELKIND_FOREIGN_TABLE)
        return TableKind::foreign;
    if (kind != RELKIND_RELATION)
        return TableKind::plain;
    return find_inheritance_children(table, NoLock) != NIL ? TableKind::parent : TableKind::plain;
}

Text partition_bound(std::uint32_t table) {
    HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
    if (!HeapTupleIsValid(tuple))
        return {};
    bool is_null;
    const Datum bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &is_null);
    Text own;
    if (!is_null)
        own = Text(TextDatumGetCString(DirectFunctionCall2(pg_get_expr, bound, ObjectIdGetDatum(table))));
    ReleaseSysCache(tuple);
    if (own.empty() || own == kDefaultBound)
        return own;
    return Text(TextDatumGetCString(OidFunctionCall1(F_PG_GET_PARTITION_CONSTRAINTDEF, ObjectIdGetDatum(table))));
}

bool has_statement_triggers(std::uint32_t table) {
    Relation relation = relation_open(table, AccessShareLock);
    const TriggerDesc *triggers = relation->trigdesc;
    bool found = false;
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
        const Trigger &trigger = triggers->triggers[i];
        found |= !trigger.tgisinternal && !TRIGGER_FOR_ROW(trigger.tgtype) && trigger.tgenabled != TRIGGER_DISABLED &&
                 !TRIGGER_FOR_TRUNCATE(trigger.tgtype);
    }
    relation_close(relation, AccessShareLock);
    return found;
}

Refusal check_table(std::uint32_t table) {
    Relation relation = try_relation_open(table, AccessShareLock);
    if (relation == nullptr)
        return {kUndefinedTable, format("relation with OID %u does not exist", table), {}, {}};
    const char *name = RelationGetRelationName(relation);
    Refusal refusal;
    if (kind_name(relation->rd_rel->relkind) != nullptr)
        refusal = {kWrongObjectType, format("cannot queue a migration on \"%s\"", name),
                   format("It is %s.", kind_name(relation->rd_rel->relkind)), "Name a table."};
    else if (IsCatalogRelation(relation) || IsToastRelation(relation))
        refusal = {kWrongObjectType, format("cannot queue a migration on \"%s\"", name), "It is a system catalog.", {}};
    else if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
        refusal = {kWrongObjectType,
                   format("cannot queue a migration on \"%s\"", name),
                   "It is a temporary table, which no other session can read.",
                   {}};
    relation_close(relation, AccessShareLock);
    return refusal;
}

std::int64_t estimated_rows(std::uint32_t table) {
    Relation relation = relation_open(table, AccessShareLock);
    const auto rows = static_cast<std::int64_t>(relation->rd_rel->reltuples);
    relation_close(relation, AccessShareLock);
    return rows;
}

Text assignable_column(std::uint32_t table, const TableKey &key) {
    Relation relation = relation_open(table, AccessShareLock);
    const TupleDesc columns = RelationGetDescr(relation);
    Text found;
    for (int i = 0; i < columns->natts && found.empty(); ++i) {
        const Form_pg_attribute column = TupleDescAttr(columns, i);
        const bool is_free = !column->attisdropped && !is_part_of(key, column->attnum) &&
                             column->attgenerated == '\0' && column->attidentity == '\0';
        if (is_free && strchr(NameStr(column->attname), '{') == nullptr) // a brace would be an argument in a command
            found = copy(Text(NameStr(column->attname)), current_arena());
    }
    relation_close(relation, AccessShareLock);
    return found;
}

Text unused_name(std::uint32_t table, Text suffix) {
    const Oid schema = get_rel_namespace(table);
    const char *name = ChooseRelationName(get_rel_name(table), nullptr, c_string(suffix), schema, false);
    return Text(quote_qualified_identifier(get_namespace_name(schema), name));
}

} // namespace bbm::pg
