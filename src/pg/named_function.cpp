#include "pg/named_function.hpp"

#include "pg/memory.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/varlena.h"
}

namespace bbm::pg {

namespace {

bool is_qualified(Text name, List *&parts) {
    return SplitIdentifierString(c_string(name), '.', &parts) && list_length(parts) == 2 &&
           name.find('(') == Text::npos;
}

List *as_values(List *names) {
    List *values = NIL;
    ListCell *cell;
    foreach (cell, names)
        values = lappend(values, makeString(static_cast<char *>(lfirst(cell))));
    return values;
}

// One value of that type, and neither a set of them nor an aggregate of rows.
bool returns(Oid function, Oid type) {
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
    if (!HeapTupleIsValid(tuple))
        return false; // dropped in this moment
    const auto *procedure = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    const bool fits = procedure->prokind == PROKIND_FUNCTION && procedure->prorettype == type && !procedure->proretset;
    ReleaseSysCache(tuple);
    return fits;
}

bool may_call(Oid function) {
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
#else
    return pg_proc_aclcheck(function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
#endif
}

} // namespace

Refusal find_function(Text name, const Signature &signature, std::uint32_t &function) {
    List *names = NIL;
    if (!is_qualified(name, names))
        return {"22023",
                format("\"%.*s\" does not name a function with its schema", width(name), name.data()),
                {},
                "Write it as in my_schema.my_function, without arguments."};
    List *parts = as_values(names);
    const int count = static_cast<int>(signature.arguments.size());
    const Oid *types = signature.arguments.data();
    const char *shape = func_signature_string(parts, count, NIL, types);
    function = LookupFuncName(parts, count, types, true);
    if (!OidIsValid(function))
        return {"42883", format("function %s does not exist", shape), {}, {}};
    if (!returns(function, signature.result))
        return {"22023", format("%s does not return %s", shape, format_type_be(signature.result)), {}, {}};
    if (!may_call(function))
        return {"42501",
                format("permission denied for function %s", shape),
                {},
                format("GRANT EXECUTE ON FUNCTION %s TO %s;", shape,
                       quote_identifier(GetUserNameFromId(GetUserId(), false)))};
    return {};
}

} // namespace bbm::pg
