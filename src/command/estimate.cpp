#include "command/estimate.hpp"

#include "command/reference.hpp"
#include "command/run.hpp"
#include "core/batching.hpp"
#include "core/keyset.hpp"
#include "pg/attempt.hpp"
#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/key_query.hpp"
#include "pg/locks.hpp"
#include "pg/measure.hpp"
#include "pg/memory.hpp"
#include "pg/range_command.hpp"
#include "pg/report.hpp"
#include "pg/settings.hpp"
#include "worker/parts.hpp"

#include <algorithm>

namespace bbm {

namespace {

// One sample may take this part of the time: there are to be many places.
constexpr int kFewestSamples = 20;
// What somebody waits for in queue().
constexpr Micros kPaceTime = 3'000'000;
// The first run pays for plans and cold caches, which no later one does. Not counted, and small.
constexpr int kWarmUpKeys = 100;
// For a migration that is too slow: what to ask for instead. Estimates of the same migration differ by a few percent.
constexpr double kGenerous = 1.25;
constexpr Micros kSecond = 1'000'000;
// Its header, its line pointers, the smallest key in an index: no table holds more rows than this allows.
constexpr std::int64_t kSmallestRow = 48;

// Of the process: after an error nobody has to tidy up.
pg::KeyQueries key_queries;

struct Sampling {
    const Migration &migration;
    const Part &part;
    KeyWalk counted; // what the batch size counts
    Micros deadline; // by the stopwatch
    Micros sample_time;
    SubBatchSize size;
    std::int64_t expected; // keys, by statistics; negative: unknown
    Tally tally = {};
    Coverage coverage = {}; // where the key has arithmetic
    bool is_covered = false;
};

bool is_bounded(const Migration &migration) { return !migration.given.min.empty() || !migration.given.max.empty(); }

// One sub-batch as a worker would run it, and undone.
struct Trial {
    pg::NextRange next;
    Sample cost; // its keys are still to be counted
};

std::optional<Trial> try_sub_batch(const Sampling &s, pg::Lower lower, Key upper, int keys) {
    const Arena arena = pg::current_arena();
    std::optional<Trial> trial;
    pg::rolled_back([&] {
        const std::int64_t size = pg::size_in_bytes(s.part.table_oid), wal = pg::wal_bytes();
        const Micros start = pg::stopwatch();
        const auto next = pg::find_next_range(key_queries, lower, upper, keys, arena);
        if (!next)
            return;
        const std::int64_t rows = pg::run_command(next->range, pg::Deferred::leave);
        trial = Trial{*next,
                      {.rows = rows,
                       .changes = rows > 0 ? 1 : 0,
                       .work = pg::stopwatch() - start,
                       .wal_bytes = pg::wal_bytes() - wal,
                       .growth_bytes = pg::size_in_bytes(s.part.table_oid) - size}};
    });
    return trial;
}

// The filter costs as much here as in the search for the bounds of a job, which it stands for.
void count_keys(const Sampling &s, Trial &trial, int keys) {
    const Micros start = pg::stopwatch();
    const bool is_filtered = !s.counted.scope.empty();
    trial.cost.keys = trial.next.is_full && !is_filtered ? keys : pg::count_rows(s.counted, trial.next.range);
    if (is_filtered)
        trial.cost.work += pg::stopwatch() - start;
}

void sum_up(Sample &sum, const Sample &cost) {
    sum.keys += cost.keys;
    sum.rows += cost.rows;
    sum.changes += cost.changes;
    sum.work += cost.work;
    sum.wal_bytes += cost.wal_bytes;
    sum.growth_bytes += cost.growth_bytes;
}

bool is_over(const Sampling &s) {
    return s.is_covered || pg::stopwatch() >= s.deadline || is_enough(s.tally, s.expected);
}

int next_size(const Sampling &s, const Sample &sum) {
    if (!s.counted.scope.empty())
        return s.size.keys; // how many of them the batch will count, nobody knows before
    return static_cast<int>(std::min<std::int64_t>(s.size.keys, s.migration.pace.batch_size - sum.keys));
}

// One batch, or as much of it as there is time for, and at least one sub-batch. The last key that it came to.
Key take_sample(Sampling &s, pg::Lower next, Key upper) {
    const Micros until = std::min(pg::stopwatch() + s.sample_time, s.deadline);
    Sample sum;
    bool is_last = false;
    do {
        const int keys = next_size(s, sum);
        auto trial = try_sub_batch(s, next, upper, keys);
        is_last = !trial || trial->next.is_last;
        if (!trial)
            break;
        if (trial->next.is_full)
            s.size = next_sub_batch_size(s.size, {keys, trial->cost.work}, s.migration.pace,
                                         pg::settings().target_sub_batch_time());
        count_keys(s, *trial, keys);
        sum_up(sum, trial->cost);
        next = {LowerBound::exclusive, trial->next.range.max};
    } while (!is_last && sum.keys < s.migration.pace.batch_size && pg::stopwatch() < until);
    add(s.tally, sum);
    return is_last ? upper : next.key;
}

Key key_of(std::int64_t value) {
    const auto key = pg::make_array<Text>(pg::current_arena(), 1);
    key[0] = pg::format("%lld", static_cast<long long>(value));
    return key;
}

// All over the range, for keys that have arithmetic.
void sample_evenly(Sampling &s, Stretch whole) {
    auto &sampled = make<Vector<Stretch>>(pg::current_arena());
    std::uint64_t width = 0; // of a batch, as the first one tells
    for (int number = 0; number < kMostFractions && (number == 0 || !is_over(s)); ++number) {
        const auto room = room_for_sample(whole, {sampled.data(), sampled.size()}, width, sample_fraction(number));
        if (!room)
            continue;
        const Key first = key_of(room->first);
        const std::int64_t before = s.tally.sum.keys;
        const Key last = take_sample(s, {LowerBound::inclusive, first}, key_of(room->last));
        const Stretch done = integer_stretch({first, last}).value_or(*room);
        sampled.push_back(done);
        add(s.coverage, done, s.tally.sum.keys - before);
        s.is_covered = is_complete(s.coverage, whole);
        if (number == 0)
            width = static_cast<std::uint64_t>(done.last) - static_cast<std::uint64_t>(done.first) + 1;
    }
}

// From the beginning, one batch after the other, for all other keys.
void sample_in_order(Sampling &s, Range range) {
    pg::Lower lower = {LowerBound::inclusive, range.min};
    do {
        const Key last = take_sample(s, lower, range.max);
        s.is_covered = same_key(last, range.max);
        lower = {LowerBound::exclusive, last};
    } while (!is_over(s));
}

void sample(Sampling &s) {
    const Range &range = *s.part.range;
    (void)try_sub_batch(s, {LowerBound::inclusive, range.min}, range.max, std::min(kWarmUpKeys, s.size.keys));
    if (const auto whole = integer_stretch(range))
        sample_evenly(s, *whole);
    else
        sample_in_order(s, range);
}

std::int64_t keys_by_samples(const Sampling &s, Stretch whole) {
    return std::min(total_keys(s.coverage, whole), pg::size_in_bytes(s.part.table_oid) / kSmallestRow);
}

// Statistics know the whole table best. What a condition or a bound leaves of it, samples know better.
void settle_total(const Sampling &s, Estimate &result) {
    const auto whole = integer_stretch(*s.part.range);
    const bool is_part = !s.counted.scope.empty() || is_bounded(s.migration);
    result.keys = s.tally.sum.keys;
    result.based_on = "counted";
    if (s.is_covered)
        return;
    const bool by_samples = whole && (s.expected < 0 || is_part);
    result.based_on = by_samples ? "samples" : "statistics";
    result.keys = std::max(result.keys, by_samples ? keys_by_samples(s, *whole) : s.expected);
}

Sampling prepare(const Migration &migration, const Part &part, Micros max_time) {
    pg::lock_table_for_writing(part.table_oid);
    const pg::TableKey key = key_of(part);
    const Text table = walked_table(migration, part);
    pg::prepare_command(command_of(migration, part, key));
    pg::prepare_key_queries(key_queries, table, key);
    KeyWalk walk = pg::walk_of(table, key);
    if (counts_filtered_rows(migration))
        walk.scope = condition_of(migration, part);
    const int first_size = first_sub_batch_size(migration.pace, pg::settings().target_sub_batch_time());
    return {.migration = migration,
            .part = part,
            .counted = walk,
            .deadline = pg::stopwatch() + max_time,
            .sample_time = max_time / kFewestSamples,
            .size = {first_size, 0},
            .expected = pg::estimated_rows(walk, part.table_oid, is_bounded(migration) ? &*part.range : nullptr)};
}

// Of several parts the largest is sampled, for all of them.
struct Chosen {
    const Part *part = nullptr;
    std::int64_t bytes = 0;
    std::int64_t bytes_of_all = 0;
    std::int64_t rows_of_all = 0; // by the planner; negative: not known
    int others = 0;               // with rows
};

Chosen choose_part(const Vector<Part> &parts) {
    Chosen chosen;
    for (const Part &part : parts) {
        if (!part.range)
            continue;
        const std::int64_t bytes = pg::size_in_bytes(part.table_oid);
        chosen.bytes_of_all += bytes;
        chosen.rows_of_all = part.total_rows < 0 || chosen.rows_of_all < 0 ? -1 : chosen.rows_of_all + part.total_rows;
        chosen.others += chosen.part != nullptr;
        if (chosen.part == nullptr || bytes > chosen.bytes) {
            chosen.part = &part;
            chosen.bytes = bytes;
        }
    }
    return chosen;
}

void add_other_parts(const Chosen &chosen, Estimate &result) {
    if (chosen.others == 0 || chosen.bytes == 0)
        return;
    // Samples that are rolled back make the table larger, and leave its rows alone.
    const bool by_rows = chosen.rows_of_all > 0 && chosen.part->total_rows > 0;
    const double share = by_rows
                             ? static_cast<double>(chosen.rows_of_all) / static_cast<double>(chosen.part->total_rows)
                             : static_cast<double>(chosen.bytes_of_all) / static_cast<double>(chosen.bytes);
    result.keys = static_cast<std::int64_t>(static_cast<double>(result.keys) * share);
    result.based_on = "samples";
}

Estimate measure(const Migration &migration, const Vector<Part> &parts, Micros max_time) {
    Estimate result = {"counted", 0, migration.pace.batch_size, {}, {}};
    const Chosen chosen = choose_part(parts);
    if (chosen.part == nullptr)
        return result;
    pg::with_owners_settings(migration.search_path, pg::settings().lock_timeout(), [&] {
        Sampling sampling = prepare(migration, *chosen.part, max_time);
        sample(sampling);
        settle_total(sampling, result);
        result.tally = sampling.tally;
    });
    pg::release_command();
    pg::release_key_queries(key_queries);
    add_other_parts(chosen, result);
    const bool is_optimized = pg::settings().optimize_batches;
    result.all = project(result.tally, {result.keys, result.based_on == "counted", is_optimized}, migration.pace);
    return result;
}

[[noreturn]] void refuse_limit(const Migration &migration, Micros limit, Micros full_speed, const Tally &tally) {
    const auto seconds = [](double duration) {
        return pg::duration_text((static_cast<Micros>(duration) / kSecond + 1) * kSecond).data();
    };
    pg::raise(Refusal{
        "22023", pg::format("cannot finish %s within %s", label(migration).data(), pg::duration_text(limit).data()),
        pg::format("At full speed it needs about %s, measured on %lld rows.", seconds(static_cast<double>(full_speed)),
                   static_cast<long long>(tally.sum.keys)),
        pg::format("Allow it more time, for example finish_within => '%s', or leave that out.",
                   seconds(static_cast<double>(full_speed) * kGenerous))});
}

} // namespace

Estimate estimate(const QueueRequest &request, std::optional<Micros> max_time) {
    if (!max_time || *max_time <= 0)
        pg::raise(Refusal{"22023", "max_time must be greater than zero", {}, {}});
    check_session("bbm.estimate()");
    Planned planned = plan_migration(request);
    check_plan(planned);
    return measure(planned.migration, *planned.parts, *max_time);
}

Pace pace_to_finish_within(const Migration &migration, const Vector<Part> &parts, Micros limit) {
    check_session("finish_within");
    Migration paced = migration;
    paced.pace.batch_size_given = true; // its jobs will count what the filter lets pass
    const Estimate found = measure(paced, parts, kPaceTime);
    Pace pace = migration.pace;
    if (found.tally.sum.keys == 0)
        return pace; // nothing to rest from
    const FinishPlan plan =
        plan_finish_within(found.keys, us_per_key(found.tally, pace.pause), limit, pace.max_batch_size);
    if (!plan.is_possible)
        refuse_limit(migration, limit, plan.full_speed, found.tally);
    pace.batch_size = pace.max_batch_size = plan.batch_size;
    pace.sub_batch_size = std::min(pace.sub_batch_size, pace.batch_size);
    pace.job_interval = plan.job_interval;
    return pace;
}

} // namespace bbm
