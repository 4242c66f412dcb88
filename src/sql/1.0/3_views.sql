------------------------------------------------------------------------------------------------------------------------
-- Views. Owners see their own rows, pg_monitor sees all. Role numbers count only where they were written: after a restore
-- the same number may be another role.

CREATE VIEW bbm.workers WITH (security_barrier) AS
    SELECT l.pid, m.id AS migration_id, m.job_class_name, p.table_name, j.id AS job_id, j.min_cursor, j.max_cursor, j.cursor,
           j.sub_batch_size, j.sub_batches, j.rows_affected, j.started_at
    FROM pg_catalog.pg_locks AS l
    JOIN bbm.job AS j ON j.id = (l.classid::bigint << 32 | l.objid::bigint)
    JOIN bbm.part AS p ON p.id = j.part_id
    JOIN bbm.migration AS m ON m.id = j.migration_id
    WHERE l.locktype = 'advisory' AND l.objsubid = 4 AND l.granted AND j.status = 'running'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
      AND (bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON VIEW bbm.workers IS 'the processes that hold a job now';

CREATE VIEW bbm.migrations WITH (security_barrier) AS
    SELECT m.id, m.job_class_name, m.table_name, m.table_oid, m.table_root, m.column_name, m.job_arguments, m.generation, m.is_current, m.status,
           m.status_reason, m.statement, m.scope_to, m.operation_name, m.batching_strategy, m.cursor_columns, t.cursor_types,
           t.min_cursor, t.max_cursor, t.frontier, t.parts, t.parts_cut, m.workers, m.total_rows, m.job_interval, m.pause, m.batch_size, m.batch_size_given,
           m.sub_batch_size, m.max_batch_size, m.priority, m.next_job_at, m.on_hold_until, m.hold_reason, m.on_data_error,
           m.recent_jobs, m.bounds_attempts, m.owner_name, m.jobs_succeeded, u.jobs_unfinished, u.jobs_failed,
           q.rows_quarantined, m.rows_affected + u.rows_affected AS rows_affected, m.sub_batches + u.sub_batches AS sub_batches,
           (m.work_us + u.work_us) * interval '1 microsecond' AS work_time,
           greatest(m.longest_us, u.longest_us) * interval '1 microsecond' AS longest_sub_batch,
           p.progress, bbm.is_home(m.home_system, m.home_database) AS is_home, m.created_at, m.active_since, m.started_at,
           m.finished_at
    FROM bbm.migration AS m
    -- LEFT JOINs, though there is always a row: whoever does not ask for these columns does not pay for them.
    LEFT JOIN LATERAL (
        SELECT count(*) AS parts, count(*) FILTER (WHERE a.is_cut) AS parts_cut,
               CASE WHEN count(*) = 1 THEN min(a.cursor_types) END AS cursor_types, CASE WHEN count(*) = 1 THEN min(a.min_cursor) END AS min_cursor,
               CASE WHEN count(*) = 1 THEN max(a.max_cursor) END AS max_cursor, CASE WHEN count(*) = 1 THEN max(a.frontier) END AS frontier
        FROM bbm.part AS a WHERE a.migration_id = m.id) AS t ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS jobs_unfinished, count(*) FILTER (WHERE j.status = 'failed') AS jobs_failed,
               coalesce(sum(j.rows_affected), 0)::bigint AS rows_affected, coalesce(sum(j.sub_batches), 0)::bigint AS sub_batches,
               coalesce(sum(j.work_us), 0)::bigint AS work_us, coalesce(max(j.longest_us), 0) AS longest_us,
               coalesce(sum(CASE WHEN t.cursor_types IN ('{smallint}', '{integer}', '{bigint}')
                                 THEN j.max_cursor[1]::numeric - coalesce(j.cursor[1]::numeric, j.min_cursor[1]::numeric - 1) END), 0) AS positions
        FROM bbm.job AS j WHERE j.migration_id = m.id AND j.status <> 'succeeded') AS u ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS rows_quarantined FROM bbm.quarantine AS q WHERE q.migration_id = m.id) AS q ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN m.status IN ('finished', 'finalized') THEN 1
                    WHEN m.started_at IS NULL THEN 0
                    WHEN t.cursor_types IN ('{smallint}', '{integer}', '{bigint}')
                    THEN trunc(least(0.9999, greatest(0, (t.frontier[1]::numeric - t.min_cursor[1]::numeric + 1 - u.positions)
                                                        / (t.max_cursor[1]::numeric - t.min_cursor[1]::numeric + 1))), 4)
                    WHEN m.total_rows > 0 THEN trunc(least(0.9999, m.keys_planned::numeric / m.total_rows), 4)
                    WHEN t.parts > 1 THEN trunc(least(0.9999, t.parts_cut::numeric / t.parts), 4)
               END AS progress) AS p
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.migrations IS 'every migration with its definition and its counters; progress is by key position, by batches over estimated rows where keys have no arithmetic or several tables are walked, or by tables. '
    'cursor_types, min_cursor, max_cursor and frontier are NULL where several tables are walked: see bbm.parts';

