// What is asked about, or done with, migrations that have ended.
#pragma once

#include "core/types.hpp"

namespace bbm {

// Finished or finalized?
bool is_finished(std::int64_t id);
// Queues a migration that has ended once more: the next generation, with its definition and pace, over the keys of now.
// The old one stays as history. 55000 while it has not ended. The new id.
std::int64_t requeue(std::int64_t id, Text reason);
// Removes the ended migrations of a job class that the caller has the rights of, and the class if it is his. 55000 if
// one of them has not ended. The number of migrations removed.
int clean_up(Text job_class_name);

} // namespace bbm
