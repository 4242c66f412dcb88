-- Queueing a migration and running it to its end.
\set QUIET on
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
RESET client_min_messages;

-- The statement of the documents: an integer key is copied into a bigint one.
CREATE TABLE events (id int PRIMARY KEY, id_convert_to_bigint bigint NOT NULL DEFAULT 0);
INSERT INTO events SELECT g FROM generate_series(1, 1000) AS g;
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'events', 'id', '[["id"], ["id_convert_to_bigint"]]');
CALL bbm.run(1);
SELECT count(*), count(*) FILTER (WHERE id_convert_to_bigint = id) AS copied FROM events;
SELECT id, job_class_name, table_name, column_name, job_arguments, status, progress, rows_affected, finished_at IS NOT NULL AS has_end
FROM bbm.migrations;

-- From here on without the NOTICEs.
SET client_min_messages = warning;

-- One pair without lists; several pairs with them.
CREATE TABLE pairs (id int PRIMARY KEY, a int, b text, a2 bigint, b2 text);
INSERT INTO pairs SELECT g, g * 10, 'b' || g FROM generate_series(1, 10) AS g;
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'pairs', 'id', '["id", "a2"]') AS one \gset
SELECT statement FROM bbm.migrations WHERE id = :one;
CALL bbm.run(:one);
SELECT count(*) FILTER (WHERE a2 = id) AS copied FROM pairs;
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'pairs', 'id', '[["a", "b"], ["a2", "b2"]]') AS both \gset
SELECT statement FROM bbm.migrations WHERE id = :both;
CALL bbm.run(:both);
SELECT count(*) FILTER (WHERE (a2, b2) = (a, b)) AS copied FROM pairs;

