// What people do to a migration: pause, resume, hold, retry, mark finished, delete, alter, explain. Each asks
// core/lifecycle what may happen, and writes it down with who and why.
#pragma once

#include "core/types.hpp"

#include <optional>

namespace bbm {

// True if something changed; done already is a notice and false. 55000 where the status does not allow it.
bool pause(std::int64_t id, bool immediate, Text reason);
bool resume(std::int64_t id, Text reason);
// The number of failed jobs put back.
int retry(std::int64_t id, Text reason);
// For that long no job and no sub-batch is started; zero ends a hold.
bool hold(std::int64_t id, Micros duration, Text reason);
// The last resort: who and why stand in the event, and every job is called succeeded.
bool mark_finished(std::int64_t id, Text reason);
bool remove(std::int64_t id, Text reason);
void remove(const Migration &locked, Text reason);

struct PaceChange {
    std::optional<int> batch_size;
    std::optional<int> sub_batch_size;
    std::optional<int> max_batch_size;
    std::optional<Micros> job_interval;
    std::optional<Micros> pause;
    std::optional<int> priority;
    std::optional<int> workers;
};
void alter(std::int64_t id, const PaceChange &change);

// The statement, its next range and its plan, as lines.
Text explain(std::int64_t id);

// Lets a migration run here that was queued elsewhere; its owner is the role of the same name. False if it is at home.
bool adopt(std::int64_t id);

// True if work was due and a scheduler was asked for.
bool ensure_running();

} // namespace bbm
