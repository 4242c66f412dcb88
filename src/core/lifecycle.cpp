#include "core/lifecycle.hpp"

#include <algorithm>

namespace bbm {

namespace {

using M = MigrationStatus;
using ME = MigrationEvent;
using J = JobStatus;
using JE = JobEvent;

struct MigrationRule {
    M from;
    ME event;
    M to;
};

constexpr MigrationRule kMigrationRules[] = {
    {M::active, ME::pause, M::paused},
    {M::finalizing, ME::pause, M::paused},
    {M::paused, ME::resume, M::active},
    {M::active, ME::finish, M::finished},
    {M::finalizing, ME::finish, M::finished},
    {M::active, ME::fail, M::failed},
    {M::finalizing, ME::fail, M::failed},
    {M::failed, ME::retry, M::active},
    {M::active, ME::finalize, M::finalizing},
    {M::paused, ME::finalize, M::finalizing},
    {M::failed, ME::finalize, M::finalizing},
    {M::finished, ME::confirm, M::finalized},
    {M::active, ME::mark_finished, M::finished},
    {M::paused, ME::mark_finished, M::finished},
    {M::finalizing, ME::mark_finished, M::finished},
    {M::failed, ME::mark_finished, M::finished},
};

// An event that finds its aim reached. Finalizing is further on than active, and finalized than finished.
constexpr MigrationRule kAlready[] = {
    {M::paused, ME::pause, M::paused},
    {M::active, ME::resume, M::active},
    {M::finalizing, ME::resume, M::finalizing},
    {M::finished, ME::finish, M::finished},
    {M::finalized, ME::finish, M::finalized},
    {M::failed, ME::fail, M::failed},
    {M::active, ME::retry, M::active},
    {M::finalizing, ME::retry, M::finalizing},
    {M::finalizing, ME::finalize, M::finalizing},
    {M::finished, ME::finalize, M::finished},
    {M::finalized, ME::finalize, M::finalized},
    {M::finalized, ME::confirm, M::finalized},
    {M::finished, ME::mark_finished, M::finished},
};

struct JobRule {
    J from;
    JE event;
    J to;
};

constexpr JobRule kJobRules[] = {
    {J::pending, JE::start, J::running},
    {J::failed, JE::start, J::running},
    {J::running, JE::take_over, J::running}, // its owner is gone: the row says running, the lock is free
    {J::running, JE::give_back, J::pending}, // paused or told to stop, with nothing wrong
    {J::running, JE::succeed, J::succeeded},
    {J::running, JE::fail, J::failed},
    {J::failed, JE::put_back, J::pending},          // retry: a person wants it tried again
    {J::pending, JE::mark_succeeded, J::succeeded}, // with the migration: the last resort
    {J::running, JE::mark_succeeded, J::succeeded},
    {J::failed, JE::mark_succeeded, J::succeeded},
};

template <class Names, class Value> Text name_in(const Names &names, Value value) {
    return names[static_cast<std::size_t>(value)];
}

template <class Value, class Names> std::optional<Value> parse_in(const Names &names, Text word) {
    const auto found = std::find(std::begin(names), std::end(names), word);
    if (found == std::end(names))
        return std::nullopt;
    return static_cast<Value>(found - std::begin(names));
}

// In the order of the enumerations.
constexpr Text kMigrationStatusNames[] = {"paused", "active", "finished", "failed", "finalizing", "finalized"};
constexpr Text kMigrationEventNames[] = {"pause", "resume",   "finish",  "fail",
                                         "retry", "finalize", "confirm", "mark_finished"};
constexpr Text kJobStatusNames[] = {"pending", "running", "failed", "succeeded"};
constexpr Text kJobEventNames[] = {"start", "take_over", "give_back", "succeed", "fail", "put_back", "mark_succeeded"};
constexpr Text kOnDataErrorNames[] = {"fail", "quarantine"};
constexpr Text kWalkNames[] = {"keys", "values", "blocks", "sweep"};

} // namespace

Step apply(MigrationStatus from, MigrationEvent event) {
    for (const auto &rule : kMigrationRules)
        if (rule.from == from && rule.event == event)
            return {Step::Kind::moves, rule.to};
    for (const auto &rule : kAlready)
        if (rule.from == from && rule.event == event)
            return {Step::Kind::already, rule.to};
    return {Step::Kind::refused, from};
}

std::optional<JobStatus> apply(JobStatus from, JobEvent event) {
    for (const auto &rule : kJobRules)
        if (rule.from == from && rule.event == event)
            return rule.to;
    return std::nullopt;
}

bool is_runnable(MigrationStatus status) { return status == M::active || status == M::finalizing; }
bool is_done(MigrationStatus status) { return status == M::finished || status == M::finalized; }

Text name(MigrationStatus status) { return name_in(kMigrationStatusNames, status); }
Text name(MigrationEvent event) { return name_in(kMigrationEventNames, event); }
Text name(JobStatus status) { return name_in(kJobStatusNames, status); }
Text name(JobEvent event) { return name_in(kJobEventNames, event); }
Text name(OnDataError choice) { return name_in(kOnDataErrorNames, choice); }
Text name(Walk walk) { return name_in(kWalkNames, walk); }
std::optional<MigrationStatus> parse_migration_status(Text word) { return parse_in<M>(kMigrationStatusNames, word); }
std::optional<JobStatus> parse_job_status(Text word) { return parse_in<J>(kJobStatusNames, word); }
std::optional<OnDataError> parse_on_data_error(Text word) { return parse_in<OnDataError>(kOnDataErrorNames, word); }
std::optional<Walk> parse_walk(Text word) { return parse_in<Walk>(kWalkNames, word); }

} // namespace bbm
