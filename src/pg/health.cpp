#include "pg/health.hpp"

#include "pg/catalog.hpp"
#include "pg/clock.hpp"
#include "pg/identity.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "pg/spi.hpp"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "pgstat.h"
#include "storage/fd.h"
}

namespace bbm::pg {

namespace {

// Counting goes on to here: far beyond every limit, and still a matter of microseconds.
constexpr int kMostCounted = 1000;

// The archiver's own list of what is to do: files "NAME.ready". Up to kMostCounted.
int count_waiting_files() {
    constexpr Text suffix = ".ready";
    const char *path = XLOGDIR "/archive_status";
    DIR *directory = AllocateDir(path);
    int count = 0;
    while (const dirent *entry = ReadDir(directory, path))
        if (Text(entry->d_name).ends_with(suffix) && ++count == kMostCounted)
            break;
    FreeDir(directory);
    return count;
}

Reading read_archiving(Arena arena) {
    Archiving archiving = {XLogArchivingActive(), 0, static_cast<std::uint64_t>(wal_segment_size), {}, {}, 0};
    if (archiving.is_on) {
        const PgStat_ArchiverStats *statistics = pgstat_fetch_stat_archiver();
        archiving.position = GetXLogInsertRecPtr();
        archiving.last_archived = copy(Text(statistics->last_archived_wal), arena);
        archiving.last_failed = copy(Text(statistics->last_failed_wal), arena);
        if (!archived_segment(archiving))
            archiving.waiting = count_waiting_files();
    }
    return judge_archiving(archiving, arena);
}

// A receiver that keeps WAL without replaying it (pg_receivewal, a base backup) says what it has written and is no
// standby. One that has said nothing yet may be one; and of one that is hidden from the extension's owner nothing is
// known.
Statement load_standbys = {
    "SELECT pg_wal_lsn_diff(f.flushed, '0/0')::bigint,"
    " count(*) FILTER (WHERE s.pid IS NOT NULL),"
    " count(*) FILTER (WHERE s.pid IS NOT NULL AND s.replay_lsn IS NULL),"
    " pg_wal_lsn_diff(min(s.replay_lsn), '0/0')::bigint,"
    " (extract(epoch FROM max(s.replay_lag) FILTER (WHERE s.replay_lsn < f.flushed)) * 1000000)::bigint"
    " FROM (SELECT pg_current_wal_flush_lsn() AS flushed OFFSET 0) AS f"
    " LEFT JOIN pg_stat_get_wal_senders() AS s"
    " ON s.state IS NULL OR s.state IN ('streaming', 'catchup') AND (s.replay_lsn IS NOT NULL OR s.write_lsn IS NULL)"
    " GROUP BY f.flushed"};

Reading read_replica_lag(WalSample &mark, Arena arena) {
    const int limit = settings().max_replica_lag_ms;
    WalSample flushed = {0, stopwatch()};
    Standbys standbys = {0, 0, 0, 0};
    if (limit > 0)
        query(load_standbys, {}, [&](const Row &row) {
            flushed.position = static_cast<std::uint64_t>(row.integer(1));
            standbys = {static_cast<int>(row.integer(2)), static_cast<int>(row.integer(3)),
                        static_cast<std::uint64_t>(row.integer(4)), row.integer(5)};
        });
    return judge_replica_lag(mark, flushed, standbys, limit, arena);
}

Statement load_vacuums = {
    "SELECT count(*), to_char(min(a.xact_start), 'YYYY-MM-DD HH24:MI:SS')"
    " FROM pg_stat_get_progress_info('VACUUM') AS p CROSS JOIN LATERAL pg_stat_get_activity(p.pid) AS a"
    " WHERE p.datid = $2::oid"
    " AND p.relid IN ($1::oid, (SELECT c.reltoastrelid FROM pg_class AS c WHERE c.oid = $1::oid))"};

} // namespace

Reading read_vacuums(std::uint32_t table, Arena arena) {
    Vacuums vacuums = {table_name(table), 0, {}};
    query(load_vacuums, {integer(table), integer(current_database())}, [&](const Row &row) {
        vacuums.count = static_cast<int>(row.integer(1));
        vacuums.since = row.text(2, arena);
    });
    return judge_vacuums(vacuums, arena);
}

Vector<Reading> &read_health(HealthSampler &sampler, std::uint32_t table, Arena arena) {
    Vector<Reading> &readings = make<Vector<Reading>>(arena);
    if (in_recovery()) { // nothing runs here; what a standby archives and hands on is none of its work
        for (const Text indicator : {"wal_archive", "wal_rate", "replica_lag"})
            readings.push_back({.indicator = indicator, .reason = "the server is a standby"});
    } else {
        readings.push_back(read_archiving(arena));
        readings.push_back(
            judge_wal_rate(sampler.wal_rate, {GetXLogInsertRecPtr(), stopwatch()}, settings().max_wal_rate_kb, arena));
        readings.push_back(read_replica_lag(sampler.replica_mark, arena));
    }
    if (table != 0)
        readings.push_back(read_vacuums(table, arena));
    return readings;
}

} // namespace bbm::pg
