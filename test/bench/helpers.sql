-- What the measurements share. Measured tables are made anew for each of them and left alone by autovacuum.
CREATE EXTENSION bbm;
CREATE SCHEMA bench;

-- Eight columns, about 100 bytes a row on disk.
CREATE TABLE bench.source AS
    SELECT id, (id % 1000)::integer AS a, (id % 977)::integer AS e, id * 3 AS b,
           timestamptz '2020-01-01' + id * interval '1 s' AS c, id % 7 = 0 AS d, md5(id::text) AS f,
           NULL::bigint AS new_col
    FROM generate_series(1, :rows) AS id;
VACUUM (FREEZE, ANALYZE) bench.source;

CREATE FUNCTION bench.make(name text, rows bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TABLE IF EXISTS %I', name);
    EXECUTE format('CREATE TABLE %I WITH (autovacuum_enabled = false) AS'
                   ' SELECT * FROM bench.source WHERE id <= %s ORDER BY id', name, rows);
    EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id)', name);
END $$;

-- The moment at which the condition was first seen to hold, to about a millisecond.
CREATE FUNCTION bench.await(condition text, patience interval DEFAULT '60 s') RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    give_up timestamptz := clock_timestamp() + patience;
    holds boolean;
BEGIN
    LOOP
        PERFORM pg_stat_clear_snapshot();
        EXECUTE 'SELECT ' || condition INTO holds;
        IF holds THEN
            RETURN clock_timestamp();
        END IF;
        IF clock_timestamp() > give_up THEN
            RAISE EXCEPTION 'waited in vain for: %', condition;
        END IF;
        PERFORM pg_sleep(0.001);
    END LOOP;
END $$;

CREATE FUNCTION bench.ms(since timestamptz, until timestamptz) RETURNS numeric LANGUAGE sql AS
    $$SELECT round(extract(epoch FROM until - since) * 1000, 3)$$;

CREATE FUNCTION bench.finished_at(migration bigint) RETURNS timestamptz LANGUAGE sql AS
    $$SELECT max(occurred_at) FROM bbm.events WHERE migration_id = migration AND to_status = 'finished'$$;

CREATE VIEW bench.processes AS
    SELECT pid, backend_type, wait_event FROM pg_stat_activity WHERE backend_type IN ('bbm scheduler', 'bbm worker');

CREATE VIEW bench.job_locks AS
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 4 AND granted;

-- Until 17 pg_stat_wal counts the flushes of WAL to disk, from 18 on pg_stat_io.
SELECT current_setting('server_version_num')::integer >= 180000 AS has_wal_io \gset
\if :has_wal_io
    CREATE VIEW bench.wal AS SELECT sum(fsyncs) AS syncs FROM pg_stat_io WHERE object = 'wal';
\else
    CREATE VIEW bench.wal AS SELECT wal_sync AS syncs FROM pg_stat_wal;
\endif

CREATE FUNCTION bench.check(fine boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF fine IS NOT TRUE THEN
        RAISE EXCEPTION 'the measured run went wrong: %', what;
    END IF;
END $$;

-- The least that a walk in sub-batches costs in a procedure: find the end of the range, change nothing, commit.
CREATE PROCEDURE bench.plain_walk(sub_batch_size integer) LANGUAGE plpgsql AS $$
DECLARE
    position bigint := 0;
    until bigint;
BEGIN
    LOOP
        SELECT max(id) INTO until
        FROM (SELECT id FROM keys WHERE id > position ORDER BY id LIMIT sub_batch_size) AS next;
        EXIT WHEN until IS NULL;
        UPDATE keys SET a = a WHERE id > position AND id <= until AND a < 0;
        PERFORM set_config('synchronous_commit', 'off', true);
        position := until;
        COMMIT;
    END LOOP;
END $$;

CREATE TABLE bench.scratch (n integer);
CREATE PROCEDURE bench.commits(count integer, synchronous text) LANGUAGE plpgsql AS $$
BEGIN
    FOR n IN 1..count LOOP
        PERFORM set_config('synchronous_commit', synchronous, true);
        INSERT INTO bench.scratch VALUES (n);
        COMMIT;
    END LOOP;
END $$;

-- How long this session has waited for a core until now. Linux counts that; elsewhere it is nothing.
CREATE FUNCTION bench.waited_ms() RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 2)::numeric / 1000000;
EXCEPTION WHEN OTHERS THEN
    RETURN 0;
END $$;

-- The same of the workers, as seen last: nobody can ask them at their end.
CREATE TABLE bench.core_wait (pid integer PRIMARY KEY, ms numeric NOT NULL);
CREATE PROCEDURE bench.note_core_waits() LANGUAGE sql AS $$
    INSERT INTO bench.core_wait
    SELECT pid, split_part(seen, ' ', 2)::numeric / 1000000
    FROM bench.processes, pg_read_file('/proc/' || pid || '/schedstat', 0, 1000, true) AS seen
    WHERE backend_type = 'bbm worker' AND seen IS NOT NULL
    ON CONFLICT (pid) DO UPDATE SET ms = excluded.ms
$$;

-- How the work was shared by its processes. A start of a process that did no job counts for nothing.
CREATE FUNCTION bench.shares(migration bigint) RETURNS TABLE (figure text, value numeric) LANGUAGE sql AS $$
    WITH job AS (
        SELECT j.id, j.started_at, j.finished_at, j.elapsed_us, j.rows_affected,
               (SELECT t.pid FROM bbm.job_transition AS t WHERE t.job_id = j.id AND t.to_status = 'running'
                ORDER BY t.id DESC LIMIT 1) AS pid
        FROM bbm.job AS j WHERE j.migration_id = migration
    ), process AS (
        SELECT pid, min(started_at) AS began, max(finished_at) AS ended, sum(elapsed_us) / 1000.0 AS work, sum(rows_affected) AS rows
        FROM job GROUP BY pid
    )
    SELECT 'jobs', count(*) FROM job
    UNION ALL SELECT 'processes', count(*) FROM process
    UNION ALL SELECT 'least_share', min(rows) / nullif(sum(rows), 0) * count(*) FROM process
    UNION ALL SELECT 'busy', sum(work) / (count(*) * bench.ms(min(began), max(ended))) FROM process
    UNION ALL SELECT 'late_ms', bench.ms(min(began), max(began)) FROM process
    UNION ALL SELECT 'alone_ms', bench.ms(min(ended), max(ended)) FROM process
$$;
