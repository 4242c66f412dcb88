-- What a review of the life of migrations has found, each in the smallest form that showed it; what needs background workers
-- or two sessions at once stands in test/tap/011_life_findings.pl.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g FROM generate_series(1, 120) AS g;

-- Rows are counted by a filter once the table was analysed.
ANALYZE t;
SELECT bbm.queue('counted', 't', command => 'UPDATE t SET n = n', scope_to => 'id <= 60') AS id \gset
SELECT total_rows BETWEEN 30 AND 90 AS is_about_right FROM bbm.migrations WHERE id = :id;
SELECT bbm.delete(:id);

-- A superuser who looks at somebody else's migration, or queues it once more, runs nothing of it with his own rights, and his
-- session stays as it was. Planning runs functions that call themselves immutable: in the filter, in an index.
CREATE ROLE regress_bbm_mallory LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_mallory;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_mallory;
CREATE SCHEMA lure AUTHORIZATION regress_bbm_mallory;
\c - regress_bbm_mallory
SET client_min_messages = warning;
CREATE TABLE lure.caught (role_name text);
GRANT INSERT ON lure.caught TO PUBLIC;
CREATE FUNCTION lure.spring() RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO lure.caught VALUES (current_user);
    PERFORM set_config('search_path', 'lure, public', false), set_config('check_function_bodies', 'off', false);
    BEGIN
        ALTER ROLE regress_bbm_mallory SUPERUSER;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    RETURN 1;