-- A one-off command, in batches of an exact size: 8 jobs of 130 rows, the last one of 90, in sub-batches of 50.
CREATE TABLE counted (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO counted SELECT g FROM generate_series(1, 1000) AS g;
SELECT bbm.queue('one_off', 'counted', command => 'UPDATE counted SET n = n + 1', batch_size => 130, sub_batch_size => 50) AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM counted GROUP BY n;
SELECT status, jobs_succeeded, jobs_unfinished, jobs_failed, rows_affected, sub_batches FROM bbm.migrations WHERE id = :id;
SELECT row_number() OVER (ORDER BY id) AS job, status, min_cursor, max_cursor, cursor, batch_size, sub_batch_size, attempts, rows_affected, sub_batches
FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
-- Once more, and only there: what is finished stays finished.
CALL bbm.run(:id);
SELECT n, count(*) FROM counted GROUP BY n;

-- Negative keys and gaps. Batches are counted in rows, not in key positions.
CREATE TABLE gaps (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO gaps SELECT g * g * g FROM generate_series(-50, 50) AS g;
SELECT bbm.queue('gaps', 'gaps', command => 'UPDATE gaps SET n = n + 1', batch_size => 50, sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM gaps GROUP BY n;
SELECT min_cursor, max_cursor, rows_affected, sub_batches FROM bbm.jobs WHERE migration_id = :id ORDER BY id;

-- The ends of each type, in sub-batches of one row.
CREATE TABLE keys2 (id smallint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO keys2 VALUES (-32768), (-32767), (-1), (0), (1), (32766), (32767);
CREATE TABLE keys4 (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO keys4 VALUES (-2147483648), (-2147483647), (-1), (0), (1), (2147483646), (2147483647);
CREATE TABLE keys8 (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO keys8 VALUES (-9223372036854775808), (-9223372036854775807), (-1), (0), (1), (9223372036854775806), (9223372036854775807);
SELECT bbm.queue('ends', 'keys2', command => 'UPDATE keys2 SET n = n + 1', batch_size => 2, sub_batch_size => 1) AS k2,
       bbm.queue('ends', 'keys4', command => 'UPDATE keys4 SET n = n + 1', batch_size => 2, sub_batch_size => 1) AS k4,
       bbm.queue('ends', 'keys8', command => 'UPDATE keys8 SET n = n + 1', batch_size => 2, sub_batch_size => 1) AS k8 \gset
CALL bbm.run(:k2);
CALL bbm.run(:k4);
CALL bbm.run(:k8);
SELECT status, min_cursor, max_cursor, frontier, jobs_succeeded, rows_affected, sub_batches, progress
FROM bbm.migrations WHERE id IN (:k2, :k4, :k8) ORDER BY id;
SELECT 'keys2' AS keys, n, count(*) FROM keys2 GROUP BY n UNION ALL SELECT 'keys4', n, count(*) FROM keys4 GROUP BY n
UNION ALL SELECT 'keys8', n, count(*) FROM keys8 GROUP BY n ORDER BY 1;

-- An empty table has nothing to do; a table of one row has.
CREATE TABLE nothing (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
SELECT bbm.queue('n', 'nothing', command => 'UPDATE nothing SET n = n + 1') AS id \gset
SELECT status, progress, min_cursor, max_cursor, finished_at IS NOT NULL AS has_end FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT count(*) AS jobs FROM bbm.jobs WHERE migration_id = :id;
CREATE TABLE single (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO single VALUES (7);
SELECT bbm.queue('n', 'single', command => 'UPDATE single SET n = n + 1') AS id \gset
SELECT status, min_cursor, max_cursor, finished_at FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
TABLE single;

-- The range: inclusive at both ends, of any type that the key's type can read.
CREATE TABLE ranged (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO ranged SELECT g FROM generate_series(1, 100) AS g;
SELECT bbm.queue('ints', 'ranged', command => 'UPDATE ranged SET n = n + 1', batch_min_value => 10, batch_max_value => 20) AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('texts', 'ranged', command => 'UPDATE ranged SET n = n + 10', batch_min_value => '15', batch_max_value => '30') AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('min only', 'ranged', command => 'UPDATE ranged SET n = n + 100', batch_min_value => 99::bigint) AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('max only', 'ranged', command => 'UPDATE ranged SET n = n + 1000', batch_max_value => 2) AS id \gset
CALL bbm.run(:id);
SELECT n, min(id), max(id), count(*) FROM ranged GROUP BY n ORDER BY min(id), n;
SELECT job_class_name, min_cursor, max_cursor, status, rows_affected FROM bbm.migrations WHERE table_name = 'public.ranged' ORDER BY id;
-- Bounds beyond the rows: nothing to do.
SELECT bbm.queue('beyond', 'ranged', command => 'UPDATE ranged SET n = 0', batch_min_value => 101) AS id \gset
SELECT status, min_cursor FROM bbm.migrations WHERE id = :id;
SELECT bbm.queue('before', 'ranged', command => 'UPDATE ranged SET n = 0', batch_max_value => 0) AS id \gset
SELECT status, min_cursor FROM bbm.migrations WHERE id = :id;
SELECT bbm.queue('between', 'gaps', command => 'UPDATE gaps SET n = 0', batch_min_value => 2, batch_max_value => 7) AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;

-- scope_to narrows the work to the rows that satisfy a condition; names in it are those of the table.
SELECT bbm.queue('scoped', 'counted', command => 'UPDATE counted AS c SET n = n + 1', scope_to => 'id % 3 = 0 OR id = 1') AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM counted GROUP BY n ORDER BY n;
SELECT scope_to, rows_affected, progress FROM bbm.migrations WHERE id = :id;

-- The upper bound stands when the migration is queued: rows that come later are not its business.
SELECT bbm.queue('bounded', 'single', command => 'UPDATE single SET n = n + 1') AS id \gset
INSERT INTO single VALUES (6), (8);
CALL bbm.run(:id);
SELECT * FROM single ORDER BY id;

-- Queued, but not started.
SELECT bbm.queue('later', 'single', command => 'UPDATE single SET n = n + 1', start => false) AS id \gset
SELECT status, started_at FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;

-- The identity is (job class, table, column, job arguments).
RESET client_min_messages;
SELECT bbm.queue('one_off', 'counted', command => 'UPDATE counted SET n = n + 1');
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('one_off', 'counted', command => 'UPDATE counted SET n = n + 1', if_not_exists => true);
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'pairs', 'id', '[["a","b"],["a2","b2"]]', if_not_exists => true) = :both AS same;
SET client_min_messages = warning;

-- A column other than the primary key, when it is NOT NULL and has a unique index.
CREATE TABLE other (id text PRIMARY KEY, number int NOT NULL UNIQUE, n int NOT NULL DEFAULT 0);
INSERT INTO other SELECT 'k' || g, -g FROM generate_series(1, 20) AS g;
SELECT bbm.queue('other', 'other', 'number', command => 'UPDATE other SET n = n + 1', batch_size => 9) AS id \gset
SELECT bbm.queue('cursor', 'other', cursor_columns => '{number}', command => 'UPDATE other SET n = n + 1', batch_size => 9) AS id2 \gset
CALL bbm.run(:id);
CALL bbm.run(:id2);
SELECT n, count(*) FROM other GROUP BY n;
SELECT column_name, cursor_columns, min_cursor, max_cursor, jobs_succeeded FROM bbm.migrations WHERE id IN (:id, :id2) ORDER BY id;

-- Names that need quotes.
CREATE SCHEMA "Odd ""schema""";
CREATE TABLE "Odd ""schema"""."The 'table'; --" ("Key {x}" int PRIMARY KEY, "Old ""value""" int, "New 'value'" bigint);
INSERT INTO "Odd ""schema"""."The 'table'; --" SELECT g, g * 2 FROM generate_series(1, 10) AS g;
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', '"Odd ""schema"""."The ''table''; --"', 'Key {x}',
                 $$["Old \"value\"", "New 'value'"]$$) AS id \gset
SELECT table_name, column_name, statement FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT count(*) FILTER (WHERE "New 'value'" = "Old ""value""") AS copied FROM "Odd ""schema"""."The 'table'; --";

-- Transactional: what is rolled back was never queued.
BEGIN;
SELECT bbm.queue('undone', 'single', command => 'UPDATE single SET n = n + 1') AS id \gset
SELECT status FROM bbm.migrations WHERE id = :id;
ROLLBACK;
SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'undone';
SELECT count(*) FROM bbm.events WHERE job_class_name = 'undone';
BEGIN;
SAVEPOINT s;
SELECT bbm.queue('undone', 'single', command => 'UPDATE single SET n = n + 1') AS id \gset
ROLLBACK TO s;
SELECT bbm.queue('kept', 'single', command => 'UPDATE single SET n = n + 1') AS id \gset
COMMIT;
SELECT job_class_name, status FROM bbm.migrations WHERE job_class_name IN ('undone', 'kept');

-- Without a number CALL does all that the caller owns and that is due.
CALL bbm.run();
SELECT status, count(*) FROM bbm.migrations GROUP BY status;

-- It commits, so it cannot be part of something larger.
BEGIN;
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
ROLLBACK;
DO $$ BEGIN CALL bbm.run(1); END $$;
\echo SQLSTATE :SQLSTATE
CREATE PROCEDURE wrapped() LANGUAGE plpgsql AS $$ BEGIN CALL bbm.run(1); END $$;
CALL wrapped();
\echo SQLSTATE :SQLSTATE
CREATE FUNCTION wrapped_in_sql() RETURNS void LANGUAGE sql AS $$ CALL bbm.run(1) $$;
SELECT wrapped_in_sql();
\echo SQLSTATE :SQLSTATE

DROP TABLE events, pairs, counted, gaps, keys2, keys4, keys8, nothing, single, ranged, other;
DROP SCHEMA "Odd ""schema""" CASCADE;
DROP PROCEDURE wrapped;
