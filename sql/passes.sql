-- Windows walked in passes: every row is handled once, whatever its key is made of, whatever the command does, and wherever
-- the walk was stopped.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA passes;
SET search_path = passes, public;
SELECT current_user AS super \gset
CREATE ROLE regress_bbm_passes LOGIN;
ALTER ROLE regress_bbm_passes SET bbm.passes = 4;
GRANT USAGE, CREATE ON SCHEMA passes TO regress_bbm_passes;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_passes;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_passes;
SET bbm.passes = 4;

CREATE FUNCTION walk(name text, command text, more text DEFAULT '', class text DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE id bigint;
BEGIN
    EXECUTE format('SELECT bbm.queue(%L, %L, command => %L%s)', coalesce(class, name), name, command, CASE WHEN more = '' THEN '' ELSE ', ' || more END) INTO id;
    RETURN id;
END $$;
-- What stands in the table about jobs that are not done.
CREATE VIEW open AS
    SELECT status, min_cursor, cursor, max_cursor, window_max, passes, pass, pass_cursor FROM bbm.job WHERE status <> 'succeeded' ORDER BY id;
CREATE VIEW migrations AS SELECT job_class_name, status, rows_affected, rows_quarantined FROM bbm.migrations ORDER BY id;
-- In which order rows were handled.
CREATE TABLE deed (number bigint GENERATED ALWAYS AS IDENTITY, id text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO passes.deed (id) VALUES (new.id); RETURN NULL; END';
-- For a trigger: stops the walk behind the sub-batch that it fires in.
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM bbm.pause(tg_argv[0]); RETURN NULL; END';

-- ---- A pass goes through the whole window, and it is another set of rows each time.
CREATE TABLE rows (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO rows SELECT g FROM generate_series(1, 400) AS g;
CREATE TRIGGER note AFTER UPDATE ON rows FOR EACH ROW EXECUTE FUNCTION note();
SELECT walk('rows', 'UPDATE rows SET n = n + 1', 'batch_size => 200') AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM rows GROUP BY n;
SELECT part, pass, count(*) BETWEEN 45 AND 55 AS is_fair, min(id) < 10 + (part - 1) * 200 AS from_begin, max(id) > part * 200 - 10 AS to_end
FROM (SELECT id, (id - 1) / 200 + 1 AS part, 1 + (count(*) FILTER (WHERE falls) OVER (ORDER BY number)) % 4 AS pass
      FROM (SELECT number, id::int, id::int < lag(id::int) OVER (ORDER BY number) AND (id::int - 1) / 200 = (lag(id::int) OVER (ORDER BY number) - 1) / 200 AS falls FROM deed) AS d) AS d
GROUP BY part, pass ORDER BY part, pass;
SELECT rows_affected, sub_batches FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
SELECT event, reason FROM bbm.events WHERE migration_id = :id AND event = 'walk';
-- Smaller sub-batches: each pass takes several.
SELECT walk('rows', 'UPDATE rows SET n = n + 1', 'batch_size => 200, sub_batch_size => 20', 'again') AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM rows GROUP BY n;
SELECT rows_affected, sub_batches FROM bbm.jobs WHERE migration_id = :id ORDER BY id;
DROP TABLE rows;

-- ---- Keys
CREATE COLLATION "Case does not matter" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE DOMAIN c_text AS text COLLATE "C";
CREATE TABLE composite (a int, b text, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON composite (a DESC, b);
ALTER TABLE composite ALTER a SET NOT NULL, ALTER b SET NOT NULL;
INSERT INTO composite SELECT g % 7, md5(g::text) FROM generate_series(1, 500) AS g;
CREATE TABLE descending (a timestamptz NOT NULL, b c_text NOT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON descending (b DESC NULLS FIRST, a DESC);
INSERT INTO descending SELECT '2020-01-01 UTC'::timestamptz + g * interval '7.1 s', g % 3 FROM generate_series(1, 300) AS g;
CREATE TABLE uuid (k uuid PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO uuid SELECT md5(g::text)::uuid FROM generate_series(1, 500) AS g;
CREATE TABLE numeric (k numeric PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO numeric SELECT g / 7.0 FROM generate_series(-200, 200) AS g WHERE g <> 0 UNION SELECT unnest('{NaN,Infinity,-Infinity,0.000,1e400}'::numeric[]);
CREATE TABLE icu (k text COLLATE german PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO icu SELECT unnest(ARRAY['ä', 'Ä', 'a', 'ß', 'ss', 'SS', '']) UNION SELECT chr(97 + g % 26) || g FROM generate_series(1, 300) AS g;
CREATE TABLE cased (k text COLLATE "Case does not matter" PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO cased SELECT CASE WHEN g % 2 = 0 THEN 'k' ELSE 'K' END || g FROM generate_series(1, 300) AS g;
CREATE TABLE real (k real PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO real SELECT g / 7.0 FROM generate_series(-100, 100) AS g WHERE g <> 0 UNION SELECT unnest('{NaN,Infinity,-Infinity,-0}'::real[]);
CREATE TABLE name (k name PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO name SELECT md5(g::text) FROM generate_series(1, 300) AS g;
CREATE TABLE "char" (k char(6) PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO "char" SELECT to_hex(g) FROM generate_series(1, 300) AS g;
CREATE TABLE flags (k boolean PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO flags VALUES (true), (false);
CREATE TABLE arrays (k int[] PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO arrays SELECT ARRAY[g % 3, NULL, g] FROM generate_series(1, 300) AS g;
CREATE TABLE none (k int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE one (k int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO one VALUES (-7);
-- Keys that do not fit into their rows, beside other columns that do not.
CREATE TABLE wide (k text COLLATE "C" PRIMARY KEY, n int NOT NULL DEFAULT 0, a text, b text);
ALTER TABLE wide ALTER k SET STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL;
INSERT INTO wide SELECT repeat(md5(g::text), 70), 0, repeat('a', 5000), repeat('b', 3000) FROM generate_series(1, 150) AS g;
SELECT pg_relation_size(reltoastrelid) > 150 * (2240 + 3000) AS keys_are_toasted FROM pg_class WHERE oid = 'wide'::regclass;
SELECT walk(t, format('UPDATE %I SET n = n + 1', t), 'batch_size => 77, sub_batch_size => 7' || c)
FROM (VALUES ('composite', ', cursor_columns => ''{a,b}'''), ('descending', ', cursor_columns => ''{b,a}'''), ('uuid', ''), ('numeric', ''), ('icu', ''), ('cased', ''),
             ('real', ''), ('name', ''), ('char', ''), ('flags', ''), ('arrays', ''), ('none', ''), ('one', ''), ('wide', '')) AS v (t, c);
CALL bbm.run();
CREATE FUNCTION tally(name text, OUT rows bigint, OUT lowest int, OUT highest int) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*), min(n), max(n) FROM passes.%I', name) INTO rows, lowest, highest;
END $$;
SELECT m.table_name, m.status, m.rows_affected, t.*, e.reason LIKE '% 4 passes %' AS in_passes FROM bbm.migrations AS m, split_part(m.table_name, '.', 2) AS name,
    tally(trim(name, '"')) AS t, LATERAL (SELECT max(reason) AS reason FROM bbm.events AS e WHERE e.migration_id = m.id AND e.event = 'walk') AS e
WHERE m.id > :id ORDER BY m.id;

-- ---- Commands
CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, m int NOT NULL DEFAULT 0, g int GENERATED ALWAYS AS (n * 10) STORED, note text);
CREATE TABLE others (id int PRIMARY KEY, v int NOT NULL);
CREATE FUNCTION refill(rows int DEFAULT 400) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bbm.delete(id) FROM bbm.migrations;
    TRUNCATE passes.t, passes.deed RESTART IDENTITY;
    INSERT INTO passes.t (id) SELECT g FROM generate_series(1, rows) AS g;
    ANALYZE passes.t;
END $$;
INSERT INTO others SELECT g, g % 10 FROM generate_series(1, 1000, 2) AS g;
ANALYZE others;
-- joins, by each method
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1, m = o.v FROM others AS o WHERE o.id = t.id', 'batch_size => 150, sub_batch_size => 20') AS id \gset
CALL bbm.run(:id);
SELECT id % 2 AS odd, n, count(*), count(*) FILTER (WHERE m = CASE id % 2 WHEN 1 THEN id % 10 ELSE 0 END) AS as_joined FROM t GROUP BY id % 2, n ORDER BY odd;
SELECT refill();
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT walk('t', 'UPDATE t SET n = n + 1, m = o.v FROM others AS o WHERE o.id = t.id', 'batch_size => 150') AS id \gset
CALL bbm.run(:id);
SELECT id % 2 AS odd, n, count(*), count(*) FILTER (WHERE m = CASE id % 2 WHEN 1 THEN id % 10 ELSE 0 END) AS as_joined FROM t GROUP BY id % 2, n ORDER BY odd;
-- with the window on the inner side: read again for each row of the other one
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1 FROM others AS o WHERE o.id < 6 AND t.id % 3 = o.id % 3', 'batch_size => 150') AS id \gset
CALL bbm.run(:id);
SELECT id % 3 AS rest, n, count(*) FROM t GROUP BY id % 3, n ORDER BY rest;
RESET enable_hashjoin;
RESET enable_material;
RESET enable_mergejoin;
-- a join that finds nothing; subqueries
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1 FROM others AS o WHERE o.id = -t.id', 'batch_size => 150') AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected FROM migrations;
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1, m = (SELECT max(v) FROM others AS o WHERE o.id <= t.id) WHERE EXISTS (SELECT FROM others AS o WHERE o.id = t.id)', 'batch_size => 150') AS id \gset
CALL bbm.run(:id);
SELECT n, m, count(*) FROM t GROUP BY n, m ORDER BY n, m;
-- A filter; generated columns
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 60, sub_batch_size => 10, scope_to => ''id % 3 = 0''') AS id \gset
CALL bbm.run(:id);
SELECT id % 3 AS rest, n, g, count(*) FROM t GROUP BY id % 3, n, g ORDER BY rest;
-- Row security that does not apply to the owner, and that which does
SELECT refill();
ALTER TABLE t OWNER TO regress_bbm_passes;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON t USING (id % 2 = 0);
\c - regress_bbm_passes
SET client_min_messages = warning;
SELECT bbm.queue('secured', 'passes.t', command => 'UPDATE passes.t SET n = n + 1', batch_size => 150) > 0 AS queued;
CALL bbm.run('secured');
SELECT n, count(*) FROM passes.t GROUP BY n;
SELECT bbm.requeue('secured') > 0 AS queued;
ALTER TABLE passes.t FORCE ROW LEVEL SECURITY;
CALL bbm.run('secured');
\c - :super
SET search_path = passes, public;
SET client_min_messages = warning;
SET bbm.passes = 4;
SELECT n, count(*) FROM t GROUP BY n;
ALTER TABLE t NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY, OWNER TO :"super";

-- ---- Triggers
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.note := ''was '' || old.n; IF new.id % 50 = 0 THEN RETURN NULL; END IF; RETURN new; END';
CREATE TRIGGER change BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION change();
CREATE TRIGGER note AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 150, sub_batch_size => 20') AS id \gset
CALL bbm.run(:id);
SELECT n, note, count(*) FROM t GROUP BY n, note ORDER BY n;
SELECT count(*), count(DISTINCT id) FROM deed;
DROP TRIGGER change ON t;
-- One that changes other rows of the table, before the walk comes to them and behind it: they have new versions.
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE passes.t SET m = m + 1 WHERE id IN (401 - new.id, new.id + 1); RETURN NULL; END';
CREATE TRIGGER touch AFTER UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION touch();
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 150, sub_batch_size => 20') AS id \gset
CALL bbm.run(:id);
SELECT n, m, count(*), min(id) FROM t GROUP BY n, m ORDER BY m;
-- In one transaction
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 1000') AS id \gset
CALL bbm.run(:id);
SELECT n, m, count(*), min(id) FROM t GROUP BY n, m ORDER BY m;
DROP TRIGGER touch ON t;
-- One that deletes other rows, and one that adds some
CREATE FUNCTION replace() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id % 40 = 0 THEN
        DELETE FROM passes.t WHERE id = new.id + 1;
        INSERT INTO passes.t (id, note) VALUES (1000 + new.id, 'new');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER replace AFTER UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION replace();
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 150, sub_batch_size => 20, batch_max_value => 400') AS id \gset
CALL bbm.run(:id);
SELECT note, n, count(*), bool_or(id % 40 = 1 AND id > 1) AS deleted FROM t GROUP BY note, n ORDER BY note;
DROP TRIGGER replace ON t;
-- A deferred constraint trigger raises when the sub-batch ends: its rows wait in the quarantine, and no others.
CREATE FUNCTION check_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.id % 90 = 7 THEN
        RAISE check_violation USING MESSAGE = 'too late';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER check_later AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_later();
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 150, sub_batch_size => 20, on_data_error => ''quarantine''') AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected, rows_quarantined FROM migrations;
SELECT n, count(*), array_agg(id ORDER BY id) FILTER (WHERE n = 0) FROM t GROUP BY n ORDER BY n;
SELECT min_key, message FROM bbm.failures WHERE migration_id = :id ORDER BY min_key[1]::int;
DROP TRIGGER check_later ON t;

-- ---- Bad rows are narrowed down within a pass.
SELECT refill();
ALTER TABLE t ADD CONSTRAINT good CHECK (n = 0 OR id NOT IN (1, 2, 77, 78, 79, 150, 151, 300, 400));
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 150, on_data_error => ''quarantine''') AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected, rows_quarantined FROM migrations;
SELECT n, count(*), array_agg(id ORDER BY id) FILTER (WHERE n = 0) FROM t GROUP BY n ORDER BY n;
SELECT array_agg(key[1]::int ORDER BY key[1]::int) FROM bbm.quarantine WHERE migration_id = :id;
-- Without a quarantine they become jobs of their own.
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 150, sub_batch_size => 30') AS id \gset
CALL bbm.run(:id);
SELECT status, min_cursor, max_cursor, window_max FROM open;
SELECT n, count(*), array_agg(id ORDER BY id) FILTER (WHERE n = 0) FROM t GROUP BY n ORDER BY n;
ALTER TABLE t DROP CONSTRAINT good;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
SELECT status, rows_affected FROM migrations;
-- All rows of a window are bad: the job fails in the middle of it, and goes on there.
SELECT refill(60);
ALTER TABLE t ADD CONSTRAINT good CHECK (n = 0);
SELECT walk('t', 'UPDATE t SET n = n + 1', 'sub_batch_size => 4') AS id \gset
CALL bbm.run(:id);
SELECT status, count(*), count(window_max) AS windows FROM open GROUP BY status;
SELECT n, count(*) FROM t GROUP BY n;
ALTER TABLE t DROP CONSTRAINT good;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;

-- ---- Stopped in the middle of a window: it is gone on with as it was begun, whatever bbm.passes says by then.
CREATE TRIGGER stop AFTER UPDATE OF n ON t FOR EACH ROW WHEN (new.id = 250) EXECUTE FUNCTION stop('t');
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9') AS id \gset
CALL bbm.run(:id);
SELECT * FROM open;
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
SELECT count(DISTINCT id) = count(*) AS once, array_agg(DISTINCT id::int % 2) AS of_all FROM deed;
SET bbm.passes = 1;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
SELECT status, rows_affected FROM migrations;
-- From a plain walk to passes, and to others
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9') AS id \gset
CALL bbm.run(:id);
SELECT * FROM open;
SET bbm.passes = 8;
CREATE TRIGGER stop_again AFTER UPDATE OF n ON t FOR EACH ROW WHEN (new.id = 310) EXECUTE FUNCTION stop('t');
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT * FROM open;
SET bbm.passes = 3;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM t GROUP BY n ORDER BY n;
SELECT status, rows_affected FROM migrations;
SET bbm.passes = 4;
DROP TRIGGER stop_again ON t;
-- Meanwhile rows of the window change, go and come; those that come may be handled or not, but no more than once. All that
-- were left in the window go.
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9, batch_max_value => 1000') AS id \gset
CALL bbm.run(:id);
UPDATE t SET note = repeat('x', 1000) WHERE id % 5 = 0;
DELETE FROM t WHERE id % 7 = 0;
INSERT INTO t (id, note) SELECT g, 'new' FROM generate_series(7, 800, 7) AS g;
VACUUM t;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT note IS NOT DISTINCT FROM 'new' AS new, min(n) >= CASE WHEN min(note) = 'new' THEN 0 ELSE 1 END AS not_lost, max(n) <= 1 AS not_doubled, count(*) FROM t GROUP BY 1;
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9') AS id \gset
CALL bbm.run(:id);
DELETE FROM t WHERE n = 0;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT status FROM migrations;
SELECT DISTINCT n FROM t;
-- The table gets another file.
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9') AS id \gset
CALL bbm.run(:id);
VACUUM FULL t;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, count(*) FROM t GROUP BY n;

-- ---- A job that fails in an open window is split behind it.
CREATE TABLE long (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, pad text NOT NULL DEFAULT repeat('x', 900));
INSERT INTO long (id) SELECT g FROM generate_series(1, 2500) AS g;
ANALYZE long;
CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE feature_not_supported USING MESSAGE = 'broken'; END $$;
CREATE TRIGGER break AFTER UPDATE OF n ON long FOR EACH ROW WHEN (new.id = 700) EXECUTE FUNCTION break();
DROP TRIGGER stop ON t;
SELECT refill(0);
SELECT walk('long', 'UPDATE long SET n = n + 1', 'batch_size => 2500, sub_batch_size => 50') AS id \gset
CALL bbm.run(:id);
SELECT status, min_cursor, cursor, max_cursor, window_max IS NOT NULL AS in_window, passes FROM open;
SELECT count(*) BETWEEN 1 AND 1000 AS some FROM long WHERE n = 1;
DROP TRIGGER break ON long;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, rows_affected FROM migrations;
SELECT n, count(*) FROM long GROUP BY n;
SELECT count(*) AS jobs, count(*) FILTER (WHERE rows_affected > 0) AS with_rows FROM bbm.jobs WHERE migration_id = :id;

-- ---- Ends of migrations with an open window
CREATE TRIGGER stop AFTER UPDATE OF n ON t FOR EACH ROW WHEN (new.id = 250) EXECUTE FUNCTION stop('t');
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9') AS id \gset
CALL bbm.run(:id);
SELECT bbm.mark_finished(:id, 'enough');
SELECT status FROM migrations;
SELECT * FROM open;
-- Begun anew it begins at the first row.
DROP TRIGGER stop ON t;
UPDATE t SET n = 0;
SELECT bbm.requeue(:id) > 0 AS requeued;
CALL bbm.run('t');
SELECT n, count(*) FROM t GROUP BY n;
CREATE TRIGGER stop AFTER UPDATE OF n ON t FOR EACH ROW WHEN (new.id = 250 AND new.m = 0) EXECUTE FUNCTION stop('t');
SELECT refill();
SELECT walk('t', 'UPDATE t SET n = n + 1', 'batch_size => 400, sub_batch_size => 9') AS id \gset
CALL bbm.run(:id);
CALL bbm.finish(:id);
SELECT status, rows_affected FROM migrations;
SELECT n, count(*) FROM t GROUP BY n;
DROP TRIGGER stop ON t;

-- ---- Leaf by leaf
CREATE TABLE parted (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY HASH (id);
CREATE TABLE leaf_0 PARTITION OF parted FOR VALUES WITH (modulus 3, remainder 0);
CREATE TABLE leaf_1 (n int NOT NULL DEFAULT 0, gone int, id int NOT NULL);
ALTER TABLE leaf_1 DROP gone;
ALTER TABLE parted ATTACH PARTITION leaf_1 FOR VALUES WITH (modulus 3, remainder 1);
CREATE TABLE leaf_2 PARTITION OF parted FOR VALUES WITH (modulus 3, remainder 2);
INSERT INTO parted SELECT g FROM generate_series(1, 600) AS g;
SELECT refill(0);
SELECT walk('parted', 'UPDATE parted SET n = n + 1', 'batch_size => 100, sub_batch_size => 10') AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM parted GROUP BY n;
SELECT reason FROM bbm.events WHERE migration_id = :id AND event = 'walk' ORDER BY id;
-- Children have keys of their own.
CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent SELECT g FROM generate_series(1, 200) AS g;
INSERT INTO child SELECT g FROM generate_series(100, 300) AS g;
SELECT walk('parent', 'UPDATE parent SET n = n + 1', 'batch_size => 100, sub_batch_size => 10') AS id \gset
CALL bbm.run(:id);
SELECT tableoid::regclass, n, count(*) FROM parent GROUP BY 1, 2 ORDER BY 1;

-- ---- Windows of blocks
CREATE TABLE heap (id int, n int NOT NULL DEFAULT 0, v int, done boolean NOT NULL DEFAULT false, pad text DEFAULT repeat('x', 200));
INSERT INTO heap (id) SELECT g FROM generate_series(1, 3000) AS g;
ANALYZE heap;
SELECT walk('heap', 'UPDATE heap SET n = n + 1, done = true WHERE NOT done', 'batching_strategy => ''ctid'', batch_size => 1000, sub_batch_size => 100') AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected FROM migrations ORDER BY rows_affected DESC LIMIT 1;
SELECT n, done, count(*) FROM heap GROUP BY n, done;
SELECT reason LIKE '% 4 passes %' AS in_passes FROM bbm.events WHERE migration_id = :id AND event = 'walk';
-- What is done can be told from the columns alone.
SELECT walk('heap', 'UPDATE heap SET v = id * 2 WHERE v IS DISTINCT FROM id * 2', 'batching_strategy => ''ctid'', batch_size => 1000', 'values') AS id \gset
CALL bbm.run(:id);
SELECT count(*), count(*) FILTER (WHERE v = id * 2) AS right FROM heap;
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
-- Rows that were moved from blocks to come to blocks behind are found by the sweep.
UPDATE heap SET done = false, n = 0;
VACUUM FULL heap;
ANALYZE heap;
CREATE FUNCTION stop_at(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM bbm.pause('moving') WHERE $1 IN (800, 2000); RETURN 0; END $$;
SELECT walk('heap', 'UPDATE heap SET n = n + 1, v = stop_at(id), done = true WHERE NOT done', 'batching_strategy => ''ctid'', batch_size => 3000, sub_batch_size => 50', 'moving') AS id \gset
CALL bbm.run(:id);
SELECT * FROM open;
SELECT count(*) > 200 AS some, bool_and(n = 1) AS once FROM heap WHERE done;
DELETE FROM heap WHERE id <= 200;
VACUUM heap;
UPDATE heap SET pad = repeat('y', 300) WHERE id > 2900;
SELECT count(*) FILTER (WHERE ctid < (SELECT max(ctid) FROM heap WHERE id = 600)) > 0 AS moved_behind FROM heap WHERE id > 2900;
SET bbm.passes = 8;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT * FROM open;
SET bbm.passes = 1;
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT n, done, count(*) FROM heap GROUP BY n, done;
SELECT status FROM bbm.migrations WHERE id = :id;
SET bbm.passes = 4;

-- ---- The method is for migrations only: no text can name it.
SELECT count(*) FROM t TABLESAMPLE bbm.window_scan();
SELECT count(*) FROM t TABLESAMPLE bbm.window_scan(1);
EXPLAIN SELECT FROM t TABLESAMPLE bbm.window_scan(NULL);
-- which error, the minor version says
DO $$ BEGIN PERFORM bbm.window_scan(NULL); RAISE 'it was called'; EXCEPTION WHEN undefined_function OR feature_not_supported THEN NULL; END $$;

RESET bbm.passes;
SELECT bbm.delete(id) FROM bbm.migrations \g (format=unaligned tuples_only=on) /dev/null
DROP SCHEMA passes CASCADE;
DROP OWNED BY regress_bbm_passes;
DROP ROLE regress_bbm_passes;
