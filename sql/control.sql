-- Steering migrations: what each call does in each status.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, CONSTRAINT small CHECK (n < 2 OR id < 10));
INSERT INTO t SELECT g FROM generate_series(1, 10) AS g;
SELECT bbm.queue('active', 't', command => 'UPDATE t SET n = n') AS active,
       bbm.queue('paused', 't', command => 'UPDATE t SET n = n', start => false) AS paused,
       bbm.queue('failed', 't', command => 'UPDATE t SET n = n + 2') AS failed,
       bbm.queue('finished', 't', command => 'UPDATE t SET n = n') AS finished \gset
CALL bbm.run(:finished);
CALL bbm.run(:failed);
\echo SQLSTATE :SQLSTATE
RESET client_min_messages;
SELECT id, job_class_name, status, status_reason FROM bbm.migrations ORDER BY id;

-- active
SELECT bbm.resume('active');
SELECT bbm.retry('active');
SELECT bbm.pause('active', reason => 'lunch');
SELECT status, status_reason FROM bbm.migrations WHERE id = :active;

-- paused
SELECT bbm.pause('active');
SELECT bbm.retry('paused');
\echo SQLSTATE :SQLSTATE
CALL bbm.run(:paused);
\echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished('paused', finalize => false);
\echo SQLSTATE :SQLSTATE
SELECT bbm.wait('paused', '0');
CALL bbm.await('paused', '0');
CALL bbm.await(:paused, timeout => '1 ms');
BEGIN;
CALL bbm.await(:paused, '0');
\echo SQLSTATE :SQLSTATE
ROLLBACK;
DO $$ BEGIN CALL bbm.finish('paused'); END $$;
\echo SQLSTATE :SQLSTATE
CALL bbm.await(4711);
\echo SQLSTATE :SQLSTATE
CALL bbm.finish('paused', 't', 'id', '[4711]');
\echo SQLSTATE :SQLSTATE
SELECT bbm.resume('paused', 'on with it');
SELECT status, status_reason FROM bbm.migrations WHERE id = :paused;
SELECT bbm.pause(:paused, immediate => true);
SELECT bbm.resume(:paused);

-- failed
SELECT bbm.pause('failed');
\echo SQLSTATE :SQLSTATE
SELECT bbm.resume('failed');
\echo SQLSTATE :SQLSTATE
CALL bbm.run(:failed);
\echo SQLSTATE :SQLSTATE
SELECT bbm.wait('failed');
\echo SQLSTATE :SQLSTATE
CALL bbm.await('failed');
\echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished('failed', finalize => false);
\echo SQLSTATE :SQLSTATE
SELECT bbm.retry('failed', 'mended');
SELECT status, status_reason FROM bbm.migrations WHERE id = :failed;
SELECT status, attempts FROM bbm.jobs WHERE migration_id = :failed ORDER BY id;

-- finished
SELECT bbm.pause('finished');
\echo SQLSTATE :SQLSTATE
SELECT bbm.resume('finished');
\echo SQLSTATE :SQLSTATE
SELECT bbm.retry('finished');
\echo SQLSTATE :SQLSTATE
SELECT bbm.wait('finished');
CALL bbm.await('finished');
CALL bbm.finish('finished');
SELECT bbm.finalize('finished');
CALL bbm.run(:finished);
SELECT bbm.ensure_finished('finished');
SELECT status FROM bbm.migrations WHERE id = :finished;

-- finalized
SELECT bbm.ensure_finished('finished');
SELECT bbm.ensure_finished('finished', finalize => false);
SELECT bbm.pause('finished');
\echo SQLSTATE :SQLSTATE
SELECT bbm.resume('finished');
\echo SQLSTATE :SQLSTATE
SELECT bbm.retry('finished');
\echo SQLSTATE :SQLSTATE
SELECT bbm.wait('finished');
SELECT bbm.finalize('finished');
CALL bbm.run(:finished);

-- Everything is on record.
SELECT job_class_name, event, from_status, to_status, reason, sqlstate, role_name = current_user AS by_me FROM bbm.events ORDER BY id;
SELECT job_id, from_status, to_status, reason, sqlstate, attempts FROM bbm.job_transitions WHERE migration_id = :failed ORDER BY id;

-- The gate says what it expected and how to get there.
SELECT bbm.ensure_finished('active', '"t"', 'id', '[]', finalize => false);
\echo SQLSTATE :SQLSTATE

