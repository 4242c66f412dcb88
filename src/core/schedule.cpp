#include "core/schedule.hpp"

#include <algorithm>

namespace bbm {

namespace {

// One on hold gives its table away, unless it has a job in hand; when the hold is over it waits for whoever works
// there.
bool table_taken(std::span<const Candidate> earlier, const Candidate &candidate) {
    return std::any_of(earlier.begin(), earlier.end(), [&](const Candidate &other) {
        return other.table_root == candidate.table_root && !other.is_held;
    });
}

// A worker that runs on a later migration of the same table (it was started before a higher priority arrived).
bool table_busy(std::span<const Candidate> all, const Candidate &candidate) {
    return std::any_of(all.begin(), all.end(), [&](const Candidate &other) {
        return other.id != candidate.id && other.table_root == candidate.table_root && other.live_workers > 0;
    });
}

// Nobody reports that a suspect has been cleared.
constexpr Micros kLookAtSuspects = 100'000;

struct Room {
    int starts;
    int most_starts;

    bool is_full() const { return starts >= most_starts; }
};

// Workers beside the first one, of migrations that have one. A suspect runs alone.
void choose_more(std::span<const Candidate> candidates, Micros now, Room &room, std::span<int> chosen) {
    const auto firsts = static_cast<std::size_t>(room.starts);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const Candidate &candidate = candidates[i];
        const auto first_chosen = chosen.first(firsts);
        const bool has_first = std::count(first_chosen.begin(), first_chosen.end(), static_cast<int>(i)) > 0;
        if (candidate.is_suspect || candidate.is_held || candidate.due_at > now || table_busy(candidates, candidate))
            continue;
        if (candidate.live_workers == 0 && !has_first)
            continue;
        for (int more = candidate.live_workers + has_first; more < candidate.wanted_workers && !room.is_full(); ++more)
            chosen[static_cast<std::size_t>(room.starts++)] = static_cast<int>(i);
    }
}

} // namespace

Schedule choose(std::span<const Candidate> candidates, Limits limits, Micros now, std::span<int> chosen) {
    Schedule schedule{0, kNever};
    Room room = {0, std::min(limits.free_workers, static_cast<int>(chosen.size()))};
    int running = static_cast<int>(std::count_if(candidates.begin(), candidates.end(), [](const Candidate &one) {
        return one.live_workers > 0 && !one.is_held;
    }));
    bool suspect_runs = std::any_of(candidates.begin(), candidates.end(),
                                    [](const Candidate &one) { return one.is_suspect && one.live_workers > 0; });
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const Candidate &candidate = candidates[i];
        if (candidate.live_workers > 0 || table_taken(candidates.first(i), candidate) ||
            table_busy(candidates, candidate))
            continue;
        if (candidate.due_at > now) {
            schedule.wake_at = std::min(schedule.wake_at, candidate.due_at);
            continue;
        }
        if (candidate.is_suspect && suspect_runs) {
            schedule.wake_at = std::min(schedule.wake_at, now + kLookAtSuspects);
            continue;
        }
        if (running >= limits.max_running || room.is_full())
            continue; // whoever leaves wakes the scheduler
        chosen[static_cast<std::size_t>(room.starts++)] = static_cast<int>(i);
        ++running;
        suspect_runs = suspect_runs || candidate.is_suspect;
    }
    choose_more(candidates, now, room, chosen);
    schedule.starts = room.starts;
    return schedule;
}

} // namespace bbm
