-- The views.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1

-- Their columns.
\d bbm.status
\d bbm.migrations
\d bbm.jobs
\d bbm.failures
\d bbm.workers
\d bbm.events
\d bbm.job_transitions
\d bbm.job_classes

-- Every object of the extension has a comment.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS without_comment
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'bbm' AND d.deptype = 'e'
  AND NOT EXISTS (SELECT FROM pg_class AS s WHERE d.classid = 'pg_class'::regclass AND s.oid = d.objid AND s.relkind = 'S')
  AND obj_description(d.objid, (SELECT k.relname FROM pg_class AS k WHERE k.oid = d.classid)) IS NULL
ORDER BY 1;
-- All objects are in the schema bbm, and all that is called is qualified.
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS elsewhere
FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'bbm' AND d.deptype = 'e' AND pg_describe_object(d.classid, d.objid, d.objsubid) NOT LIKE '%bbm%';

-- An empty queue.
SELECT * FROM bbm.status;

-- Progress from 0 to 100, by position in the key's range. CALL with a time limit of nothing does nothing, so the batches are cut by pausing.
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g FROM generate_series(1, 1000) AS g;
CREATE FUNCTION pause_at(int, at int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    IF $1 = at THEN
        PERFORM bbm.pause('steps', reason => 'row ' || at);
    END IF;
    RETURN 1;
END $$;
SELECT bbm.queue('steps', 't', command => 'UPDATE t SET n = n + pause_at(id, 250) + pause_at(id, 999) - 1', batch_size => 100, sub_batch_size => 50) AS id \gset
SELECT id, name, table_name, status, progress, note FROM bbm.status;
CALL bbm.run(:id);
SELECT id, name, table_name, status, progress, note FROM bbm.status;
SELECT progress, jobs_succeeded, jobs_unfinished, jobs_failed, rows_affected, sub_batches, frontier FROM bbm.migrations;
SELECT status, min_cursor, max_cursor, cursor, rows_affected FROM bbm.jobs WHERE status <> 'succeeded';
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT id, name, table_name, status, progress, note FROM bbm.status;
SELECT progress FROM bbm.migrations;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT id, name, table_name, status, progress, note FROM bbm.status;
SELECT n, count(*) FROM t GROUP BY n;
SELECT bbm.ensure_finished(:id);
SELECT id, status, progress FROM bbm.status;

-- Rows that were inserted or deleted meanwhile do not push it beyond 100 %.
SELECT bbm.queue('shrinks', 't', command => 'UPDATE t SET n = n + 1', batch_size => 10) AS id \gset
DELETE FROM t WHERE id > 5;
INSERT INTO t SELECT g FROM generate_series(-5, 0) AS g;
INSERT INTO t SELECT g FROM generate_series(1001, 1100) AS g;
CALL bbm.run(:id);
SELECT status, progress, rows_affected FROM bbm.migrations WHERE id = :id;

-- A failure and a queue that is on hold, each with its reason.
SELECT bbm.queue('fails', 't', command => 'UPDATE t SET n = 1 / (id - 3)') AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('waits', 't', command => 'UPDATE t SET n = 1', start => false) AS id \gset
SELECT bbm.pause(:id, reason => 'until the release is out, and not a day before that');
SELECT name, status, progress, note FROM bbm.status WHERE name IN ('fails', 'waits') ORDER BY id;

-- Long names, big numbers: no line is longer than 120 characters.
CREATE SCHEMA "a rather long schema name, as long as a name can be, that is to say";
CREATE TABLE "a rather long schema name, as long as a name can be, that is to say"."a rather long table name, as long as a name can be, that is to say"
    (id bigint PRIMARY KEY, n int);
INSERT INTO "a rather long schema name, as long as a name can be, that is to say"."a rather long table name, as long as a name can be, that is to say"
    VALUES (-9223372036854775808, 0), (0, 0), (9223372036854775807, 0);
SELECT bbm.queue(repeat('A Very Long Job Class Name ', 20), relid, command =>
    'UPDATE "a rather long schema name, as long as a name can be, that is to say"."a rather long table name, as long as a name can be, that is to say" SET n = 1 / n')
AS id FROM pg_stat_user_tables WHERE relname LIKE 'a rather long%' \gset
CALL bbm.run();
-- As if it had been at it for long.
UPDATE bbm.migration SET work_us = 3600 * 1000000::bigint, rows_affected = 3600 * 999999::bigint WHERE id = :id;
SELECT status, progress, rows_per_s, note FROM bbm.status WHERE id = :id;
\o | awk '{ if (length($0) > longest) longest = length($0) } END { print (longest <= 120 ? "fits" : "longest line: " longest) }'
SELECT * FROM bbm.status;
\o

DROP SCHEMA "a rather long schema name, as long as a name can be, that is to say" CASCADE;
DROP TABLE t;
DROP FUNCTION pause_at;
