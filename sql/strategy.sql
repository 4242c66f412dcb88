-- A function of the user's says where jobs end.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA my;
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g FROM generate_series(1, 100) AS g;
CREATE TABLE asked (number int GENERATED ALWAYS AS IDENTITY, table_name regclass, column_name text, after text, upper text, batch_size int);
CREATE VIEW jobs AS SELECT migration_id, min_cursor, max_cursor, rows_affected FROM bbm.jobs ORDER BY id;
-- Ends at the next multiple of batch_size; behind 60 the rest.
CREATE FUNCTION my.multiples(table_name regclass, column_name text, after text, upper text, batch_size int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.asked (table_name, column_name, after, upper, batch_size) VALUES (table_name, column_name, after, upper, batch_size);
	RETURN CASE WHEN coalesce(after::int, 0) < 60 THEN coalesce(after::int, 0) + batch_size END;
END $$;
RESET client_min_messages;

SELECT bbm.queue('multiples', 't', command => 'UPDATE t SET n = n + 1', batching_strategy => 'my.multiples', batch_size => 25) AS id \gset
CALL bbm.run(:id);
SELECT * FROM jobs WHERE migration_id = :id;
SELECT * FROM asked;
SELECT status, batching_strategy FROM bbm.migrations WHERE id = :id;
SELECT count(*) FILTER (WHERE n <> 1) AS wrong FROM t;

-- Ranges without rows are jobs, too; a job may end between two keys.
DELETE FROM t WHERE id BETWEEN 20 AND 80;
TRUNCATE asked;
SELECT bbm.requeue(:id) AS id \gset
CALL bbm.run(:id);
SELECT * FROM jobs WHERE migration_id = :id;
SELECT count(*) FILTER (WHERE n <> 2) AS wrong FROM t;

-- Keys of several columns are text arrays; what a function writes is read as its session writes it.
CREATE TABLE p ("a day" date, k text COLLATE "C", n int NOT NULL DEFAULT 0, PRIMARY KEY ("a day", k));
INSERT INTO p SELECT '2020-01-01'::date + g / 10, 'k"' || g % 10 FROM generate_series(0, 39) AS g;
CREATE FUNCTION my.days(table_name regclass, column_name text, after text, upper text, batch_size int) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
	keys text[] := after;
BEGIN
	RAISE NOTICE '%, %, %, %', table_name, column_name, after, upper;
	IF after IS NULL THEN
		RETURN ARRAY[(SELECT min(p."a day") FROM public.p)::text, 'z']::text;
	ELSIF keys[1]::date < '2020-01-03' THEN
		RETURN ARRAY[(keys[1]::date + 1)::text, 'z']::text;
	END IF;
	RETURN NULL;
END $$;
SET datestyle = 'SQL, DMY';
SELECT bbm.queue('days', 'p', command => 'UPDATE p SET n = n + 1', batching_strategy => 'my.days') AS id \gset
CALL bbm.run(:id);
RESET datestyle;
SELECT * FROM jobs WHERE migration_id = :id;
SELECT count(*) FILTER (WHERE n <> 1) AS wrong FROM p;

-- A function that goes nowhere, or too far, stops the migration: it would never end.
CREATE FUNCTION my.says(regclass, text, after text, text, int) RETURNS text LANGUAGE sql AS 'SELECT CASE WHEN after IS NULL THEN current_setting(''my.first'') ELSE current_setting(''my.next'') END';
CREATE PROCEDURE try(name text, first text, next text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('my.first', first, false), set_config('my.next', next, false);
	PERFORM bbm.queue(name, 't', command => 'UPDATE t SET n = n + 1', batching_strategy => 'my.says', batch_size => 10);
END $$;
SET client_min_messages = warning;
CALL try('same', '10', '10');
CALL try('back', '10', '9');
CALL try('far', '10', '101');
CALL try('no key', 'ten', '');
CALL try('before the first', '0', '');
RESET client_min_messages;
SET my.first = '10'; SET my.next = '10';
CALL bbm.run('same');
SET my.next = '9';
CALL bbm.run('back');
SET my.next = '101';
CALL bbm.run('far');
SET my.first = 'ten';
CALL bbm.run('no key');
SET my.first = '0';
CALL bbm.run('before the first');
-- Nor does it commit.
CREATE FUNCTION my.commits(regclass, text, text, text, int) RETURNS text LANGUAGE plpgsql AS 'BEGIN COMMIT; RETURN NULL; END';
SET client_min_messages = warning;
SELECT bbm.queue('commits', 't', command => 'UPDATE t SET n = n + 1', batching_strategy => 'my.commits') AS id \gset
RESET client_min_messages;
CALL bbm.run(:id);
SELECT count(*) FROM bbm.jobs WHERE migration_id = :id;

-- It has its owner's rights over migrations, and what it does to its own one holds: none of its jobs does any work.
CREATE FUNCTION my.pauses(regclass, text, text, text, int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM bbm.pause('pauses');
	RETURN NULL;
END $$;
CREATE FUNCTION my.deletes(regclass, text, text, text, int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM bbm.delete('deletes');
	RETURN NULL;
END $$;
SET client_min_messages = warning;
SELECT bbm.queue('pauses', 't', command => 'UPDATE t SET n = -1', batching_strategy => 'my.pauses') AS id \gset
RESET client_min_messages;
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_unfinished FROM bbm.migrations WHERE id = :id;
SET client_min_messages = warning;
SELECT bbm.queue('deletes', 't', command => 'UPDATE t SET n = -1', batching_strategy => 'my.deletes') AS id \gset
RESET client_min_messages;
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_unfinished FROM bbm.migrations WHERE id = :id;
SELECT count(*) FILTER (WHERE n < 0) AS wrong FROM t;

-- What cannot be called is refused at once.
CREATE FUNCTION my.strict(regclass, text, text, text, int) RETURNS text LANGUAGE sql STRICT AS 'SELECT $3';
CREATE FUNCTION my.number(regclass, text, text, text, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION my.several(regclass, text, text, text, int) RETURNS SETOF text LANGUAGE sql AS 'SELECT $3';
CREATE FUNCTION my.long(regclass, text, text, text, bigint) RETURNS text LANGUAGE sql AS 'SELECT $3';
CREATE PROCEDURE my.does(regclass, text, text, text, int) LANGUAGE sql AS '';
CREATE FUNCTION check_strategy(strategy text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	state text; message text; hint text;
BEGIN
	PERFORM bbm.queue('refused', 't', command => 'UPDATE t SET n = n + 1', batching_strategy => strategy);
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '%: % (%)', state, message, hint;
END $$;
SELECT check_strategy(s) FROM unnest(ARRAY['my.missing', 'missing.f', 'my.strict', 'my.number', 'my.several', 'my.long', 'my.does', 'a.b.c', 'my.', 'my.says(regclass)', 'unknown']) AS s;
CREATE ROLE regress_bbm_strategy LOGIN;
GRANT USAGE ON SCHEMA my TO regress_bbm_strategy;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bbm TO regress_bbm_strategy;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_strategy;
ALTER TABLE t OWNER TO regress_bbm_strategy;
REVOKE EXECUTE ON FUNCTION my.says FROM PUBLIC;
SET ROLE regress_bbm_strategy;
SELECT check_strategy('my.says');
RESET ROLE;
SET client_min_messages = warning;
DROP OWNED BY regress_bbm_strategy;
DROP ROLE regress_bbm_strategy;
DROP SCHEMA my CASCADE;
DROP VIEW jobs;
DROP TABLE p, asked;
DROP FUNCTION check_strategy;
DROP PROCEDURE try;
