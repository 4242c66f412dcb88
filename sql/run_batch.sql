-- One range by hand: tried, or, where it is in quarantine, done.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset

-- Rows 7, 57 and 58 cannot be done.
CREATE TABLE divided (id int PRIMARY KEY, by int NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO divided SELECT g, CASE WHEN g IN (7, 57, 58) THEN 0 ELSE 1 END FROM generate_series(1, 100) AS g;
SELECT bbm.queue('divide', 'divided', command => 'UPDATE divided SET n = n + 1 / by', batch_size => 40, sub_batch_size => 10,
                 on_data_error => 'quarantine') AS id \gset

-- A dry run at any time, in all three forms; nothing stays.
SELECT rows_affected, duration > '0' AS takes_time, wal_bytes > 0 AS writes FROM bbm.run_batch(:id, 11, 30);
SELECT rows_affected FROM bbm.run_batch('divide', '95', 1000);
SELECT rows_affected, wal_bytes FROM bbm.run_batch('divide', 'divided', 'id', '[]', 200, 300);
SELECT rows_affected FROM bbm.run_batch(:id, 50, 60);
SELECT sum(n) FROM divided;
-- There is nothing to do for good: jobs will.
SELECT bbm.run_batch(:id, 11, 30, dry_run => false);
\echo SQLSTATE :SQLSTATE
SELECT sum(n) FROM divided;

CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*), min(id), max(id) FROM divided GROUP BY n ORDER BY n;
-- As long as they are as they were.
SELECT bbm.run_batch(:id, 50, 60, dry_run => false);
\echo SQLSTATE :SQLSTATE
-- All or none.
UPDATE divided SET by = 1 WHERE id = 57;
SELECT bbm.run_batch(:id, 50, 60, dry_run => false);
SELECT n, count(*) FROM divided GROUP BY n ORDER BY n;
-- In the caller's transaction.
BEGIN;
SELECT rows_affected FROM bbm.run_batch(:id, 57, 57, dry_run => false);
SELECT n FROM divided WHERE id = 57;
ROLLBACK;
SELECT n FROM divided WHERE id = 57;
SELECT rows_affected, duration > '0' AS takes_time, wal_bytes > 0 AS writes FROM bbm.run_batch(:id, 57, 57, dry_run => false);
-- Once.
SELECT bbm.run_batch(:id, 57, 57, dry_run => false);
\echo SQLSTATE :SQLSTATE
UPDATE divided SET by = 1;
SELECT rows_affected FROM bbm.run_batch('divide', 1, 100, dry_run => false);
SELECT n, count(*) FROM divided GROUP BY n;
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT event, reason, role_name = :'super' AS by_me FROM bbm.events WHERE migration_id = :id AND event = 'run_batch' ORDER BY id;

-- The quarantine of an old generation is history: the new one does these rows.
UPDATE divided SET by = 0 WHERE id = 7;
SELECT bbm.requeue(:id) AS again \gset
CALL bbm.run(:again);
UPDATE divided SET by = 1 WHERE id = 7;
SELECT bbm.run_batch(:id, 7, 7, dry_run => false);
\echo SQLSTATE :SQLSTATE
SELECT rows_affected FROM bbm.run_batch(:again, 7, 7, dry_run => false);
SELECT n, count(*) FROM divided GROUP BY n;

-- Bad input.
SELECT bbm.run_batch(:again, 9, 8);
SELECT bbm.run_batch(:again, NULL, 8);
SELECT bbm.run_batch(:again, 8, NULL);
SELECT bbm.run_batch(:again, 'eight', 9);
SELECT bbm.run_batch(99, 8, 9);
SELECT bbm.run_batch('multiply', 8, 9);
ALTER TABLE divided RENAME TO divided_then;
SELECT rows_affected FROM bbm.run_batch(:again, 8, 9);
\echo SQLSTATE :SQLSTATE
ALTER TABLE divided_then RENAME TO divided;
SET bbm.enabled = off;
SELECT bbm.run_batch(:again, 8, 9);
RESET bbm.enabled;

-- Only in a session of the owner's own.
CREATE ROLE regress_bbm_alice LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_alice;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_alice;
GRANT SELECT, UPDATE ON divided TO regress_bbm_alice;
SET ROLE regress_bbm_alice;
SELECT bbm.run_batch(:again, 8, 9);
\echo SQLSTATE :SQLSTATE
\c - regress_bbm_alice
SELECT bbm.run_batch(2, 8, 9);
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('of alice', 'divided', command => 'UPDATE divided SET n = n + 100') AS id \gset
SELECT rows_affected FROM bbm.run_batch('of alice', 8, 9);
\c - :super
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SELECT bbm.run_batch('of alice', 8, 9);
\echo SQLSTATE :SQLSTATE
SELECT n, count(*) FROM divided GROUP BY n;

SELECT bbm.delete('of alice');
DROP OWNED BY regress_bbm_alice;
DROP ROLE regress_bbm_alice;
DROP TABLE divided;
