#include "pg/table_effects.hpp"

#include "pg/catalog.hpp"
#include "pg/expression.hpp"
#include "pg/report.hpp"

#include <cstring>

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/prs2lock.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"
}

namespace bbm::pg {

namespace {

struct Look {
    CmdType event;
    Oid root;
    bool moves_rows; // from partition to partition: a deletion here and an insertion there
    TableEffects *effects;
};

int position_of(AttrNumber column) { return column - FirstLowInvalidHeapAttributeNumber; }

bool is_written(const Look &look, Oid table, AttrNumber column) {
    // Partitions and children have the same columns in another order.
    const char *column_name = get_attname(table, column, true);
    const AttrNumber number = column_name == nullptr ? InvalidAttrNumber : get_attnum(look.root, column_name);
    return number > 0 && bms_is_member(position_of(number), look.effects->written);
}

Text obstacle(const char *pattern, const char *object_name, Relation relation) {
    const Text table = table_name(RelationGetRelid(relation));
    return format(pattern, object_name, width(table), table.data());
}

// Those of the server's own, for foreign keys and deferred unique constraints.
bool is_systems(const Trigger &trigger) {
    return trigger.tgisinternal &&
           (RI_FKey_trigger_type(trigger.tgfoid) != RI_TRIGGER_NONE || trigger.tgfoid == F_UNIQUE_KEY_RECHECK);
}

bool is_for(const Trigger &trigger, const Look &look) {
    if (look.moves_rows)
        return TRIGGER_FOR_UPDATE(trigger.tgtype) || TRIGGER_FOR_DELETE(trigger.tgtype) ||
               TRIGGER_FOR_INSERT(trigger.tgtype);
    return look.event == CMD_UPDATE ? TRIGGER_FOR_UPDATE(trigger.tgtype) : TRIGGER_FOR_DELETE(trigger.tgtype);
}

bool passes_on_updates(Oid function) {
    return function == F_RI_FKEY_CASCADE_UPD || function == F_RI_FKEY_SETNULL_UPD ||
           function == F_RI_FKEY_SETDEFAULT_UPD;
}

bool empties_on_deletion(Oid function) {
    return function == F_RI_FKEY_SETNULL_DEL || function == F_RI_FKEY_SETDEFAULT_DEL;
}

bool refers_to_written(const Look &look, Oid constraint) {
    HeapTuple tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
    if (!HeapTupleIsValid(tuple))
        return true;
    const Oid referenced = reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->confrelid;
    int count, set_count;
    AttrNumber from[INDEX_MAX_KEYS], to[INDEX_MAX_KEYS], set[INDEX_MAX_KEYS];
    Oid operators[3][INDEX_MAX_KEYS];
    DeconstructFkConstraintRow(tuple, &count, from, to, operators[0], operators[1], operators[2], &set_count, set);
    ReleaseSysCache(tuple);
    for (int i = 0; i < count; ++i)
        if (is_written(look, referenced, to[i]))
            return true;
    return false;
}

// The columns of other rows that it changes could be those that the command reads.
bool feeds_back(const Trigger &trigger, const Look &look) {
    if (look.event == CMD_UPDATE)
        return passes_on_updates(trigger.tgfoid) && refers_to_written(look, trigger.tgconstraint);
    return empties_on_deletion(trigger.tgfoid) && list_member_oid(look.effects->tables, trigger.tgconstrrelid);
}

// A copy of the triggers: to look something up may bring a new list of them. Which triggers fire depends on
// session_replication_role as well; only those that are disabled never do.
Text find_trigger(const Look &look, Relation relation) {
    const TriggerDesc *triggers = CopyTriggerDesc(relation->trigdesc);
    for (int i = 0; triggers != nullptr && i < triggers->numtriggers; ++i) {
        const Trigger &trigger = triggers->triggers[i];
        if (trigger.tgenabled == TRIGGER_DISABLED || !is_for(trigger, look))
            continue;
        if (!is_systems(trigger))
            return obstacle("trigger \"%s\" of table %.*s may do anything", trigger.tgname, relation);
        if (feeds_back(trigger, look))
            return obstacle(look.event == CMD_UPDATE ? "foreign key \"%s\" passes a change of table %.*s on"
                                                     : "foreign key \"%s\" changes other rows of table %.*s",
                            get_constraint_name(trigger.tgconstraint), relation);
    }
    return {};
}

Text find_rule(const Look &look, Relation relation) {
    const RuleLock *rules = relation->rd_rules;
    for (int i = 0; rules != nullptr && i < rules->numLocks; ++i)
        if (rules->rules[i]->event == look.event && rules->rules[i]->enabled != RULE_DISABLED)
            return obstacle("a rule for %s of table %.*s may do anything",
                            look.event == CMD_UPDATE ? "UPDATE" : "DELETE", relation);
    return {};
}

// They change nothing, but with a volatile function in them they may do something else each time.
Text find_check(const Look &look, Relation relation) {
    const TupleConstr *constraints = RelationGetDescr(relation)->constr;
    for (int i = 0; look.event == CMD_UPDATE && constraints != nullptr && i < constraints->num_check; ++i) {
        const ConstrCheck &check = constraints->check[i];
        const Text call = find_call(static_cast<Node *>(stringToNode(check.ccbin)), Calls::harmless);
        if (!call.empty())
            return format("check constraint \"%s\" %.*s", check.ccname, width(call), call.data());
    }
    return {};
}

// What is known of postgres_fdw is known of no other wrapper.
Text check_wrapper(Look &look, Relation relation) {
    const Oid wrapper = GetForeignServer(GetForeignTable(RelationGetRelid(relation))->serverid)->fdwid;
    const Oid extension = getExtensionOfObject(ForeignDataWrapperRelationId, wrapper);
    const char *extension_name = OidIsValid(extension) ? get_extension_name(extension) : nullptr;
    look.effects->is_remote = true;
    if (extension_name != nullptr && std::strcmp(extension_name, "postgres_fdw") == 0)
        return {};
    return obstacle("foreign data wrapper \"%s\" of table %.*s is not known", GetForeignDataWrapper(wrapper)->fdwname,
                    relation);
}

Text check_kind(Look &look, Relation relation) {
    switch (relation->rd_rel->relkind) {
    case RELKIND_RELATION:
    case RELKIND_PARTITIONED_TABLE:
        return {};
    case RELKIND_FOREIGN_TABLE:
        return check_wrapper(look, relation);
    default:
        return obstacle("%s %.*s is not a table", "relation", relation);
    }
}

void add_generated(Look &look, Relation relation) {
    for (int i = 0; i < RelationGetDescr(relation)->natts; ++i) {
        const auto *column = TupleDescAttr(RelationGetDescr(relation), i);
        if (column->attisdropped || column->attgenerated == '\0')
            continue;
        Bitmapset *reads = nullptr;
        pull_varattnos(build_column_default(relation, column->attnum), 1, &reads);
        const AttrNumber number = get_attnum(look.root, NameStr(column->attname));
        bool is_fed = bms_is_member(position_of(0), reads);
        for (int at = bms_next_member(reads, position_of(0)); at >= 0 && !is_fed; at = bms_next_member(reads, at))
            is_fed = is_written(look, RelationGetRelid(relation),
                                static_cast<AttrNumber>(at + FirstLowInvalidHeapAttributeNumber));
        if (is_fed && number > 0)
            look.effects->written = bms_add_member(look.effects->written, position_of(number));
    }
}

Text look_at(Look &look, Relation relation) {
    if (look.event == CMD_UPDATE)
        add_generated(look, relation);
    for (const auto find : {find_rule, find_trigger, find_check})
        if (const Text found = find(look, relation); !found.empty())
            return found;
    return check_kind(look, relation);
}

} // namespace

TableEffects effects_of(const Query *query, Bitmapset *assigned) {
    const RangeTblEntry *entry = rt_fetch(query->resultRelation, query->rtable);
    TableEffects effects = {{}, bms_copy(assigned), list_make1_oid(entry->relid), false};
    if (entry->inh)
        effects.tables = find_all_inheritors(entry->relid, AccessShareLock, nullptr);
    const bool is_partitioned = get_rel_relkind(entry->relid) == RELKIND_PARTITIONED_TABLE;
    Look look = {query->commandType, entry->relid, query->commandType == CMD_UPDATE && is_partitioned, &effects};
    if (check_enable_rls(entry->relid, InvalidOid, true) == RLS_ENABLED)
        effects.obstacle = "policies of row security decide which rows it meets";
    ListCell *cell;
    foreach (cell, effects.tables) {
        Relation relation = table_open(lfirst_oid(cell), NoLock); // locked by the analysis, or just now
        const Text found = look_at(look, relation);
        if (effects.obstacle.empty())
            effects.obstacle = found;
        table_close(relation, NoLock);
    }
    return effects;
}

} // namespace bbm::pg
