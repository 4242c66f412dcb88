-- What bbm.queue() refuses, with SQLSTATE, reason and next step. Nothing of it may leave a trace.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1

CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, s text);
INSERT INTO t SELECT g FROM generate_series(1, 10) AS g;
CREATE TABLE other (id int PRIMARY KEY, t_id int, n int);
CREATE VIEW t_view AS SELECT * FROM t;

-- Names.
SELECT bbm.queue('x', 'missing', command => 'UPDATE missing SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 0, command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', 'missing', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', 'ctid', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', cursor_columns => '{missing}', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('MissingJob', 't'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('', 't', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue(NULL, 't', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', NULL, command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => ''); \echo SQLSTATE :SQLSTATE

-- Keys.
CREATE TABLE no_key (id int, n int);
CREATE TABLE nullable_key (id int UNIQUE, n int);
CREATE TABLE duplicate_key (id int NOT NULL, n int);
CREATE INDEX ON duplicate_key (id);
CREATE TABLE partial_key (id int NOT NULL, n int);
CREATE UNIQUE INDEX ON partial_key (id) WHERE n > 0;
CREATE TABLE wide_key (a int, b int, n int, PRIMARY KEY (a, b));
CREATE TABLE deferred_key (id int PRIMARY KEY DEFERRABLE, n int);
CREATE TABLE expression_key (id int NOT NULL, n int);
CREATE UNIQUE INDEX ON expression_key ((id + 0));
SELECT bbm.queue('x', 'no_key', command => 'UPDATE no_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'no_key', 'id', command => 'UPDATE no_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'nullable_key', 'id', command => 'UPDATE nullable_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'duplicate_key', 'id', command => 'UPDATE duplicate_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'partial_key', 'id', command => 'UPDATE partial_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET a = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET (n, b) = ROW(1, 2)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', 'a', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', 'a, b', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{a,n}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{a,b,n}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{a,missing}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{a,a}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{a,ctid}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{a,NULL}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', cursor_columns => '{{a,b}}', command => 'UPDATE wide_key SET a = 1'); \echo SQLSTATE :SQLSTATE
-- Bounds of several columns, and placeholders.
SELECT bbm.queue('x', 'wide_key', batch_min_value => 1, command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', batch_min_value => '{1}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', batch_min_value => '{1,2,3}'::int[], command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', batch_min_value => '{1,NULL}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', batch_max_value => '{1,two}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
INSERT INTO wide_key VALUES (1, 1), (2, 2);
SELECT bbm.queue('x', 'wide_key', batch_min_value => '{2,1}', batch_max_value => '{1,2}', command => 'UPDATE wide_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET n = 1 WHERE a BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET n = 1 WHERE a >= $1 AND a <= $3'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET n = 1 WHERE (a, b) >= ($1, $2)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET n = $5 WHERE (a, b) BETWEEN ($1, $2) AND ($3, $4)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'wide_key', command => 'UPDATE wide_key SET n = $0 WHERE (a, b) BETWEEN ($1, $2) AND ($3, $4)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'deferred_key', command => 'UPDATE deferred_key SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'expression_key', 'id', command => 'UPDATE expression_key SET n = 1'); \echo SQLSTATE :SQLSTATE

-- Things that are not an ordinary table.
CREATE MATERIALIZED VIEW t_matview AS SELECT * FROM t;
CREATE TABLE parent (id int PRIMARY KEY, n int);
CREATE TABLE child () INHERITS (parent);
CREATE TEMP TABLE temporary (id int PRIMARY KEY, n int);
CREATE SEQUENCE numbers;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (id int NOT NULL, n int) SERVER nowhere;
SELECT bbm.queue('x', 't_view', command => 'UPDATE t_view SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't_matview', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'parent', command => 'UPDATE parent SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'temporary', command => 'UPDATE temporary SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'numbers', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't_pkey', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'far', 'id', command => 'UPDATE far SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'pg_class', 'oid', command => 'UPDATE pg_class SET relname = relname'); \echo SQLSTATE :SQLSTATE

-- Arguments of a job class.
SELECT bbm.define('NoArguments', 'UPDATE {table} SET n = n + 1');
SELECT bbm.queue('NoArguments', 't', 'id', '["a", "b"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '["n"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', 'id', '["a"]', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '[["n", "s"], ["n"]]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '[[], []]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '[null, "n"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '["n", "missing"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '["s", "n"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('CopyColumnUsingBackgroundMigrationJob', 't', 'id', '["n", "id"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('BackfillColumn', 't', 'id', '[["n", "s"], 0]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('BackfillColumn', 't', 'id', '["n", "many"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('FillColumnFromJson', 't', 'id', '["n", "n", "a"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('FillColumnFromJson', 't', 'id', '["id", "s", "a"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('DeleteRows', 't'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('DeleteRows', 't', 'id', '["n = 0"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('MoveRows', 't', 'id', '["public", "other"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('MoveRows', 't', 'id', '["public", "missing"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('MoveRows', 't', 'id', '["public", "t"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('NoArguments', 't', 'id', '{"a": 1}'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('NoArguments', 't', 'id', '"a"'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('NoArguments', 't', 'id', 'a'); \echo SQLSTATE :SQLSTATE

-- Numbers.
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batch_size => 0); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', sub_batch_size => -1); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', max_batch_size => -1); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batch_size => 10, sub_batch_size => 11); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', job_interval => '-1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', pause => '-1 s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batch_min_value => 9, batch_max_value => 3); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batch_max_value => 'many'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batch_max_value => 3000000000); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batching_strategy => 'loose_index_scan'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', batching_strategy => NULL); \echo SQLSTATE :SQLSTATE

-- Commands that are no command.
SELECT bbm.queue('x', 't', command => 'UPDAT t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET m = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = missing(n)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE missing SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => '-- nothing'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1; UPDATE t SET n = 2'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'ALTER TABLE t ADD m int'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'TRUNCATE t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'CALL bbm.run()'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'DO $$ BEGIN END $$'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'COMMIT'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'EXPLAIN ANALYZE UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'COPY t TO STDOUT'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'SELECT * INTO t2 FROM t WHERE id BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'SELECT id INTO t2 FROM t WHERE id BETWEEN $1 AND $2 UNION SELECT 1'); \echo SQLSTATE :SQLSTATE
-- A case that is accepted would hide those after it.
SELECT count(*) FROM bbm.migrations;

-- Commands that do not work on the table.
SELECT bbm.queue('x', 't', command => 'SELECT 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE other SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE other SET n = t.n FROM t WHERE t.id = other.t_id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'DELETE FROM other'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other VALUES (1, 1, 1)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO t VALUES (11)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other DEFAULT VALUES'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT id FROM t_view'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t_view SET n = 1'); \echo SQLSTATE :SQLSTATE

-- Commands whose meaning would change in ranges.
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT id FROM t LIMIT 3'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT id FROM t ORDER BY id OFFSET 3'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT count(*) FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT max(id), n FROM t GROUP BY n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT DISTINCT n FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT row_number() OVER () FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT id FROM t UNION ALL SELECT id FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT id FROM t FOR UPDATE'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT t.id FROM other AS o LEFT JOIN t ON t.id = o.t_id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT t.id FROM other AS o FULL JOIN t ON t.id = o.t_id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO other SELECT a.id FROM t AS a JOIN t AS b ON a.id = b.n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO t (id) SELECT id + 100 FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = b.n FROM t AS b WHERE b.id = t.n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = b.n FROM t_view AS b WHERE b.id = t.n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = (SELECT max(n) FROM t)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = (SELECT max(n) FROM t_view)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'DELETE FROM t WHERE n < (SELECT avg(n) FROM t)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH m AS (SELECT max(n) AS n FROM t) UPDATE t SET n = m.n FROM m'); \echo SQLSTATE :SQLSTATE
-- A part of the command that the rows do not drive.
SELECT bbm.queue('x', 't', command => 'WITH gone AS (DELETE FROM other RETURNING t_id) DELETE FROM t USING gone WHERE t.id = gone.t_id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH gone AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT id FROM other'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH gone AS (DELETE FROM t RETURNING id) SELECT 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH src AS (SELECT id FROM t), gone AS (DELETE FROM other) INSERT INTO other SELECT id FROM src'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH src AS (SELECT id FROM t) DELETE FROM other'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH src AS (SELECT id FROM t) INSERT INTO other VALUES (1)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH a AS (INSERT INTO other SELECT id FROM t), b AS (UPDATE other SET n = 1 WHERE id = 5) SELECT 1'); \echo SQLSTATE :SQLSTATE
-- Rows that are looked at together.
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id, n) INSERT INTO other SELECT a.id, b.id FROM d AS a JOIN d AS b ON a.n = b.n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id, n), i AS (INSERT INTO other SELECT id FROM d RETURNING id) UPDATE other SET n = d.n FROM d, i WHERE i.id = other.id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id, n) INSERT INTO other SELECT id FROM d WHERE n < (SELECT max(n) FROM d)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) DELETE FROM other WHERE t_id IN (SELECT id FROM d)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id), c AS (SELECT count(*) AS n FROM d) INSERT INTO other SELECT n FROM c'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING n) INSERT INTO other SELECT n FROM (SELECT n FROM d GROUP BY n) AS q'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT id FROM d LIMIT 3'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT rank() OVER (ORDER BY id) FROM d'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT DISTINCT id FROM d'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT id FROM d UNION ALL SELECT 100'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH RECURSIVE r AS (SELECT id, n FROM t UNION ALL SELECT id, n - 1 FROM r WHERE n > 0) INSERT INTO other SELECT id FROM r'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH s AS (SELECT id FROM t FOR UPDATE) INSERT INTO other SELECT id FROM s'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT o.id FROM other AS o LEFT JOIN d ON d.id = o.t_id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH d AS (DELETE FROM t RETURNING id) INSERT INTO other SELECT d.id FROM d JOIN t ON t.id = d.id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH m AS (SELECT id FROM t) INSERT INTO other SELECT id FROM m WHERE id NOT IN (SELECT id FROM t)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'SELECT count(*) FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'SELECT id FROM t UNION SELECT id FROM other'); \echo SQLSTATE :SQLSTATE
-- MERGE, whose unmatched rows are many in a range, and few in all of the table.
SELECT bbm.queue('x', 't', command => 'MERGE INTO t USING other AS o ON o.t_id = t.id WHEN MATCHED THEN UPDATE SET n = o.n WHEN NOT MATCHED THEN INSERT (id) VALUES (o.t_id)'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO t USING other AS o ON o.t_id = t.id WHEN MATCHED THEN UPDATE SET n = o.n WHEN NOT MATCHED THEN DO NOTHING'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO t USING other AS o ON o.t_id = t.id WHEN MATCHED THEN UPDATE SET id = t.id + 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO t USING other AS o ON o.t_id = t.id AND t.id BETWEEN $1 AND $2 WHEN MATCHED AND o.n = 0 THEN DO NOTHING WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN UPDATE SET n = 1, id = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO other USING t ON other.t_id = t.id AND t.ctid IS NOT NULL WHEN MATCHED THEN DELETE'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO other USING t TABLESAMPLE SYSTEM (10) ON other.t_id = t.id WHEN MATCHED THEN DELETE'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO other USING (SELECT n, count(*) AS c FROM t GROUP BY n) AS s ON other.t_id = s.n WHEN MATCHED THEN DELETE'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO other USING (SELECT o.id FROM other AS o LEFT JOIN t ON t.id = o.t_id) AS s ON other.t_id = s.id WHEN MATCHED THEN DELETE'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO other USING (SELECT 1 AS id) AS s ON other.t_id = s.id WHEN MATCHED THEN DELETE'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'MERGE INTO t USING t AS s ON t.id = s.n WHEN MATCHED THEN DELETE'); \echo SQLSTATE :SQLSTATE
-- The key, and what decides about a row's partition.
SELECT bbm.queue('x', 't', command => 'UPDATE t SET id = id + 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET (n, id) = ROW(1, 2) WHERE id BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'INSERT INTO t SELECT id + $1 FROM other WHERE id < $2 ON CONFLICT (id) DO UPDATE SET id = excluded.id'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'WITH u AS (UPDATE t SET id = id + 1 WHERE id BETWEEN $1 AND $2 RETURNING id) INSERT INTO other SELECT id FROM u'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t_view SET id = id + 1 WHERE id BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE
CREATE TABLE by_region (id int NOT NULL, region int, n int) PARTITION BY LIST (region);
CREATE TABLE region_1 (n int, region int, id int NOT NULL) PARTITION BY RANGE ((n / 10));
ALTER TABLE by_region ATTACH PARTITION region_1 FOR VALUES IN (1);
CREATE TABLE region_1_low (region int, id int PRIMARY KEY, n int);
ALTER TABLE region_1 ATTACH PARTITION region_1_low FOR VALUES FROM (0) TO (10);
SELECT bbm.queue('x', 'region_1_low', command => 'UPDATE region_1_low SET region = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'region_1_low', command => 'UPDATE region_1_low SET n = 3'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'region_1_low', command => 'UPDATE region_1_low SET id = 3'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', scope_to => 'n < (SELECT avg(n) FROM t)', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1 WHERE CURRENT OF c'); \echo SQLSTATE :SQLSTATE

-- Rewrite rules.
CREATE TABLE ruled (id int PRIMARY KEY, n int);
CREATE RULE also AS ON UPDATE TO ruled DO ALSO INSERT INTO other VALUES (0, 0, 0);
CREATE TABLE replaced (id int PRIMARY KEY, n int);
CREATE RULE instead AS ON UPDATE TO replaced DO INSTEAD UPDATE other SET n = 1;
CREATE TABLE silenced (id int PRIMARY KEY, n int);
CREATE RULE instead AS ON UPDATE TO silenced DO INSTEAD NOTHING;
SELECT bbm.queue('x', 'ruled', command => 'UPDATE ruled SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'replaced', command => 'UPDATE replaced SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'silenced', command => 'UPDATE silenced SET n = 1'); \echo SQLSTATE :SQLSTATE

-- Placeholders and scopes.
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1 WHERE id >= $1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1 WHERE id <= $2'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = $3 WHERE id BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1 WHERE id BETWEEN $1 AND $2', scope_to => 'n = 0'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'id = $1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'true FROM other'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'true; DROP TABLE t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'n = 0 ORDER BY n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'true) OR (true'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'true, true'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'true AS really'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => '*'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 't.*'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'n'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'missing = 0'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'count(*) > 0'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1', scope_to => 'n ='); \echo SQLSTATE :SQLSTATE

-- Privileges.
CREATE ROLE regress_bbm_plain LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_plain;
CREATE ROLE regress_bbm_user LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_user;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bbm TO regress_bbm_user;
CREATE TABLE secured (id int PRIMARY KEY, n int);
INSERT INTO secured VALUES (1);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
GRANT ALL ON secured TO regress_bbm_user;
GRANT SELECT (n), UPDATE (n) ON t TO regress_bbm_user;
SET ROLE regress_bbm_plain;
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SET ROLE regress_bbm_user;
SELECT bbm.queue('x', 'other', command => 'UPDATE other SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'UPDATE t SET s = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 't', command => 'DELETE FROM t'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'secured', command => 'UPDATE secured SET n = 1'); \echo SQLSTATE :SQLSTATE
RESET ROLE;
SET bbm.allow_superuser_migrations = off;
SELECT bbm.queue('x', 't', command => 'UPDATE t SET n = 1'); \echo SQLSTATE :SQLSTATE
RESET bbm.allow_superuser_migrations;

-- No trace.
SELECT count(*) FROM bbm.migrations;
SELECT count(*) FROM bbm.jobs;
SELECT count(*) FROM bbm.events;
SELECT count(*), max(n) FROM t;

DROP OWNED BY regress_bbm_plain, regress_bbm_user;
DROP ROLE regress_bbm_plain, regress_bbm_user;
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP TABLE t, other, no_key, nullable_key, duplicate_key, partial_key, wide_key, deferred_key, expression_key,
           parent, temporary, ruled, replaced, silenced, secured CASCADE;
DROP SEQUENCE numbers;
