// The life of a migration and of a job: which event leads from which status to which. This is the only place that
// knows.
#pragma once

#include "core/types.hpp"

#include <array>
#include <optional>

namespace bbm {

enum class MigrationEvent { pause, resume, finish, fail, retry, finalize, confirm, mark_finished };
enum class JobEvent { start, take_over, give_back, succeed, fail, put_back, mark_succeeded };

inline constexpr std::array kMigrationStatuses = {MigrationStatus::active,     MigrationStatus::paused,
                                                  MigrationStatus::finalizing, MigrationStatus::finished,
                                                  MigrationStatus::finalized,  MigrationStatus::failed};
inline constexpr std::array kMigrationEvents = {
    MigrationEvent::pause, MigrationEvent::resume,   MigrationEvent::finish,  MigrationEvent::fail,
    MigrationEvent::retry, MigrationEvent::finalize, MigrationEvent::confirm, MigrationEvent::mark_finished};
inline constexpr std::array kJobStatuses = {JobStatus::pending, JobStatus::running, JobStatus::failed,
                                            JobStatus::succeeded};
inline constexpr std::array kJobEvents = {JobEvent::start,         JobEvent::take_over, JobEvent::give_back,
                                          JobEvent::succeed,       JobEvent::fail,      JobEvent::put_back,
                                          JobEvent::mark_succeeded};

struct Step {
    enum class Kind { moves, already, refused } kind;
    MigrationStatus to; // the status after the event; unchanged unless it moves
};

// Moves: the event changes the status. Already: it has been done, nothing to do (events are idempotent). Else refused.
Step apply(MigrationStatus from, MigrationEvent event);

// The status after the event, or nothing where the event is not allowed.
std::optional<JobStatus> apply(JobStatus from, JobEvent event);

// May a worker start another sub-batch of a migration in this status?
bool is_runnable(MigrationStatus status);
// Is this status an end from which nothing runs without a person?
bool is_done(MigrationStatus status);

// The vocabulary of the tables. parse_* give nothing for a word they do not know.
Text name(MigrationStatus status);
Text name(MigrationEvent event);
Text name(JobStatus status);
Text name(JobEvent event);
Text name(OnDataError choice);
Text name(Walk walk);
std::optional<MigrationStatus> parse_migration_status(Text word);
std::optional<JobStatus> parse_job_status(Text word);
std::optional<OnDataError> parse_on_data_error(Text word);
std::optional<Walk> parse_walk(Text word);

} // namespace bbm
