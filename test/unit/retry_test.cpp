#include "core/retry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <climits>

namespace bbm {

void PrintTo(FailureClass value, std::ostream *out) {
    *out << std::array{"transient", "resources", "data", "structure"}.at(static_cast<std::size_t>(value));
}
void PrintTo(RetryDecision::Action value, std::ostream *out) {
    *out << std::array{"retry_job", "give_up_job", "fail_migration"}.at(static_cast<std::size_t>(value));
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

    // What nobody foresaw ends the job and not the migration.
    {"XX000", "internal_error", FailureClass::data},
    {"57000", "operator_intervention", FailureClass::data},
    {"55000", "object_not_in_prerequisite_state", FailureClass::data},
    {"58000", "system_error", FailureClass::data},
    {"40002", "transaction_integrity_constraint_violation", FailureClass::data},
    {"25001", "active_sql_transaction", FailureClass::data},
    {"BBM01", "a code of the user's own", FailureClass::data},
    {"", "no code", FailureClass::data},
    {"4", "a torn code", FailureClass::data},
    {"5", "a torn code", FailureClass::data},
    {"040001", "a code with something in front", FailureClass::data},
    {"400011", "a code with something behind", FailureClass::data},
};

Action action_for(FailureClass failure) {
    switch (failure) {
    case FailureClass::transient:
    case FailureClass::resources:
        return Action::retry_job;
    case FailureClass::data:
        return Action::give_up_job;
    case FailureClass::structure:
        break;
    }
    return Action::fail_migration;
}

TEST(retry, every_code_has_its_class) {
    for (const Case &one : kCases)
        EXPECT_EQ(classify(one.sqlstate), one.expected) << one.sqlstate << " " << one.what;
}

TEST(retry, every_class_has_its_action_at_any_attempt) {
    for (const Case &one : kCases)
        for (int attempts : {0, 1, 2, 3, 10, INT_MAX})
            for (double jitter : {0.0, 0.5, 0.999})
                EXPECT_EQ(after_failure(one.sqlstate, attempts, jitter).action, action_for(one.expected))
                    << one.sqlstate << " " << one.what << ", attempt " << attempts;
}

TEST(retry, what_is_not_retried_has_no_delay) {
    for (const Case &one : kCases) {
        if (action_for(one.expected) != Action::retry_job) {
            EXPECT_EQ(after_failure(one.sqlstate, 5, 0.999).delay, 0) << one.sqlstate;
        }
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
        EXPECT_EQ(after_failure("40001", one.attempts, 0).delay, one.longest / 2) << one.attempts;
        const Micros jittered = after_failure("40001", one.attempts, 0.999).delay;
        EXPECT_LT(jittered, one.longest) << one.attempts;
        EXPECT_GE(jittered, one.longest * 99 / 100) << one.attempts;
    }
}

TEST(retry, back_off_is_bounded_and_never_shrinks) {
    for (double jitter : {0.0, 0.25, 0.999}) {
        Micros before = 0;
        for (int attempts = 1; attempts <= 70; ++attempts) {
            const Micros delay = after_failure("55P03", attempts, jitter).delay;
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
            const Micros delay = after_failure("40P01", attempts, jitter).delay;
            EXPECT_GT(delay, before) << attempts << " " << jitter;
            before = delay;
        }
    }
}

TEST(retry, an_attempt_that_was_never_counted_waits_like_the_first) {
    for (int attempts : {0, -1, -1000})
        EXPECT_EQ(after_failure("40001", attempts, 0.5).delay, after_failure("40001", 1, 0.5).delay) << attempts;
}

// Minutes, from the first time on: a full disk is not mended in the seconds of a back-off.
TEST(retry, resources_wait_minutes) {
    for (const char *sqlstate : {"53100", "53200", "58030", "57P01"})
        for (int attempts : {1, 2, 50})
            for (double jitter : {0.0, 0.999}) {
                const Micros delay = after_failure(sqlstate, attempts, jitter).delay;
                EXPECT_GE(delay, kMinute) << sqlstate << " " << attempts;
                EXPECT_LE(delay, 10 * kMinute) << sqlstate << " " << attempts;
            }
}

TEST(retry, three_crashes_are_enough) { EXPECT_EQ(kSuspectedCrashStarts, 3); }

TEST(retry, a_timeout_shrinks_the_sub_batch) {
    const struct {
        const char *sqlstate;
        int size, expected;
    } cases[] = {{"57014", 100, 75}, {"55P03", 100, 75}, {"57014", 75, 56}, {"57014", 1, 1}, {"57014", 2, 1},
                 {"40001", 100, 0},  {"40P01", 100, 0},  {"23505", 100, 0}, {"53100", 100, 0}};
    for (const auto &one : cases)
        EXPECT_EQ(sub_batch_size_after(one.sqlstate, one.size), one.expected) << one.sqlstate << ' ' << one.size;
}

} // namespace
} // namespace bbm
