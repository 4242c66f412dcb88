-- scope_to: rows that do not meet it are not touched. A batch size that somebody chose counts the rows that do.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE TABLE t (id int PRIMARY KEY, kind text, n int NOT NULL DEFAULT 0);
INSERT INTO t SELECT g, CASE g % 10 WHEN 0 THEN 'ten' WHEN 5 THEN NULL ELSE 'other' END FROM generate_series(1, 105) AS g;
CREATE VIEW bounds AS SELECT migration_id, batch_size, min_cursor, max_cursor, sub_batches, rows_affected FROM bbm.jobs ORDER BY id;
CREATE VIEW touched AS SELECT kind, n, count(*) FROM t GROUP BY kind, n ORDER BY kind, n;

-- Given: jobs of three rows that meet the condition; they begin and end with such rows, only the last goes on to the end.
SELECT bbm.queue('given', 't', command => 'UPDATE t SET n = n + 1', scope_to => $$kind = 'ten'$$, batch_size => 3) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor, rows_affected FROM bounds WHERE migration_id = :id;
TABLE touched;
-- Sub-batches count keys: the filter is asked once for each row, by the command.
SELECT bbm.queue('sub-batches', 't', command => 'UPDATE t SET n = n + 1', scope_to => $$kind = 'ten'$$, batch_size => 6, sub_batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor, sub_batches, rows_affected FROM bounds WHERE migration_id = :id;
-- With an interval the documented size counts the same way.
SELECT bbm.queue('interval', 't', command => 'UPDATE t SET n = n + 1', scope_to => $$kind = 'ten'$$, max_batch_size => 4, job_interval => '1 ms') AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor, rows_affected FROM bounds WHERE migration_id = :id;
-- Where bbm chooses the size, it counts keys.
SELECT bbm.queue('chosen', 't', command => 'UPDATE t SET n = n + 1', scope_to => $$kind = 'ten'$$, max_batch_size => 40) AS id \gset
CALL bbm.run(:id);
SELECT batch_size, min_cursor, max_cursor, rows_affected FROM bounds WHERE migration_id = :id;
TABLE touched;

-- NULL is not true, nor is its opposite.
SELECT bbm.queue('not', 't', command => 'UPDATE t SET n = n - 4', scope_to => $$NOT kind = 'other'$$, batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT min_cursor, max_cursor, rows_affected FROM bounds WHERE migration_id = :id;
TABLE touched;

-- No row meets it: there is nothing to cut, and the migration is finished.
SELECT bbm.queue('none', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'id > 1000', batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT status, jobs_succeeded, rows_affected, frontier FROM bbm.migrations WHERE id = :id;
SELECT bbm.queue('none, chosen', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'id > 1000') AS id \gset
CALL bbm.run(:id);
SELECT status, jobs_succeeded, rows_affected, frontier FROM bbm.migrations WHERE id = :id;

-- Bounds and condition together.
SELECT bbm.queue('bounds', 't', command => 'UPDATE t SET n = n + 1', scope_to => $$kind = 'ten'$$, batch_size => 2, batch_min_value => 25, batch_max_value => 75) AS id \gset
CALL bbm.run(:id);
SELECT min_cursor, max_cursor, rows_affected FROM bounds WHERE migration_id = :id;

-- However the condition is written: comments, alternatives, line ends, quotes, names, subqueries, parentheses.
UPDATE t SET n = 0;
SELECT bbm.queue('comment', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'id > 100 -- why', batch_size => 2) AS one,
       bbm.queue('block comment', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'id > 100 /* why */', batch_size => 2) AS two,
       bbm.queue('comment of the command', 't', command => E'UPDATE t SET n = n + 1 -- because', scope_to => 'id > 100 -- why', batch_size => 2) AS three,
       bbm.queue('alternative', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'id = 101 OR id > 101', batch_size => 2) AS four,
       bbm.queue('lines', 't', command => 'UPDATE t SET n = n + 1', scope_to => E'id > 100\n  AND\tid < 1000\n', batch_size => 2) AS five,
       bbm.queue('quotes', 't', command => 'UPDATE t SET n = n + 1', scope_to => $$'--' <> '/*' AND id > 100$$, batch_size => 2) AS six,
       bbm.queue('name', 't', command => 'UPDATE t AS x SET n = n + 1', scope_to => 't.id > 100', batch_size => 2) AS seven,
       bbm.queue('subquery', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'id IN (SELECT g FROM generate_series(101, 200) AS g)', batch_size => 2) AS eight \gset
CALL bbm.run();
SELECT m.job_class_name, m.status, array_agg(b.min_cursor[1] || '-' || b.max_cursor[1] ORDER BY b.min_cursor[1]::int) AS bounds, sum(b.rows_affected) AS rows
    FROM bbm.migrations AS m LEFT JOIN bounds AS b ON b.migration_id = m.id WHERE m.id BETWEEN :one AND :eight GROUP BY m.id, m.job_class_name, m.status ORDER BY m.id;
SELECT n, count(*), min(id) FROM t GROUP BY n ORDER BY n;

-- That of the class and that of the migration hold together.
SELECT bbm.define('Both', 'UPDATE {table} SET n = n + 100', scope_to => 'id > 50 -- not the old ones');
SELECT bbm.queue('Both', 't', scope_to => 'id < 60 -- nor the new ones', batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT count(*), min(id), max(id) FROM t WHERE n >= 100;

-- The filter may use what is not in the key's index, of any of the forms.
CREATE TABLE copies (id int PRIMARY KEY, kind text);
SELECT bbm.queue('insert', 't', command => 'INSERT INTO copies SELECT x.id, x.kind FROM t AS x', scope_to => $$kind = 'ten'$$, batch_size => 4) AS one,
       bbm.queue('delete', 't', command => 'DELETE FROM t USING copies WHERE copies.id = t.id', scope_to => $$t.kind = 'ten' AND t.id < 50$$, batch_size => 4) AS two \gset
CALL bbm.run();
SELECT status, rows_affected FROM bbm.migrations WHERE id IN (:one, :two) ORDER BY id;
SELECT count(*) FROM copies;
SELECT kind, count(*) FROM t GROUP BY kind ORDER BY kind;

-- A condition that is changed by the command itself: every row is met once, since the walk goes by the key.
UPDATE t SET n = 0;
SELECT bbm.queue('done', 't', command => 'UPDATE t SET n = n + 1', scope_to => 'n = 0', batch_size => 10, sub_batch_size => 3) AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM t GROUP BY n;

DROP VIEW bounds, touched;
DROP TABLE t, copies;
