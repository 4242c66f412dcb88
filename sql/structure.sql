-- What no retry can mend by itself: the table, its columns, its key, a privilege is not what it was when it was queued.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset

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

-- Met in a job, it ends the migration as well: nothing behind it is tried, no row is looked for.
CREATE FUNCTION looks_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id = 25 THEN
        PERFORM FROM looked_up;
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER looks_up BEFORE UPDATE ON shrinking FOR EACH ROW EXECUTE FUNCTION looks_up();
SELECT bbm.queue('missing', 'shrinking', command => 'UPDATE shrinking SET n = n - 1', batch_size => 10, on_data_error => 'quarantine') AS id \gset
CALL bbm.run(:id);
\echo SQLSTATE :SQLSTATE
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_quarantined, frontier FROM bbm.migrations WHERE id = :id;
SELECT status, min_cursor, max_cursor, cursor, attempts, retry_at FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
SELECT event, to_status, job_id = (SELECT max(j.id) FROM bbm.jobs AS j WHERE j.migration_id = :id) AS in_the_job, sqlstate, message FROM bbm.events WHERE migration_id = :id ORDER BY id;
SELECT min_key, max_key, sqlstate, message FROM bbm.failures WHERE migration_id = :id;
CREATE TABLE looked_up ();
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, jobs_succeeded, rows_affected FROM bbm.migrations WHERE id = :id;
DROP TRIGGER looks_up ON shrinking;
UPDATE shrinking SET n = n + 1;
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

-- Keys that are written alike and sorted otherwise.
CREATE COLLATION "other way" (provider = icu, locale = 'und-u-kf-upper');
CREATE TABLE sorted (a text COLLATE "C" NOT NULL, b int NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO sorted SELECT chr(64 + g % 58), g FROM generate_series(1, 100) AS g;
CREATE FUNCTION queue_sorted(name text) RETURNS bigint LANGUAGE sql
AS $$SELECT bbm.queue(name, 'sorted', cursor_columns => '{a,b}', command => 'UPDATE sorted SET n = n + 1', batch_size => 10)$$;
CREATE UNIQUE INDEX ascending ON sorted (a, b);
SELECT queue_sorted('collated') AS id \gset
ALTER TABLE sorted ALTER COLUMN a TYPE text COLLATE "other way";
CALL bbm.run(:id);
SELECT status_reason, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT detail FROM bbm.failures WHERE migration_id = :id;
SELECT queue_sorted('directed') AS id \gset
CREATE UNIQUE INDEX descending ON sorted (a, b DESC);
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT queue_sorted('redirected') AS id \gset
DROP INDEX ascending;
CALL bbm.run(:id);
SELECT status_reason, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT detail FROM bbm.failures WHERE migration_id = :id;
DROP INDEX descending;
CREATE UNIQUE INDEX ascending ON sorted (a, b);
SELECT queue_sorted('classified') AS id \gset
DROP INDEX ascending;
CREATE UNIQUE INDEX patterned ON sorted (a COLLATE "C" text_pattern_ops, b);
CALL bbm.run(:id);
SELECT status_reason, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT detail FROM bbm.failures WHERE migration_id = :id;
DROP INDEX patterned;
-- The same order, from its other end.
CREATE UNIQUE INDEX backwards ON sorted (a DESC, b DESC);
SELECT bbm.retry(:id) > 0 AS retried;
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM sorted GROUP BY n;
DROP TABLE sorted;
DROP FUNCTION queue_sorted;
DROP COLLATION "other way";

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
DROP TABLE shrunk, lent, looked_up;
DROP FUNCTION ends, meddles, looks_up;
DROP PROCEDURE commits;
