-- What the run cost: one line a figure. Needs the variables that demo.sh sets.
WITH f AS (
    SELECT m.*, extract(epoch FROM m.finished_at - q.at) AS elapsed, extract(epoch FROM m.work_time) AS work,
           extract(epoch FROM s.at - q.at) * 1000 AS start_ms,
           (SELECT sum(rows_affected) FROM bbm.migrations) AS all_rows
    FROM bbm.migrations AS m
    CROSS JOIN LATERAL (SELECT min(occurred_at) AS at FROM bbm.events AS e WHERE e.migration_id = m.id AND e.event = 'queue') AS q
    CROSS JOIN LATERAL (SELECT min(occurred_at) AS at FROM bbm.job_transitions AS t
                        WHERE t.migration_id = m.id AND t.to_status = 'running') AS s
    WHERE m.id = 1
)
SELECT rpad(what, 22) || figure FROM f CROSS JOIN LATERAL (VALUES
    ('events changed', format('%s rows in %s s with the pause, %s s of work: %s rows/s',
        rows_affected, round(elapsed, 1), round(work, 1), round(rows_affected / work))),
    ('from queue to start', format('%s ms', round(start_ms))),
    ('transactions', format('%s sub-batches in %s jobs; the longest sub-batch took %s ms',
        sub_batches, jobs_succeeded, round(extract(epoch FROM longest_sub_batch) * 1000))),
    ('WAL', format('%s bytes per row changed, %s of them page images; in all %s, that of pgbench included',
        round(:wal / all_rows), coalesce(round(nullif(:'images', '')::numeric / all_rows)::text, '?'), pg_size_pretty(:wal::bigint))),
    ('events on disk', format('table %s -> %s, indexes %s -> %s',
        pg_size_pretty(:size::bigint), pg_size_pretty(:size_after::bigint), pg_size_pretty(:index_size::bigint), pg_size_pretty(:index_size_after::bigint)))
) AS line(what, figure);
