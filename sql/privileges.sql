-- Who sees what and may do what.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset
CREATE ROLE regress_bbm_alice LOGIN;
CREATE ROLE regress_bbm_bob LOGIN;
CREATE ROLE regress_bbm_carol LOGIN IN ROLE regress_bbm_alice;
CREATE ROLE regress_bbm_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_bbm_group NOLOGIN;
CREATE SCHEMA regress_bbm_alice AUTHORIZATION regress_bbm_alice;

-- Nothing is granted by CREATE EXTENSION, apart from what pg_monitor needs.
SELECT p.oid::regprocedure AS open_to_everybody FROM pg_proc AS p
WHERE p.pronamespace = 'bbm'::regnamespace AND has_function_privilege('regress_bbm_alice', p.oid, 'EXECUTE') ORDER BY 1;
SELECT c.relname AS readable, c.relkind FROM pg_class AS c
WHERE c.relnamespace = 'bbm'::regnamespace AND c.relkind NOT IN ('i', 'S') AND has_table_privilege('regress_bbm_alice', c.oid, 'SELECT')
ORDER BY 1;
SELECT c.relname AS changeable FROM pg_class AS c
WHERE c.relnamespace = 'bbm'::regnamespace AND c.relkind IN ('r', 'v') AND has_table_privilege('regress_bbm_monitor', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES');
SELECT proname FROM pg_proc WHERE pronamespace = 'bbm'::regnamespace AND prosecdef;
SET ROLE regress_bbm_alice;
SELECT * FROM bbm.status;
\echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'pg_class');
\echo SQLSTATE :SQLSTATE
RESET ROLE;

