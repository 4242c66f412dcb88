-- Tables that have leaves: partitions of partitions, children of children. Each leaf is walked by itself, under the rules of
-- the whole. Statements are not idempotent; every row must be met once.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA parts;
SET search_path = parts, public;

-- Any nesting, leaves with other column orders, dropped columns, other indexes, a default partition.
CREATE TABLE o (id bigint NOT NULL, region int NOT NULL, n int NOT NULL DEFAULT 0, total int, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE o1 PARTITION OF o FOR VALUES IN (1);
CREATE TABLE o2 (junk text, total int, n int NOT NULL DEFAULT 0, id bigint NOT NULL, region int NOT NULL);
ALTER TABLE o2 DROP COLUMN junk, ADD PRIMARY KEY (region, id);
ALTER TABLE o ATTACH PARTITION o2 FOR VALUES IN (2);
CREATE TABLE o3 PARTITION OF o FOR VALUES IN (3) PARTITION BY HASH (id);
CREATE TABLE o3a PARTITION OF o3 FOR VALUES WITH (modulus 2, remainder 0);
CREATE TABLE o3b PARTITION OF o3 FOR VALUES WITH (modulus 2, remainder 1);
CREATE TABLE o_default PARTITION OF o DEFAULT;
CREATE TABLE o5 PARTITION OF o FOR VALUES IN (5);
INSERT INTO o SELECT g, g % 5, 0, 1 FROM generate_series(1, 1000) AS g;
SELECT bbm.queue('all', 'o', command => 'UPDATE o SET n = n + 1', batch_size => 50, sub_batch_size => 7) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM o GROUP BY n;
SELECT status, rows_affected, parts, parts_cut FROM bbm.migrations WHERE id = :id;
SELECT table_name, walk, cursor_columns, min_cursor, max_cursor, is_cut FROM bbm.parts WHERE migration_id = :id ORDER BY table_name;
SELECT part_name, count(*), sum(rows_affected) FROM bbm.jobs WHERE migration_id = :id GROUP BY part_name ORDER BY part_name;

-- The scope and the command may call the columns by the table's name.
SELECT bbm.queue('named', 'o', command => 'UPDATE parts.o SET n = parts.o.n + 1', scope_to => 'o.id > 500') AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM o GROUP BY n ORDER BY n;
-- Explained for a leaf, by hand for one that is named.
SELECT split_part(line, '  (', 1) FROM bbm.explain(bbm.queue('shown', 'o', command => 'UPDATE o SET n = 0', start => false)) AS line LIMIT 2;
SELECT bbm.run_batch('shown', '{1,1}'::text[], '{1,100}'::text[]); \echo SQLSTATE :SQLSTATE
SELECT rows_affected FROM bbm.run_batch('shown', '{1,1}'::text[], '{1,100}'::text[], part => 'o1');
SELECT bbm.run_batch('shown', '{1,1}'::text[], '{1,100}'::text[], part => 'o'); \echo SQLSTATE :SQLSTATE
SELECT bbm.delete('shown');

-- Bounds hold for each leaf.
SELECT bbm.queue('bounded', 'o', command => 'UPDATE o SET n = 10', batch_min_value => '{2,100}'::text[], batch_max_value => '{3,400}'::text[]) AS id \gset
CALL bbm.run();
SELECT region, count(*), min(id), max(id) FROM o WHERE n = 10 GROUP BY region ORDER BY region;

-- With placeholders bbm does not understand the command: the key of the whole table is walked.
UPDATE o SET n = 0;
SELECT bbm.queue('placed', 'o', command => 'UPDATE o SET n = n + 1 WHERE (region, id) >= ($1, $2) AND (region, id) <= ($3, $4)', batch_size => 50) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM o GROUP BY n;
SELECT table_name FROM bbm.parts WHERE migration_id = :id;

-- A trigger that fires once a statement is the table's that the command names.
CREATE TABLE fired (what text);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO parts.fired VALUES (TG_TABLE_NAME); RETURN NULL; END $$;
CREATE TRIGGER fire AFTER UPDATE ON o FOR EACH STATEMENT EXECUTE FUNCTION fire();
SELECT bbm.queue('triggered', 'o', command => 'UPDATE o SET n = n + 1', batch_size => 100) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM o GROUP BY n;
SELECT what, count(*) > 0 AS fired FROM fired GROUP BY what;
SELECT table_name FROM bbm.parts WHERE migration_id = :id;
DROP TRIGGER fire ON o;

-- Refused: rows that would move between leaves, and what cannot be run leaf by leaf.
SELECT bbm.queue('x', 'o', command => 'UPDATE o SET region = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'o', command => 'UPDATE ONLY o SET n = 1'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('x', 'o', command => 'INSERT INTO fired SELECT parts FROM (SELECT o::text AS parts FROM o) AS s'); \echo SQLSTATE :SQLSTATE

-- What only a leaf has counts, too: a rule, and a key that is made of a column which is assigned.
CREATE RULE silent AS ON UPDATE TO o5 DO INSTEAD NOTHING;
SELECT bbm.queue('x', 'o', command => 'UPDATE o SET n = 1'); \echo SQLSTATE :SQLSTATE
DROP RULE silent ON o5;
CREATE TABLE made (v int, k int GENERATED ALWAYS AS (v * 2) STORED UNIQUE NOT NULL, n int);
SELECT bbm.queue('x', 'made', 'k', command => 'UPDATE made SET v = v + 1'); \echo SQLSTATE :SQLSTATE
-- No key over the whole: every leaf has its own.
CREATE TABLE logs (id int, day date, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (day);
CREATE TABLE logs_1 PARTITION OF logs (id PRIMARY KEY) FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE logs_2 PARTITION OF logs (id PRIMARY KEY) FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
INSERT INTO logs SELECT g, '2024-01-01'::date + g % 60 FROM generate_series(1, 300) AS g;
SELECT bbm.queue('logs', 'logs', command => 'UPDATE logs SET n = n + 1', batch_size => 20) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM logs GROUP BY n;
SELECT bbm.queue('x', 'logs', command => 'UPDATE logs SET n = n + 1 WHERE id BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE
CREATE TABLE logs_3 PARTITION OF logs FOR VALUES FROM ('2024-03-01') TO ('2024-04-01');
SELECT bbm.queue('x', 'logs', command => 'UPDATE logs SET n = n + 1'); \echo SQLSTATE :SQLSTATE
DROP TABLE logs_3;

-- A partition that comes while it waits or runs is walked, too: none of its rows can have been in the table before.
CREATE TABLE a (region int, id int, n int NOT NULL DEFAULT 0, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
CREATE TABLE a1 PARTITION OF a FOR VALUES IN (1);
INSERT INTO a SELECT 1, g FROM generate_series(1, 50) AS g;
SELECT bbm.queue('coming', 'a', command => 'UPDATE a SET n = n + 1', start => false) AS id \gset
CREATE TABLE a2 PARTITION OF a FOR VALUES IN (2);
INSERT INTO a SELECT 2, g FROM generate_series(1, 50) AS g;
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT region, n, count(*) FROM a GROUP BY region, n ORDER BY region;
SELECT event, reason FROM bbm.events WHERE migration_id = :id AND event NOT IN ('queue', 'resume', 'finish', 'optimize') ORDER BY id;
-- Where rows may have been moved to it that are done, a person decides. Commands that may meet a row twice need none.
SELECT bbm.queue('split', 'a', command => 'UPDATE a SET n = n + 1', start => false) AS id \gset
SELECT bbm.queue('again', 'a', command => 'UPDATE a SET n = 7', start => false) AS again \gset
ALTER TABLE a DETACH PARTITION a2;
CREATE TABLE a2_new (LIKE a INCLUDING ALL);
INSERT INTO a2_new SELECT * FROM a2;
ALTER TABLE a ATTACH PARTITION a2_new FOR VALUES IN (2);
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT tableoid::regclass, n, count(*) FROM a GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bbm.retry(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT tableoid::regclass, n, count(*) FROM a GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bbm.resume(:again);
CALL bbm.run();
SELECT tableoid::regclass, n, count(*) FROM a GROUP BY 1, 2 ORDER BY 1, 2;

-- It is about these rows that the person has decided: a retry for another reason says nothing about them.
SELECT bbm.queue('unasked', 'a', command => 'UPDATE a SET n = n + 1 / (CASE WHEN id = 13 AND region = 1 THEN 0 ELSE 1 END)') AS id \gset
CALL bbm.run();
ALTER TABLE a DETACH PARTITION a2_new;
CREATE TABLE a2_newest (LIKE a INCLUDING ALL);
INSERT INTO a2_newest SELECT * FROM a2_new;
ALTER TABLE a ATTACH PARTITION a2_newest FOR VALUES IN (2);
DELETE FROM a WHERE region = 1 AND id = 13;
SELECT bbm.retry(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT tableoid::regclass, n, count(*) FROM a GROUP BY 1, 2 ORDER BY 1, 2;
-- Walked as a whole, it stops when a partition has changed.
SELECT bbm.queue('whole', 'a', command => 'UPDATE a SET n = 1 WHERE (region, id) >= ($1, $2) AND (region, id) <= ($3, $4)', start => false) AS id \gset
TRUNCATE a1;
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT bbm.retry(:id);
CALL bbm.run();
SELECT status FROM bbm.migrations WHERE id = :id;

-- Leaves come and go while it waits or runs: one that was detached is done to its end, one that was dropped is forgotten.
SELECT bbm.queue('moving', 'o', command => 'UPDATE o SET n = n + 10', batch_size => 30, start => false) AS id \gset
ALTER TABLE o DETACH PARTITION o1;
DROP TABLE o2;
CREATE TABLE o7 (LIKE o INCLUDING ALL);
INSERT INTO o7 SELECT g, 7, 2, 1 FROM generate_series(1, 100) AS g;
ALTER TABLE o ATTACH PARTITION o7 FOR VALUES IN (7);
ALTER TABLE o3a RENAME TO o3_even;
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT bbm.retry(:id);
CALL bbm.run();
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM o GROUP BY n;
SELECT n, count(*) FROM o1 GROUP BY n;
SELECT event, reason FROM bbm.events WHERE migration_id = :id AND event NOT IN ('queue', 'resume', 'finish', 'optimize') ORDER BY id;
-- A new leaf has to be one that the command may be run on.
SELECT bbm.queue('strict', 'o', command => 'WITH r AS (SELECT * FROM o) INSERT INTO fired SELECT id FROM r', start => false) AS id \gset
CREATE TABLE o8 (total int, n int NOT NULL DEFAULT 0, id bigint NOT NULL, region int NOT NULL, PRIMARY KEY (region, id));
INSERT INTO o8 VALUES (1, 2, 3, 8);
ALTER TABLE o ATTACH PARTITION o8 FOR VALUES IN (8);
SELECT bbm.resume(:id);
CALL bbm.run();
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;

-- A trigger that fires once a statement came since: which table's would it be?
CREATE TABLE grows (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
CREATE TABLE grows_1 PARTITION OF grows FOR VALUES FROM (1) TO (100);
INSERT INTO grows SELECT g FROM generate_series(1, 99) AS g;
SELECT bbm.queue('grows', 'grows', command => 'UPDATE grows SET n = n + 1', start => false) AS id \gset
CREATE TABLE grows_2 PARTITION OF grows FOR VALUES FROM (100) TO (200);
INSERT INTO grows SELECT g FROM generate_series(100, 199) AS g;
TRUNCATE fired;
CREATE TRIGGER fire AFTER UPDATE ON grows FOR EACH STATEMENT EXECUTE FUNCTION fire();
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT detail FROM bbm.events WHERE migration_id = :id AND sqlstate IS NOT NULL;
SELECT n, count(*) FROM grows GROUP BY n ORDER BY n;
ALTER TABLE grows DISABLE TRIGGER fire;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM grows GROUP BY n;
SELECT count(*) FROM fired;

-- Nothing in it.
CREATE TABLE empty_one (id int PRIMARY KEY) PARTITION BY RANGE (id);
SELECT bbm.queue('empty', 'empty_one', 'id', command => 'DELETE FROM empty_one') AS id \gset
SELECT status FROM bbm.migrations WHERE id = :id;

-- Children: a key may stand in several of them. A leaf may be a parent.
CREATE TABLE par (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE chi (PRIMARY KEY (id)) INHERITS (par);
CREATE TABLE gra (PRIMARY KEY (id)) INHERITS (chi);
INSERT INTO par SELECT g FROM generate_series(1, 100) AS g;
INSERT INTO chi SELECT g FROM generate_series(50, 150) AS g;
INSERT INTO gra SELECT g FROM generate_series(50, 150) AS g;
SELECT bbm.queue('family', 'par', command => 'UPDATE par SET n = n + 1', batch_size => 30) AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM par GROUP BY n;
SELECT table_name, min_cursor, max_cursor FROM bbm.parts WHERE migration_id = :id ORDER BY id;
SELECT bbm.queue('alone', 'par', command => 'UPDATE ONLY par SET n = n + 1', batch_size => 30) AS id \gset
CALL bbm.run();
SELECT tableoid::regclass, n, count(*) FROM par GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bbm.queue('branch', 'chi', command => 'UPDATE chi * SET n = n + 1', batch_size => 30) AS id \gset
CALL bbm.run();
SELECT tableoid::regclass, n, count(*) FROM par GROUP BY 1, 2 ORDER BY 1, 2;
SELECT bbm.queue('x', 'par', command => 'UPDATE par SET n = n + 1 WHERE id BETWEEN $1 AND $2'); \echo SQLSTATE :SQLSTATE

-- Bad rows, by leaf: the same key stands in two of them.
UPDATE par SET n = 0;
ALTER TABLE gra ADD CHECK (n < 1 OR id <> 77);
SELECT bbm.queue('bad', 'par', command => 'UPDATE par SET n = n + 1', batch_size => 30, on_data_error => 'quarantine') AS id \gset
CALL bbm.run();
SELECT status, rows_affected, rows_quarantined FROM bbm.migrations WHERE id = :id;
SELECT tableoid::regclass, id FROM par WHERE n = 0;
ALTER TABLE gra DROP CONSTRAINT gra_check;
SELECT bbm.run_batch(:id, 77, 77, false, 'par'); \echo SQLSTATE :SQLSTATE
SELECT rows_affected FROM bbm.run_batch(:id, 77, 77, false, 'gra');
SELECT n, count(*) FROM par GROUP BY n;

-- Queued once more: with the leaves of today.
SELECT bbm.requeue('family') AS id \gset
CALL bbm.run();
SELECT n, count(*) FROM par GROUP BY n;
SELECT total_keys, based_on, jobs FROM bbm.estimate('x', 'par', command => 'UPDATE par SET n = n + 1');

SET client_min_messages = error;
DROP SCHEMA parts CASCADE;
