-- The sizes of jobs follow the time that they take. Intervals of an hour or of a microsecond make the time of a job nothing or
-- far too much, whatever the machine; CALL bbm.run does not wait for them.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SET bbm.optimize_batches = on;
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g FROM generate_series(1, 6000) AS g;
CREATE VIEW sizes AS
    SELECT migration_id, batch_size, min_cursor, max_cursor, rows_affected FROM bbm.jobs WHERE status = 'succeeded' ORDER BY id;
-- The event that follows the last job changes nothing any more.
CREATE VIEW changes AS
    SELECT migration_id, from_status, to_status, reason, data FROM bbm.events WHERE event = 'optimize' ORDER BY id;

-- A job that takes nothing of its interval: the next one is a fifth larger.
SELECT bbm.queue('grow', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 hour') AS id \gset
SELECT batch_size, batch_size_given FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor, rows_affected FROM sizes WHERE migration_id = :id;
SELECT from_status, to_status, reason, data FROM changes WHERE migration_id = :id LIMIT 4;
SELECT status, batch_size >= 1728 AS has_grown, batch_size_given FROM bbm.migrations WHERE id = :id;

-- Up to a limit.
SELECT bbm.queue('limit', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 hour', max_batch_size => 1300) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor FROM sizes WHERE migration_id = :id;
SELECT reason FROM changes WHERE migration_id = :id;
-- Which may be below the usual least size.
SELECT bbm.queue('small limit', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 hour', max_batch_size => 300) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, count(*) FROM sizes WHERE migration_id = :id GROUP BY batch_size;

-- A size that was given grows all the same where there is an interval; a small one to the least size at once.
SELECT bbm.queue('given', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 hour', batch_size => 100) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor FROM sizes WHERE migration_id = :id;
SELECT reason FROM changes WHERE migration_id = :id LIMIT 3;

-- Jobs that take far longer than their interval: smaller, but not below the least size.
SELECT bbm.queue('shrink', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 microsecond', batch_size => 4000) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor FROM sizes WHERE migration_id = :id;
SELECT count(*) FROM changes WHERE migration_id = :id;
SELECT data->'old' AS old, data->'new' AS new, (data->>'efficiency')::float > 1 AS is_slow FROM changes WHERE migration_id = :id;
-- And a size that was below it is not raised: the jobs are too slow already.
SELECT bbm.queue('stay', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 microsecond', batch_size => 900) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, count(*) FROM sizes WHERE migration_id = :id GROUP BY batch_size;
SELECT count(*) FROM changes WHERE migration_id = :id;

-- Switched off, sizes stay.
SET bbm.optimize_batches = off;
SELECT bbm.queue('frozen', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 hour') AS id \gset
CALL bbm.run(:id);
SELECT batch_size, count(*) FROM sizes WHERE migration_id = :id GROUP BY batch_size;
SELECT count(*) FROM changes WHERE migration_id = :id;
SET bbm.optimize_batches = on;

-- Without an interval a size that was given stays.
SELECT bbm.queue('kept', 't', command => 'UPDATE t SET n = n + 1', batch_size => 1500) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, count(*) FROM sizes WHERE migration_id = :id GROUP BY batch_size;
SELECT count(*) FROM changes WHERE migration_id = :id;
-- Where nobody gave one, the first job is measured and the next ones are as long as they should be.
CREATE TABLE long (id int PRIMARY KEY, n int);
INSERT INTO long SELECT g FROM generate_series(1, 30000) AS g;
SELECT bbm.queue('measured', 'long', command => 'UPDATE long SET n = 1 WHERE id % 100 = 0') AS id \gset
SELECT batch_size, batch_size_given FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT batch_size = 10000 AS is_the_first, batch_size > 10000 AS has_grown, min_cursor[1]::int BETWEEN 9000 AND 10001 AS is_behind_it FROM sizes WHERE migration_id = :id LIMIT 2;
SELECT data->'old' AS old, (data->>'new')::int > 10000 AS has_grown FROM changes WHERE migration_id = :id LIMIT 1;
-- Up to a limit there as well.
SELECT bbm.queue('measured, limited', 'long', command => 'UPDATE long SET n = 1 WHERE id % 100 = 0', max_batch_size => 12000) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, (max_cursor[1]::int - min_cursor[1]::int + 1) / batch_size::float BETWEEN 0.9 AND 1.0 AS is_of_that_size FROM sizes WHERE migration_id = :id LIMIT 2;

-- Changed by hand: without an interval that is a given size, with one it goes on from there.
SELECT bbm.queue('altered', 't', command => 'UPDATE t SET n = n + 1') AS id \gset
SELECT bbm.alter(:id, batch_size => 2500);
SELECT batch_size, batch_size_given FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor FROM sizes WHERE migration_id = :id;
SELECT bbm.queue('altered 2', 't', command => 'UPDATE t SET n = n + 1', batch_size => 10) AS id \gset
SELECT bbm.alter(:id, batch_size => 2000, job_interval => '1 hour', max_batch_size => 2500);
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor FROM sizes WHERE migration_id = :id;

-- Jobs of one row, which bisection found, say nothing about the others.
CREATE TABLE bad (id int PRIMARY KEY, by int NOT NULL DEFAULT 1, n int NOT NULL DEFAULT 0);
INSERT INTO bad SELECT g, CASE WHEN g <= 5 THEN 0 ELSE 1 END FROM generate_series(1, 1000) AS g;
SELECT bbm.queue('bad', 'bad', command => 'UPDATE bad SET n = n + 1 / by', job_interval => '1 microsecond', batch_size => 1000) AS id \gset
CALL bbm.run(:id);
SELECT bbm.alter(:id, batch_size => 5000);
UPDATE bad SET by = 1;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, batch_size FROM bbm.migrations WHERE id = :id;

-- Every row of every migration was done once.
SELECT n, count(*) FROM t GROUP BY n;
SELECT n, count(*) FROM bad GROUP BY n;
DROP VIEW sizes, changes;
DROP TABLE t, long, bad;
