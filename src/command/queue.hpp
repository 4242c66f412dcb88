// bbm.queue, bbm.define, bbm.undefine.
#pragma once

#include "command/plan.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"
#include "store/migrations.hpp"

#include <optional>

namespace bbm {

// The id of the migration. Everything that can be wrong is found here, and then nothing is stored.
std::int64_t queue(const QueueRequest &request);

// Stores the migration with its parts; 0 if one with that identity exists.
std::int64_t insert_with_parts(const store::NewMigration &fresh, Vector<Part> &parts);

struct DefineRequest {
    Text name;
    Text command;
    Key job_arguments;
    Text scope_to;
    Text operation_name;
};
void define(const DefineRequest &request);
bool undefine(Text name);

} // namespace bbm
