------------------------------------------------------------------------------------------------------------------------
-- What GitLab's documents query, with its names and numbers. There a migration that is queued anew replaces the old one, so
-- only current generations stand here; the others are in bbm.migrations and bbm.jobs.

CREATE VIEW bbm.batched_background_migrations WITH (security_barrier) AS
    SELECT m.id, m.created_at, greatest(m.created_at, m.active_since, m.finished_at, e.last_at) AS updated_at,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN m.min_cursor[1]::bigint END AS min_value,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN m.max_cursor[1]::bigint END AS max_value,
           m.batch_size, m.sub_batch_size, least(extract(epoch FROM m.job_interval), 2147483647)::integer AS "interval",
           CASE m.status WHEN 'paused' THEN 0 WHEN 'active' THEN 1 WHEN 'finished' THEN 3 WHEN 'failed' THEN 4
                         WHEN 'finalizing' THEN 5 WHEN 'finalized' THEN 6 END::smallint AS status,
           m.job_class_name, replace(initcap(replace(m.batching_strategy, '_', ' ')), ' ', '') || 'BatchingStrategy' AS batch_class_name,
           (parse_ident(m.table_name))[2] AS table_name, m.column_name, m.job_arguments, m.total_rows AS total_tuple_count,
           least(extract(epoch FROM m.pause) * 1000, 2147483647)::integer AS pause_ms, m.max_batch_size,
           coalesce(e.active_at, m.started_at) AS started_at, m.on_hold_until, (parse_ident(m.table_name))[1] AS gitlab_schema,
           m.finished_at, NULL::text AS queued_migration_version,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(m.min_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(m.min_cursor) END AS min_cursor,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(m.max_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(m.max_cursor) END AS max_cursor
    FROM bbm.migrations AS m
    LEFT JOIN LATERAL (
        SELECT max(e.occurred_at) AS last_at,
               max(e.occurred_at) FILTER (WHERE e.to_status = 'active' AND e.from_status IS DISTINCT FROM 'active') AS active_at
        FROM bbm.event AS e WHERE e.migration_id = m.id) AS e ON true
    WHERE m.is_current;
COMMENT ON VIEW bbm.batched_background_migrations IS 'GitLab''s view of bbm.migrations: status 0 paused, 1 active, 3 finished, 4 failed, 5 finalizing, 6 finalized; interval in seconds';

CREATE VIEW bbm.batched_background_migration_jobs WITH (security_barrier) AS
    SELECT j.id, j.created_at, greatest(j.created_at, j.started_at, j.finished_at) AS updated_at, j.started_at, j.finished_at,
           j.migration_id AS batched_background_migration_id,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN j.min_cursor[1]::bigint END AS min_value,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN j.max_cursor[1]::bigint END AS max_value,
           j.batch_size, j.sub_batch_size,
           CASE j.status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'failed' THEN 2 WHEN 'succeeded' THEN 3 END::smallint AS status,
           least(j.attempts, 32767)::smallint AS attempts,
           CASE WHEN j.sub_batches = 0 THEN '{}' ELSE jsonb_build_object(
                'timings', jsonb_build_object(m.operation_name, jsonb_build_array(extract(epoch FROM j.work_time))),
                'affected_rows', jsonb_build_object(m.operation_name, jsonb_build_array(j.rows_affected))) END AS metrics,
           least(extract(epoch FROM m.pause) * 1000, 2147483647)::integer AS pause_ms,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(j.min_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(j.min_cursor) END AS min_cursor,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(j.max_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(j.max_cursor) END AS max_cursor
    FROM bbm.jobs AS j JOIN bbm.migrations AS m ON m.id = j.migration_id
    WHERE m.is_current;
COMMENT ON VIEW bbm.batched_background_migration_jobs IS 'GitLab''s view of bbm.jobs: status 0 pending, 1 running, 2 failed, 3 succeeded; metrics hold one total instead of one value a sub-batch';

CREATE VIEW bbm.batched_background_migration_job_transition_logs WITH (security_barrier) AS
    SELECT t.id, t.job_id AS batched_background_migration_job_id, t.occurred_at AS created_at, t.occurred_at AS updated_at,
           CASE t.from_status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'failed' THEN 2 WHEN 'succeeded' THEN 3 END::smallint AS previous_status,
           CASE t.to_status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'failed' THEN 2 WHEN 'succeeded' THEN 3 END::smallint AS next_status,
           t.sqlstate AS exception_class, t.message AS exception_message
    FROM bbm.job_transitions AS t JOIN bbm.migrations AS m ON m.id = t.migration_id
    WHERE m.is_current;
COMMENT ON VIEW bbm.batched_background_migration_job_transition_logs IS 'GitLab''s view of bbm.job_transitions, with the numbers of its jobs; exception_class is the SQLSTATE, exception_message is never cut';

CREATE VIEW bbm.health WITH (security_barrier) AS
    SELECT h.indicator, NULL::text AS table_name, h.value, h."limit", h.unit, h.verdict, h.reason
    FROM bbm.read_health() AS h
    UNION ALL
    SELECT h.indicator, m.table_name, h.value, h."limit", h.unit, h.verdict, h.reason
    FROM (SELECT DISTINCT m.table_oid, m.table_name FROM bbm.migrations AS m WHERE m.is_home AND m.status IN ('active', 'finalizing')
          ORDER BY m.table_name) AS m
    CROSS JOIN LATERAL bbm.read_health(m.table_oid::regclass) AS h;
COMMENT ON VIEW bbm.health IS 'the signals that hold migrations: of the server, and of the tables of migrations that run; rates are since the last look of this session';

