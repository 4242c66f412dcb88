// bbm.estimate, and the pace of queue(finish_within): what a migration takes, from samples that are rolled back.
#pragma once

#include "command/queue.hpp"
#include "core/estimate.hpp"

namespace bbm {

struct Estimate {
    Text based_on;     // how the keys are known: counted, statistics or samples
    std::int64_t keys; // of the whole migration, as its batch size counts them
    int batch_size;
    Tally tally;
    Projection all;
};

// Raises what queue() raises, and what the command raises for the rows it met. Stores nothing.
Estimate estimate(const QueueRequest &request, std::optional<Micros> max_time);

// The migration's pace, made as gentle as the limit allows. Raises 22023 where it cannot be done in that time.
Pace pace_to_finish_within(const Migration &migration, const Vector<Part> &parts, Micros limit);

} // namespace bbm
