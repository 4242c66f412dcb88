-- Errors: recorded whole, with the range they were met in; mended, retried, finished.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset

-- Row 57 cannot be done.
CREATE TABLE divided (id int PRIMARY KEY, by int NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO divided SELECT g, CASE g WHEN 57 THEN 0 ELSE 1 END FROM generate_series(1, 100) AS g;
SELECT bbm.queue('divide', 'divided', command => 'UPDATE divided SET n = n + 1 / by', batch_size => 40, sub_batch_size => 10) AS id \gset
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT status, status_reason, jobs_succeeded, jobs_unfinished, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key, attempts, sqlstate, message, detail, hint, context FROM bbm.failures WHERE migration_id = :id;
SELECT status, min_cursor, max_cursor, cursor, attempts, rows_affected FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
-- Sub-batches before that one stand, its own rows were rolled back together, the other jobs are done.
SELECT n, min(id), max(id), count(*) FROM divided GROUP BY n ORDER BY n;
-- Retrying changes nothing while the row is as it was.
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT count(*) FROM bbm.failures WHERE migration_id = :id;
UPDATE divided SET by = 1 WHERE id = 57;
SELECT bbm.retry(:id, 'row 57 is mended');
SELECT status, attempts, cursor FROM bbm.jobs WHERE migration_id = :id AND status <> 'succeeded';
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_unfinished, jobs_failed, rows_affected, progress FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM divided GROUP BY n;
SELECT event, from_status, to_status, reason FROM bbm.events WHERE migration_id = :id ORDER BY id;

-- An error of a trigger, with everything PL/pgSQL can say.
CREATE TABLE guarded (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO guarded SELECT g FROM generate_series(1, 30) AS g;
CREATE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id = 25 THEN
        RAISE EXCEPTION 'row % is under guard', new.id USING DETAIL = 'It is dear to us.', HINT = 'Ask nicely.';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION guard();
SELECT bbm.queue('guard', 'guarded', command => 'UPDATE guarded SET n = n + 1', batch_size => 10, sub_batch_size => 5) AS id \gset
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
\x on
SELECT min_key, max_key, sqlstate, message, detail, hint, context FROM bbm.failures WHERE migration_id = :id;
\x off
DROP TRIGGER guard ON guarded;
SELECT bbm.retry('guard');
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM guarded GROUP BY n;

-- A deferred constraint, which fails when the sub-batch commits.
CREATE TABLE parents (id int PRIMARY KEY);
INSERT INTO parents SELECT g FROM generate_series(1, 19) AS g;
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED, n int NOT NULL DEFAULT 0);
INSERT INTO children SELECT g FROM generate_series(1, 20) AS g;
SELECT bbm.queue('deferred', 'children', command => 'UPDATE children SET parent = id, n = n + 1', batch_size => 20, sub_batch_size => 5) AS id \gset
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT min_key, max_key, sqlstate, message, detail FROM bbm.failures WHERE migration_id = :id;
SELECT n, count(*) FROM children GROUP BY n ORDER BY n;
SELECT cursor, rows_affected, sub_batches FROM bbm.jobs WHERE migration_id = :id;
INSERT INTO parents VALUES (20);
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM children GROUP BY n ORDER BY n;
SELECT status, rows_affected, sub_batches FROM bbm.migrations WHERE id = :id;

-- Several bad ranges: the others are done all the same.
CREATE TABLE holes (id int PRIMARY KEY, by int NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO holes SELECT g, CASE WHEN g IN (5, 25, 45) THEN 0 ELSE 1 END FROM generate_series(1, 50) AS g;
SELECT bbm.queue('holes', 'holes', command => 'UPDATE holes SET n = n + 1 / by', batch_size => 10) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key, message FROM bbm.failures WHERE migration_id = :id ORDER BY id;
UPDATE holes SET by = 1 WHERE by = 0;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM holes GROUP BY n;

-- What no retry can mend ends the migration at once: the structure is not what it was.
CREATE TABLE shrinking (id int PRIMARY KEY, a int, n int NOT NULL DEFAULT 0);
INSERT INTO shrinking SELECT g, g FROM generate_series(1, 100) AS g;
SELECT bbm.queue('column', 'shrinking', command => 'UPDATE shrinking SET n = n + a', batch_size => 10) AS id \gset
ALTER TABLE shrinking DROP COLUMN a;
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT status, status_reason, jobs_succeeded FROM bbm.migrations WHERE id = :id;
SELECT event, to_status, sqlstate, message FROM bbm.events WHERE migration_id = :id ORDER BY id;
SELECT job_id, min_key, max_key, sqlstate, message FROM bbm.failures WHERE migration_id = :id;
ALTER TABLE shrinking ADD a int NOT NULL DEFAULT 1;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM shrinking GROUP BY n;

SELECT bbm.queue('key', 'shrinking', command => 'UPDATE shrinking SET n = n + 1') AS id \gset
ALTER TABLE shrinking DROP CONSTRAINT shrinking_pkey;
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
ALTER TABLE shrinking ADD PRIMARY KEY (id);
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM shrinking GROUP BY n;

SELECT bbm.queue('rename', 'shrinking', command => 'UPDATE shrinking SET n = n + 1') AS id \gset
ALTER TABLE shrinking RENAME TO shrunk;
CREATE TABLE shrinking (id int PRIMARY KEY, n int);
INSERT INTO shrinking VALUES (1, 0);
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
TABLE shrinking;
SELECT n, count(*) FROM shrunk GROUP BY n;

SELECT bbm.queue('drop', 'shrinking', command => 'UPDATE shrinking SET n = n + 1') AS id \gset
DROP TABLE shrinking;
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT table_name, status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT bbm.explain(:id);
\echo SQLSTATE :SQLSTATE
SELECT bbm.delete(:id);

SELECT bbm.queue('retype', 'shrunk', command => 'UPDATE shrunk SET n = n + 1', batch_size => 10) AS id \gset
ALTER TABLE shrunk ALTER COLUMN id TYPE bigint;
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT bbm.queue('retype 2', 'shrunk', command => 'UPDATE shrunk SET n = n + 1', batch_size => 10) AS id \gset
ALTER TABLE shrunk ALTER COLUMN id TYPE text;
CALL bbm.run(:id);
SELECT status, status_reason, rows_affected FROM bbm.migrations WHERE id = :id;

-- A privilege that was revoked.
CREATE ROLE regress_bbm_owner LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_owner;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_owner;
CREATE TABLE lent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO lent SELECT g FROM generate_series(1, 10) AS g;
GRANT SELECT, UPDATE ON lent TO regress_bbm_owner;
\c - regress_bbm_owner
SET client_min_messages = warning;
SELECT bbm.queue('lent', 'lent', command => 'UPDATE lent SET n = n + 1') AS id \gset
\c - :super
REVOKE UPDATE ON lent FROM regress_bbm_owner;
\c - regress_bbm_owner
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
\c - :super
GRANT UPDATE ON lent TO regress_bbm_owner;
\c - regress_bbm_owner
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;
\c - :super
SET client_min_messages = warning;
SELECT n, count(*) FROM lent GROUP BY n;

-- A command that tries to end the transaction it runs in.
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE FUNCTION ends() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CALL commits(); RETURN 1; END $$;
SELECT bbm.queue('commit', 'lent', command => 'UPDATE lent SET n = ends()') AS id \gset
CALL bbm.run(:id);
SELECT sqlstate, message FROM bbm.failures WHERE migration_id = :id;
-- And one that changes the settings of its session: the next sub-batch has those of the owner again.
CREATE FUNCTION meddles() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', 'nowhere', false), set_config('row_security', 'on', false), set_config('bbm.enabled', 'on', false);
    RETURN 1;
END $$;
SELECT bbm.queue('meddle', 'lent', command => 'UPDATE lent SET n = public.meddles()', batch_size => 5, sub_batch_size => 3) AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
RESET search_path;

DROP OWNED BY regress_bbm_owner;
DROP ROLE regress_bbm_owner;
DROP TABLE divided, guarded, children, parents, holes, shrunk, lent;
DROP FUNCTION guard, ends, meddles;
DROP PROCEDURE commits;
