// Job classes, and job arguments as PostgreSQL reads them.
#pragma once

#include "core/job_class.hpp"
#include "core/types.hpp"
#include "pg/memory.hpp"

#include <optional>

namespace bbm::store {

struct JobClass {
    Text name;
    Text command;
    Key job_arguments;
    Text scope_to;
    Text operation_name;
    std::uint32_t owner_oid; // 0 for built-in ones
    Text owner_name;
    bool needs_scope = false;
};

std::optional<JobClass> load_job_class(Text name, Arena arena);
// False if the name is taken.
bool insert_job_class(const JobClass &job_class);
void delete_job_class(Text name);

// The elements of a JSON array, each as one value or, where it is an array itself, as a list; names are filled in by
// position where there are enough.
Vector<Argument> &split_arguments(Text json, Key names, Arena arena);

} // namespace bbm::store
