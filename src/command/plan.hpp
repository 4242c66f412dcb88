// From the arguments of bbm.queue to the migration that it would be, with its parts. Nothing is stored.
#pragma once

#include "core/types.hpp"
#include "pg/memory.hpp"
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
    std::optional<int> workers = {};
    int priority = 0;
    std::optional<Micros> finish_within = {};
    Text on_data_error = "fail";
    bool start = true;
    bool if_not_exists = false;
    bool with_nulls = false;
};

// A request as the migration it would become. Raises what can be said without looking at the command and at rows.
struct Planned {
    Migration migration;
    pg::TableKey key;
    Text operation_name;
    Vector<Part> *parts = nullptr; // from check_plan()
};
Planned plan_migration(const QueueRequest &request);
// Raises the rest, and finds the parts with their ranges.
void check_plan(Planned &planned);

bool has_rows(const Vector<Part> &parts);
// How many that will be, by the planner's estimate; negative while nobody has analysed one of the tables.
std::int64_t estimated_rows(const Vector<Part> &parts);
// Raises 22023 for a number that is not positive, or a negative duration.
void check_positive(Text what, std::optional<int> value);
void check_sizes(int batch_size, int sub_batch_size, int max_batch_size); // 0: not given
void check_duration(Text what, std::optional<Micros> value);

} // namespace bbm
