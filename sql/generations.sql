-- The end of a migration and what comes after it: once more, as a new generation; the gate; the last resort; clearing up.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
SELECT current_user AS super \gset
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, by int NOT NULL DEFAULT 1);
INSERT INTO t SELECT g FROM generate_series(1, 20) AS g;
CREATE VIEW generations AS
    SELECT id, generation, is_current, status, min_cursor, max_cursor, jobs_succeeded, rows_affected FROM bbm.migrations ORDER BY id;
SELECT bbm.define('Add', 'UPDATE {table} SET {to} = {to} + {{amount}} / by', job_arguments => '{to,amount}', scope_to => 'id <> 5');
SELECT bbm.queue('Add', 't', 'id', '["n", 1]', batch_size => 8, sub_batch_size => 4, max_batch_size => 100, pause => '1 ms', priority => 3,
                 batch_min_value => 3, on_data_error => 'quarantine', job_interval => '1 ms') AS id \gset
RESET client_min_messages;

-- The same once more is refused while there is one, whatever its status, in the words of the documents.
SELECT bbm.queue('Add', 't', 'id', '["n", 1]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('Add', 't', 'id', '["n", 1]', batch_size => 5, if_not_exists => true);
SELECT bbm.requeue(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.finished(:id), bbm.finished('Add'), bbm.finished('Add', 't', 'id', '["n", 1]');
CALL bbm.run(:id);
SELECT bbm.finished(:id), bbm.finished('Add'), bbm.finished('Add', 't', 'id', '["n", 1]');
SELECT bbm.queue('Add', 't', 'id', '["n", 1]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('Add', 't', 'id', '["n", 1]', if_not_exists => true);
SELECT bbm.ensure_finished(:id);
SELECT bbm.queue('Add', 't', 'id', '["n", 1]'); \echo SQLSTATE :SQLSTATE
SELECT n, count(*), array_agg(id ORDER BY id) FILTER (WHERE n = 0) AS left_alone FROM t GROUP BY n ORDER BY n;

-- A new generation: with the definition of the old one, and the keys of today.
INSERT INTO t SELECT g FROM generate_series(21, 30) AS g;
SELECT bbm.undefine('Add');
SELECT bbm.requeue(:id, 'rows were added') AS second \gset
SELECT * FROM generations;
SELECT count(DISTINCT (job_class_name, table_oid, column_name, job_arguments, statement, scope_to, operation_name, cursor_columns, cursor_types, job_interval, pause,
                       batch_size, batch_size_given, sub_batch_size, max_batch_size, priority, on_data_error, owner_name)) AS definitions FROM bbm.migrations;
SELECT event, from_status, to_status, reason FROM bbm.events WHERE migration_id = :second;
-- The name means the newest one.
SELECT bbm.finished('Add'), bbm.finished(:id);
SELECT bbm.requeue('Add'); \echo SQLSTATE :SQLSTATE
CALL bbm.run('Add');
SELECT * FROM generations;
SELECT n, count(*), min(id), max(id) FROM t GROUP BY n ORDER BY n;
-- The third, by configuration.
SELECT bbm.requeue('Add', 't', 'id', '["n", 1]') AS third \gset
SELECT bbm.pause('Add');
SELECT * FROM generations;

-- What was is history: it is read, and nothing else.
SELECT bbm.pause(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.resume(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold(:id, '1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.retry(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.alter(:id, batch_size => 10); \echo SQLSTATE :SQLSTATE
SELECT bbm.requeue(:second); \echo SQLSTATE :SQLSTATE
SELECT bbm.mark_finished(:id, 'why'); \echo SQLSTATE :SQLSTATE
SELECT bbm.finalize(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished(:id); \echo SQLSTATE :SQLSTATE
SELECT bbm.wait(:id); \echo SQLSTATE :SQLSTATE
CALL bbm.run(:id); \echo SQLSTATE :SQLSTATE
SELECT count(*) > 0 AS there_are_events FROM bbm.events WHERE migration_id = :id;
-- It may be deleted; the newest one stays.
SELECT bbm.delete(:second);
SELECT id, generation, is_current, status FROM generations;
-- When the newest one is deleted, its identity is free.
SELECT bbm.delete('Add');
SELECT id, generation, is_current, status FROM generations;
SELECT bbm.pause('Add'); \echo SQLSTATE :SQLSTATE

-- After a failure too; what failed stays with the old generation. An empty table is finished at once.
SET client_min_messages = warning;
UPDATE t SET by = 0 WHERE id = 17;
SELECT bbm.queue('fails', 't', command => 'UPDATE t SET n = n + 1 / by') AS id \gset
CALL bbm.run(:id);
UPDATE t SET by = 1, n = 0;
SELECT bbm.requeue('fails') AS second \gset
CALL bbm.run('fails');
SELECT id, generation, is_current, status, jobs_failed, rows_affected FROM bbm.migrations WHERE job_class_name = 'fails' ORDER BY id;
SELECT n, count(*) FROM t GROUP BY n;
DELETE FROM t;
SELECT bbm.requeue('fails') AS third \gset
SELECT status, min_cursor, rows_affected FROM bbm.migrations WHERE id = :third;
INSERT INTO t SELECT g FROM generate_series(1, 20) AS g;
-- The table must have its key.
SELECT bbm.delete('fails');
SELECT bbm.delete(id) FROM bbm.migrations WHERE id < :third;
SELECT bbm.queue('keyless', 't', command => 'UPDATE t SET n = n') AS id \gset
CALL bbm.run(:id);
ALTER TABLE t DROP CONSTRAINT t_pkey;
SELECT bbm.requeue(:id); \echo SQLSTATE :SQLSTATE
SELECT is_current, status FROM bbm.migrations WHERE id = :id;
ALTER TABLE t ADD PRIMARY KEY (id);

-- The gate: what does not exist is a mistake, unless somebody says otherwise.
RESET client_min_messages;
SELECT bbm.ensure_finished('NeverQueued'); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished(4711, finalize => false); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished('NeverQueued', 't', 'id', '[]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.ensure_finished('NeverQueued', missing_ok => true);
SELECT bbm.ensure_finished(4711, missing_ok => true);
SELECT bbm.ensure_finished('NeverQueued', 't', 'id', '[1]', finalize => false, missing_ok => true);
-- Ambiguous is not missing.
SET client_min_messages = warning;
CREATE TABLE v (id int PRIMARY KEY, n int);
INSERT INTO v VALUES (1, 0);
SELECT bbm.queue('twin', 't', command => 'UPDATE t SET n = n') AS twin_t, bbm.queue('twin', 'v', command => 'UPDATE v SET n = n') AS twin_v \gset
SELECT bbm.ensure_finished('twin', missing_ok => true); \echo SQLSTATE :SQLSTATE
SELECT bbm.finished('twin'); \echo SQLSTATE :SQLSTATE
SELECT bbm.finished('NeverQueued'); \echo SQLSTATE :SQLSTATE
SELECT bbm.finished(NULL::bigint); \echo SQLSTATE :SQLSTATE

-- The last resort needs a reason, and leaves one.
SELECT bbm.mark_finished(:twin_t, NULL); \echo SQLSTATE :SQLSTATE
SELECT bbm.mark_finished(:twin_t, ''); \echo SQLSTATE :SQLSTATE
UPDATE t SET by = CASE WHEN id IN (4, 13) THEN 0 ELSE 1 END;
SELECT bbm.queue('marked', 't', command => 'UPDATE t SET n = n + 1 / by', batch_size => 5) AS id \gset
CALL bbm.run(:id);
RESET client_min_messages;
SELECT bbm.mark_finished('marked', 'the two rows are tests');
SELECT bbm.mark_finished('marked', 'once more');
SELECT status, status_reason, jobs_succeeded, jobs_failed, jobs_unfinished, rows_affected, finished_at IS NOT NULL AS has_an_end FROM bbm.migrations WHERE id = :id;
SELECT status, count(*) FROM bbm.jobs WHERE migration_id = :id GROUP BY status;
SELECT from_status, to_status, reason, min_key, max_key FROM bbm.job_transitions WHERE migration_id = :id AND reason LIKE 'marked%' ORDER BY id;
SELECT event, from_status, to_status, reason FROM bbm.events WHERE migration_id = :id ORDER BY id;
SELECT n, count(*) FROM t GROUP BY n ORDER BY n; -- nothing was done for it
SELECT bbm.ensure_finished('marked');
SELECT bbm.mark_finished('marked', 'once more'); \echo SQLSTATE :SQLSTATE
-- From any status but the last; also before the first job.
SET client_min_messages = warning;
SELECT bbm.mark_finished('twin', 't', 'id', '[]', 'never needed'), bbm.pause(:twin_v), bbm.mark_finished(:twin_v, 'never needed');
SELECT job_class_name, status, jobs_succeeded FROM bbm.migrations WHERE id IN (:twin_t, :twin_v) ORDER BY id;

-- Clearing up: every generation and the definition of a class, once all of them have ended.
SELECT bbm.define('Clean', 'UPDATE {table} SET n = n');
SELECT bbm.queue('Clean', 't') AS one, bbm.queue('Clean', 'v') AS two \gset
CALL bbm.run(:one);
SELECT bbm.requeue(:one) AS again \gset
CALL bbm.run(:again);
SELECT bbm.cleanup('Clean'); \echo SQLSTATE :SQLSTATE
SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'Clean';
CALL bbm.run(:two);
SELECT bbm.cleanup('Clean');
SELECT count(*) FROM bbm.migrations WHERE job_class_name = 'Clean';
SELECT count(*) FROM bbm.job_classes WHERE name = 'Clean';
SELECT event, count(*) FROM bbm.events WHERE job_class_name = 'Clean' GROUP BY event ORDER BY event;
SELECT bbm.cleanup('Clean'), bbm.cleanup('never there');
SELECT bbm.cleanup(NULL); \echo SQLSTATE :SQLSTATE
SELECT bbm.cleanup('CopyColumnUsingBackgroundMigrationJob');
SELECT count(*) AS built_in FROM bbm.job_classes WHERE name = 'CopyColumnUsingBackgroundMigrationJob';

-- Only what belongs to one: others keep their migrations and their definitions.
CREATE ROLE regress_bbm_one LOGIN;
CREATE ROLE regress_bbm_two LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_one, regress_bbm_two;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_one, regress_bbm_two;
GRANT SELECT, UPDATE ON t TO regress_bbm_one, regress_bbm_two;
\c - regress_bbm_one
SET client_min_messages = warning;
SELECT bbm.define('Ours', 'UPDATE {table} SET n = n');
SELECT bbm.queue('Ours', 't') AS one \gset
CALL bbm.run(:one);
\c - regress_bbm_two
SET client_min_messages = warning;
SELECT bbm.requeue(:one); \echo SQLSTATE :SQLSTATE
SELECT bbm.mark_finished(:one, 'mine'); \echo SQLSTATE :SQLSTATE
SELECT bbm.hold(:one, '1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.finished(:one); \echo SQLSTATE :SQLSTATE
SELECT bbm.cleanup('Ours');
\c - :super
SET client_min_messages = warning;
SELECT job_class_name, status FROM bbm.migrations WHERE id = :one;
SELECT name FROM bbm.job_classes WHERE name = 'Ours';
SELECT bbm.cleanup('Ours');
SELECT count(*) FROM bbm.job_classes WHERE name = 'Ours';

DROP OWNED BY regress_bbm_one, regress_bbm_two;
DROP ROLE regress_bbm_one, regress_bbm_two;
DROP VIEW generations;
DROP TABLE t, v;
