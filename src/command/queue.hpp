// bbm.queue, bbm.define, bbm.undefine.
#pragma once

#include "core/types.hpp"
#include "pg/table_key.hpp"

#include <optional>

namespace bbm {

// The arguments of bbm.queue; text without data is NULL.
struct QueueRequest {
    Text job_class_name;
    std::uint32_t table;
    Text column_name;
    Text job_arguments;
    Text command;
    Text scope_to;
    std::optional<Micros> job_interval;
    std::optional<int> batch_size;
    std::optional<int> sub_batch_size;
    std::optional<int> max_batch_size;
    std::optional<Micros> pause;
    Text batch_min_value;
    Text batch_max_value;
    Text batching_strategy;
    Key cursor_columns;
    int priority = 0;
    std::optional<Micros> finish_within = {};
    Text on_data_error = "fail";
    bool start = true;
    bool if_not_exists = false;
};

// The id of the migration. Everything that can be wrong is found here, and then nothing is stored.
std::int64_t queue(const QueueRequest &request);

// A request as the migration it would become. Raises what can be said without looking at the command and at rows.
struct Planned {
    Migration migration;
    pg::TableKey key;
    Text operation_name;
};
Planned plan_migration(const QueueRequest &request);
// Raises the rest, and finds the range.
void check_plan(Planned &planned);

// The keys that a migration has to handle, or nothing: those of its table now, within the bounds that were given.
std::optional<Range> find_range(const Migration &migration, const pg::TableKey &key);

// How many rows that will be, by the planner's estimate; negative while nobody has analysed the table.
std::int64_t estimated_rows(const Migration &migration, const pg::TableKey &key);

struct DefineRequest {
    Text name;
    Text command;
    Key job_arguments;
    Text scope_to;
    Text operation_name;
};
void define(const DefineRequest &request);
bool undefine(Text name);

// Raises 22023 for a number that is not positive, or a negative duration.
void check_positive(Text what, std::optional<int> value);
void check_sizes(int batch_size, int sub_batch_size, int max_batch_size); // 0: not given
void check_duration(Text what, std::optional<Micros> value);

} // namespace bbm
