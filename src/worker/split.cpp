#include "worker/split.hpp"

#include "core/retry.hpp"
#include "pg/clock.hpp"
#include "pg/report.hpp"
#include "store/jobs.hpp"
#include "store/migrations.hpp"
#include "worker/sub_batch.hpp"

#include <algorithm>

namespace bbm {

namespace {

// Behind the middle, which is its cursor: a key that somebody inserts between the halves belongs to the second.
Job second_half(const Job &job, Key middle, Range rest, int batch_size) {
    Job second;
    second.migration_id = job.migration_id;
    second.part_id = job.part_id;
    second.range = {rest.min, job.range.max};
    second.at.cursor = middle;
    second.batch_size = batch_size;
    second.sub_batch_size = job.sub_batch_size;
    second.retry_at = pg::now();
    return second;
}

// The end of the first half, or nothing if there can be no second. The rows of a window that is open stay together.
std::optional<Key> middle_of(const Job &job, const pg::KeyQueries &bounds, int batch_size, Arena arena) {
    if (job.at.window.is_open())
        return job.at.window.max;
    const auto first = pg::find_next_range(bounds, lower_bound(job), job.range.max, batch_size, arena);
    if (!first || first->is_last)
        return std::nullopt;
    return first->range.max;
}

} // namespace

void split(Job &job, const pg::KeyQueries &bounds, Arena arena) {
    const int batch_size = half_of(job.batch_size), rest_size = std::max(job.batch_size - batch_size, 1);
    const auto middle = middle_of(job, bounds, batch_size, arena);
    Text reason = "the batch size is halved";
    job.batch_size = batch_size;
    job.attempts = 1;
    job.wants_split = false;
    if (middle) {
        const auto rest = pg::find_next_range(bounds, {LowerBound::exclusive, *middle}, job.range.max, 1, arena);
        if (rest) {
            Job second = second_half(job, *middle, rest->range, rest_size);
            store::insert_failed_job(second, pg::format("split from job %lld", static_cast<long long>(job.id)),
                                     nullptr);
            store::count_job(job.migration_id);
            job.range.max = *middle;
            reason = pg::format("split: job %lld takes the rest", static_cast<long long>(second.id));
        }
    }
    store::split_job(job, reason);
}

} // namespace bbm
