-- Errors of the data: the rows are looked for and become failed jobs of their own, or go to the quarantine; all other rows are
-- done. Mended, retried, finished.
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
-- Everything is done but that row, exactly once.
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
SELECT status, min_cursor, max_cursor, cursor, rows_affected, sub_batches FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
INSERT INTO parents VALUES (20);
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM children GROUP BY n ORDER BY n;
SELECT status, rows_affected, sub_batches FROM bbm.migrations WHERE id = :id;

-- Every kind of constraint, in one job.
CREATE TABLE strict (id int PRIMARY KEY, email text NOT NULL UNIQUE, price int NOT NULL CHECK (price >= 0), name text NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO strict SELECT g, 'A' || g, g, 'x' FROM generate_series(1, 100) AS g;
UPDATE strict SET email = 'a14' WHERE id = 13; -- in the way of row 14
UPDATE strict SET price = 0 WHERE id = 27;
UPDATE strict SET name = '' WHERE id IN (41, 42);
SELECT bbm.queue('strict', 'strict', command => $$UPDATE strict SET email = lower(email), price = price - 1, name = nullif(name, ''), n = n + 1$$, batch_size => 100) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key, sqlstate, message, quarantined FROM bbm.failures WHERE migration_id = :id ORDER BY id;
SELECT n, count(*), array_agg(id ORDER BY id) FILTER (WHERE n = 0) AS left_alone FROM strict GROUP BY n ORDER BY n;
-- Mended one by one; whoever still fails is found again, and nobody is done twice.
DELETE FROM strict WHERE id = 13;
UPDATE strict SET price = 1 WHERE id = 27;
UPDATE strict SET name = 'x' WHERE id = 41;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*), array_agg(id ORDER BY id) FILTER (WHERE n = 0) AS left_alone FROM strict GROUP BY n ORDER BY n;
UPDATE strict SET name = 'x' WHERE id = 42;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM strict GROUP BY n;

-- At the first key of a job and at the last, of the table as well; neighbours; a whole job.
CREATE TABLE holes (id int PRIMARY KEY, by int NOT NULL DEFAULT 1, n int NOT NULL DEFAULT 0);
INSERT INTO holes SELECT g FROM generate_series(1, 60) AS g;
UPDATE holes SET by = 0 WHERE id IN (1, 11, 20, 34, 35, 60) OR id BETWEEN 41 AND 50;
SELECT bbm.queue('holes', 'holes', command => 'UPDATE holes SET n = n + 1 / by', batch_size => 10, sub_batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT array_agg(min_key[1]::int ORDER BY id), bool_and(min_key = max_key), bool_and(sqlstate = '22012') FROM bbm.failures WHERE migration_id = :id;
SELECT n, count(*), bool_and((by = 0) = (n = 0)) AS is_right FROM holes GROUP BY n ORDER BY n;
UPDATE holes SET by = 1;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM holes GROUP BY n;

-- Ten rows of one job are enough: what fails for more will fail for the next ones too. The job stays where it is.
UPDATE holes SET n = 0, by = CASE WHEN id <= 15 THEN 0 ELSE 1 END;
SELECT bbm.queue('ten', 'holes', command => 'UPDATE holes SET n = n + 1 / by', batch_size => 30, sub_batch_size => 7) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT status, min_cursor, max_cursor, cursor, batch_size, rows_affected FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
SELECT n, count(*), min(id), max(id) FROM holes GROUP BY n ORDER BY n;
-- A retry splits it, and goes on behind its cursor.
UPDATE holes SET by = 1;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, min_cursor, max_cursor, cursor, batch_size, rows_affected FROM bbm.jobs WHERE migration_id = :id AND batch_size > 1 ORDER BY id;
SELECT from_status, to_status, reason, min_key, max_key FROM bbm.job_transitions WHERE migration_id = :id AND reason LIKE 'split%' ORDER BY id;
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM holes GROUP BY n;

-- More than half of at least 50 jobs: the migration fails, and the rest is not tried.
CREATE TABLE many (id int PRIMARY KEY, by int NOT NULL, n int NOT NULL DEFAULT 0);
INSERT INTO many SELECT g, 0 FROM generate_series(1, 120) AS g;
SELECT bbm.queue('all bad', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 1) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected, frontier FROM bbm.migrations WHERE id = :id;
SELECT event, from_status, to_status, reason FROM bbm.events WHERE migration_id = :id ORDER BY id;
-- Counted anew from the last start: the failed jobs of before are no reason to fail at once.
UPDATE many SET by = 1;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM many GROUP BY n;
-- Rows that were found count as the jobs that they are.
UPDATE many SET n = 0, by = 0;
SELECT bbm.queue('all bad, by ten', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 10) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected, frontier FROM bbm.migrations WHERE id = :id;
SELECT bbm.delete(:id);
-- Exactly half is not more than half.
UPDATE many SET by = id % 2;
SELECT bbm.queue('half', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 1) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected, frontier FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM many GROUP BY n ORDER BY n;
SELECT bbm.delete(:id);
-- The first 26 are bad, the others are not: at the fiftieth it is more than half.
UPDATE many SET n = 0, by = CASE WHEN id <= 26 THEN 0 ELSE 1 END;
SELECT bbm.queue('one more', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 1) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected, frontier FROM bbm.migrations WHERE id = :id;
SELECT bbm.delete(:id);

-- Quarantine: the rows are left as they are, and the migration goes on to its end.
UPDATE many SET n = 0, by = CASE WHEN id IN (1, 50, 51, 120) THEN 0 ELSE 1 END;
SELECT bbm.queue('aside', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 40, sub_batch_size => 10, on_data_error => 'quarantine') AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_quarantined, rows_affected, progress FROM bbm.migrations WHERE id = :id;
SELECT status, min_cursor, max_cursor, rows_affected FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
SELECT min_key, max_key, attempts, sqlstate, message, context, quarantined FROM bbm.failures WHERE migration_id = :id ORDER BY id;
SELECT n, count(*), bool_and((by = 0) = (n = 0)) AS is_right FROM many GROUP BY n ORDER BY n;
SELECT bbm.ensure_finished(:id, finalize => false);
-- Up to a budget, beyond which somebody should look.
SET bbm.max_quarantined_rows = 3;
UPDATE many SET n = 0;
SELECT bbm.queue('budget', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 40, sub_batch_size => 10, on_data_error => 'quarantine') AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_quarantined, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key, sqlstate, message, quarantined FROM bbm.failures WHERE migration_id = :id ORDER BY quarantined DESC, id;
SELECT event, from_status, to_status, sqlstate, message, detail FROM bbm.events WHERE migration_id = :id ORDER BY id;
RESET bbm.max_quarantined_rows;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_quarantined, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*), bool_and((by = 0) = (n = 0)) AS is_right FROM many GROUP BY n ORDER BY n;

