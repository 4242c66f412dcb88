-- Holds: nothing of a migration is started before a time. It is no status of its own.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, CONSTRAINT small CHECK (n < 2 OR id < 10));
INSERT INTO t SELECT g FROM generate_series(1, 10) AS g;
CREATE VIEW holds AS SELECT id, status, round(extract(epoch FROM on_hold_until - now()) / 60) AS minutes, hold_reason FROM bbm.migrations;
SELECT bbm.queue('held', 't', command => 'UPDATE t SET n = n + 1') AS id \gset
RESET client_min_messages;

-- For a while, with or without a reason; a person may change his mind about the time.
SELECT bbm.hold(:id, '10 min', 'a large report is running');
SELECT * FROM holds WHERE id = :id;
SELECT left(note, 10) AS note FROM bbm.status WHERE id = :id;
SELECT bbm.hold('held', '1 hour');
SELECT * FROM holds WHERE id = :id;
SELECT bbm.hold('held', 't', 'id', '[]', '5 min', 'by configuration');
SELECT * FROM holds WHERE id = :id;
-- Longer than any calendar is a slip of the finger, and ends with the next resume like any other.
SELECT bbm.hold(:id, '100000 years');
SELECT extract(year FROM on_hold_until) - extract(year FROM now()) BETWEEN 99 AND 101 AS in_a_century FROM bbm.migrations WHERE id = :id;

-- Nothing is done meanwhile; whoever asks for it is told why it waits.
CALL bbm.run(:id, max_time => '20 ms');
SELECT status, jobs_succeeded, jobs_unfinished FROM bbm.migrations WHERE id = :id;
SELECT sum(n) FROM t;

-- It ends by 0, by resume, and by itself.
SELECT bbm.hold(:id, '0');
SELECT bbm.hold(:id, '0', 'there is none any more');
SELECT * FROM holds WHERE id = :id;
SELECT bbm.hold(:id, '10 min');
SELECT bbm.resume(:id, 'the report is done');
SELECT bbm.resume(:id);
SELECT * FROM holds WHERE id = :id;
SELECT bbm.hold(:id, '1 microsecond');
CALL bbm.run(:id, max_time => '0');
SELECT bbm.hold(:id, '0');

-- It survives pause and resume: the first resume lets the migration go on, the second ends the hold.
SELECT bbm.hold(:id, '10 min', 'until the index is built');
SELECT bbm.pause(:id);
SELECT * FROM holds WHERE id = :id;
SELECT bbm.resume(:id);
SELECT * FROM holds WHERE id = :id;
CALL bbm.run(:id, max_time => '20 ms');
SELECT bbm.resume(:id);
SELECT * FROM holds WHERE id = :id;
-- A paused migration can be held, and be released again without being resumed.
SELECT bbm.pause(:id);
SELECT bbm.hold(:id, '10 min');
SELECT * FROM holds WHERE id = :id;
SELECT bbm.hold(:id, '0');
SELECT * FROM holds WHERE id = :id;
SELECT bbm.resume(:id);

SELECT event, from_status, to_status, reason FROM bbm.events WHERE migration_id = :id ORDER BY id;

-- Refused: what is no time, and what cannot be held.
SELECT bbm.hold(:id, '-1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold(:id, NULL); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold(4711, '1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold('nothing', '1 s'); \echo SQLSTATE :SQLSTATE
CALL bbm.run(:id);
SELECT bbm.hold(:id, '1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold(:id, '0'); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished(:id);
SELECT bbm.hold(:id, '1 s'); \echo SQLSTATE :SQLSTATE
SET client_min_messages = warning;
SELECT bbm.queue('fails', 't', command => 'UPDATE t SET n = n + 1') AS id \gset
CALL bbm.run(:id);
SELECT bbm.hold(:id, '1 s'); \echo SQLSTATE :SQLSTATE
SELECT * FROM holds ORDER BY id;

-- A migration that failed is not on hold any more when it is tried again.
UPDATE t SET n = 0;
SELECT bbm.retry(:id);
SELECT bbm.hold(:id, '10 min');
SELECT bbm.mark_finished(:id, 'nobody needs it');
SELECT * FROM holds WHERE id = :id;

-- Others go on, and bbm.run() without a number leaves it alone.
SELECT bbm.queue('held', 't', command => 'UPDATE t SET n = n', if_not_exists => true) AS old, bbm.queue('second', 't', command => 'UPDATE t SET n = 5 WHERE false') AS second, bbm.queue('third', 't', command => 'UPDATE t SET n = n') AS third \gset
SELECT bbm.hold(:second, '10 min');
CALL bbm.run();
SELECT job_class_name, status FROM bbm.migrations WHERE id >= :second ORDER BY id;

DROP VIEW holds;
DROP TABLE t;