CREATE VIEW bbm.jobs WITH (security_barrier) AS
    SELECT j.id, j.migration_id, m.job_class_name, p.table_name AS part_name, j.status, j.min_cursor, j.max_cursor, j.cursor, j.batch_size, j.sub_batch_size,
           j.attempts, j.epoch, j.rows_affected, j.sub_batches, j.work_us * interval '1 microsecond' AS work_time,
           j.longest_us * interval '1 microsecond' AS longest_sub_batch, j.elapsed_us * interval '1 microsecond' AS elapsed,
           j.retry_at, j.wants_split, j.created_at, j.started_at, j.finished_at
    FROM bbm.job AS j JOIN bbm.migration AS m ON m.id = j.migration_id JOIN bbm.part AS p ON p.id = j.part_id
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.jobs IS 'the batches of each migration, with their key ranges and counters; part_name is the table that the range is of';

CREATE VIEW bbm.parts WITH (security_barrier) AS
    SELECT p.id, p.migration_id, m.job_class_name, p.table_name, p.table_oid, p.walk, p.condition, p.cursor_columns, p.cursor_types,
           p.min_cursor, p.max_cursor, p.frontier, p.is_cut, p.is_detached, p.total_rows
    FROM bbm.part AS p JOIN bbm.migration AS m ON m.id = p.migration_id
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.parts IS 'the tables that each migration walks, in the order of the walk: its own, or its partitions or children. '
    'walk: keys, values, blocks or sweep; min_cursor..max_cursor was the range when it was planned, frontier is how far it is cut into jobs, is_cut that all of it is';

CREATE VIEW bbm.job_transitions WITH (security_barrier) AS
    SELECT t.id, t.migration_id, t.job_id, m.job_class_name, t.from_status, t.to_status, t.reason, t.sqlstate, t.message, t.detail,
           t.hint, t.context, t.min_key, t.max_key, t.attempts, t.role_name, t.pid, t.occurred_at
    FROM bbm.job_transition AS t JOIN bbm.migration AS m ON m.id = t.migration_id
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.job_transitions IS 'every change of a job''s status: from, to, when, by whom, why';