-- A migration is named by number, by name, or by its configuration.
SET client_min_messages = warning;
CREATE TABLE u (id int PRIMARY KEY, n int);
INSERT INTO u VALUES (1, 0);
SELECT bbm.queue('twin', 't', command => 'UPDATE t SET n = n') AS twin_t, bbm.queue('twin', 'u', command => 'UPDATE u SET n = n + 1') AS twin_u \gset
SELECT bbm.pause('twin');
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause('twin', 'u', 'id', '[]');
SELECT table_name, status FROM bbm.migrations WHERE job_class_name = 'twin' ORDER BY id;
SELECT bbm.pause('twin', 'u', 'id', '["x"]');
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause('twin', 'u', 'n', '[]');
\echo SQLSTATE :SQLSTATE
SELECT bbm.resume('twin', 'u', 'id', '[]'), bbm.pause('twin', 'u', 'id', '[]', immediate => true), bbm.resume(:twin_u);
SELECT bbm.pause(4711);
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause('Twin');
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause('twins');
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause('no such thing');
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause(NULL::bigint);
\echo SQLSTATE :SQLSTATE
SELECT bbm.pause(NULL::text);
\echo SQLSTATE :SQLSTATE
CALL bbm.run(4711);
\echo SQLSTATE :SQLSTATE
CALL bbm.run('twin');
\echo SQLSTATE :SQLSTATE

-- alter: what is not named stays.
SELECT bbm.alter(:active, job_interval => '2 min', batch_size => 1000, sub_batch_size => 100, max_batch_size => 5000, pause => '100 ms', priority => 3);
SELECT job_interval, batch_size, sub_batch_size, max_batch_size, pause, priority FROM bbm.migrations WHERE id = :active;
SELECT bbm.alter('active', batch_size => 2000);
-- Here the parser needs to be told that a table's name follows, and not an interval.
SELECT bbm.alter('active', 't'::regclass, 'id', '[]', pause => '0');
SELECT job_interval, batch_size, sub_batch_size, max_batch_size, pause, priority FROM bbm.migrations WHERE id = :active;
SELECT bbm.alter(:active, batch_size => 0);
\echo SQLSTATE :SQLSTATE
SELECT bbm.alter(:active, pause => '-1 s');
\echo SQLSTATE :SQLSTATE
SELECT bbm.alter(:active, batch_size => 50);
\echo SQLSTATE :SQLSTATE
SELECT batch_size, sub_batch_size FROM bbm.migrations WHERE id = :active;
SELECT event, from_status, to_status FROM bbm.events WHERE migration_id = :active ORDER BY id;

-- explain: the statement and the plan of the next sub-batch.
CREATE TABLE plans (id int PRIMARY KEY, n int, old boolean);
INSERT INTO plans SELECT g, 0, g % 2 = 0 FROM generate_series(1, 1000) AS g;
ANALYZE plans;
SELECT bbm.queue('plan', 'plans', command => 'UPDATE plans SET n = n + 1', scope_to => 'old', batch_size => 100, sub_batch_size => 10) AS plan,
       bbm.queue('plan 2', 'plans', command => 'UPDATE plans SET n = n + 1 WHERE id BETWEEN $1 AND $2', batch_size => 100, sub_batch_size => 10) AS plan2 \gset
SELECT regexp_replace(line, '  .cost=.*', '') AS explain FROM bbm.explain(:plan) AS line;
SELECT * FROM bbm.explain('plan 2') LIMIT 4;
SELECT n, count(*) FROM plans GROUP BY n;
CALL bbm.run(:plan);
SELECT * FROM bbm.explain('plan', 'plans', 'id', '[]');

-- A time limit: nothing is begun after it, and nothing is lost.
CALL bbm.run(:plan2, max_time => '0');
SELECT status, jobs_succeeded, rows_affected FROM bbm.migrations WHERE id = :plan2;
CALL bbm.run('plan 2', max_time => '1 hour');
SELECT status, jobs_succeeded, rows_affected FROM bbm.migrations WHERE id = :plan2;

-- delete: it goes with its jobs, and its events stay.
SELECT bbm.delete('twin', 't', 'id', '[]', 'not needed');
SELECT bbm.delete(:plan);
SELECT bbm.delete(:plan);
\echo SQLSTATE :SQLSTATE
SELECT count(*) FROM bbm.migrations WHERE id IN (:twin_t, :plan);
SELECT count(*) FROM bbm.jobs WHERE migration_id IN (:twin_t, :plan);
SELECT job_class_name, table_name, event, from_status, to_status, reason FROM bbm.events WHERE migration_id IN (:twin_t, :plan) ORDER BY id;
-- Its identity is free again.
SELECT bbm.queue('plan', 'plans', command => 'UPDATE plans SET n = n + 1') > :plan AS is_new;

-- Switched off, nothing runs; queueing and steering go on.
SET bbm.enabled = off;
CALL bbm.run('twin');
\echo SQLSTATE :SQLSTATE
SELECT bbm.finalize('twin');
\echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_running();
SELECT bbm.pause('twin'), bbm.resume('twin');
RESET bbm.enabled;

-- No workers are to be had here, so that this asks for none.
SELECT bbm.ensure_running();

-- What a transaction did to a migration it may undo.
BEGIN;
SELECT bbm.pause('twin');
SELECT bbm.delete('twin');
SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'twin';
ROLLBACK;
SELECT status FROM bbm.migrations WHERE job_class_name = 'twin';

DROP TABLE t, u, plans;
