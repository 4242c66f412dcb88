-- The health indicators, as bbm.health shows them.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
\d bbm.health

-- Nothing is set and nothing runs.
SELECT * FROM bbm.health;

-- With limits.
SET bbm.max_wal_rate = '2000GB';
SET bbm.max_replica_lag = '1ms';
SELECT indicator, table_name, value >= 0 AS has_value, "limit", unit, verdict FROM bbm.health;
SELECT reason FROM bbm.health WHERE indicator = 'replica_lag';
-- A rate is what was written since the last look.
SET bbm.max_wal_rate = '1kB';
CREATE TABLE much AS SELECT g, repeat('x', 100) AS filler FROM generate_series(1, 10000) AS g;
SELECT verdict, value > 1 AS is_above, reason ~ '^WAL is written at [0-9]+ kB/s$' AS says_how_much FROM bbm.health WHERE indicator = 'wal_rate';
RESET bbm.max_wal_rate;
RESET bbm.max_replica_lag;
SET bbm.max_wal_rate = -1;
SET bbm.max_replica_lag = '2d';

-- Tables of migrations that run.
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE u (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g FROM generate_series(1, 10) AS g;
INSERT INTO u SELECT g FROM generate_series(1, 10) AS g;
SELECT bbm.queue('one', 't', command => 'UPDATE t SET n = n + 1') AS one \gset
SELECT bbm.queue('two', 't', command => 'UPDATE t SET n = n + 2') AS two \gset
SELECT bbm.queue('paused', 'u', command => 'UPDATE u SET n = n + 1', start => false) AS paused \gset
SELECT * FROM bbm.health;
SELECT bbm.resume(:paused);
SELECT * FROM bbm.health WHERE table_name IS NOT NULL;
SELECT bbm.delete(:paused), bbm.delete(:two);

-- A function of the user's. Its name has a schema.
CREATE SCHEMA ops;
CREATE FUNCTION ops.load(regclass) RETURNS double precision LANGUAGE sql AS $$ SELECT CASE $1 WHEN 't'::regclass THEN 0.25 END $$;
SET bbm.health_function = 'load';
SET bbm.health_function = 'ops.load(regclass)';
SET bbm.health_function = 'a.b.c';
SET bbm.health_function = 'ops.';
SET bbm.health_function = 'ops load';
SET bbm.health_function = '"Ops"."load of it"';
SET bbm.health_function = 'ops.load';
CREATE FUNCTION health() RETURNS TABLE (table_name text, value double precision, "limit" double precision, unit text, verdict text, reason text) LANGUAGE sql AS
    $$ SELECT h.table_name, h.value, h."limit", h.unit, h.verdict, h.reason FROM bbm.health AS h WHERE h.indicator = 'health_function' $$;
SELECT * FROM health();
SELECT count(*) FROM bbm.health;

-- What it returns, or raises.
CREATE TABLE gauge (expression text, called int NOT NULL DEFAULT 0);
INSERT INTO gauge VALUES ('');
CREATE FUNCTION ops.gauge(regclass) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE result double precision;
BEGIN
    UPDATE public.gauge SET called = called + 1;
    EXECUTE 'SELECT ' || (SELECT g.expression FROM public.gauge AS g) INTO result;
    RETURN result;
END $$;
SET bbm.health_function = 'ops.gauge';
CREATE FUNCTION health_if(expression text) RETURNS TABLE (value double precision, verdict text, reason text) LANGUAGE sql AS $$
    UPDATE gauge SET expression = $1;
    SELECT h.value, h.verdict, h.reason FROM health() AS h;
$$;
SELECT * FROM health_if('0');
SELECT * FROM health_if('0.99');
SELECT * FROM health_if('1');
SELECT * FROM health_if('1234.5');
SELECT * FROM health_if('-1');
SELECT * FROM health_if($$float8 'infinity'$$);
SELECT called FROM gauge;
SELECT * FROM health_if('NULL');
SELECT * FROM health_if($$float8 'nan'$$);
SELECT called FROM gauge;
-- An error undoes what the function did, and nothing else.
SELECT * FROM health_if('1 / 0');
SELECT * FROM health_if('nothing_that_is_there');
SELECT called FROM gauge;
BEGIN;
UPDATE t SET n = 7 WHERE id = 1;
SELECT * FROM health_if('1 / 0');
SELECT n FROM t WHERE id = 1;
ROLLBACK;
BEGIN READ ONLY; -- it wants to write
SELECT * FROM health();
COMMIT;
-- In a client's session it is cancelled as any statement is.
UPDATE gauge SET expression = '(SELECT 0 FROM pg_sleep(600))'; -- lint: allow: until it is cancelled
SET statement_timeout = '100ms';
SELECT * FROM health();
RESET statement_timeout;
SELECT * FROM health_if('0');

-- What cannot be called is said and does not hold anything.
CREATE FUNCTION ops.wrong_argument(text) RETURNS double precision LANGUAGE sql AS 'SELECT 1.0';
CREATE FUNCTION ops.no_argument() RETURNS double precision LANGUAGE sql AS 'SELECT 1.0';
CREATE FUNCTION ops.wrong_result(regclass) RETURNS numeric LANGUAGE sql AS 'SELECT 1.0';
CREATE FUNCTION ops.set_of(regclass) RETURNS SETOF double precision LANGUAGE sql AS 'SELECT 1.0';
CREATE FUNCTION ops.sfunc(double precision, regclass) RETURNS double precision LANGUAGE sql AS 'SELECT 1.0';
CREATE AGGREGATE ops.aggregate(regclass) (SFUNC = ops.sfunc, STYPE = double precision);
CREATE PROCEDURE ops.procedure(regclass) LANGUAGE sql AS '';
SET bbm.health_function = 'ops.wrong_argument';
SELECT * FROM health();
SET bbm.health_function = 'ops.no_argument';
SELECT * FROM health();
SET bbm.health_function = 'ops.wrong_result';
SELECT * FROM health();
SET bbm.health_function = 'ops.set_of';
SELECT * FROM health();
SET bbm.health_function = 'ops.aggregate';
SELECT * FROM health();
SET bbm.health_function = 'ops.procedure';
SELECT * FROM health();
SET bbm.health_function = 'ops.missing';
SELECT * FROM health();
SET bbm.health_function = 'no_schema.load';
SELECT * FROM health();

-- Everybody may look: at the server, and at the tables of his own migrations; the function is called with his rights.
CREATE ROLE regress_bbm_health;
CREATE ROLE regress_bbm_owner LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_health, regress_bbm_owner;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_owner;
SET bbm.health_function = 'ops.load';
ALTER TABLE u OWNER TO regress_bbm_owner;
SET ROLE regress_bbm_owner;
SELECT bbm.queue('mine', 'u', command => 'UPDATE u SET n = n + 1') AS mine \gset
SELECT indicator, table_name, verdict, reason FROM bbm.health WHERE table_name IS NOT NULL;
SET ROLE regress_bbm_health;
SELECT indicator, table_name, verdict FROM bbm.health;
SET bbm.max_wal_rate = 1;
SET bbm.max_replica_lag = 1;
SET bbm.health_function = 'public.mine';
RESET ROLE;
SELECT bbm.delete(:mine);
GRANT pg_monitor TO regress_bbm_health;
SET ROLE regress_bbm_health;
SELECT indicator, table_name, verdict, reason FROM bbm.health WHERE table_name IS NOT NULL;
RESET ROLE;
GRANT USAGE ON SCHEMA ops TO regress_bbm_health;
REVOKE EXECUTE ON FUNCTION ops.load(regclass) FROM PUBLIC;
SET ROLE regress_bbm_health;
SELECT indicator, table_name, verdict, reason FROM bbm.health WHERE table_name IS NOT NULL;
RESET ROLE;
GRANT EXECUTE ON FUNCTION ops.load(regclass) TO regress_bbm_health;
SET ROLE regress_bbm_health;
SELECT indicator, table_name, verdict, reason FROM bbm.health WHERE table_name IS NOT NULL;
RESET ROLE;

-- A table that is gone.
DROP TABLE t;
SELECT * FROM bbm.health WHERE table_name IS NOT NULL;

RESET bbm.health_function;
ALTER TABLE u OWNER TO CURRENT_USER;
DROP OWNED BY regress_bbm_health, regress_bbm_owner;
DROP ROLE regress_bbm_health, regress_bbm_owner;
DROP FUNCTION health_if(text), health();
DROP TABLE gauge, u, much;
DROP AGGREGATE ops.aggregate(regclass);
DROP FUNCTION ops.load(regclass), ops.gauge(regclass), ops.wrong_argument(text), ops.no_argument(), ops.wrong_result(regclass), ops.set_of(regclass),
    ops.sfunc(double precision, regclass);
DROP PROCEDURE ops.procedure(regclass);
DROP SCHEMA ops;
