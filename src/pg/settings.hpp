// The settings: one row each in settings.cpp, with default, limits, unit and meaning.
#pragma once

#include "core/types.hpp"

namespace bbm::pg {

struct Settings {
    bool enabled = true;
    bool optimize_batches = true;
    bool allow_superuser_migrations = true;
    bool synchronous_commit = false;
    int max_workers = 4;
    int max_running_migrations = 2;
    int naptime_s = 60;
    int target_sub_batch_time_ms = 20;
    int lock_timeout_ms = 1000;
    int sub_batch_timeout_ms = 60'000;
    int log_min_duration_ms = -1;
    int max_quarantined_rows = 100;
    int max_wal_rate_kb = 0;
    int max_replica_lag_ms = 0;
    int passes = 0;
    char *databases = nullptr;
    char *health_function = nullptr;

    Micros target_sub_batch_time() const { return target_sub_batch_time_ms * Micros{1000}; }
    Micros lock_timeout() const { return lock_timeout_ms * Micros{1000}; }
    Micros sub_batch_timeout() const { return sub_batch_timeout_ms * Micros{1000}; }
    Micros naptime() const { return naptime_s * Micros{1'000'000}; }
};

const Settings &settings();
void define_settings();

} // namespace bbm::pg
