-- Walks by other things than a unique key: the distinct values of a column, and the blocks of a table.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = notice;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA walks;
SET search_path = walks, public;
SET client_min_messages = warning;

-- ---- loose_index_scan: a batch counts distinct values, all rows of a value are in one range.
CREATE TABLE v (id int PRIMARY KEY, grp int, label text COLLATE "C", n int NOT NULL DEFAULT 0);
INSERT INTO v SELECT g, CASE WHEN g % 10 > 0 THEN g % 37 END, chr(97 + g % 7) FROM generate_series(1, 1000) AS g;
CREATE INDEX ON v (grp);
CREATE INDEX ON v (label DESC, grp);
ANALYZE v;
SET client_min_messages = notice;
SELECT bbm.queue('loose', 'v', 'grp', command => 'UPDATE v SET n = n + 1', batching_strategy => 'loose_index_scan', batch_size => 10, sub_batch_size => 3) AS id \gset
SET client_min_messages = warning;
CALL bbm.run();
SELECT grp IS NULL AS has_no_value, n, count(*) FROM v GROUP BY 1, 2 ORDER BY 1;
SELECT min_cursor, max_cursor, sub_batches, rows_affected FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
SELECT table_name, walk, condition FROM bbm.parts WHERE migration_id = :id;
-- NULLs on request, by the primary key.
UPDATE v SET n = 0;
SELECT bbm.queue('with nulls', 'v', 'grp', command => 'UPDATE v SET n = n + 1', batching_strategy => 'loose_index_scan', batch_size => 10, with_nulls => true) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM v GROUP BY n;
SELECT table_name, walk, condition, cursor_columns FROM bbm.parts WHERE migration_id = :id ORDER BY id;
-- Several columns, in the order of an index that descends; a filter.
UPDATE v SET n = 0;
SELECT bbm.queue('two', 'v', command => 'UPDATE v SET n = n + 1', cursor_columns => '{label,grp}', batching_strategy => 'loose_index_scan', batch_size => 7, scope_to => 'id % 2 = 0') AS id \gset
CALL bbm.run();
SELECT grp IS NULL AS has_no_value, id % 2 AS odd, n, count(*) FROM v GROUP BY 1, 2, 3 ORDER BY 1, 2;
-- A function of the values, by hand.
UPDATE v SET n = 0;
SELECT bbm.queue('placed', 'v', 'label', command => 'UPDATE v SET n = n + 1 WHERE label BETWEEN $1 AND $2', batching_strategy => 'loose_index_scan', batch_size => 2) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM v GROUP BY n;
-- Refused.
SELECT bbm.queue('x', 'v', command => 'UPDATE v SET n = 1', batching_strategy => 'loose_index_scan'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'v', 'n', command => 'UPDATE v SET n = 1', batching_strategy => 'loose_index_scan'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'v', 'grp', command => 'UPDATE v SET grp = 1', batching_strategy => 'loose_index_scan'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'v', command => 'UPDATE v SET n = 1', with_nulls => true); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'v', command => 'UPDATE v SET n = 1', batching_strategy => 'quickest'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'v', 'grp', command => 'UPDATE v SET n = 1', batching_strategy => 'loose_index_scan', with_nulls => true, batch_min_value => 5); \echo SQLSTATE :SQLSTATE
CREATE TABLE no_key (grp int, n int);
CREATE INDEX ON no_key (grp);
INSERT INTO no_key VALUES (NULL, 1);
SELECT bbm.queue('x', 'no_key', 'grp', command => 'UPDATE no_key SET n = 1', batching_strategy => 'loose_index_scan', with_nulls => true); \echo SQLSTATE :SQLSTATE

