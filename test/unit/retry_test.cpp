#include "core/retry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <climits>
#include <vector>

namespace bbm {

void PrintTo(FailureClass value, std::ostream *out) {
    *out << std::array{"transient", "resources", "data", "structure", "unknown"}.at(static_cast<std::size_t>(value));
}
void PrintTo(RetryDecision::Action value, std::ostream *out) {
    *out << std::array{"retry_job", "split_job", "give_up_job", "hold_migration", "fail_migration"}.at(
        static_cast<std::size_t>(value));
}

namespace {

using Action = RetryDecision::Action;

constexpr Micros kSecond = 1'000'000;
constexpr Micros kMinute = 60 * kSecond;

struct Case {
    const char *sqlstate;
    const char *what;
    FailureClass expected;
};

constexpr Case kCases[] = {
    {"40001", "serialization_failure", FailureClass::transient},
    {"40P01", "deadlock_detected", FailureClass::transient},
    {"55P03", "lock_not_available", FailureClass::transient},
    {"57014", "query_canceled", FailureClass::transient},
    {"25006", "read_only_sql_transaction", FailureClass::transient},

    {"53000", "insufficient_resources", FailureClass::resources},
    {"53100", "disk_full", FailureClass::resources},
    {"53200", "out_of_memory", FailureClass::resources},
    {"53300", "too_many_connections", FailureClass::resources},
    {"53400", "configuration_limit_exceeded", FailureClass::resources},
    {"58030", "io_error", FailureClass::resources},
    {"57P01", "admin_shutdown", FailureClass::resources},
    {"57P02", "crash_shutdown", FailureClass::resources},
    {"57P03", "cannot_connect_now", FailureClass::resources},
    {"57P04", "database_dropped", FailureClass::resources},
    {"57P05", "idle_session_timeout", FailureClass::resources},

    {"22012", "division_by_zero", FailureClass::data},
    {"22001", "string_data_right_truncation", FailureClass::data},
    {"22003", "numeric_value_out_of_range", FailureClass::data},
    {"22P02", "invalid_text_representation", FailureClass::data},
    {"23502", "not_null_violation", FailureClass::data},
    {"23503", "foreign_key_violation", FailureClass::data},
    {"23505", "unique_violation", FailureClass::data},
    {"23514", "check_violation", FailureClass::data},
    {"23P01", "exclusion_violation", FailureClass::data},
    {"P0001", "raise_exception", FailureClass::data},

    {"42P01", "undefined_table", FailureClass::structure},
    {"42703", "undefined_column", FailureClass::structure},
    {"42883", "undefined_function", FailureClass::structure},
    {"42501", "insufficient_privilege", FailureClass::structure},
    {"42601", "syntax_error", FailureClass::structure},
    {"42704", "undefined_object, a missing role among them", FailureClass::structure},
    {"42804", "datatype_mismatch", FailureClass::structure},
    {"28000", "invalid_authorization_specification", FailureClass::structure},
    {"0A000", "feature_not_supported", FailureClass::structure},
    {"3D000", "invalid_catalog_name", FailureClass::structure},
    {"3F000", "invalid_schema_name", FailureClass::structure},

    {"21000", "cardinality_violation", FailureClass::data},
    {"2F005", "function_executed_no_return_statement", FailureClass::data},
    {"38000", "external_routine_exception", FailureClass::data},
    {"39004", "null_value_not_allowed", FailureClass::data},
    {"44000", "with_check_option_violation", FailureClass::data},
    {"P0000", "plpgsql_error", FailureClass::data},
    {"P0002", "no_data_found", FailureClass::data},
    {"P0004", "assert_failure", FailureClass::data},

    // What nobody foresaw says nothing about rows, and ends the job and not the migration.
    {"XX000", "internal_error", FailureClass::unknown},
    {"57000", "operator_intervention", FailureClass::unknown},
    {"55000", "object_not_in_prerequisite_state", FailureClass::unknown},
    {"58000", "system_error", FailureClass::unknown},
    {"40002", "transaction_integrity_constraint_violation", FailureClass::unknown},
    {"2D000", "invalid_transaction_termination", FailureClass::unknown},
    {"2B000", "dependent_objects_still_exist", FailureClass::unknown},
    {"08006", "connection_failure of a foreign server", FailureClass::unknown},
    {"HV000", "fdw_error", FailureClass::unknown},
    {"54000", "program_limit_exceeded", FailureClass::unknown},
    {"57P", "a torn code", FailureClass::unknown},
    {"25001", "active_sql_transaction", FailureClass::unknown},
    {"BBM01", "a code of the user's own", FailureClass::unknown},
    {"", "no code", FailureClass::unknown},
    {"4", "a torn code", FailureClass::unknown},
    {"5", "a torn code", FailureClass::unknown},
    {"040001", "a code with something in front", FailureClass::unknown},
    {"400011", "a code with something behind", FailureClass::unknown},
};

// A job of ordinary size at its first attempt.
constexpr FailedRun failed_with(Text sqlstate, int attempts = 1) {
    return {.sqlstate = sqlstate,
            .attempts = attempts,
            .batch_size = 1000,
            .sub_batch_size = 100,
            .configured_sub_batch_size = 100};
}

bool is_timeout(Text sqlstate) { return sqlstate == "57014" || sqlstate == "55P03"; }

Action action_for(const Case &one, int attempts) {
    switch (one.expected) {
    case FailureClass::transient:
        return is_timeout(one.sqlstate) && attempts >= 3 ? Action::split_job : Action::retry_job;
    case FailureClass::resources:
        return Action::hold_migration;
    case FailureClass::structure:
        return Action::fail_migration;
    case FailureClass::data:
    case FailureClass::unknown:
        break;
    }
    return Action::give_up_job;
}

TEST(retry, every_code_has_its_class) {
    for (const Case &one : kCases)
        EXPECT_EQ(classify(one.sqlstate), one.expected) << one.sqlstate << " " << one.what;
}

TEST(retry, every_class_has_its_action_at_any_attempt) {
    for (const Case &one : kCases)
        for (int attempts : {0, 1, 2, 3, 10, INT_MAX})
            for (double jitter : {0.0, 0.5, 0.999})
                EXPECT_EQ(after_failure(failed_with(one.sqlstate, attempts), jitter).action, action_for(one, attempts))
                    << one.sqlstate << " " << one.what << ", attempt " << attempts;
}

TEST(retry, what_is_not_retried_has_no_delay) {
    for (const Case &one : kCases) {
        const RetryDecision decision = after_failure(failed_with(one.sqlstate, 5), 0.999);
        const bool ends = decision.action == Action::give_up_job || decision.action == Action::fail_migration;
        EXPECT_EQ(decision.delay == 0, ends) << one.sqlstate;
    }
}

TEST(retry, back_off_doubles_up_to_a_minute) {
    const struct {
        int attempts;
        Micros longest; // what full jitter comes close to; without jitter it is half of it
    } cases[] = {
        {1, 1 * kSecond},  {2, 2 * kSecond},  {3, 4 * kSecond},  {4, 8 * kSecond},    {5, 16 * kSecond},
        {6, 32 * kSecond}, {7, 60 * kSecond}, {8, 60 * kSecond}, {100, 60 * kSecond}, {INT_MAX, 60 * kSecond},
    };
    for (const auto &one : cases) {
        EXPECT_EQ(after_failure(failed_with("40001", one.attempts), 0).delay, one.longest / 2) << one.attempts;
        const Micros jittered = after_failure(failed_with("40001", one.attempts), 0.999).delay;
        EXPECT_LT(jittered, one.longest) << one.attempts;
        EXPECT_GE(jittered, one.longest * 99 / 100) << one.attempts;
    }
}

TEST(retry, back_off_is_bounded_and_never_shrinks) {
    for (double jitter : {0.0, 0.25, 0.999}) {
        Micros before = 0;
        for (int attempts = 1; attempts <= 70; ++attempts) {
            const Micros delay = after_failure(failed_with("40001", attempts), jitter).delay;
            EXPECT_GE(delay, before) << attempts;
            if (attempts <= 6) {
                EXPECT_GT(delay, before) << attempts;
            }
            EXPECT_GE(delay, kSecond / 2) << attempts;
            EXPECT_LE(delay, kMinute) << attempts;
            before = delay;
        }
    }
}

TEST(retry, jitter_parts_jobs_that_failed_together) {
    for (int attempts : {1, 4, 20}) {
        Micros before = -1;
        for (double jitter : {0.0, 0.1, 0.5, 0.9, 0.999}) {
            const Micros delay = after_failure(failed_with("40P01", attempts), jitter).delay;
            EXPECT_GT(delay, before) << attempts << " " << jitter;
            before = delay;
        }
    }
}

TEST(retry, an_attempt_that_was_never_counted_waits_like_the_first) {
    for (int attempts : {0, -1, -1000})
        EXPECT_EQ(after_failure(failed_with("40001", attempts), 0.5).delay,
                  after_failure(failed_with("40001"), 0.5).delay)
            << attempts;
}

// Minutes, from the first time on: a full disk is not mended in the seconds of a back-off.
TEST(retry, resources_wait_minutes) {
    for (const char *sqlstate : {"53100", "53200", "58030", "57P01"})
        for (int attempts : {1, 2, 50})
            for (double jitter : {0.0, 0.999}) {
                const Micros delay = after_failure(failed_with(sqlstate, attempts), jitter).delay;
                EXPECT_GE(delay, kMinute) << sqlstate << " " << attempts;
                EXPECT_LE(delay, 10 * kMinute) << sqlstate << " " << attempts;
            }
}

TEST(retry, three_crashes_are_enough) { EXPECT_EQ(kSuspectedCrashStarts, 3); }

// What a job tries after each time-out, as long as it is not split. The documented ladders.
TEST(retry, a_timeout_shrinks_the_sub_batch) {
    const struct {
        int configured;
        std::vector<int> steps; // 0: it stays
    } ladders[] = {
        {100, {75, 56, 42, 0}},
        {1000, {750, 562, 421, 0}},
        {10, {7, 5, 0}},
        {20, {15, 11, 8, 0}},
        {4, {3, 2, 0}},
        {2, {1, 1}},
        {1, {1, 1}},
        {3, {2, 0}},
        {2'000'000, {1'500'000, 1'125'000, 843'750, 0}},
    };
    for (const char *sqlstate : {"57014", "55P03"})
        for (const auto &ladder : ladders) {
            int size = ladder.configured;
            for (const int expected : ladder.steps) {
                const RetryDecision decision = after_failure({sqlstate, 1, 10'000'000, size, ladder.configured}, 0.5);
                EXPECT_EQ(decision.action, Action::retry_job) << ladder.configured << " at " << size;
                EXPECT_EQ(decision.sub_batch_size, expected) << ladder.configured << " at " << size;
                size = expected;
            }
        }
}

TEST(retry, a_size_of_bbms_own_shrinks_to_one) {
    int size = 100, steps = 0;
    for (; size > 1 && steps < 100; ++steps) {
        const int next = after_failure({"55P03", 1, 1000, size, 0}, 0).sub_batch_size;
        ASSERT_GT(next, 0);
        ASSERT_LT(next, size);
        size = next;
    }
    EXPECT_EQ(size, 1);
    EXPECT_EQ(after_failure({"55P03", 1, 1000, 1, 0}, 0).sub_batch_size, 1);
}

// The size had already been adapted below what the user gave: the limit is his size, not the last one.
TEST(retry, the_limit_of_the_cut_is_measured_from_the_given_size) {
    EXPECT_EQ(after_failure({"57014", 1, 1000, 50, 100}, 0).sub_batch_size, 37);
    EXPECT_EQ(after_failure({"57014", 1, 1000, 47, 100}, 0).sub_batch_size, 35);
    EXPECT_EQ(after_failure({"57014", 1, 1000, 46, 100}, 0).sub_batch_size, 0);
    EXPECT_EQ(after_failure({"57014", 1, 1000, 40, 100}, 0).sub_batch_size, 0);
}

TEST(retry, only_a_timeout_changes_the_sub_batch) {
    for (const Case &one : kCases) {
        if (!is_timeout(one.sqlstate)) {
            EXPECT_EQ(after_failure(failed_with(one.sqlstate), 0).sub_batch_size, 0) << one.sqlstate;
        }
    }
}

TEST(retry, the_third_timeout_splits_the_job) {
    for (const char *sqlstate : {"57014", "55P03"})
        for (const int batch_size : {2, 3, 100, 2'000'000}) {
            for (const int attempts : {1, 2})
                EXPECT_EQ(after_failure({sqlstate, attempts, batch_size, 1, 0}, 0.5).action, Action::retry_job);
            for (const int attempts : {3, 4, 100}) {
                const RetryDecision decision = after_failure({sqlstate, attempts, batch_size, 10, 100}, 0.5);
                EXPECT_EQ(decision.action, Action::split_job) << sqlstate << ' ' << batch_size;
                EXPECT_EQ(decision.sub_batch_size, 0) << "the halves go on with what was tried last";
                EXPECT_EQ(decision.delay, after_failure(failed_with("40001"), 0.5).delay) << "attempts begin anew";
            }
        }
}

// A statement that is too slow for one row stays so. A lock does not: whoever holds it will go.
TEST(retry, one_row_cannot_be_split) {
    EXPECT_EQ(after_failure({"57014", 2, 1, 1, 100}, 0).action, Action::retry_job);
    EXPECT_EQ(after_failure({"57014", 3, 1, 1, 100}, 0).action, Action::give_up_job);
    EXPECT_EQ(after_failure({"57014", 3, 1, 1, 100}, 0).delay, 0);
    Micros before = 0;
    for (const int attempts : {3, 4, 5, 6, 7, 100}) {
        const RetryDecision decision = after_failure({"55P03", attempts, 1, 1, 100}, 0);
        EXPECT_EQ(decision.action, Action::retry_job) << attempts;
        EXPECT_GE(decision.delay, before) << attempts;
        EXPECT_LE(decision.delay, kMinute) << attempts;
        before = decision.delay;
    }
}

TEST(retry, other_transient_errors_never_split) {
    for (const char *sqlstate : {"40001", "40P01", "25006"})
        for (const int attempts : {1, 3, 4, 1000})
            EXPECT_EQ(after_failure(failed_with(sqlstate, attempts), 0).action, Action::retry_job) << sqlstate;
}

TEST(retry, more_than_half_of_fifty_jobs) {
    const struct {
        const char *what;
        std::int64_t jobs, failed;
        bool expected;
    } cases[] = {
        {"nothing yet", 0, 0, false},
        {"all of too few", 49, 49, false},
        {"fifty, none failed", 50, 0, false},
        {"fifty, exactly half", 50, 25, false},
        {"fifty, one more than half", 50, 26, true},
        {"fifty, all", 50, 50, true},
        {"fifty-one, less than half", 51, 25, false},
        {"fifty-one, more than half", 51, 26, true},
        {"a hundred, exactly half", 100, 50, false},
        {"a hundred, more than half", 100, 51, true},
        {"more than an int holds", 10'000'000'000, 5'000'000'000, false},
        {"more than an int holds, and one", 10'000'000'000, 5'000'000'001, true},
    };
    for (const auto &one : cases)
        EXPECT_EQ(too_many_failed(one.jobs, one.failed), one.expected) << one.what;
}

// Who counts only from there on overlooks nothing.
TEST(retry, fewer_failures_than_the_fewest_are_never_too_many) {
    for (std::int64_t jobs = 0; jobs <= 200; ++jobs)
        EXPECT_FALSE(too_many_failed(jobs, kFewestTooMany - 1)) << jobs;
    EXPECT_TRUE(too_many_failed(50, kFewestTooMany));
}

// One that holds all rows for long must not leave a job for each of them.
TEST(retry, a_lock_cuts_a_job_into_sixteen_parts_at_most) {
    int parts = 1, batch_size = 100'000;
    while (after_failure({"55P03", 3, batch_size, 10, 0, 100'000}, 0).action == Action::split_job) {
        batch_size = half_of(batch_size);
        parts *= 2;
    }
    EXPECT_EQ(parts, 16);
    EXPECT_EQ(after_failure({"55P03", 3, batch_size, 10, 0, 100'000}, 0).action, Action::retry_job);
    EXPECT_EQ(after_failure({"57014", 3, batch_size, 10, 0, 100'000}, 0).action, Action::split_job)
        << "one slow row is looked for to the end";
    EXPECT_EQ(after_failure({"55P03", 3, 2, 1, 0, 10}, 0).action, Action::split_job) << "small jobs have few parts";
}

TEST(retry, bounds_that_time_out_are_halved) {
    const struct {
        const char *what;
        int batch_size, attempts;
        bool has_filter;
        BoundsSearch expected;
    } cases[] = {
        {"at first as it is", 1000, 0, true, {1000, true}},
        {"the second attempt", 1000, 1, true, {500, true}},
        {"the third", 1000, 2, true, {250, true}},
        {"then without the filter, with the whole size", 1000, 3, true, {1000, false}},
        {"which is halved in its turn", 1000, 4, true, {500, false}},
        {"without a filter halving goes on", 1000, 3, false, {125, false}},
        {"down to one key", 1000, 10, false, {1, false}},
        {"and no further", 1000, INT_MAX, false, {1, false}},
        {"nor with a filter", 2'000'000, INT_MAX, true, {1, false}},
        {"one key stays one", 1, 2, true, {1, true}},
    };
    for (const auto &one : cases) {
        const BoundsSearch search = bounds_search(one.batch_size, one.attempts, one.has_filter);
        EXPECT_EQ(search.batch_size, one.expected.batch_size) << one.what;
        EXPECT_EQ(search.filters, one.expected.filters) << one.what;
    }
}

// Hopeless only after the smallest search has been tried as well.
TEST(retry, bounds_are_given_up_after_one_key_was_looked_for) {
    int attempts = 0;
    while (bounds_search(2'000'000, attempts, true).batch_size > 1 || bounds_search(2'000'000, attempts, true).filters)
        ++attempts;
    EXPECT_FALSE(is_hopeless(attempts));
    EXPECT_TRUE(is_hopeless(INT_MAX));
}

TEST(retry, halves_of_a_job) {
    const struct {
        int batch_size, expected;
    } cases[] = {{10, 5}, {9, 4}, {3, 1}, {2, 1}, {1, 1}, {2'000'000, 1'000'000}};
    for (const auto &one : cases)
        EXPECT_EQ(half_of(one.batch_size), one.expected) << one.batch_size;
}

} // namespace
} // namespace bbm