-- What an administrator gives to those who may queue.
GRANT USAGE ON SCHEMA bbm TO regress_bbm_alice, regress_bbm_bob;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_alice, regress_bbm_bob;
SET ROLE regress_bbm_alice;
CREATE TABLE regress_bbm_alice.mine (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO mine SELECT g FROM generate_series(1, 10) AS g;
SELECT bbm.queue('mine', 'mine', command => 'UPDATE mine SET n = n + 1') AS id \gset
SELECT id, name, status FROM bbm.status;

-- Others do not see it, do not steer it, do not work on the table.
SET ROLE regress_bbm_bob;
SELECT (SELECT count(*) FROM bbm.status) AS status, (SELECT count(*) FROM bbm.migrations) AS migrations, (SELECT count(*) FROM bbm.jobs) AS jobs,
       (SELECT count(*) FROM bbm.events) AS events, (SELECT count(*) FROM bbm.job_transitions) AS job_transitions,
       (SELECT count(*) FROM bbm.failures) AS failures, (SELECT count(*) FROM bbm.workers) AS workers;
SELECT bbm.pause(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.resume('mine'); \echo SQLSTATE :SQLSTATE
SELECT bbm.retry(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.alter(:id, batch_size => 1); \echo SQLSTATE :SQLSTATE
SELECT bbm.delete(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.finalize(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.wait(:id, '0'); \echo SQLSTATE :SQLSTATE
CALL bbm.finish(:id); \echo SQLSTATE :SQLSTATE
CALL bbm.await(:id, '0'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.explain(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('theirs', 'regress_bbm_alice.mine', command => 'UPDATE regress_bbm_alice.mine SET n = 0'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.migration; \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.job; \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.job_class; \echo SQLSTATE :SQLSTATE
UPDATE bbm.migrations SET status = 'finished'; \echo SQLSTATE :SQLSTATE
-- A function that a planner would love to run before the filter of the view sees nothing either.
CREATE FUNCTION pg_temp.peep(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE WARNING 'saw %', $1; RETURN true; END $$;
SELECT count(*) FROM bbm.migrations WHERE pg_temp.peep(statement);
SELECT count(*) FROM bbm.events WHERE pg_temp.peep(job_class_name);
SET bbm.enabled = off; \echo SQLSTATE :SQLSTATE
SET bbm.max_workers = 100; \echo SQLSTATE :SQLSTATE
\c - regress_bbm_bob
CALL bbm.run(:id); \echo SQLSTATE :SQLSTATE
CALL bbm.run();
\c - :super
SET client_min_messages = warning;

-- Members of the owner's role steer it; running it takes the role itself, since the command has its rights.
SET ROLE regress_bbm_carol;
SELECT id, name, status FROM bbm.status;
SELECT bbm.pause(:id), bbm.resume(:id);
\c - regress_bbm_carol
CALL bbm.run(:id); \echo SQLSTATE :SQLSTATE
\c - :super
SET client_min_messages = warning;

-- pg_monitor sees all and changes nothing.
SET ROLE regress_bbm_monitor;
SELECT id, name, status, owner_name FROM bbm.status JOIN bbm.migrations USING (id, status);
SELECT event, role_name FROM bbm.events;
SELECT bbm.pause(:id); \echo SQLSTATE :SQLSTATE

-- A superuser steers everything, but lends nobody his rights: running is for a session of the owner. SET ROLE is not enough,
-- for the command could RESET ROLE.
RESET ROLE;
SELECT bbm.pause(:id), bbm.resume(:id);
CALL bbm.run(:id); \echo SQLSTATE :SQLSTATE
SET ROLE regress_bbm_alice;
CALL bbm.run(:id); \echo SQLSTATE :SQLSTATE
CALL bbm.run(); \echo SQLSTATE :SQLSTATE
SELECT n, count(*) FROM mine GROUP BY n;

-- The command has the rights of the role that queued it, and a function in it as well.
\c - regress_bbm_alice
SET client_min_messages = warning;
CREATE FUNCTION whoami() RETURNS text LANGUAGE sql AS $$ SELECT current_user || ' ' || (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) $$;
CREATE TABLE people (id int PRIMARY KEY, who text);
INSERT INTO people VALUES (1), (2);
SELECT bbm.queue('who', 'people', command => 'UPDATE people SET who = whoami()') AS who \gset
CALL bbm.run(:who);
CALL bbm.run(:id);
TABLE people;
SELECT n, count(*) FROM mine GROUP BY n;
\c - :super
SET client_min_messages = warning;

-- A SECURITY DEFINER function queues as its owner.
CREATE FUNCTION public.queue_for_alice() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = regress_bbm_alice
    AS $$ SELECT bbm.queue('definer', 'people', command => 'UPDATE people SET who = whoami()') $$;
ALTER FUNCTION public.queue_for_alice() OWNER TO regress_bbm_alice;
SET ROLE regress_bbm_bob;
SELECT public.queue_for_alice() AS definer \gset
RESET ROLE;
SELECT owner_name FROM bbm.migrations WHERE id = :definer;
SELECT bbm.delete(:definer);

-- Job classes are for all to use and for their owners to remove.
SET ROLE regress_bbm_alice;
SELECT bbm.define('AlicesJob', 'UPDATE {table} SET n = n + 1');
SET ROLE regress_bbm_bob;
SELECT name, owner_name FROM bbm.job_classes ORDER BY name COLLATE "C";
SELECT bbm.undefine('AlicesJob'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('AlicesJob', 'regress_bbm_alice.mine'); \echo SQLSTATE :SQLSTATE
RESET ROLE;
SELECT bbm.undefine('AlicesJob');

-- Objects that lie in wait on the search_path are not used in bookkeeping, which runs as the extension's owner.
CREATE TABLE public.caught (who text, what text);
GRANT INSERT ON public.caught TO PUBLIC;
GRANT CREATE ON SCHEMA public TO regress_bbm_alice;
SET ROLE regress_bbm_alice;
CREATE FUNCTION public.catch(text) RETURNS void LANGUAGE sql AS $$ INSERT INTO public.caught SELECT current_user, $1 WHERE current_user <> 'regress_bbm_alice' $$;
CREATE FUNCTION public.equals(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('bigint ='); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.equals);
CREATE FUNCTION public.equals(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('text ='); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.equals);
CREATE FUNCTION public.equals(bigint, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('bigint = integer'); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = integer, FUNCTION = public.equals);
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('now'); RETURN 'infinity'; END $$;
CREATE FUNCTION public.count(anyelement) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('count'); RETURN 0; END $$;
CREATE FUNCTION public.min(integer) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('min'); RETURN 0; END $$;
CREATE FUNCTION public.chr(integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('chr'); RETURN ' '; END $$;
CREATE FUNCTION public.greatest_int(integer, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM public.catch('integer >='); RETURN false; END $$;
CREATE OPERATOR public.>= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = public.greatest_int);
CREATE OPERATOR public.<= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = public.greatest_int);
SET search_path = public, pg_catalog, regress_bbm_alice;
CREATE TEMP TABLE migration (id bigint, status text);
CREATE TEMP TABLE pg_locks (pid int);
SELECT bbm.queue('wait', 'mine', command => 'UPDATE mine SET n = n + 1', batch_size => 4, sub_batch_size => 2) AS trap \gset
RESET ROLE;
SET search_path = public, pg_catalog, regress_bbm_alice;
SELECT bbm.queue('super wait', 'mine', command => 'UPDATE mine SET n = n + 1', batch_size => 4, sub_batch_size => 2) AS super_trap \gset
SELECT bbm.pause(:trap), bbm.resume(:trap), bbm.alter(:trap, batch_size => 5);
SELECT line FROM bbm.explain(:trap) AS line WHERE line OPERATOR(pg_catalog.~~) 'Next%';
CALL bbm.run(:super_trap);
SELECT id, status, progress FROM bbm.status;
\c - regress_bbm_alice
SET client_min_messages = warning;
SET search_path = public, pg_catalog, regress_bbm_alice;
CREATE TEMP TABLE migration (id bigint, status text);
CREATE TEMP TABLE pg_locks (pid int);
CALL bbm.run(:trap);
\c - :super
SET client_min_messages = warning;
TABLE public.caught;
SELECT n, count(*) FROM regress_bbm_alice.mine GROUP BY n;
DROP FUNCTION public.equals(bigint, bigint), public.equals(text, text), public.equals(bigint, integer), public.greatest_int CASCADE;
DROP FUNCTION public.now, public.count(anyelement), public.min(integer), public.chr, public.catch;
DROP TABLE public.caught;

-- Who cannot log in has no session for a worker; with workers his migration would never start.
SET bbm.max_workers = 1;
GRANT USAGE ON SCHEMA bbm, regress_bbm_alice TO regress_bbm_group;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_group;
GRANT ALL ON regress_bbm_alice.mine TO regress_bbm_group;
SET ROLE regress_bbm_group;
SELECT bbm.queue('group', 'regress_bbm_alice.mine', command => 'UPDATE regress_bbm_alice.mine SET n = n + 1'); \echo SQLSTATE :SQLSTATE
RESET ROLE;
RESET bbm.max_workers;

-- An owner who is dropped leaves his migrations behind, for superusers and pg_monitor to see and delete.
DROP OWNED BY regress_bbm_alice, regress_bbm_bob, regress_bbm_carol, regress_bbm_monitor, regress_bbm_group CASCADE;
DROP ROLE regress_bbm_alice;
SELECT id, job_class_name, table_name, owner_name, status FROM bbm.migrations WHERE id = :id;
SELECT bbm.delete(:id);
SELECT count(*) FROM bbm.migrations WHERE id = :id;
DROP ROLE regress_bbm_bob, regress_bbm_carol, regress_bbm_monitor, regress_bbm_group;
