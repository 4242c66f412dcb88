#include "core/lifecycle.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

namespace bbm {
namespace {

using M = MigrationStatus;
using ME = MigrationEvent;
using J = JobStatus;
using JE = JobEvent;

// The tables below say where an event leads: to a status, nowhere because it is already so, or nowhere because it is
// refused.
constexpr const char *kSame = "(already)";
constexpr const char *kNo = "(refused)";

struct MigrationRow {
    M from;
    const char *pause, *resume, *finish, *fail, *retry, *finalize, *confirm, *mark_finished;
};

// clang-format off
constexpr MigrationRow kMigrationTable[] = {
    //               pause     resume    finish      fail      retry     finalize      confirm      mark_finished
    {M::active,      "paused", kSame,    "finished", "failed", kSame,    "finalizing", kNo,         "finished"},
    {M::paused,      kSame,    "active", kNo,        kNo,      kNo,      "finalizing", kNo,         "finished"},
    {M::finalizing,  "paused", kSame,    "finished", "failed", kSame,    kSame,        kNo,         "finished"},
    {M::finished,    kNo,      kNo,      kSame,      kNo,      kNo,      kSame,        "finalized", kSame},
    {M::finalized,   kNo,      kNo,      kSame,      kNo,      kNo,      kSame,        kSame,       kNo},
    {M::failed,      kNo,      kNo,      kNo,        kSame,    "active", "finalizing", kNo,         "finished"},
};

struct JobRow {
    J from;
    const char *start, *take_over, *give_back, *succeed, *fail, *put_back, *mark_succeeded;
};

constexpr JobRow kJobTable[] = {
    //             start      take_over  give_back  succeed      fail      put_back   mark_succeeded
    {J::pending,   "running", kNo,       kNo,       kNo,         kNo,      kNo,       "succeeded"},
    {J::running,   kNo,       "running", "pending", "succeeded", "failed", kNo,       "succeeded"},
    {J::failed,    "running", kNo,       kNo,       kNo,         kNo,      "pending", "succeeded"},
    {J::succeeded, kNo,       kNo,       kNo,       kNo,         kNo,      kNo,       kNo},
};
// clang-format on

const char *expected(const MigrationRow &row, ME event) {
    switch (event) {
    case ME::pause:
        return row.pause;
    case ME::resume:
        return row.resume;
    case ME::finish:
        return row.finish;
    case ME::fail:
        return row.fail;
    case ME::retry:
        return row.retry;
    case ME::finalize:
        return row.finalize;
    case ME::confirm:
        return row.confirm;
    case ME::mark_finished:
        return row.mark_finished;
    }
    return "an event without a column";
}

const char *expected(const JobRow &row, JE event) {
    switch (event) {
    case JE::start:
        return row.start;
    case JE::take_over:
        return row.take_over;
    case JE::give_back:
        return row.give_back;
    case JE::succeed:
        return row.succeed;
    case JE::fail:
        return row.fail;
    case JE::put_back:
        return row.put_back;
    case JE::mark_succeeded:
        return row.mark_succeeded;
    }
    return "an event without a column";
}

std::string shown(Step step) {
    switch (step.kind) {
    case Step::Kind::moves:
        return std::string(name(step.to));
    case Step::Kind::already:
        return kSame;
    case Step::Kind::refused:
        return kNo;
    }
    return "an unknown kind of step";
}

template <class Values, class Value> bool contains(const Values &values, Value wanted) {
    return std::find(values.begin(), values.end(), wanted) != values.end();
}

TEST(lifecycle, the_lists_hold_every_value_once) {
    EXPECT_EQ(std::set<M>(kMigrationStatuses.begin(), kMigrationStatuses.end()),
              (std::set<M>{M::paused, M::active, M::finished, M::failed, M::finalizing, M::finalized}));
    EXPECT_EQ(kMigrationStatuses.size(), 6u);
    EXPECT_EQ(std::set<ME>(kMigrationEvents.begin(), kMigrationEvents.end()),
              (std::set<ME>{ME::pause, ME::resume, ME::finish, ME::fail, ME::retry, ME::finalize, ME::confirm,
                            ME::mark_finished}));
    EXPECT_EQ(kMigrationEvents.size(), 8u);
    EXPECT_EQ(std::set<J>(kJobStatuses.begin(), kJobStatuses.end()),
              (std::set<J>{J::pending, J::running, J::failed, J::succeeded}));
    EXPECT_EQ(kJobStatuses.size(), 4u);
    EXPECT_EQ(std::set<JE>(kJobEvents.begin(), kJobEvents.end()),
              (std::set<JE>{JE::start, JE::take_over, JE::give_back, JE::succeed, JE::fail, JE::put_back,
                            JE::mark_succeeded}));
    EXPECT_EQ(kJobEvents.size(), 7u);
}

TEST(lifecycle, every_migration_status_meets_every_event) {
    int pairs = 0;
    for (const MigrationRow &row : kMigrationTable) {
        for (ME event : kMigrationEvents) {
            const Step step = apply(row.from, event);
            EXPECT_EQ(shown(step), expected(row, event)) << name(row.from) << " + " << name(event);
            ++pairs;
        }
    }
    EXPECT_EQ(pairs, 48);
}

TEST(lifecycle, a_step_that_does_not_move_stays_where_it_is) {
    for (M from : kMigrationStatuses) {
        for (ME event : kMigrationEvents) {
            const Step step = apply(from, event);
            if (step.kind == Step::Kind::moves)
                EXPECT_NE(step.to, from) << name(from) << " + " << name(event);
            else
                EXPECT_EQ(step.to, from) << name(from) << " + " << name(event);
        }
    }
}

TEST(lifecycle, every_job_status_meets_every_event) {
    int pairs = 0;
    for (const JobRow &row : kJobTable) {
        for (JE event : kJobEvents) {
            const std::optional<J> to = apply(row.from, event);
            EXPECT_EQ(to ? name(*to) : Text(kNo), expected(row, event)) << name(row.from) << " + " << name(event);
            ++pairs;
        }
    }
    EXPECT_EQ(pairs, 28);
}

// The second call of an event finds its aim reached.
TEST(lifecycle, asking_again_is_not_an_error) {
    for (M from : kMigrationStatuses) {
        for (ME event : kMigrationEvents) {
            const Step once = apply(from, event);
            if (once.kind == Step::Kind::refused)
                continue;
            EXPECT_EQ(apply(once.to, event).kind, Step::Kind::already) << name(from) << " + " << name(event);
        }
    }
}

TEST(lifecycle, there_is_no_dead_end) {
    for (M from : kMigrationStatuses) {
        std::set<M> reached = {from};
        for (std::size_t size = 0; size != reached.size();) {
            size = reached.size();
            for (M status : std::set<M>(reached))
                for (ME event : {ME::finalize, ME::finish, ME::confirm})
                    reached.insert(apply(status, event).to);
        }
        EXPECT_TRUE(reached.contains(M::finalized)) << name(from) << " cannot be brought to the end";
    }
}

TEST(lifecycle, nothing_leaves_the_ends) {
    for (ME event : kMigrationEvents)
        EXPECT_EQ(apply(M::finalized, event).to, M::finalized) << name(event);
    for (JE event : kJobEvents)
        EXPECT_FALSE(apply(J::succeeded, event)) << name(event);
}

TEST(lifecycle, only_finished_work_is_confirmed) {
    for (M from : kMigrationStatuses)
        EXPECT_EQ(apply(from, ME::confirm).to == M::finalized, contains(std::array{M::finished, M::finalized}, from))
            << name(from);
}

TEST(lifecycle, runnable_and_done) {
    const struct {
        M status;
        bool runnable, done;
    } cases[] = {
        {M::active, true, false},  {M::finalizing, true, false}, {M::paused, false, false},
        {M::failed, false, false}, {M::finished, false, true},   {M::finalized, false, true},
    };
    for (const auto &one : cases) {
        EXPECT_EQ(is_runnable(one.status), one.runnable) << name(one.status);
        EXPECT_EQ(is_done(one.status), one.done) << name(one.status);
    }
}

TEST(lifecycle, migration_status_names) {
    const struct {
        M status;
        const char *word;
    } cases[] = {
        {M::active, "active"},     {M::paused, "paused"},       {M::finalizing, "finalizing"},
        {M::finished, "finished"}, {M::finalized, "finalized"}, {M::failed, "failed"},
    };
    for (const auto &one : cases) {
        EXPECT_EQ(name(one.status), one.word);
        EXPECT_EQ(parse_migration_status(one.word), one.status) << one.word;
    }
    for (M status : kMigrationStatuses)
        EXPECT_EQ(parse_migration_status(name(status)), status) << name(status);
}

TEST(lifecycle, job_status_names) {
    const struct {
        J status;
        const char *word;
    } cases[] = {
        {J::pending, "pending"},
        {J::running, "running"},
        {J::failed, "failed"},
        {J::succeeded, "succeeded"},
    };
    for (const auto &one : cases) {
        EXPECT_EQ(name(one.status), one.word);
        EXPECT_EQ(parse_job_status(one.word), one.status) << one.word;
    }
    for (J status : kJobStatuses)
        EXPECT_EQ(parse_job_status(name(status)), status) << name(status);
}

TEST(lifecycle, event_names) {
    const struct {
        ME event;
        const char *word;
    } migration_cases[] = {
        {ME::pause, "pause"},     {ME::resume, "resume"},
        {ME::finish, "finish"},   {ME::fail, "fail"},
        {ME::retry, "retry"},     {ME::finalize, "finalize"},
        {ME::confirm, "confirm"}, {ME::mark_finished, "mark_finished"},
    };
    for (const auto &one : migration_cases)
        EXPECT_EQ(name(one.event), one.word);
    const struct {
        JE event;
        const char *word;
    } job_cases[] = {
        {JE::start, "start"},
        {JE::take_over, "take_over"},
        {JE::give_back, "give_back"},
        {JE::succeed, "succeed"},
        {JE::fail, "fail"},
        {JE::put_back, "put_back"},
        {JE::mark_succeeded, "mark_succeeded"},
    };
    for (const auto &one : job_cases)
        EXPECT_EQ(name(one.event), one.word);
}

TEST(lifecycle, on_data_error_names) {
    const struct {
        OnDataError choice;
        const char *word;
    } cases[] = {{OnDataError::fail, "fail"}, {OnDataError::quarantine, "quarantine"}};
    for (const auto &one : cases) {
        EXPECT_EQ(name(one.choice), one.word);
        EXPECT_EQ(parse_on_data_error(one.word), one.choice) << one.word;
    }
    for (Text word : {"", " ", "Fail", "failed", "quarantined", "skip", "ignore"})
        EXPECT_FALSE(parse_on_data_error(word)) << "'" << word << "'";
    EXPECT_FALSE(parse_on_data_error(Text()));
}

TEST(lifecycle, unknown_words_are_no_status) {
    for (Text word : {"", " ", "Active", "ACTIVE", "active ", " active", "activ", "actives", "1", "queued", "pause"}) {
        EXPECT_FALSE(parse_migration_status(word)) << "'" << word << "'";
        EXPECT_FALSE(parse_job_status(word)) << "'" << word << "'";
    }
    EXPECT_FALSE(parse_migration_status("running"));
    EXPECT_FALSE(parse_migration_status("succeeded"));
    EXPECT_FALSE(parse_migration_status(Text()));
    EXPECT_FALSE(parse_job_status("finished"));
    EXPECT_FALSE(parse_job_status("active"));
    EXPECT_FALSE(parse_job_status(Text()));
}

} // namespace
} // namespace bbm