CREATE VIEW bbm.events WITH (security_barrier) AS
    SELECT e.id, e.migration_id, e.job_id, e.job_class_name, e.table_name, e.event, e.from_status, e.to_status, e.reason, e.sqlstate, e.message,
           e.detail, e.data, e.role_name, e.pid, e.occurred_at
    FROM bbm.event AS e
    WHERE bbm.is_home(e.home_system, e.home_database) AND pg_has_role(e.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.events IS 'every change of a migration: from, to, when, by whom, why';

CREATE VIEW bbm.failures WITH (security_barrier) AS
    SELECT t.id, t.migration_id, t.job_class_name, t.job_id, t.min_key, t.max_key, t.attempts, t.sqlstate, t.message, t.detail, t.hint,
           t.context, t.occurred_at AS failed_at, false AS quarantined,
           (SELECT p.table_name FROM bbm.job AS j JOIN bbm.part AS p ON p.id = j.part_id WHERE j.id = t.job_id) AS part_name
    FROM bbm.job_transitions AS t WHERE t.sqlstate IS NOT NULL
    UNION ALL
    SELECT e.id, e.migration_id, e.job_class_name, NULL, NULL, NULL, NULL, e.sqlstate, e.message, e.detail, NULL, NULL, e.occurred_at, false, NULL
    FROM bbm.events AS e WHERE e.sqlstate IS NOT NULL AND e.job_id IS NULL
    UNION ALL
    SELECT q.id, q.migration_id, m.job_class_name, q.job_id, q.key, q.key, q.attempts, q.sqlstate, q.message, q.detail, q.hint,
           q.context, q.quarantined_at, true, (SELECT p.table_name FROM bbm.part AS p WHERE p.id = q.part_id)
    FROM bbm.quarantine AS q JOIN bbm.migrations AS m ON m.id = q.migration_id;
COMMENT ON VIEW bbm.failures IS 'every error met in a batch, whole, with its key range, those met between batches, and the rows in quarantine';

CREATE VIEW bbm.job_classes AS
    SELECT c.name, c.command, c.job_arguments, c.scope_to, c.operation_name, coalesce(c.owner_name, 'built in') AS owner_name, c.defined_at
    FROM bbm.job_class AS c;
COMMENT ON VIEW bbm.job_classes IS 'the definitions that bbm.queue knows by name; job_arguments are what it takes, in this order. '
    'Built in: copy columns, fill a column where it is NULL or from a field of a JSON column, delete rows, move rows to another table';

-- What is left is taken to cost what the last 20 jobs cost by key position: from the cheapest to the dearest of them, less
-- one in ten on either side, and wider the fewer they are. A hold may end early, so only eta_high counts it. More than a
-- century is not known.
CREATE VIEW bbm.progress WITH (security_barrier) AS
    SELECT m.id, m.job_class_name, m.table_name, m.status, m.status IN ('finished', 'finalized') AS finished, m.progress,
           CASE WHEN m.status IN ('finished', 'finalized') THEN 'finished'
                WHEN m.started_at IS NULL THEN 'not started'
                WHEN m.progress IS NULL THEN 'unknown'
                WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN 'key position'
                WHEN m.total_rows > 0 THEN 'batches over estimated rows'
                ELSE 'tables' END AS progress_basis,
           m.rows_affected, m.total_rows, m.jobs_succeeded, m.jobs_failed, m.rows_quarantined,
           round(m.rows_affected / nullif(extract(epoch FROM m.work_time), 0), 1) AS rows_per_s,
           greatest(coalesce(m.finished_at, now()) - m.started_at, interval '0') AS elapsed,
           CASE WHEN m.status IN ('finished', 'finalized') THEN interval '0'
                WHEN e.low < 3e9 THEN e.low * interval '1 second' END AS eta_low,
           CASE WHEN m.status IN ('finished', 'finalized') THEN interval '0'
                WHEN e.high < 3e9 THEN e.high * interval '1 second' END AS eta_high,
           m.on_hold_until, m.hold_reason
    FROM bbm.migrations AS m
    CROSS JOIN LATERAL (
        SELECT CASE WHEN m.is_home AND m.status IN ('active', 'finalizing') AND m.cursor_types IN ('{smallint}', '{integer}', '{bigint}')
                    THEN (1 - m.progress) * (m.max_cursor[1]::numeric - m.min_cursor[1]::numeric + 1) END::float8 AS positions,
               -- Nothing of this applies to a migration that is finalizing.
               CASE WHEN m.status = 'active' THEN extract(epoch FROM m.job_interval) ELSE 0 END AS interval_s,
               CASE WHEN m.status = 'active' THEN extract(epoch FROM m.pause) ELSE 0 END AS pause_s,
               greatest(extract(epoch FROM m.on_hold_until - now()), 0) AS hold_s) AS l
    LEFT JOIN LATERAL (
        SELECT 1 + 1.0 / nullif(count(*), 0) AS doubt, percentile_cont(0.1) WITHIN GROUP (ORDER BY c.seconds / c.positions) AS low,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY c.seconds / c.positions) AS high
        FROM (SELECT greatest(j.work_us / 1e6 + j.sub_batches * l.pause_s, l.interval_s,
                              CASE WHEN m.status = 'active' THEN j.elapsed_us / 1e6 END)::float8 AS seconds,
                     CASE WHEN l.positions IS NOT NULL THEN j.cursor[1]::numeric - j.min_cursor[1]::numeric + 1 END::float8 AS positions
              FROM bbm.job AS j
              -- BETWEEN, so that the order is that of the migration's index: by the primary key all jobs of others are read.
              WHERE j.migration_id BETWEEN m.id AND m.id AND j.cursor IS NOT NULL AND l.positions IS NOT NULL
                AND (j.status = 'succeeded' OR l.interval_s = 0) -- the interval is the price of a whole job
              ORDER BY j.migration_id DESC, j.id DESC LIMIT 20) AS c) AS r ON true
    CROSS JOIN LATERAL (SELECT r.low / r.doubt * l.positions AS low, r.high * r.doubt * l.positions + l.hold_s AS high) AS e;
