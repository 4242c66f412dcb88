#include "pg/row_counts.hpp"

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "pgstat.h"
#include "utils/fmgrprotos.h"
}

namespace bbm::pg {

bool counts_rows() { return pgstat_track_counts; }

std::int64_t hot_updates(std::uint32_t table) {
    return DatumGetInt64(DirectFunctionCall1(pg_stat_get_xact_tuples_hot_updated, ObjectIdGetDatum(table)));
}

} // namespace bbm::pg
