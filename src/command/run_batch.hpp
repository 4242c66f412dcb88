// bbm.run_batch: one range by hand.
#pragma once

#include "core/types.hpp"

namespace bbm {

struct RunBatch {
    std::int64_t rows_affected = 0;
    Micros duration = 0;
    std::int64_t wal_bytes = 0;
};

// A dry run runs the command for the inclusive range and rolls it back. Otherwise the rows in quarantine are run, each
// by itself, and leave it with the caller's COMMIT: any other range is done by a job, and would be done twice. Raises
// 42501 but in a session of the owner's, 55000 where there is nothing in quarantine.
RunBatch run_batch(std::int64_t id, Text min, Text max, bool is_dry_run, std::uint32_t table);

} // namespace bbm