END $$;
CREATE FUNCTION lure.harmless() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lure.spring(); END $$;
CREATE TABLE lure.filtered (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO lure.filtered SELECT g FROM generate_series(1, 20) AS g;
CREATE TABLE lure.indexed (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO lure.indexed SELECT g FROM generate_series(1, 20) AS g;
CREATE INDEX ON lure.indexed ((n + lure.harmless()));
SELECT bbm.queue('filtered', 'lure.filtered', command => 'UPDATE lure.filtered SET n = n + 1', scope_to => 'lure.harmless() = 1') AS filtered,
       bbm.queue('indexed', 'lure.indexed', command => 'UPDATE lure.indexed SET n = n + 1') AS indexed \gset
ANALYZE lure.filtered, lure.indexed;
TRUNCATE lure.caught;
\c - :super
SET client_min_messages = warning;
SELECT name, count(line) > 0 AS is_explained FROM (VALUES ('filtered'), ('indexed')) AS m (name), bbm.explain(name) AS line GROUP BY name ORDER BY name;
SELECT role_name, count(*) > 0 AS was_caught FROM lure.caught GROUP BY role_name;
SHOW search_path;
SHOW check_function_bodies;
TRUNCATE lure.caught;
-- What steers a migration, and what shows it, looks at nothing of his.
SELECT name, bbm.pause(name), bbm.resume(name), bbm.hold(name, '1 hour'), bbm.resume(name) FROM (VALUES ('filtered'), ('indexed')) AS m (name);
SELECT bbm.alter(name, batch_size => 10) FROM (VALUES ('filtered'), ('indexed')) AS m (name);
SELECT count(*) FROM bbm.status;
SELECT count(*) FROM bbm.progress;
SELECT bbm.mark_finished(name, 'enough') FROM (VALUES ('filtered'), ('indexed')) AS m (name);
SELECT count(*) FROM lure.caught;
SELECT bbm.requeue('filtered') > 0 AS filtered, bbm.requeue('indexed') > 0 AS indexed;
SELECT role_name, count(*) > 0 AS was_caught FROM lure.caught GROUP BY role_name;
SHOW search_path;
SHOW check_function_bodies;
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_bbm_mallory';
-- The owner does his work with his own rights.
\c - regress_bbm_mallory
SET client_min_messages = warning;
CALL bbm.run('filtered');
CALL bbm.run('indexed');
SELECT DISTINCT role_name FROM lure.caught;
\c - :super
SET client_min_messages = warning;
SELECT job_class_name, status, generation, rows_affected FROM bbm.migrations WHERE is_current ORDER BY id;
SELECT bbm.cleanup('filtered'), bbm.cleanup('indexed');
DROP OWNED BY regress_bbm_mallory;
DROP ROLE regress_bbm_mallory;

-- Fifty failed jobs are put back: they are split, and halves that nobody has tried yet are no reason to fail once more.
CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken' USING ERRCODE = 'XX999'; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION broken();
SELECT bbm.queue('fifty', 't', command => 'UPDATE t SET n = n + 1', batch_size => 2) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed FROM bbm.migrations WHERE id = :id;
DROP TRIGGER broken ON t;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM t GROUP BY n;

-- What a split leaves behind is the first attempt of that half; given back, it is none.
CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
CREATE TRIGGER broken BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION broken();
SELECT bbm.queue('halved', 't', command => 'UPDATE t SET n = n + 1', batch_size => 120, sub_batch_size => 10) AS id \gset
CALL bbm.run(:id);
DROP TRIGGER broken ON t;
CREATE TRIGGER nap AFTER UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION nap();
SELECT bbm.retry(:id);
CALL bbm.run(:id, max_time => '0.4 s');
SELECT status, min_cursor, max_cursor, cursor, attempts FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
DROP TRIGGER nap ON t;
CALL bbm.run(:id);
SELECT status, jobs_succeeded, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM t GROUP BY n;

-- A row for which the filter raises an error, where jobs are counted by that filter: the row is found, all others are done.
CREATE TABLE texts (id int PRIMARY KEY, txt text NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO texts SELECT g, CASE g WHEN 33 THEN 'x' ELSE g::text END FROM generate_series(1, 60) AS g;
SELECT bbm.queue('given', 'texts', command => 'UPDATE texts SET n = n + 1', scope_to => 'txt::int > 0', batch_size => 20, sub_batch_size => 10, on_data_error => 'quarantine') AS given,
       bbm.queue('interval', 'texts', command => 'UPDATE texts SET n = n + 1', scope_to => 'txt::int > 0', job_interval => '1 ms', on_data_error => 'quarantine') AS interval,
       bbm.queue('fails', 'texts', command => 'UPDATE texts SET n = n + 1', scope_to => 'txt::int > 0', batch_size => 20, sub_batch_size => 10) AS fails \gset
CALL bbm.run(:given);
CALL bbm.run(:interval);
CALL bbm.run(:fails);
\echo SQLSTATE :SQLSTATE
SELECT job_class_name, status, status_reason, jobs_failed, rows_quarantined, rows_affected FROM bbm.migrations WHERE id >= :given ORDER BY id;
SELECT migration_id - :given AS which, min_key, max_key, sqlstate, message, quarantined FROM bbm.failures WHERE migration_id >= :given ORDER BY migration_id, min_key NULLS FIRST;
SELECT job_class_name, event, sqlstate, message FROM bbm.events WHERE migration_id >= :given AND event = 'bounds' ORDER BY id;
SELECT n, array_agg(id) FILTER (WHERE n = 0) AS left_alone, count(*) FROM texts GROUP BY n ORDER BY n;
UPDATE texts SET txt = '33' WHERE id = 33;
SELECT bbm.retry(:fails);
CALL bbm.run(:fails);
SELECT status, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :fails;
SELECT n, count(*) FROM texts GROUP BY n ORDER BY n;

-- Work that was done stays counted when the rest is called finished.
UPDATE t SET n = 0;
CREATE TRIGGER broken BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.id IN (47, 105)) EXECUTE FUNCTION broken();
SELECT bbm.queue('counters', 't', command => 'UPDATE t SET n = n + 1', batch_size => 40, sub_batch_size => 10) AS id \gset
CALL bbm.run(:id);
CREATE TEMP TABLE before AS SELECT status, rows_affected, sub_batches, work_time > '0' AS has_worked FROM bbm.migrations WHERE id = :id;
TABLE before;
SELECT bbm.mark_finished(:id, 'the last rows are tests');
SELECT status, rows_affected, sub_batches, work_time > '0' AS has_worked FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
DROP TRIGGER broken ON t;

-- Queued once more after the key has become larger: its new keys are done, whether bounds were given or not.
CREATE TABLE grown (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO grown SELECT g FROM generate_series(1, 10) AS g;
CREATE TABLE grown_copy (id bigint, n int);
SELECT bbm.queue('grown', 'grown', command => 'UPDATE grown SET n = n + 1') AS whole,
       bbm.queue('bounded', 'grown', command => 'UPDATE grown SET n = n + 1', batch_min_value => 6) AS bounded \gset
CALL bbm.run(:whole);
CALL bbm.run(:bounded);
ALTER TABLE grown ALTER COLUMN id TYPE bigint;
INSERT INTO grown VALUES (3000000000);
SELECT bbm.requeue(:whole) AS whole, bbm.requeue(:bounded) AS bounded \gset
CALL bbm.run(:whole);
CALL bbm.run(:bounded);
SELECT job_class_name, generation, status, min_cursor, max_cursor, rows_affected FROM bbm.migrations WHERE id >= :whole ORDER BY id;
SELECT n, count(*), min(id), max(id) FROM grown GROUP BY n ORDER BY n;
-- Or the table has a new name. A command that cannot be given that still has the old one, which is said at once.
SELECT bbm.queue('hidden', 'grown', command => 'INSERT INTO grown_copy TABLE grown ORDER BY grown.id') AS hidden \gset
CALL bbm.run(:hidden);
ALTER TABLE grown RENAME TO grown_up;
SELECT bbm.requeue(:hidden); \echo SQLSTATE :SQLSTATE
SELECT status, is_current FROM bbm.migrations WHERE id = :hidden;
SELECT bbm.requeue(:whole) > :whole AS is_queued;
ALTER TABLE grown_up RENAME TO grown;
SELECT bbm.requeue(:hidden) > :hidden AS is_queued;

-- A size above the greatest is refused, and a new greatest size holds for the next job.
SELECT bbm.queue('sizes', 't', command => 'UPDATE t SET n = 0', batch_size => 50, max_batch_size => 10); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('sizes', 't', command => 'UPDATE t SET n = 0', batch_size => 50) AS id \gset
SELECT bbm.alter(:id, batch_size => 50, max_batch_size => 10); \echo SQLSTATE :SQLSTATE
SELECT bbm.alter(:id, max_batch_size => 40);
SELECT batch_size, max_batch_size FROM bbm.migrations WHERE id = :id;
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor FROM bbm.jobs WHERE migration_id = :id ORDER BY id;

-- An interval that is no time is refused, not shortened to one.
SELECT bbm.queue('sizes 2', 't', command => 'UPDATE t SET n = 0', job_interval => '178000000 years'); \echo SQLSTATE :SQLSTATE
SELECT bbm.alter(:id, pause => '178000000 years'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('sizes 2', 't', command => 'UPDATE t SET n = 0', start => false) AS id \gset
SELECT bbm.hold(:id, '10000000 years'); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold(:id, '2147483647 months'); \echo SQLSTATE :SQLSTATE
SELECT job_interval, pause, on_hold_until FROM bbm.migrations WHERE id = :id;
SELECT bbm.delete(:id);

-- A hint is there to be copied: no text of anybody's stands in a command of it.
SELECT $$x'; DROP TABLE t; --$$ AS name \gset
SELECT bbm.queue(:'name', 't', command => 'UPDATE t SET n = n + 1 / n') AS id \gset
\set old :id
SELECT bbm.queue(:'name', 't', command => 'UPDATE t SET n = n + 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.requeue(:'name'); \echo SQLSTATE :SQLSTATE
SELECT bbm.pause(:'name');
CALL bbm.run(:'name'); \echo SQLSTATE :SQLSTATE
SELECT bbm.retry(:'name'); \echo SQLSTATE :SQLSTATE
SELECT bbm.resume(:'name');
CALL bbm.run(:'name'); \echo SQLSTATE :SQLSTATE
SELECT bbm.resume(:'name'); \echo SQLSTATE :SQLSTATE
SELECT bbm.wait(:'name'); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished(:'name', finalize => false); \echo SQLSTATE :SQLSTATE
SELECT bbm.requeue(:'name') > :old AS is_queued;
SELECT bbm.pause(:old); \echo SQLSTATE :SQLSTATE
SELECT bbm.delete(:'name');

-- Conditions of a class and of a migration are conditions each, not halves of another one.
SELECT bbm.define('Half', 'UPDATE {table} SET n = n + 1', scope_to => 'id > 1000');
SELECT bbm.queue('Half', 't', scope_to => 'true) OR (true'); \echo SQLSTATE :SQLSTATE
SELECT bbm.undefine('Half');

-- A size is not changed after the last job: no other will take it.
SET bbm.optimize_batches = on;
SELECT bbm.queue('last', 't', command => 'UPDATE t SET n = n + 1', job_interval => '1 hour') AS id \gset
CALL bbm.run(:id);
SELECT status, batch_size, (SELECT count(*) FROM bbm.events AS e WHERE e.migration_id = m.id AND e.event = 'optimize') AS changes FROM bbm.migrations AS m WHERE id = :id;

DROP TABLE t, texts, grown, grown_copy, before;
DROP FUNCTION broken, nap;