COMMENT ON VIEW bbm.progress IS 'one row a migration, for machines; eta_low and eta_high say how long it still needs while it runs, NULL when nobody knows';

CREATE VIEW bbm.status WITH (security_barrier) AS
    -- Once for all lines, not once for each.
    WITH busy AS MATERIALIZED (
        SELECT w.migration_id, o.table_root, count(*) AS workers
        FROM bbm.workers AS w LEFT JOIN bbm.migrations AS o ON o.id = w.migration_id GROUP BY 1, 2)
    SELECT m.id,
           CASE WHEN length(m.job_class_name) > 20 THEN left(m.job_class_name, 18) || '..' ELSE m.job_class_name END AS name,
           CASE WHEN length(t.name) > 12 THEN left(t.name, 10) || '..' ELSE t.name END AS table_name,
           m.status,
           CASE WHEN m.progress IS NULL THEN '   ?' ELSE
                '[' || rpad(repeat('#', floor(m.progress * 4)::integer), 4, '-') || '] ' || lpad(trunc(m.progress * 100, 1)::text, 5) || '%' END AS progress,
           g.rows_per_s::bigint AS rows_per_s,
           CASE WHEN m.status NOT IN ('active', 'finalizing') THEN NULL
                WHEN e.middle < interval '100 hours' THEN date_trunc('second', e.middle)
                WHEN e.middle < interval '10000 hours' THEN date_trunc('day', justify_hours(e.middle))
                ELSE date_trunc('year', justify_interval(e.middle)) END AS eta,
           left(CASE WHEN NOT m.is_home THEN 'from elsewhere:adopt'
                     WHEN m.status IN ('failed', 'paused') THEN coalesce(m.status_reason, '')
                     WHEN m.status NOT IN ('active', 'finalizing') THEN ''
                     WHEN m.on_hold_until > now() THEN
                          CASE WHEN m.hold_reason ~ '^[a-z_]+$' -- an indicator; the longest name leaves no room for a blank
                               THEN 'hold:' || left(' ', 15 - length(m.hold_reason)) || m.hold_reason
                               WHEN m.on_hold_until < now() + interval '1 day' THEN 'held until ' || to_char(m.on_hold_until, 'HH24:MI:SS')
                               ELSE 'held until ' || to_char(m.on_hold_until, 'DD Mon') END
                     WHEN w.workers > 0 THEN w.workers || CASE WHEN w.workers < m.workers THEN ' of ' || m.workers ELSE '' END
                                               || CASE greatest(w.workers, m.workers) WHEN 1 THEN ' worker' ELSE ' workers' END
                     WHEN current_setting('bbm.enabled') = 'off' THEN 'bbm.enabled is off'
                     WHEN current_setting('bbm.max_workers') = '0' THEN 'bbm.max_workers is 0'
                     WHEN m.next_job_at > now() THEN 'next job at ' || to_char(m.next_job_at, 'HH24:MI:SS')
                     WHEN b.blocker IS NOT NULL THEN 'waits for ' || b.blocker
                     WHEN r.running >= current_setting('bbm.max_running_migrations')::integer THEN 'waits for a place'
                     ELSE 'starting' END, 20) AS note
    FROM bbm.migrations AS m
    JOIN bbm.progress AS g ON g.id = m.id
    CROSS JOIN LATERAL (SELECT extract(epoch FROM g.eta_low + g.eta_high) / 2 * interval '1 second' AS middle) AS e
    -- OFFSET, or each place that uses the name looks it up again, and is planned as so dear that a long list is compiled.
    CROSS JOIN LATERAL (SELECT coalesce((SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c WHERE c.oid = m.table_oid AND m.is_home), m.table_name) AS name OFFSET 0) AS t
    LEFT JOIN busy AS w ON w.migration_id = m.id
    CROSS JOIN LATERAL (SELECT min(o.migration_id) AS blocker FROM busy AS o WHERE o.table_root = m.table_root AND o.migration_id <> m.id) AS b
    CROSS JOIN (SELECT count(*) AS running FROM busy) AS r
    WHERE m.is_current
    ORDER BY m.id;
COMMENT ON VIEW bbm.status IS 'one line a migration, at most 120 columns, made for \watch; generations that bbm.requeue() replaced are left out';