-- Other errors say nothing about rows: nothing is looked for, the job fails as it is, the others are done.
CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id = 47 THEN
        RAISE EXCEPTION 'broken' USING ERRCODE = 'XX000';
    END IF;
    RETURN new;
END $$;
CREATE TRIGGER breaks BEFORE UPDATE ON many FOR EACH ROW EXECUTE FUNCTION breaks();
ALTER TABLE many DISABLE TRIGGER breaks;
UPDATE many SET n = 0;
ALTER TABLE many ENABLE TRIGGER breaks;
SELECT bbm.queue('broken', 'many', command => 'UPDATE many SET n = n + 1', batch_size => 40, sub_batch_size => 10) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT status, min_cursor, max_cursor, cursor, attempts, rows_affected FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
SELECT min_key, max_key, sqlstate, message FROM bbm.failures WHERE migration_id = :id ORDER BY id;
DROP TRIGGER breaks ON many;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM many GROUP BY n;
-- Not even where rows that fail go to the quarantine.
CREATE TRIGGER breaks BEFORE UPDATE ON many FOR EACH ROW EXECUTE FUNCTION breaks();
SELECT bbm.queue('broken aside', 'many', command => 'UPDATE many SET n = n + 1', batch_size => 40, on_data_error => 'quarantine') AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason, jobs_succeeded, jobs_failed, rows_quarantined, rows_affected FROM bbm.migrations WHERE id = :id;
DROP TRIGGER breaks ON many;

-- Behind ranges in which no row meets the condition, and in a command that is restricted by its author.
UPDATE many SET n = 0, by = CASE WHEN id = 97 THEN 0 ELSE 1 END;
SELECT bbm.queue('scope', 'many', command => 'UPDATE many SET n = n + 1 / by', scope_to => 'id > 90', batch_size => 120, sub_batch_size => 8) AS id \gset
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key FROM bbm.failures WHERE migration_id = :id ORDER BY id;
SELECT bbm.queue('placeholders', 'many', command => 'UPDATE many SET n = n + 10 / by WHERE id >= $1 AND id <= $2 AND id > 90', batch_size => 120, sub_batch_size => 8) AS id \gset
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key FROM bbm.failures WHERE migration_id = :id ORDER BY id;
SELECT n, count(*), min(id), max(id) FROM many GROUP BY n ORDER BY n;

-- The row of this table for which a row of another one cannot be written.
CREATE TABLE copies (id int PRIMARY KEY);
INSERT INTO copies VALUES (64);
SELECT bbm.queue('copy', 'many', command => 'INSERT INTO copies SELECT id FROM many', batch_size => 50, sub_batch_size => 20, on_data_error => 'quarantine') AS id \gset
CALL bbm.run(:id);
SELECT status, rows_quarantined, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT min_key, sqlstate, detail FROM bbm.failures WHERE migration_id = :id ORDER BY id;
SELECT count(*) FROM copies;

-- Rows that are not there any more when their job is tried again.
UPDATE many SET n = 0, by = CASE WHEN id IN (7, 8) THEN 0 ELSE 1 END;
SELECT bbm.queue('gone', 'many', command => 'UPDATE many SET n = n + 1 / by', batch_size => 40) AS id \gset
CALL bbm.run(:id);
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
DELETE FROM many WHERE id IN (7, 8);
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, jobs_succeeded, jobs_failed, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM many GROUP BY n;

DROP TABLE divided, guarded, children, parents, strict, holes, many, copies;
DROP FUNCTION guard, breaks;
