#include "pg/settings.hpp"

#include <climits>

extern "C" {
#include "postgres.h"

#include "utils/guc.h"
#include "utils/varlena.h"
}

namespace bbm::pg {

namespace {

Settings values;

struct Switch {
    const char *name;
    bool *value;
    const char *meaning;
};

struct Number {
    const char *name;
    int *value;
    int least;
    int most;
    int unit;
    const char *meaning;
};

const Switch kSwitches[] = {
    {"bbm.enabled", &values.enabled,
     "Runs batched background migrations; off ends work after the running sub-batches."},
    {"bbm.optimize_batches", &values.optimize_batches,
     "Changes batch sizes by the time that jobs take; off leaves them as they are."},
    {"bbm.allow_superuser_migrations", &values.allow_superuser_migrations,
     "Lets superusers queue migrations, which then run with a superuser's rights."},
    {"bbm.synchronous_commit", &values.synchronous_commit,
     "Commits every sub-batch as the server's synchronous_commit says; off leaves that to the first and the end of a job."},
};

constexpr int kDay_s = 24 * 60 * 60;
constexpr int kDay_ms = kDay_s * 1000;
// A page of short rows has a hundred or two of them: in more passes than this most find no row there.
constexpr int kMostPasses = 64;

const Number kNumbers[] = {
    {"bbm.max_workers", &values.max_workers, 0, 262143, 0, "Greatest number of bbm workers at once; 0 starts none but those that bbm.finalize() waits for."},
    {"bbm.max_running_migrations", &values.max_running_migrations, 1, 10000, 0,
     "Greatest number of migrations that run at once in a database."},
    {"bbm.naptime", &values.naptime_s, 1, kDay_s, GUC_UNIT_S,
     "Longest time between two looks of a scheduler at its tables."},
    {"bbm.target_sub_batch_time", &values.target_sub_batch_time_ms, 1, kDay_ms, GUC_UNIT_MS,
     "Time that a sub-batch should take, which is also how long it locks its rows."},
    {"bbm.lock_timeout", &values.lock_timeout_ms, 0, kDay_ms, GUC_UNIT_MS,
     "Longest wait of a sub-batch for a lock of somebody else; 0 waits for ever."},
    {"bbm.sub_batch_timeout", &values.sub_batch_timeout_ms, 0, kDay_ms, GUC_UNIT_MS,
     "Longest time of a sub-batch's statement; 0 for no limit."},
    {"bbm.max_quarantined_rows", &values.max_quarantined_rows, 0, INT_MAX, 0,
     "Rows that a migration may set aside with on_data_error => 'quarantine' before it fails."},
    {"bbm.log_min_duration", &values.log_min_duration_ms, -1, kDay_ms, GUC_UNIT_MS,
     "Logs every job that took at least this long; -1 logs none."},
    {"bbm.max_wal_rate", &values.max_wal_rate_kb, 0, INT_MAX, GUC_UNIT_KB,
     "Holds migrations while the server writes more WAL than this per second; 0 for no limit."},
    {"bbm.max_replica_lag", &values.max_replica_lag_ms, 0, kDay_ms, GUC_UNIT_MS,
     "Holds migrations while the replay of a streaming standby is further behind; 0 for no limit."},
    {"bbm.passes", &values.passes, 0, kMostPasses, 0,
     "Passes that a window of a table is walked in; 1 walks in the order of the key, 0 lets bbm choose."},
};

// With its schema: whatever search_path the caller has, nobody else can put a function of his own in its place.
bool check_function_name(char **value, void **, GucSource) {
    List *parts = NIL;
    char *scratch = pstrdup(*value);
    const bool is_name = SplitIdentifierString(scratch, '.', &parts) && (parts == NIL || list_length(parts) == 2) &&
                         strchr(*value, '(') == nullptr;
    if (!is_name)
        GUC_check_errdetail("It must be the name of a function with its schema, as in \"ops.load\", without arguments.");
    list_free(parts);
    pfree(scratch);
    return is_name;
}

} // namespace

const Settings &settings() { return values; }

// PGC_SUSET: reloadable from the configuration file, and an administrator may set one for a database.
void define_settings() {
    for (const Switch &one : kSwitches)
        DefineCustomBoolVariable(one.name, one.meaning, nullptr, one.value, *one.value, PGC_SUSET, 0, nullptr, nullptr,
                                 nullptr);
    for (const Number &one : kNumbers)
        DefineCustomIntVariable(one.name, one.meaning, nullptr, one.value, *one.value, one.least, one.most, PGC_SUSET,
                                one.unit, nullptr, nullptr, nullptr);
    DefineCustomStringVariable(
        "bbm.databases", "Databases in which the launcher looks for work after a start; empty for all.",
        "A comma-separated list.", &values.databases, "", PGC_SIGHUP, GUC_LIST_INPUT, nullptr, nullptr, nullptr);
    DefineCustomStringVariable("bbm.health_function",
                               "Function that says how busy the server is: f(table regclass) returns double precision, "
                               "1 and more holds migrations; empty for none.",
                               "Schema and name; it is called as the owner of the migration.", &values.health_function,
                               "", PGC_SUSET, 0, check_function_name, nullptr, nullptr);
    MarkGUCPrefixReserved("bbm");
}

} // namespace bbm::pg
