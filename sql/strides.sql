-- Is a table walked in passes? What the catalogs and the statistics say.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA strides;
SET search_path = strides;

-- The line of bbm.explain about the walk.
CREATE FUNCTION walk(command text, key text DEFAULT 'id', strategy text DEFAULT 'primary_key', keys int DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint := bbm.queue('Walk', 'rows', key, '[]', command => command, start => false, batching_strategy => strategy, batch_size => keys);
    line text := (SELECT regexp_replace(e, 'windows of \d+ keys', 'windows') FROM bbm.explain(number) AS e WHERE e ~ '^Walk:');
BEGIN
    PERFORM bbm.delete(number);
    RETURN line;
END $$;

CREATE TABLE rows (id bigint PRIMARY KEY, uuid text UNIQUE NOT NULL, a int, b int, c text, d text) WITH (autovacuum_enabled = off);
INSERT INTO rows SELECT i, md5(i::text), i, i, i, i FROM generate_series(1, 30000) AS i;
SELECT walk('UPDATE rows SET c = a'), 'never analysed';
ANALYZE rows;
SELECT walk('UPDATE rows SET c = a');
CREATE TABLE copies (id bigint);

-- what can be walked in passes at all
SELECT walk('UPDATE rows AS r SET c = v.column1 FROM (VALUES (1), (2)) AS v WHERE v.column1 = r.a');
SELECT walk('UPDATE rows SET (c, d) = (SELECT 1, 2)');
SELECT walk('DELETE FROM rows WHERE a IS NULL');
SELECT walk('INSERT INTO copies SELECT id FROM rows');
SELECT walk('UPDATE rows SET c = a WHERE id BETWEEN $1 AND $2');
SELECT walk('MERGE INTO rows AS r USING (VALUES (1)) AS v ON r.a = v.column1 WHEN MATCHED THEN UPDATE SET c = 1');
SELECT walk('WITH w AS (UPDATE rows SET c = a RETURNING id) INSERT INTO copies SELECT id FROM w');
SELECT walk('WITH r AS (SELECT * FROM rows) UPDATE copies SET id = -r.id FROM r WHERE r.id = copies.id');

-- keys in another order than rows
SELECT walk('UPDATE rows SET c = a', 'uuid');
SELECT walk('UPDATE rows SET c = ''x'' WHERE c IS NULL', 'uuid');
-- places are in order
SELECT walk('UPDATE rows SET c = ''x'' WHERE c IS NULL', NULL, 'ctid');
SELECT walk('UPDATE rows SET b = a', 'uuid', 'loose_index_scan');

-- jobs that a person wants small: a window ends with its job
SELECT walk('UPDATE rows SET c = a', keys => 999), walk('UPDATE rows SET c = a', keys => 1000);
CREATE TABLE many (id bigint PRIMARY KEY, n int) WITH (autovacuum_enabled = off);
INSERT INTO many SELECT i, i FROM generate_series(1, 30000) AS i;
ANALYZE many;
SELECT bbm.queue('small', 'many', command => 'UPDATE many SET n = n + 1', batch_max_value => 3000, batch_size => 500, sub_batch_size => 500) AS id \gset
CALL bbm.run(:id);
SELECT jobs_succeeded, sub_batches FROM bbm.migration WHERE id = :id;
SELECT bbm.delete(:id);

-- bbm.passes
SET bbm.passes = 1;
SELECT walk('UPDATE rows SET c = a');
SET bbm.passes = 3;
SELECT walk('UPDATE rows SET c = a');
SELECT walk('UPDATE rows SET c = a', 'uuid');
SELECT walk('UPDATE rows SET c = ''x'' WHERE c IS NULL', 'uuid');
SELECT walk('DELETE FROM rows WHERE a IS NULL');
SET bbm.passes = 65;
SET bbm.passes = -1;
RESET bbm.passes;

-- fillfactor, and many indexes
ALTER TABLE rows SET (fillfactor = 91);
SELECT walk('UPDATE rows SET c = a');
ALTER TABLE rows SET (fillfactor = 90);
SELECT walk('UPDATE rows SET c = a');
ALTER TABLE rows RESET (fillfactor);
CREATE INDEX ON rows USING brin (a);
SELECT walk('UPDATE rows SET c = b'), 'a BRIN index costs nothing';
CREATE INDEX ON rows (d);
SELECT walk('UPDATE rows SET c = a');
SET bbm.passes = 2;
SELECT walk('UPDATE rows SET d = a'), 'a person wants it';
RESET bbm.passes;

-- columns of indexes, in whatever way they are used
SELECT walk('UPDATE rows SET d = a');
SELECT walk('UPDATE rows SET c = a, d = a');
DROP INDEX rows_d_idx;
CREATE INDEX expression ON rows ((lower(c) || 'x'));
SELECT walk('UPDATE rows SET c = a');
SELECT walk('UPDATE rows SET d = a');
DROP INDEX expression;
CREATE INDEX predicate ON rows (b) WHERE c IS NOT NULL;
SELECT walk('UPDATE rows SET c = a');
SELECT walk('UPDATE rows SET d = a');
DROP INDEX predicate;
CREATE INDEX included ON rows (b) INCLUDE (c);
SELECT walk('UPDATE rows SET c = a');
SELECT walk('UPDATE rows SET d = a');
DROP INDEX included;
CREATE INDEX hashed ON rows USING hash (c);
SELECT walk('UPDATE rows SET c = a');
SELECT walk('UPDATE rows SET d = a');
DROP INDEX hashed;

-- what is generated from a written column is written
ALTER TABLE rows ADD twice int GENERATED ALWAYS AS (b * 2) STORED;
ANALYZE rows;
CREATE INDEX generated ON rows (twice);
SELECT walk('UPDATE rows SET b = a');
SELECT walk('UPDATE rows SET c = a');
DROP INDEX generated;

-- a trigger may write more; with no index but that of the key there is nothing to lose
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.d = now(); RETURN new; END';
CREATE TRIGGER touch BEFORE UPDATE ON rows FOR EACH ROW EXECUTE FUNCTION touch();
SELECT walk('UPDATE rows SET c = a');
ALTER TABLE rows DISABLE TRIGGER touch;
SELECT walk('UPDATE rows SET c = a');
ALTER TABLE rows ENABLE REPLICA TRIGGER touch;
SELECT walk('UPDATE rows SET c = a');
DROP TRIGGER touch ON rows;
CREATE TRIGGER touch BEFORE UPDATE OF d, b ON rows FOR EACH ROW EXECUTE FUNCTION touch();
SELECT walk('UPDATE rows SET c = a');
SELECT walk('UPDATE rows SET c = a, b = a');
ALTER TABLE rows DROP CONSTRAINT rows_uuid_key;
SELECT walk('UPDATE rows SET c = a, b = a');
DROP TRIGGER touch ON rows;
CREATE TRIGGER touch AFTER UPDATE ON rows FOR EACH ROW EXECUTE FUNCTION touch();
SELECT walk('UPDATE rows SET c = a');
DROP TRIGGER touch ON rows;

-- wide rows, small tables
DROP TABLE rows;
CREATE TABLE rows (id bigint PRIMARY KEY, wide text, n int) WITH (autovacuum_enabled = off);
ALTER TABLE rows ALTER wide SET STORAGE PLAIN;
INSERT INTO rows SELECT i, repeat('x', 1200), i FROM generate_series(1, 3000) AS i;
ANALYZE rows;
SELECT walk('UPDATE rows SET n = 1');
TRUNCATE rows;
INSERT INTO rows SELECT i, repeat('x', 700), i FROM generate_series(1, 3000) AS i;
ANALYZE rows;
SELECT walk('UPDATE rows SET n = 1');
TRUNCATE rows;
INSERT INTO rows SELECT i, repeat('x', 700), i FROM generate_series(1, 1000) AS i;
ANALYZE rows;
SELECT walk('UPDATE rows SET n = 1');

-- leaf by leaf; another access method
DROP TABLE rows;
CREATE TABLE rows (id bigint PRIMARY KEY, n int, m int) PARTITION BY RANGE (id);
CREATE TABLE leaf_0 PARTITION OF rows FOR VALUES FROM (0) TO (1000) WITH (autovacuum_enabled = off);
CREATE TABLE leaf_1 (m int, n int, id bigint NOT NULL) WITH (autovacuum_enabled = off);
ALTER TABLE rows ATTACH PARTITION leaf_1 FOR VALUES FROM (1000) TO (1000000);
INSERT INTO rows SELECT i, i, i FROM generate_series(1000, 60000) AS i;
ANALYZE leaf_1;
CREATE INDEX m ON leaf_1 (m);
SELECT walk('UPDATE rows SET n = 1');
SELECT walk('UPDATE rows SET m = 1');
CREATE ACCESS METHOD copied_heap TYPE TABLE HANDLER heap_tableam_handler;
CREATE TABLE other (id bigint PRIMARY KEY, n int) USING copied_heap WITH (autovacuum_enabled = off);
INSERT INTO other SELECT i, i FROM generate_series(1, 30000) AS i;
ANALYZE other;
SELECT bbm.queue('Walk', 'other', command => 'UPDATE other SET n = 1', start => false) > 0;
SELECT e FROM bbm.explain('Walk') AS e WHERE e ~ '^Walk:';
SELECT bbm.delete('Walk');

-- queue() tells of an index that could be built later, where it matters
CREATE TABLE backfilled (id bigint PRIMARY KEY, n int, m int) WITH (autovacuum_enabled = off);
INSERT INTO backfilled SELECT i, i FROM generate_series(1, 50000) AS i;
ANALYZE backfilled;
CREATE INDEX early ON backfilled (m);
SET client_min_messages = notice;
SELECT bbm.queue('Early', 'backfilled', command => 'UPDATE backfilled SET m = n', start => false) > 0;
SELECT bbm.queue('Other', 'backfilled', command => 'UPDATE backfilled SET n = n + 1', start => false) > 0;
SELECT bbm.queue('Deletes', 'backfilled', command => 'DELETE FROM backfilled WHERE m = 1', start => false) > 0;
SELECT bbm.queue('Leaves', 'rows', command => 'UPDATE rows SET m = n', start => false) > 0;
SET client_min_messages = warning;
DROP SCHEMA strides CASCADE;
DROP ACCESS METHOD copied_heap;