-- ---- ctid: blocks, for commands that may meet a row twice; a sweep behind them finds what was left.
CREATE TABLE b (what int, n int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false, pad text DEFAULT repeat('x', 200));
INSERT INTO b SELECT g FROM generate_series(1, 1000) AS g;
ANALYZE b;
SELECT bbm.queue('mark', 'b', command => 'UPDATE b SET n = n + 1, done = true WHERE NOT done', batching_strategy => 'ctid', batch_size => 100, sub_batch_size => 50) AS id \gset
CALL bbm.run();
SELECT n, done, count(*) FROM b GROUP BY n, done;
SELECT walk, min_cursor, max_cursor FROM bbm.parts WHERE migration_id = :id ORDER BY id;
SELECT status, rows_affected, progress FROM bbm.migrations WHERE id = :id;
-- Rows that come and move behind the walk are swept up.
SELECT bbm.queue('late', 'b', command => 'UPDATE b SET n = n + 1, done = false WHERE done', batching_strategy => 'ctid', start => false) AS id \gset
INSERT INTO b SELECT g, 0, true FROM generate_series(1001, 1500) AS g;
UPDATE b SET pad = pad || 'y' WHERE what % 3 = 0;
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT done, count(*) FROM b GROUP BY done;
SELECT p.walk, (SELECT sum(j.rows_affected) > 0 FROM bbm.job AS j WHERE j.part_id = p.id) AS found_rows FROM bbm.parts AS p WHERE p.migration_id = :id ORDER BY p.id;
-- Deleting is safe, too.
SELECT bbm.queue('purge', 'b', command => 'DELETE FROM b WHERE what % 2 = 0', batching_strategy => 'ctid', batch_size => 100) AS id \gset
CALL bbm.run();
SELECT count(*), count(*) FILTER (WHERE what % 2 = 0) AS even FROM b;
-- The plan reads the blocks of the range.
SELECT split_part(trim(line), '  (', 1) FROM bbm.explain(bbm.queue('plan', 'b', command => 'DELETE FROM b WHERE what < 0', batching_strategy => 'ctid', start => false)) AS line WHERE line ~ 'Scan|TID';
SELECT bbm.delete('plan');
-- Partitions: each has blocks of its own.
CREATE TABLE pb (k int, done boolean DEFAULT false, n int DEFAULT 0) PARTITION BY HASH (k);
CREATE TABLE pb_0 PARTITION OF pb FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE pb_1 PARTITION OF pb FOR VALUES WITH (modulus 2, remainder 1);
INSERT INTO pb SELECT g FROM generate_series(1, 1000) AS g;
SELECT bbm.queue('blocks of leaves', 'pb', command => 'UPDATE pb SET n = n + 1, done = true WHERE NOT done', batching_strategy => 'ctid') AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM pb GROUP BY n;
-- Refused: what is not safe to meet twice, and what has no blocks.
SELECT bbm.queue('x', 'b', command => 'UPDATE b SET n = n + 1', batching_strategy => 'ctid'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'b', command => 'INSERT INTO no_key SELECT what FROM b', batching_strategy => 'ctid'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'b', command => 'UPDATE b SET n = what * 3', batching_strategy => 'ctid'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'b', 'what', command => 'DELETE FROM b', batching_strategy => 'ctid'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'b', command => 'DELETE FROM b', batching_strategy => 'ctid', batch_max_value => '(3,1)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'b', command => 'DELETE FROM b', batching_strategy => 'ctid', on_data_error => 'quarantine'); \echo SQLSTATE :SQLSTATE
-- Rewritten in the middle: its rows have other places. Queued once more it begins anew.
UPDATE b SET done = false;
SELECT bbm.queue('moved', 'b', command => 'UPDATE b SET n = n + 1, done = true WHERE NOT done', batching_strategy => 'ctid', start => false) AS id \gset
VACUUM FULL b;
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT bbm.requeue(:id) AS id \gset
CALL bbm.run();
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT done, count(*) FROM b GROUP BY done;
-- An error names its blocks: they are no rows.
UPDATE b SET done = false;
ALTER TABLE b ADD CHECK (what <> 777 OR NOT done);
SELECT bbm.queue('bad', 'b', command => 'UPDATE b SET done = true WHERE NOT done', batching_strategy => 'ctid', batch_size => 100000) AS id \gset
CALL bbm.run();
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT count(*) FROM bbm.failures WHERE migration_id = :id AND sqlstate = '23514';

SET client_min_messages = error;
DROP SCHEMA walks CASCADE;
