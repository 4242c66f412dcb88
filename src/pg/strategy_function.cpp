#include "pg/strategy_function.hpp"

#include "pg/named_function.hpp"
#include "pg/report.hpp"

extern "C" {
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
}

namespace bbm::pg {

namespace {

constexpr Text kShape = "A batching strategy is a function f(table_name regclass, column_name text, after text, "
                        "upper text, batch_size integer) RETURNS text.";

Oid find_strategy(Text name) {
    static constexpr std::uint32_t arguments[] = {REGCLASSOID, TEXTOID, TEXTOID, TEXTOID, INT4OID};
    std::uint32_t function = InvalidOid;
    Refusal refusal = find_function(name, {arguments, TEXTOID}, function);
    if (refusal && refusal.hint.empty())
        refusal.hint = kShape;
    raise_if(refusal);
    if (func_strict(function)) // its NULL would mean: all rows in one job
        raise(Refusal{"22023", format("batching strategy %.*s is STRICT", width(name), name.data()),
                      "It would not be asked where the first job ends, since \"after\" is NULL then.",
                      format("ALTER FUNCTION %.*s CALLED ON NULL INPUT;", width(name), name.data())});
    return function;
}

Datum text_datum(Text text) {
    return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

// As read_key() reads it.
Datum written(Key key) {
    if (key.size() == 1)
        return text_datum(key[0]);
    const auto parts = make_array<Datum>(current_arena(), key.size());
    for (std::size_t i = 0; i < key.size(); ++i)
        parts[i] = text_datum(key[i]);
    ArrayType *list = construct_array(parts.data(), static_cast<int>(key.size()), TEXTOID, -1, false, TYPALIGN_INT);
    Oid output;
    bool is_varlena;
    getTypeOutputInfo(TEXTARRAYOID, &output, &is_varlena);
    return CStringGetTextDatum(OidOutputFunctionCall(output, PointerGetDatum(list)));
}

// Nothing for NULL.
std::optional<Text> call(Oid function, const JobBegin &begin) {
    FmgrInfo info;
    fmgr_info(function, &info);
    LOCAL_FCINFO(fcinfo, 5);
    InitFunctionCallInfoData(*fcinfo, &info, 5, DEFAULT_COLLATION_OID, nullptr, nullptr);
    const bool is_first = begin.after.empty();
    fcinfo->args[0] = {ObjectIdGetDatum(begin.table), false};
    fcinfo->args[1] = {text_datum(begin.column_name), false};
    fcinfo->args[2] = {is_first ? static_cast<Datum>(0) : written(begin.after), is_first};
    fcinfo->args[3] = {written(begin.range.max), false};
    fcinfo->args[4] = {Int32GetDatum(begin.batch_size), false};
    PushActiveSnapshot(GetLatestSnapshot()); // taken with the table's lock held, as for every look for keys
    const Datum value = FunctionCallInvoke(fcinfo);
    PopActiveSnapshot();
    return fcinfo->isnull ? std::nullopt : std::optional(Text(TextDatumGetCString(value)));
}

[[noreturn]] void refuse_end(Text function, Key end, const char *where, Key bound) {
    raise(Refusal{"22023",
                  format("batching strategy %.*s returned (%s), which is %s (%s)", width(function), function.data(),
                         key_text(end).data(), where, key_text(bound).data()),
                  {},
                  "The end of a job must lie behind that of the last one, or jobs would never end; NULL means all that "
                  "is left."});
}

} // namespace

bool names_function(Text batching_strategy) { return batching_strategy.find('.') != Text::npos; }

void check_strategy_function(Text name) { (void)find_strategy(name); }

Key ask_for_end(Text function, const JobBegin &begin, const TableKey &key, Arena arena) {
    const auto answer = call(find_strategy(function), begin);
    if (!answer)
        return {};
    const Key end = read_key(*answer, key);
    if (!begin.after.empty() && is_ordered(end, begin.after, key))
        refuse_end(function, end, "not behind", begin.after);
    if (!is_ordered(begin.range.min, end, key))
        refuse_end(function, end, "before", begin.range.min);
    // Behind the last key there is nothing of the migration's. And the same key may have another text, by which nobody
    // would see that it is the last.
    return copy(is_ordered(begin.range.max, end, key) ? begin.range.max : end, arena);
}

} // namespace bbm::pg
