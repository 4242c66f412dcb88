-- Sizes that bbm chooses are measured by the pages of the index and not key by key: whatever kind of key it is, and whatever
-- became of its leaves, each row is in one range.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm;
CREATE SCHEMA jumps;
SET search_path = jumps, public;
SET bbm.passes = 1; -- plain walks

CREATE DOMAIN number AS bigint CHECK (VALUE > 0);
CREATE TABLE ints (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE numbers (id number PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE uuids (id uuid PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE words (id varchar NOT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON words (id COLLATE "C" DESC) INCLUDE (n);
CREATE TABLE names (id name PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE pairs (a date, b numeric, n int NOT NULL DEFAULT 0, PRIMARY KEY (a, b));
CREATE TABLE mixed (a int NOT NULL, b text NOT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON mixed (a DESC, b);
INSERT INTO ints SELECT g FROM generate_series(1, 30000) AS g;
INSERT INTO numbers SELECT g FROM generate_series(1, 30000) AS g;
INSERT INTO uuids SELECT md5(g::text)::uuid FROM generate_series(1, 30000) AS g;
INSERT INTO words SELECT 'word ' || g FROM generate_series(1, 30000) AS g;
INSERT INTO names SELECT 'name ' || g FROM generate_series(1, 30000) AS g;
INSERT INTO pairs SELECT '2024-01-01'::date + g % 100, g / 7.0 FROM generate_series(1, 30000) AS g;
INSERT INTO mixed SELECT g % 10, 'x' || g FROM generate_series(1, 30000) AS g;
ANALYZE;

CREATE FUNCTION walked(table_name regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format($f$SELECT string_agg(n || ': ' || rows, ', ' ORDER BY n) FROM (SELECT n, count(*) AS rows FROM %s GROUP BY n) AS t$f$, table_name) INTO result;
    RETURN result;
END $$;
SELECT format('SELECT bbm.queue(%L, %L, command => %L, cursor_columns => %L) > 0 AS queued', t, t, 'UPDATE ' || t || ' SET n = n + 1', c)
FROM (VALUES ('ints', '{id}'), ('numbers', '{id}'), ('uuids', '{id}'), ('words', '{id}'), ('names', '{id}'), ('pairs', '{a,b}'), ('mixed', '{a,b}')) AS x (t, c) \gexec
-- As if jobs of so many keys took ten seconds.
UPDATE bbm.migration SET batch_size = 5000;
CALL bbm.run();
-- The last job has what is left.
SELECT job_class_name, walked(job_class_name::regclass), count(*) > 1 AS has_jobs, count(*) FILTER (WHERE rows_affected NOT BETWEEN 2500 AND 5500 AND NOT is_last) AS of_another_size
FROM (SELECT *, id = max(id) OVER (PARTITION BY migration_id) AS is_last FROM bbm.jobs) AS j GROUP BY 1 ORDER BY 1;

-- Leaves without a row, and with a few: nothing is left out.
DELETE FROM ints WHERE id BETWEEN 3000 AND 12000 OR id % 100 <> 0 AND id > 20000;
DELETE FROM uuids WHERE id::text > '8' AND id::text < 'e';
SELECT bbm.queue('thin ints', 'ints', command => 'UPDATE ints SET n = n + 1') > 0 AS queued;
SELECT bbm.queue('thin uuids', 'uuids', command => 'UPDATE uuids SET n = n + 1') > 0 AS queued;
UPDATE bbm.migration SET batch_size = 5000;
CALL bbm.run();
VACUUM ints, uuids;
SELECT bbm.queue('empty ints', 'ints', command => 'UPDATE ints SET n = n + 1') > 0 AS queued;
SELECT bbm.queue('empty uuids', 'uuids', command => 'UPDATE uuids SET n = n + 1') > 0 AS queued;
UPDATE bbm.migration SET batch_size = 5000;
CALL bbm.run();
SELECT walked('ints'), walked('uuids');

-- Keys that come meanwhile, so that leaves are split under the walk.
CREATE FUNCTION crowd() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO jumps.uuids SELECT md5(NEW.id || '-' || g)::uuid, 100 FROM generate_series(1, 20) AS g;
    RETURN NULL;
END $$;
CREATE TRIGGER crowd AFTER UPDATE ON uuids FOR EACH ROW WHEN (NEW.n < 100 AND NEW.id::text LIKE '%7f') EXECUTE FUNCTION crowd();
SELECT bbm.queue('crowded', 'uuids', command => 'UPDATE uuids SET n = n + 1') > 0 AS queued;
UPDATE bbm.migration SET batch_size = 3000;
CALL bbm.run();
SELECT n, count(*) FROM uuids WHERE n < 100 GROUP BY n;
SELECT count(*) > 500 AS came_meanwhile, min(n), max(n) FROM uuids WHERE n >= 100;

-- A size that a person gave is counted.
SELECT bbm.queue('given', 'numbers', command => 'UPDATE numbers SET n = n + 1', batch_size => 7000, sub_batch_size => 3500) AS id \gset
CALL bbm.run();
SELECT min_cursor, max_cursor, rows_affected, sub_batches FROM bbm.jobs WHERE migration_id = :id ORDER BY id;

-- Few rows of those that are looked at are changed: no passes, and back to them where many are.
SET bbm.passes = 0;
CREATE TABLE sparse (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO sparse SELECT g FROM generate_series(1, 150000) AS g;
ANALYZE sparse;
SELECT bbm.queue('sparse', 'sparse', command => 'UPDATE sparse SET n = n + 1 WHERE id % 200 = 0 OR id > 100000') AS id \gset
CALL bbm.run(:id);
SELECT walked('sparse');
SELECT regexp_replace(reason, '\d+ (passes|keys)', '.. \1', 'g') AS reason FROM bbm.events WHERE migration_id = :id AND event = 'walk' ORDER BY id;
DROP SCHEMA jumps CASCADE;
