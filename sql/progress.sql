-- How far it is, and how long it still takes.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
\d bbm.progress

-- The command writes down what it sees: once a row, so several times a sub-batch.
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g FROM generate_series(1, 1000) AS g;
CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, name text, progress numeric, basis text, finished boolean, eta_low interval, eta_high interval);
CREATE FUNCTION look(name text, row_id int, pauses_at int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.log (name, progress, basis, finished, eta_low, eta_high)
    SELECT p.job_class_name, p.progress, p.progress_basis, p.finished, p.eta_low, p.eta_high FROM bbm.progress AS p WHERE p.job_class_name = look.name;
    IF row_id = pauses_at THEN
        PERFORM bbm.pause(look.name);
    END IF;
    RETURN 1;
END $$;

SELECT bbm.queue('steps', 't', command => $$UPDATE t SET n = n + look('steps', id, 501)$$, batch_size => 100, sub_batch_size => 50) AS id \gset
SELECT * FROM bbm.progress;
CALL bbm.run(:id);
-- It stopped after the sub-batch 501 to 550. Nobody knows when it goes on.
SELECT status, finished, progress, progress_basis, rows_affected, jobs_succeeded, jobs_failed, rows_quarantined, rows_per_s > 0 AS has_rate,
       elapsed > '0' AS has_elapsed, eta_low, eta_high FROM bbm.progress;
SELECT bbm.resume(:id);
-- Six jobs are known, and 45 % are left: as long as they took for 55 %, give or take.
WITH work AS (SELECT sum(elapsed) AS so_far FROM bbm.jobs WHERE migration_id = :id)
SELECT status, progress, eta_low > '0' AS has_low, eta_low <= eta_high AS is_range, eta_low <= so_far * 0.45 / 0.55 AS low_is_low,
       eta_high >= so_far * 0.45 / 0.55 AS high_is_high, eta_high < so_far * 10 AS is_bounded FROM bbm.progress, work;
SELECT eta IS NOT NULL AS has_eta FROM bbm.status;
CALL bbm.run(:id);
SELECT status, finished, progress, progress_basis, rows_affected, jobs_succeeded, elapsed > '0' AS has_elapsed, eta_low, eta_high FROM bbm.progress;
SELECT elapsed AS before FROM bbm.progress \gset
SELECT elapsed = :'before' AS stands_still FROM bbm.progress;
-- It rose and never fell, began at 0, and was less than 1 until the end.
SELECT count(*), min(progress), max(progress), count(*) FILTER (WHERE progress < before) AS falls, bool_or(finished) AS was_finished
FROM (SELECT progress, finished, lag(progress) OVER (ORDER BY id) AS before FROM log WHERE name = 'steps') AS l;
SELECT DISTINCT basis FROM log ORDER BY 1;
SELECT bool_and(eta_low <= eta_high) AS is_range, count(eta_low) > 0 AS has_eta FROM log;

-- An interval is part of the estimate: one job of 100 keys was done and 9 are left, an hour each. With one job of experience that
-- means half to double.
SELECT bbm.queue('interval', 't', command => $$UPDATE t SET n = n + look('interval', id, 101)$$, batch_size => 100, sub_batch_size => 10, job_interval => '1 hour') AS id \gset
CALL bbm.run(:id);
SELECT bbm.resume(:id);
SELECT progress, date_trunc('minute', eta_low) AS eta_low, date_trunc('minute', eta_high) AS eta_high FROM bbm.progress WHERE id = :id;
SELECT eta FROM bbm.status WHERE id = :id;
-- A hold makes the worst case worse and leaves the best one.
SELECT bbm.hold(:id, '2 days', 'replica_lag: 12 s');
SELECT date_trunc('minute', eta_low) AS eta_low, eta_high > '2 days 17:47' AND eta_high < '2 days 17:49' AS counts_hold, on_hold_until > now() AS is_held, hold_reason FROM bbm.progress WHERE id = :id;
SELECT date_trunc('hour', eta) AS eta, note ~ '^held until' AS is_held FROM bbm.status WHERE id = :id;
SELECT bbm.hold(:id, '2 days', 'the boss said so');
SELECT note ~ '^held until \d\d [A-Z][a-z][a-z]$' AS has_date FROM bbm.status WHERE id = :id;
SELECT bbm.hold(:id, '2 days', 'autovacuum');
SELECT note FROM bbm.status WHERE id = :id;
SELECT bbm.hold(:id, '10 minutes');
SELECT note ~ '^held until \d\d:\d\d:\d\d$' AS has_time FROM bbm.status WHERE id = :id;
SELECT bbm.hold(:id, '0');
SELECT bbm.alter(:id, job_interval => '30 days');
SELECT eta FROM bbm.status WHERE id = :id;
SELECT bbm.alter(:id, job_interval => '3 years');
SELECT eta FROM bbm.status WHERE id = :id;
SELECT bbm.alter(:id, job_interval => '20 years');
SELECT eta_low IS NULL AS low_is_unknown, eta_high IS NULL AS high_is_unknown FROM bbm.progress WHERE id = :id;
SELECT eta FROM bbm.status WHERE id = :id;
SELECT bbm.pause(:id);
SELECT eta_low, eta_high FROM bbm.progress WHERE id = :id;


-- A pause is part of it, from the first sub-batch on: 10 keys were done, and 990 are left with 99 pauses of a minute.
SELECT bbm.queue('pauses', 't', command => $$UPDATE t SET n = n + look('pauses', id, 10)$$, batch_size => 1000, sub_batch_size => 10, pause => '1 minute') AS id \gset
CALL bbm.run(:id);
SELECT bbm.resume(:id);
SELECT progress, date_trunc('minute', eta_low) AS eta_low, date_trunc('minute', eta_high) AS eta_high FROM bbm.progress WHERE id = :id;
SELECT bbm.pause(:id);

-- The ends of bigint: sparse keys make positions a poor measure, and no number too big to be shown.
CREATE TABLE ends (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO ends VALUES (-9223372036854775808), (0), (9223372036854775807);
SELECT bbm.queue('ends', 'ends', command => $$UPDATE ends SET n = n + look('ends', sign(id)::int, 9)$$, batch_size => 2, sub_batch_size => 1) AS id \gset
CALL bbm.run(:id);
SELECT status, progress, eta_low, eta_high FROM bbm.progress WHERE id = :id;
SELECT progress, finished, eta_low < '1 s' AS is_near FROM log WHERE name = 'ends' ORDER BY id;

-- Nothing to do.
CREATE TABLE nothing (id int PRIMARY KEY, n int);
SELECT bbm.queue('nothing', 'nothing', command => 'UPDATE nothing SET n = 1') AS id \gset
SELECT status, finished, progress, progress_basis, rows_affected, rows_per_s, elapsed, eta_low, eta_high FROM bbm.progress WHERE id = :id;

-- Failed: how far it came, and that nobody knows more.
SELECT bbm.queue('fails', 't', command => 'UPDATE t SET n = n / (id - 150)', batch_size => 100, sub_batch_size => 10) AS id \gset
CALL bbm.run(:id);
SELECT status, finished, progress, progress_basis, jobs_succeeded, jobs_failed, eta_low, eta_high FROM bbm.progress WHERE id = :id;

-- Rows in quarantine are counted, and are no reason not to be finished.
SELECT bbm.queue('sets aside', 't', command => 'UPDATE t SET n = n / (id - 150)', batch_size => 100, on_data_error => 'quarantine') AS id \gset
CALL bbm.run(:id);
SELECT status, finished, progress, rows_affected, jobs_succeeded, jobs_failed, rows_quarantined FROM bbm.progress WHERE id = :id;
SELECT rows_quarantined FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key, sqlstate, message, quarantined FROM bbm.failures WHERE migration_id = :id AND quarantined;

-- Others see nothing of it.
CREATE ROLE regress_bbm_other;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_other;
SET ROLE regress_bbm_other;
SELECT count(*) FROM bbm.progress;
RESET ROLE;
REVOKE USAGE ON SCHEMA bbm FROM regress_bbm_other;
DROP ROLE regress_bbm_other;
DROP TABLE t, log, ends, nothing;
DROP FUNCTION look;
