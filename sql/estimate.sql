-- What a migration would take: bbm.estimate, and queue(finish_within), which asks it.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset

-- A table with a trigger that writes elsewhere and calls a sequence.
CREATE TABLE counted (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, note text);
INSERT INTO counted (id, note) SELECT g, repeat('x', 20) FROM generate_series(1, 2500) AS g;
CREATE TABLE audit (counted_id int);
CREATE SEQUENCE touched;
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO audit VALUES (NEW.id); PERFORM nextval('touched'); RETURN NEW; END$$;
CREATE TRIGGER audit BEFORE UPDATE ON counted FOR EACH ROW EXECUTE FUNCTION write_audit();

SELECT pg_relation_size('counted') AS size \gset

-- A small table is looked at as a whole.
SELECT total_rows, total_keys, based_on, samples, sampled_keys, sampled_rows, keys_per_batch, jobs, rows_per_batch
FROM bbm.estimate('count', 'counted', command => 'UPDATE counted SET n = n + 1', batch_size => 1000, max_time => '1 min');
-- Nothing has changed and nothing is stored. A sequence does not go back; dead rows stay until VACUUM.
SELECT count(*), sum(n) FROM counted;
SELECT count(*) FROM audit;
SELECT last_value > 2500 AS sequence_went_on FROM touched;
SELECT pg_relation_size('counted') > :size AS has_dead_rows;
SELECT (SELECT count(*) FROM bbm.migrations) + (SELECT count(*) FROM bbm.jobs) + (SELECT count(*) FROM bbm.events) AS stored;
-- Figures that depend on the machine are at least in order.
SELECT batch_time_min > '0' AS takes_time, batch_time_min <= batch_time AND batch_time <= batch_time_max AS batch,
       full_speed_min < full_speed_max AS full_speed, at_pace_min = full_speed_min AND at_pace_max = full_speed_max AS at_pace,
       rows_per_s > 0 AS rate, wal_bytes_per_row BETWEEN 50 AND 10000 AS wal_per_row,
       wal_bytes BETWEEN 50 * 2500 AND 10000 * 2500 AS wal, growth_bytes > 50 * 2500 AS growth
FROM bbm.estimate('count', 'counted', command => 'UPDATE counted SET n = n + 1', max_time => '1 min');
-- What changes nothing grows nothing, and has no costs for a row.
SELECT total_rows, total_keys, rows_per_s, wal_bytes_per_row, growth_bytes
FROM bbm.estimate('none', 'counted', command => 'UPDATE counted SET n = n + 1 WHERE false', max_time => '1 min');
SELECT total_rows, growth_bytes FROM bbm.estimate('gone', 'counted', command => 'DELETE FROM counted WHERE id % 10 = 0', max_time => '1 min');

-- An interval: jobs wait for it as long as their size stays; with growing jobs it takes less.
SET bbm.optimize_batches = on;
SELECT jobs, at_pace_min, at_pace_max
FROM bbm.estimate('count', 'counted', command => 'UPDATE counted SET n = n + 1', job_interval => '1 hour', batch_size => 100, max_time => '1 min');
RESET bbm.optimize_batches;
SELECT jobs, at_pace_min, at_pace_max
FROM bbm.estimate('count', 'counted', command => 'UPDATE counted SET n = n + 1', job_interval => '5 hours', batch_size => 100, max_batch_size => 100, max_time => '1 min');
-- A pause after each sub-batch.
SELECT at_pace_min - full_speed_min > '24 s' AND at_pace_max - full_speed_max > '24 s' AS pauses
FROM bbm.estimate('count', 'counted', command => 'UPDATE counted SET n = n + 1', pause => '1 s', sub_batch_size => 100, max_time => '1 min');

