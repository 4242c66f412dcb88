-- GitLab's tables as views: the queries of its documents, as they are printed there, and the numbers they rely on.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset

-- A migration in every status; the one that is finalizing says itself what it sees.
CREATE TABLE events (id int PRIMARY KEY, id_convert_to_bigint bigint NOT NULL DEFAULT 0);
INSERT INTO events SELECT g FROM generate_series(1, 100) AS g;
CREATE TABLE push_event_payloads (event_id int PRIMARY KEY, event_id_convert_to_bigint bigint NOT NULL DEFAULT 0);
INSERT INTO push_event_payloads SELECT g FROM generate_series(1, 100) AS g;
CREATE TABLE routes (id int PRIMARY KEY, source_id int NOT NULL, namespace_id int, by int NOT NULL DEFAULT 1);
INSERT INTO routes SELECT g, -g FROM generate_series(1, 100) AS g;
CREATE TABLE seen (id int PRIMARY KEY, migration int, job int);
INSERT INTO seen VALUES (1), (2);
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'events', 'id', '[["id"], ["id_convert_to_bigint"]]') AS active,
       bbm.queue('CopyColumnUsingBackgroundMigrationJob', 'push_event_payloads', 'event_id', '[["event_id"], ["event_id_convert_to_bigint"]]', start => false) AS paused,
       bbm.queue('BackfillRouteNamespaceId', 'routes', command => 'UPDATE routes SET namespace_id = source_id', job_interval => '2 minutes', batch_size => 30, sub_batch_size => 10, max_batch_size => 30, pause => '1 ms') AS finished,
       bbm.queue('BackfillUserDetailsFields', 'routes', command => 'UPDATE routes SET source_id = source_id / by', batch_size => 40, sub_batch_size => 10, max_batch_size => 50) AS failed,
       bbm.queue('Confirmed', 'routes', command => 'UPDATE routes SET source_id = source_id') AS finalized,
       bbm.queue('Looks', 'seen', start => false,
                 command => 'UPDATE seen SET migration = (SELECT m.status FROM bbm.batched_background_migrations AS m WHERE m.job_class_name = ''Looks''),
                                             job = (SELECT j.status FROM bbm.batched_background_migration_jobs AS j JOIN bbm.batched_background_migrations AS m
                                                    ON m.id = j.batched_background_migration_id WHERE m.job_class_name = ''Looks'')') AS finalizing \gset
CALL bbm.run(:finished);
UPDATE routes SET by = 0 WHERE id = 57;
CALL bbm.run(:failed);
\echo SQLSTATE :SQLSTATE
CALL bbm.run(:finalized);
SELECT bbm.ensure_finished(:finalized);
SELECT bbm.finalize(:finalizing);
SELECT DISTINCT migration, job FROM seen;

SET search_path = bbm;
SELECT id, job_class_name, status FROM batched_background_migrations ORDER BY id;
SELECT m.status AS bbm, g.status AS gitlab FROM migrations AS m JOIN batched_background_migrations AS g USING (id) GROUP BY 1, 2 ORDER BY 2;

-- The queries of the documents promise no order, so their rows are shown from a table, except where they say it themselves.
-- "Check the status": details on incomplete batched background migrations. The query is older than the status finalized,
-- and shows such migrations there as here.
CREATE TEMP TABLE found AS
SELECT
  job_class_name,
  table_name,
  column_name,
  job_arguments
FROM batched_background_migrations
WHERE status <> 3;
SELECT * FROM found ORDER BY job_class_name COLLATE "C", table_name COLLATE "C";
DROP TABLE found;

-- "Pause", step 1: obtain the ID of the running migration.
CREATE TEMP TABLE found AS
SELECT
 id,
 job_class_name,
 table_name,
 column_name,
 job_arguments
FROM batched_background_migrations
WHERE status <> 3;
SELECT * FROM found ORDER BY id;
DROP TABLE found;
-- The same, as the older page has it.
CREATE TEMP TABLE found AS
   SELECT
    id, 
    job_class_name,
    table_name,
    column_name,
    job_arguments
   FROM batched_background_migrations
   WHERE status <> 3;
SELECT count(*), min(id), max(id) FROM found;
DROP TABLE found;

-- "Pause", step 2: the status of a migration by its last jobs. XX stands for the ID.
\set XX :finished
CREATE TEMP TABLE found AS
SELECT
 started_at,
 finished_at,
 finished_at - started_at AS duration,
 min_value,
 max_value,
 batch_size,
 sub_batch_size
FROM batched_background_migration_jobs
WHERE batched_background_migration_id = :XX
ORDER BY id DESC
limit 10;
SELECT finished_at > started_at AS takes_time, duration = finished_at - started_at AS has_duration, min_value, max_value, batch_size, sub_batch_size FROM found;
DROP TABLE found;
-- The same, as the older page has it.
CREATE TEMP TABLE found AS
   SELECT
    started_at,
    finished_at,
    finished_at - started_at AS duration,
    min_value,
    max_value,
    batch_size,
    sub_batch_size
   FROM batched_background_migration_jobs
   WHERE batched_background_migration_id = :XX
   ORDER BY id DESC
   limit 10;
SELECT min_value, max_value, batch_size, sub_batch_size FROM found;
DROP TABLE found;

-- "Viewing failure error logs". It is printed with the class name in double quotes, which in SQL name a column; with single
-- ones it says what is meant.
\set CLASS_NAME BackfillUserDetailsFields
CREATE TEMP TABLE found AS
      SELECT migration.id, migration.job_class_name, transition_logs.exception_class, transition_logs.exception_message
      FROM batched_background_migrations as migration
      INNER JOIN batched_background_migration_jobs as jobs
      ON jobs.batched_background_migration_id = migration.id
      INNER JOIN batched_background_migration_job_transition_logs as transition_logs
      ON transition_logs.batched_background_migration_job_id = jobs.id
      WHERE transition_logs.next_status = '2' AND migration.job_class_name = :'CLASS_NAME';
SELECT *, count(*) FROM found GROUP BY 1, 2, 3, 4 ORDER BY 3, 4;
DROP TABLE found;

-- What a later document asks: no row means that everything is complete.
SELECT job_class_name, table_name, column_name, job_arguments FROM batched_background_migrations WHERE status NOT IN (3, 6) ORDER BY id;

-- "Mark a batched migration finished" and "Fix and retry" look for the failed ones, "Queued" for active and paused ones.
SELECT id, job_class_name FROM batched_background_migrations WHERE status = 4;
SELECT id, job_class_name FROM batched_background_migrations WHERE status IN (0, 1) ORDER BY id;
SELECT min_value, max_value, status, attempts > 0 AS was_tried, batch_size FROM batched_background_migration_jobs WHERE batched_background_migration_id = :failed AND status = 2;

-- Every column there is, with the type it has there.
\d batched_background_migrations
\d batched_background_migration_jobs
\d batched_background_migration_job_transition_logs
\x on
SELECT id, min_value, max_value, batch_size, sub_batch_size, interval, status, job_class_name, batch_class_name, table_name, column_name, job_arguments,
       total_tuple_count, pause_ms, max_batch_size, on_hold_until, gitlab_schema, queued_migration_version, min_cursor, max_cursor,
       started_at >= created_at AS has_start, finished_at >= started_at AS has_end, updated_at >= finished_at AS is_updated
FROM batched_background_migrations WHERE id = :finished;
SELECT batched_background_migration_id, min_value, max_value, batch_size, sub_batch_size, status, attempts, metrics -> 'affected_rows' AS affected_rows,
       (metrics #>> '{timings,update_all,0}')::float > 0 AS has_timing, pause_ms, min_cursor, max_cursor,
       started_at >= created_at AS has_start, finished_at >= started_at AS has_end, updated_at >= finished_at AS is_updated
FROM batched_background_migration_jobs WHERE batched_background_migration_id = :finished ORDER BY id LIMIT 1;
SELECT l.previous_status, l.next_status, l.exception_class, l.exception_message, l.created_at IS NOT NULL AND l.updated_at = l.created_at AS is_updated
FROM batched_background_migration_job_transition_logs AS l JOIN batched_background_migration_jobs AS j ON j.id = l.batched_background_migration_job_id
WHERE j.batched_background_migration_id = :finished ORDER BY l.id LIMIT 2;
\x off
SELECT started_at, finished_at FROM batched_background_migrations WHERE id = :paused;
SELECT max_batch_size, sub_batch_size, pause_ms, interval FROM batched_background_migrations WHERE id IN (:active, :failed) ORDER BY id;

-- started_at is rewritten when a migration becomes active again, and by nothing else.
SELECT started_at AS before, updated_at AS updated FROM batched_background_migrations WHERE id = :active \gset
SELECT bbm.alter(:active, batch_size => 50);
SELECT started_at = :'before' AS stays, updated_at > :'updated' AS is_updated FROM batched_background_migrations WHERE id = :active;
SELECT bbm.pause(:active);
SELECT started_at = :'before' AS stays FROM batched_background_migrations WHERE id = :active;
SELECT bbm.resume(:active);
SELECT started_at > :'before' AS is_new FROM batched_background_migrations WHERE id = :active;

-- The other numbers of jobs. What was put back by retry is pending, and so is what a pause gave back.
SELECT bbm.retry(:failed) AS put_back;
SELECT min_value, max_value, status, attempts, metrics FROM batched_background_migration_jobs WHERE batched_background_migration_id = :failed AND status <> 3;
RESET search_path;
CREATE FUNCTION pauses() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM bbm.pause('Pauses'); RETURN 1; END $$;
SELECT bbm.queue('Pauses', 'seen', command => 'UPDATE seen SET job = pauses()', sub_batch_size => 1) AS pauses \gset
CALL bbm.run(:pauses);
SELECT min_value, max_value, status, attempts, metrics -> 'affected_rows' AS affected_rows FROM bbm.batched_background_migration_jobs WHERE batched_background_migration_id = :pauses;

-- A message of any length is kept.
CREATE FUNCTION talks() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', repeat('so ', 1000); END $$;
SELECT bbm.queue('Talks', 'seen', command => 'UPDATE seen SET job = talks()', batch_size => 1) AS talks \gset
\set VERBOSITY terse
CALL bbm.run(:talks);
\set VERBOSITY default
SELECT DISTINCT l.exception_class, length(l.exception_message) FROM bbm.batched_background_migration_job_transition_logs AS l
JOIN bbm.batched_background_migration_jobs AS j ON j.id = l.batched_background_migration_job_id
WHERE j.batched_background_migration_id = :talks AND l.exception_message IS NOT NULL;

-- All transitions so far; a job of one bad row that was found in another job is failed from its beginning.
SELECT DISTINCT t.from_status, l.previous_status, t.to_status, l.next_status
FROM bbm.job_transitions AS t JOIN bbm.batched_background_migration_job_transition_logs AS l USING (id) ORDER BY 2, 4;

-- Names that need quotes, an empty table, the ends of bigint, a long interval.
CREATE SCHEMA "The ""Archive""";
CREATE TABLE "The ""Archive"""."Old.Events" ("Id" bigint PRIMARY KEY, n int);
SELECT bbm.queue('Empty', '"The ""Archive"""."Old.Events"', command => 'UPDATE "The ""Archive"""."Old.Events" SET n = 1') AS empty \gset
INSERT INTO "The ""Archive"""."Old.Events" VALUES (-9223372036854775808), (9223372036854775807);
SELECT bbm.queue('Ends', '"The ""Archive"""."Old.Events"', command => 'UPDATE "The ""Archive"""."Old.Events" SET n = 1', job_interval => '100 years', pause => '1 hour', start => false) AS ends \gset
SELECT job_class_name, gitlab_schema, table_name, column_name, status, min_value, max_value, min_cursor, max_cursor, interval, pause_ms
FROM bbm.batched_background_migrations WHERE id IN (:empty, :ends) ORDER BY id;
DROP SCHEMA "The ""Archive""" CASCADE;
SELECT gitlab_schema, table_name FROM bbm.batched_background_migrations WHERE id = :ends;

-- A hold.
SELECT bbm.hold(:active, '10 minutes', 'autovacuum');
SELECT status, on_hold_until > now() + interval '9 minutes' AS is_held FROM bbm.batched_background_migrations WHERE id = :active;
SELECT bbm.hold(:active, '0');
SELECT status, on_hold_until FROM bbm.batched_background_migrations WHERE id = :active;

-- Queued anew it takes the place of the old one, as there, where the old one had to be deleted; bbm keeps both.
SELECT bbm.requeue(:finished) AS again \gset
SELECT id = :again AS is_new, status FROM bbm.batched_background_migrations WHERE job_class_name = 'BackfillRouteNamespaceId';
SELECT id = :again AS is_new, generation, is_current, status FROM bbm.migrations WHERE job_class_name = 'BackfillRouteNamespaceId' ORDER BY id;
SELECT count(*) FROM bbm.batched_background_migration_jobs WHERE batched_background_migration_id = :finished;
SELECT count(*) FROM bbm.batched_background_migration_job_transition_logs AS l JOIN bbm.jobs AS j ON j.id = l.batched_background_migration_job_id WHERE j.migration_id = :finished;
SELECT count(*) FROM bbm.jobs WHERE migration_id = :finished;
SELECT id = :again AS is_new, status FROM bbm.status WHERE name LIKE 'BackfillRoute%';

-- Read only, for everybody.
UPDATE bbm.batched_background_migrations SET status = 3 WHERE status = 4; \echo SQLSTATE :SQLSTATE
UPDATE bbm.batched_background_migration_jobs SET status = 3; \echo SQLSTATE :SQLSTATE
DELETE FROM bbm.batched_background_migrations; \echo SQLSTATE :SQLSTATE
INSERT INTO bbm.batched_background_migration_job_transition_logs (id) VALUES (1); \echo SQLSTATE :SQLSTATE

-- One sees one's own, pg_monitor sees all.
CREATE ROLE regress_bbm_owner LOGIN;
CREATE ROLE regress_bbm_monitor IN ROLE pg_monitor;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_owner;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_owner;
GRANT SELECT, UPDATE ON seen TO regress_bbm_owner;
\c - regress_bbm_owner
SET client_min_messages = warning;
SELECT bbm.queue('Own', 'seen', command => 'UPDATE seen SET job = 1') AS own \gset
CALL bbm.run(:own);
SELECT job_class_name, (SELECT count(*) FROM bbm.batched_background_migration_jobs) AS jobs, (SELECT count(*) FROM bbm.batched_background_migration_job_transition_logs) AS transitions
FROM bbm.batched_background_migrations;
-- A function that a planner would love to run before the filter of the views sees nothing either.
CREATE FUNCTION pg_temp.peep(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE WARNING 'saw %', $1; RETURN true; END $$;
SELECT count(*) FROM bbm.batched_background_migrations WHERE pg_temp.peep(job_class_name);
SELECT count(*) FROM bbm.batched_background_migration_jobs WHERE pg_temp.peep(metrics #>> '{affected_rows,update_all,0}');
SELECT count(*) FROM bbm.batched_background_migration_job_transition_logs WHERE pg_temp.peep(exception_message);
\c - :super
SET ROLE regress_bbm_monitor;
SELECT (SELECT count(*) FROM bbm.batched_background_migrations) > 5 AS migrations, (SELECT count(*) FROM bbm.batched_background_migration_jobs) > 5 AS jobs,
       (SELECT count(*) FROM bbm.batched_background_migration_job_transition_logs) > 10 AS transitions;
RESET ROLE;

DROP OWNED BY regress_bbm_owner, regress_bbm_monitor;
DROP ROLE regress_bbm_owner, regress_bbm_monitor;
DROP TABLE events, push_event_payloads, routes, seen;
DROP FUNCTION pauses, talks;