-- A larger table: samples until there are enough, the rest by statistics.
CREATE TABLE large (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO large SELECT g * 10 FROM generate_series(1, 20000) AS g;
SELECT total_keys, total_rows, based_on, samples, sampled_keys, jobs
FROM bbm.estimate('large', 'large', command => 'UPDATE large SET n = n + 1', batch_size => 100, max_time => '1 min');
ANALYZE large;
SELECT total_keys, total_rows, based_on, samples, sampled_keys, jobs
FROM bbm.estimate('large', 'large', command => 'UPDATE large SET n = n + 1', batch_size => 100, max_time => '1 min');
SELECT total_keys, total_rows, based_on, samples, jobs
FROM bbm.estimate('large', 'large', command => 'UPDATE large SET n = n + 1', batch_size => 100, batch_min_value => 50001, batch_max_value => 150000, max_time => '1 min');
-- With a filter a batch whose size was given counts the rows that pass; one that bbm chooses counts them all.
SELECT total_keys BETWEEN 4900 AND 5100 AS total_keys, total_rows BETWEEN 4900 AND 5100 AS total_rows, based_on, sampled_keys = sampled_rows AS counts_filtered
FROM bbm.estimate('large', 'large', command => 'UPDATE large SET n = n + 1', scope_to => 'id % 40 = 0', batch_size => 100, max_time => '1 min');
SELECT total_keys, total_rows, based_on, samples, keys_per_batch
FROM bbm.estimate('large', 'large', command => 'UPDATE large SET n = n + 1', scope_to => 'id % 40 = 0 -- every fourth', max_time => '1 min');
SELECT sum(n) FROM large;
-- Time is over after the first sub-batches; something is known all the same.
SELECT total_keys, samples, sampled_keys BETWEEN 1 AND 20000 AS sampled
FROM bbm.estimate('large', 'large', command => 'UPDATE large SET n = n + 1', max_time => '1 microsecond');

-- No rows, one row, no rows in the range.
CREATE TABLE nothing (id int PRIMARY KEY, n int);
SELECT * FROM bbm.estimate('nothing', 'nothing', command => 'UPDATE nothing SET n = 1') \gx
INSERT INTO nothing VALUES (-5, 0);
SELECT total_keys, total_rows, based_on, samples, jobs FROM bbm.estimate('nothing', 'nothing', command => 'UPDATE nothing SET n = 1');
SELECT total_keys, total_rows, samples, jobs FROM bbm.estimate('nothing', 'nothing', command => 'UPDATE nothing SET n = 1', scope_to => 'n > 0', batch_size => 10);
SELECT total_keys, samples, jobs FROM bbm.estimate('nothing', 'nothing', command => 'UPDATE nothing SET n = 1', batch_min_value => 0);
-- The ends of the type. A table holds no more rows than fit into its blocks, however thin its keys look.
CREATE TABLE ends (id bigint PRIMARY KEY, n int);
INSERT INTO ends VALUES (-9223372036854775808, 0), (-1, 0), (0, 0), (9223372036854775807, 0);
SELECT total_keys BETWEEN 4 AND 1000 AS total_keys, based_on, samples FROM bbm.estimate('ends', 'ends', command => 'UPDATE ends SET n = 1', batch_size => 1);

-- A bad request raises what queue() raises.
CREATE FUNCTION outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END$$;
CREATE VIEW seen AS SELECT * FROM counted;
SELECT arguments, outcome('SELECT bbm.estimate(' || arguments || ')') AS estimate,
       outcome('SELECT bbm.estimate(' || arguments || ')') = outcome('SELECT bbm.queue(' || arguments || ')') AS as_queue
FROM (VALUES ($$'x', 'counted'$$),
             ($$'x', 'counted', command => 'UPDATE counted SET m = 1'$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n ='$$),
             ($$'x', 'counted', command => 'UPDATE counted SET id = id + 1'$$),
             ($$'x', 'counted', command => 'TRUNCATE counted'$$),
             ($$'x', 'counted', command => 'UPDATE large SET n = 1'$$),
             ($$'x', 'counted', 'note', command => 'UPDATE counted SET n = 1'$$),
             ($$'x', 'seen', command => 'UPDATE seen SET n = 1'$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n = 1', batch_size => 0$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n = 1', job_interval => '-1 s'$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n = 1', scope_to => 'absent'$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n = 1', batch_min_value => 'x'$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n = 1', batch_min_value => 9, batch_max_value => 8$$),
             ($$'x', 'counted', command => 'UPDATE counted SET n = 1', batching_strategy => 'odd'$$),
             ($$'CopyColumnUsingBackgroundMigrationJob', 'counted', 'id', '[["n"]]'$$)) AS bad (arguments);
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1', max_time => '0');
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1', max_time => NULL);

-- An error of the command is the estimate's. Whoever catches it goes on in his transaction; whoever does not has a
-- session that is as before.
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1 / (id - 3)', batch_size => 100);
SELECT sum(n) FROM counted;
BEGIN;
INSERT INTO audit VALUES (-1);
SAVEPOINT before;
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1 / (id - 3)', batch_size => 100);
ROLLBACK TO before;
SELECT outcome($$SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1 / (id - 3)')$$);
SET LOCAL search_path = public, pg_temp;
SELECT total_rows FROM bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1', max_time => '1 min');
-- The caller's settings are his own again.
SELECT name, setting FROM pg_settings WHERE name IN ('search_path', 'row_security', 'lock_timeout', 'jit') ORDER BY name;
COMMIT;
SELECT count(*) FROM audit;

-- Deferred triggers of the caller's transaction wait for its COMMIT.
CREATE TABLE part (id int PRIMARY KEY, counted_id int REFERENCES counted DEFERRABLE INITIALLY DEFERRED);
BEGIN;
INSERT INTO part VALUES (1, 2501);
SELECT total_rows FROM bbm.estimate('part', 'part', command => 'UPDATE part SET counted_id = -1');
INSERT INTO counted VALUES (2501);
COMMIT;
-- Those of the samples are not looked at, unless the caller wants that.
SELECT total_rows FROM bbm.estimate('part', 'part', command => 'UPDATE part SET counted_id = -1');
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT total_rows FROM bbm.estimate('part', 'part', command => 'UPDATE part SET counted_id = -1');
ROLLBACK;

-- From inside of a command: there is room for one.
CREATE TABLE nested (id int PRIMARY KEY, n int);
INSERT INTO nested VALUES (1, 0);
CREATE FUNCTION estimate_inside() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN PERFORM bbm.estimate('x', 'nothing', command => 'UPDATE nothing SET n = 1'); RETURN NEW; END$$;
CREATE TRIGGER inside BEFORE UPDATE ON nested FOR EACH ROW EXECUTE FUNCTION estimate_inside();
SELECT bbm.estimate('x', 'nested', command => 'UPDATE nested SET n = n + 1');
\echo SQLSTATE :SQLSTATE
UPDATE nested SET n = n + 1; -- nothing is wrong with the trigger itself
SELECT n FROM nested;

-- The command runs with the rights of the caller, and row security hides nothing from it.
CREATE ROLE regress_bbm_alice LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_alice;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_alice;
-- A trigger of the role's could take a SET ROLE back.
SET ROLE regress_bbm_alice;
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1');
\echo SQLSTATE :SQLSTATE
RESET ROLE;
SELECT current_user AS super \gset
\c - regress_bbm_alice
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1');
\echo SQLSTATE :SQLSTATE
\c - :super
SET client_min_messages = warning;
GRANT SELECT, UPDATE ON counted TO regress_bbm_alice;
ALTER TABLE counted ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON counted USING (id < 10);
\c - regress_bbm_alice
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1');
\echo SQLSTATE :SQLSTATE
\c - :super
SET client_min_messages = warning;
ALTER TABLE counted DISABLE ROW LEVEL SECURITY;
SET bbm.allow_superuser_migrations = off;
SELECT bbm.estimate('x', 'counted', command => 'UPDATE counted SET n = 1');
RESET bbm.allow_superuser_migrations;

-- finish_within: the gentlest pace that is done in time.
SELECT bbm.queue('in time', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '10 days') AS id \gset
SELECT job_interval, batch_size, max_batch_size, status FROM bbm.migrations WHERE id = :id;
SELECT bbm.queue('in parts', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '10 days', max_batch_size => 1000) AS id \gset
SELECT job_interval, batch_size, max_batch_size, status FROM bbm.migrations WHERE id = :id;
CALL bbm.run('in time');
CALL bbm.run('in parts');
SELECT n, count(*) FROM large GROUP BY n;
SELECT bbm.queue('empty', 'large', command => 'UPDATE large SET n = n + 1', batch_min_value => 1000000, finish_within => '1 s') AS id \gset
SELECT job_interval, batch_size, max_batch_size, status FROM bbm.migrations WHERE id = :id;
-- Measured, and too slow.
CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.002); RETURN NEW; END$$;
CREATE TRIGGER dawdle BEFORE UPDATE ON large FOR EACH ROW EXECUTE FUNCTION dawdle();
CREATE FUNCTION refusal(statement text, OUT state text, OUT message text, OUT detail text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END$$;
SELECT state, message, regexp_replace(detail, 'about .*, measured on \d+', 'about T, measured on N') AS detail, regexp_replace(hint, '''.*''', '''T''') AS hint
FROM refusal($$SELECT bbm.queue('slow', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '30 s')$$);
SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'slow';
SELECT n, count(*) FROM large GROUP BY n;
-- It chooses what one might choose oneself.
SELECT bbm.queue('x', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '1 day', batch_size => 10);
SELECT bbm.queue('x', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '1 day', job_interval => '1 s');
SELECT bbm.queue('x', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '0');
SELECT bbm.queue('x', 'large', command => 'UPDATE large SET n = n + 1', finish_within => '-1 day');

DROP TABLE counted, audit, large, nothing, ends, part, nested CASCADE;
DROP SEQUENCE touched;
DROP FUNCTION write_audit, outcome, refusal, estimate_inside, dawdle;
DROP OWNED BY regress_bbm_alice;
DROP ROLE regress_bbm_alice;
