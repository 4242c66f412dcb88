-- Any key that a btree sorts: every row is met once, whatever its key is made of.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA keys;
SET search_path = keys, public;

-- Tables have a counter n. Small batches, so that there are many bounds.
CREATE FUNCTION walk(name text, columns text[] DEFAULT NULL, more text DEFAULT '') RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE id bigint;
BEGIN
    EXECUTE format('SELECT bbm.queue(%L, %L, cursor_columns => %L, command => %L, batch_size => 13, sub_batch_size => 4 %s)',
                   name, 'keys.' || quote_ident(name), columns, format('UPDATE keys.%I SET n = n + 1', name), more) INTO id;
    RETURN id;
END $$;
CREATE FUNCTION make(type text, keys text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE keys.%I (k %s PRIMARY KEY, n int NOT NULL DEFAULT 0)', 'of ' || type, type);
    EXECUTE format('INSERT INTO keys.%I SELECT unnest($1)::%s', 'of ' || type, type) USING keys;
END $$;
-- How many rows a table has, and how often they were handled.
CREATE FUNCTION tally(name text, OUT rows bigint, OUT lowest int, OUT highest int) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT count(*), min(n), max(n) FROM keys.%I', name) INTO rows, lowest, highest;
END $$;
CREATE VIEW wrong AS
    SELECT c.relname, t.* FROM pg_class AS c, tally(relname) AS t
    WHERE relnamespace = 'keys'::regnamespace AND relkind = 'r' AND (lowest, highest) IS DISTINCT FROM (1, 1);
CREATE VIEW unfinished AS SELECT table_name, status, status_reason FROM bbm.migrations WHERE status <> 'finished';

-- ---- One column of each type, extremes and odd ones among them.
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE COLLATION "Case does not matter" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION "Upper, first" (provider = icu, locale = 'und-u-kf-upper');
CREATE TYPE mood AS ENUM ('sad', 'it''s', '"ok"', 'a,b', '{}', 'NULL', 'happy', '');
CREATE TYPE "Odd \ 'type' {n}" AS ENUM ('z', 'y', 'x');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN c_text AS text COLLATE "C";
CREATE DOMAIN year_month AS date CHECK (extract(day FROM VALUE) = 1);
CREATE FUNCTION texts() RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(k ORDER BY k COLLATE "C") FROM (
        SELECT DISTINCT k FROM unnest(ARRAY['', ' ', '  ', '''', '''''', '"', '""', '\', '\\', ',', '{', '}', '{}', '{"a"}', 'NULL', 'null', '(,)', '%s', '$1', '--', '/*',
            E'\n', E'a\nb', E'\t', E'\r\n', 'ä', 'Ä', 'ß', 'ss', 'z', 'Z', '10', '9', '🐘', repeat('long ', 100), E'\u00a0', 'a', 'aa', 'ab']) AS k
        UNION SELECT 'k' || g FROM generate_series(1, 30) AS g) AS s
$$;
DO $$
DECLARE words text[] := texts();
BEGIN
    PERFORM make('smallint', ARRAY['-32768', '-32767', '-1', '0', '1', '7', '32766', '32767']);
    PERFORM make('integer', (SELECT array_agg((g * 97)::text) || '{-2147483648,2147483647}' FROM generate_series(-30, 30) AS g));
    PERFORM make('bigint', (SELECT array_agg((g * g * g)::text) || '{-9223372036854775808,9223372036854775807}' FROM generate_series(-30, 30) AS g));
    PERFORM make('numeric', (SELECT array_agg((g / 7.0)::text) || '{-Infinity,Infinity,NaN,1e400,-1e-400,0.000,123456789012345678901234567890.5}' FROM generate_series(-20, 20) AS g WHERE g <> 0));
    PERFORM make('numeric(9,3)', (SELECT array_agg((g / 8.0)::text) FROM generate_series(-20, 20) AS g));
    PERFORM make('real', (SELECT array_agg((g / 7.0)::text) || '{-Infinity,Infinity,NaN,1e-38,3e38,-0}' FROM generate_series(-20, 20) AS g WHERE g <> 0));
    PERFORM make('double precision', (SELECT array_agg((g / 7.0)::text) || '{-Infinity,Infinity,NaN,1e-300,1e308,0.1,0.30000000000000004,0.3}' FROM generate_series(-20, 20) AS g));
    PERFORM make('money', (SELECT array_agg((g * 1.01)::text) FROM generate_series(-20, 20) AS g));
    PERFORM make('oid', (SELECT array_agg(g::text) || '{4294967295}' FROM generate_series(0, 20) AS g));
    PERFORM make('boolean', '{t,f}');
    PERFORM make('text', words);
    PERFORM make('varchar(600)', words);
    PERFORM make('varchar', words);
    PERFORM make('character(5)', (SELECT array_agg(lpad(g::text, 3, 'ab')) || '{"","a b"," a"}' FROM generate_series(1, 40) AS g));
    PERFORM make('"char"', (SELECT array_agg(chr(g)) || '{""}' FROM generate_series(32, 126) AS g));
    PERFORM make('name', words[1:20] || ARRAY[repeat('n', 63)]);
    PERFORM make('bytea', ARRAY['', '\x00', '\x0001', '\x5c', '\xff', '\x27', '\x22'] || (SELECT array_agg(sha256(g::text::bytea)::text) FROM generate_series(1, 30) AS g));
    PERFORM make('bit(9)', (SELECT array_agg(g::bit(9)::text) FROM generate_series(1, 40) AS g));
    PERFORM make('bit varying', (SELECT array_agg(trim(LEADING '0' FROM g::bit(9)::text)) || '{"","0","00"}' FROM generate_series(1, 40) AS g));
    PERFORM make('uuid', (SELECT array_agg(md5(g::text)) || '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}' FROM generate_series(1, 40) AS g));
    PERFORM make('date', (SELECT array_agg((date '2024-12-28' + g)::text) || '{-infinity,infinity,"0044-03-15 BC",4713-01-01 BC,5874897-12-31,0001-01-01}' FROM generate_series(1, 40) AS g));
    PERFORM make('time', (SELECT array_agg((time '23:00' + g * interval '1.5 min')::text) || '{24:00,00:00:00.000001}' FROM generate_series(1, 40) AS g));
    PERFORM make('timetz', (SELECT array_agg((time '12:00')::text || to_char(g, 'S00')) FROM generate_series(-12, 12) AS g));
    PERFORM make('timestamp', (SELECT array_agg((timestamp '2024-03-31 00:00' + g * interval '7.000001 min')::text) || '{-infinity,infinity,"0044-03-15 12:00 BC",294276-12-31 23:59:59.999999}' FROM generate_series(1, 40) AS g));
    PERFORM make('timestamptz', (SELECT array_agg((timestamptz '2024-10-26 23:00+00' + g * interval '7.000001 min')::text) || '{-infinity,infinity,"0044-03-15 12:00+00 BC",0001-01-01}' FROM generate_series(1, 40) AS g));
    PERFORM make('interval', ARRAY['-1 day +02:03', '-1 year -2 mons +3 days', '1 year', '-0.000001 s', '0', '178000000 years'] || (SELECT array_agg(format('%s days -00:%s', 2 * g, g + 20)) FROM generate_series(-20, 20) AS g));
    PERFORM make('inet', (SELECT array_agg(format('10.%s.0.%s/%s', g % 3, g, 8 + g % 24)) || '{::1,0.0.0.0/0,::/0,2001:db8::/32}' FROM generate_series(1, 40) AS g));
    PERFORM make('cidr', (SELECT array_agg(format('10.%s.0.0/16', g)) || '{::/0}' FROM generate_series(1, 40) AS g));
    PERFORM make('macaddr', (SELECT array_agg(format('08:00:2b:01:02:%s', g)) FROM generate_series(10, 40) AS g));
    PERFORM make('macaddr8', (SELECT array_agg(format('08:00:2b:01:02:03:04:%s', g)) FROM generate_series(10, 40) AS g));
    PERFORM make('pg_lsn', (SELECT array_agg(format('%s/%s', g, g)) FROM generate_series(10, 40) AS g));
    PERFORM make('xid8', (SELECT array_agg((g * 1000000000)::text) FROM generate_series(10::bigint, 30) AS g));
    PERFORM make('mood', enum_range(NULL::mood)::text[]);
    PERFORM make('"Odd \ ''type'' {n}"', '{x,y,z}');
    PERFORM make('positive', (SELECT array_agg(g::text) FROM generate_series(1, 40) AS g));
    PERFORM make('c_text', words);
    PERFORM make('year_month', (SELECT array_agg((date '2020-01-01' + g * interval '1 month')::text) FROM generate_series(1, 40) AS g));
    PERFORM make('int[]', ARRAY['{}', '{1}', '{1,2}', '{NULL}', '{{1,2},{3,4}}', '[0:1]={5,6}'] || (SELECT array_agg(format('{%s,%s}', g % 3, g)) FROM generate_series(1, 30) AS g));
    PERFORM make('text[]', (SELECT array_agg(ARRAY[w, w]::text) FROM unnest(words) AS w));
    PERFORM make('timestamptz[]', (SELECT array_agg(ARRAY[timestamptz '2024-10-26 23:00+00' + g * interval '7 min']::text) FROM generate_series(1, 30) AS g));
    PERFORM make('pair', (SELECT array_agg(ROW(1, w)::text) FROM unnest(words) AS w));
    PERFORM make('int4range', (SELECT array_agg(format('[%s,%s)', g, g + 10)) || '{empty,"(,5)","(,)"}' FROM generate_series(1, 30) AS g));
    PERFORM make('tsrange', (SELECT array_agg(format('[2024-01-%s,2024-02-%1$s)', g)) FROM generate_series(10, 28) AS g));
    PERFORM make('jsonb', ARRAY['null', '{}', '[]', '"\""', '{"a": [1, "b"]}'] || (SELECT array_agg(g::text) FROM generate_series(1, 30) AS g));
    PERFORM make('tsvector', ARRAY['', 'a b', '''it''''s''', 'c:1A', 'c:1,2B d']);
END $$;
-- Collations, classes, directions, NULLs at either end, INCLUDE, other columns before the key.
CREATE FUNCTION make_text(name text, index text, column_is text DEFAULT 'text') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE keys.%I (gone int, x int, k %s NOT NULL, n int NOT NULL DEFAULT 0, y int)', name, column_is);
    EXECUTE format('ALTER TABLE keys.%I DROP COLUMN gone', name);
    EXECUTE format('CREATE UNIQUE INDEX ON keys.%I (%s)', name, index);
    EXECUTE format('INSERT INTO keys.%I (k) SELECT unnest(%s)', name,
                   CASE WHEN name ~ 'case' THEN $q$ARRAY(SELECT w FROM unnest(texts()) AS w WHERE w NOT IN ('Z', 'Ä', 'null', 'ß', U&'\00a0'))$q$ ELSE 'texts()' END);
END $$;
DO $$
BEGIN
    PERFORM make_text('t_c', 'k', 'text COLLATE "C"');
    PERFORM make_text('t_posix_index', 'k COLLATE "POSIX"');
    PERFORM make_text('t_german', 'k', 'text COLLATE german');
    PERFORM make_text('t_german_index', 'k COLLATE german');
    PERFORM make_text('t_c_of_german', 'k COLLATE "C"', 'varchar COLLATE german');
    PERFORM make_text('t_quoted', 'k COLLATE keys."Upper, first"');
    PERFORM make_text('t_case', 'k', 'text COLLATE keys."Case does not matter"');
    PERFORM make_text('t_case_down', 'k COLLATE keys."Case does not matter" DESC');
    PERFORM make_text('t_domain', 'k', 'keys.c_text COLLATE keys.german');
    PERFORM make_text('t_domain_default', 'k', 'keys.c_text COLLATE "default"');
    PERFORM make_text('t_pattern', 'k text_pattern_ops', 'text COLLATE "C"');
    PERFORM make_text('t_varchar_pattern', 'k varchar_pattern_ops', 'varchar COLLATE "C"');
    PERFORM make_text('t_down', 'k DESC');
    PERFORM make_text('t_nulls_first', 'k NULLS FIRST');
    PERFORM make_text('t_down_nulls_last', 'k DESC NULLS LAST');
END $$;
CREATE TABLE included (x int, k int NOT NULL, n int NOT NULL DEFAULT 0, PRIMARY KEY (k) INCLUDE (x));
INSERT INTO included SELECT -g, g FROM generate_series(1, 40) AS g;
SELECT count(*) FROM pg_class WHERE relnamespace = 'keys'::regnamespace AND relkind = 'r';

-- The texts of values depend on settings: other ones where it is queued, and in each session that runs.
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET timezone = 'Asia/Kolkata';
SELECT count(walk(relname, '{k}')) FROM (SELECT relname FROM pg_class WHERE relnamespace = 'keys'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C") AS s;
SELECT table_name, cursor_types FROM bbm.migrations WHERE cursor_types[1] ~ 'COLLATE|pattern|DESC' ORDER BY table_name COLLATE "C";
SET datestyle = 'German';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = 0;
SET timezone = 'America/St_Johns';
SET standard_conforming_strings = off;
CALL bbm.run(max_time => '50 ms');
\c -
SET search_path = keys, public;
SET client_min_messages = warning;
SET datestyle = 'Postgres, MDY';
SET intervalstyle = 'postgres_verbose';
SET array_nulls = off;
CALL bbm.run();
SELECT * FROM unfinished;
SELECT * FROM wrong;
SELECT count(*) > 60 AS many, bool_and(rows_affected = total_of_table) AS all_rows
FROM (SELECT m.*, (SELECT rows FROM tally(c.relname)) AS total_of_table
      FROM bbm.migrations AS m JOIN pg_class AS c ON c.oid = m.table_name::regclass) AS m;
-- Ranges follow each other: nothing lies between two jobs, and each of them ends at a key of its own.
SELECT count(*) > 200 AS many_jobs FROM bbm.jobs;
SELECT min_cursor, max_cursor FROM bbm.jobs WHERE migration_id = (SELECT id FROM bbm.migrations WHERE table_name = 'keys."of double precision"') ORDER BY id;
SELECT min_cursor, max_cursor FROM bbm.jobs WHERE migration_id = (SELECT id FROM bbm.migrations WHERE table_name = 'keys."of interval"') ORDER BY id;
SELECT min_cursor, max_cursor FROM bbm.jobs WHERE migration_id = (SELECT id FROM bbm.migrations WHERE table_name = 'keys."of timestamptz"') ORDER BY id;
RESET ALL;
SET search_path = keys, public;
SET client_min_messages = warning;
SELECT sum(bbm.cleanup(job_class_name)) FROM (SELECT DISTINCT job_class_name FROM bbm.migrations) AS s;
DO $$ DECLARE name text;
BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relnamespace = 'keys'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('DROP TABLE keys.%I', name);
    END LOOP;
END $$;

-- ---- Several columns. Some values are shared by many rows, some rows have one of their own.
CREATE FUNCTION compose(name text, columns text, index text, key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE keys.%I (n int NOT NULL DEFAULT 0, %s)', name, columns);
    EXECUTE format('CREATE UNIQUE INDEX ON keys.%I (%s)', name, index);
    EXECUTE format('INSERT INTO keys.%I SELECT 0, %s FROM generate_series(1, 90) AS g', name, key);
END $$;
DO $$
BEGIN
    PERFORM compose('two', 'a int NOT NULL, b int NOT NULL', 'a, b', 'g % 7, g');
    PERFORM compose('two turned', 'a int NOT NULL, b int NOT NULL', 'b, a', 'g, g % 7');
    PERFORM compose('two down', 'a int NOT NULL, b int NOT NULL', 'a DESC, b DESC', 'g % 7, g');
    PERFORM compose('two mixed', 'a int NOT NULL, b int NOT NULL', 'a, b DESC', 'g % 7, g');
    PERFORM compose('two mixed too', 'a int NOT NULL, b int NOT NULL', 'a DESC, b', 'g % 7, g');
    PERFORM compose('two nulls', 'a int NOT NULL, b int NOT NULL', 'a NULLS FIRST, b DESC NULLS LAST', 'g % 7, g');
    PERFORM compose('uuid int', 'a uuid NOT NULL, b int NOT NULL', 'a, b', 'md5((g % 7)::text)::uuid, -g');
    PERFORM compose('texts', 'a text COLLATE "C" NOT NULL, b text NOT NULL', 'a, b COLLATE german', '(texts())[g % 9 + 1], (texts())[g % 58 + 1] || g');
    PERFORM compose('case', 'a text COLLATE "Case does not matter" NOT NULL, b int NOT NULL', 'a, b', 'substr(''aAbB'', g % 4 + 1, 1), g');
    PERFORM compose('pattern', 'a text COLLATE "C" NOT NULL, b int NOT NULL', 'a text_pattern_ops, b', '(texts())[g % 9 + 1], g');
    PERFORM compose('pattern down', 'a text COLLATE "C" NOT NULL, b text COLLATE "C" NOT NULL', 'a text_pattern_ops DESC, b', '(texts())[g % 9 + 1], g::text');
    PERFORM compose('dates', 'a date NOT NULL, b timestamptz NOT NULL, c interval NOT NULL', 'a, b, c',
                    'date ''0001-01-03 BC'' + g % 3, timestamptz ''2024-10-27 00:00+00'' + g % 5 * interval ''1 hour'', g * interval ''-1 day +1 min''');
    PERFORM compose('floats', 'a float8 NOT NULL, b real NOT NULL, c numeric NOT NULL', 'a, b DESC, c', '(ARRAY[0.1, ''NaN'', ''Infinity'', 1/3::float8])[g % 4 + 1], (ARRAY[0.1, ''NaN'', 1/3::real])[g % 3 + 1], g / 7.0');
    PERFORM compose('four', 'a mood NOT NULL, b bytea NOT NULL, c inet NOT NULL, d bool NOT NULL', 'a, b, c, d',
                    '(enum_range(NULL::mood))[g % 2 + 1], decode(lpad(to_hex(g % 3), 2, ''0''), ''hex''), ''10.0.0.0''::inet + g, g % 2 = 0');
    PERFORM compose('four mixed', 'a bool NOT NULL, b smallint NOT NULL, c char(4) NOT NULL, d bigint NOT NULL', 'a DESC, b, c DESC, d',
                    'g % 2 = 0, g % 3, chr(65 + g % 5), -g');
    PERFORM compose('domains', 'a c_text COLLATE german NOT NULL, b positive NOT NULL', 'a, b DESC', '(texts())[g % 9 + 1], g');
    PERFORM compose('names', '"It''s \ ""a"" {b} %s" int NOT NULL, "select" "Odd \ ''type'' {n}" NOT NULL, "$1" int NOT NULL', '"It''s \ ""a"" {b} %s", "select", "$1" DESC',
                    'g % 2, (enum_range(NULL::"Odd \ ''type'' {n}"))[g % 3 + 1], g');
    PERFORM compose('It''s \ "a" {table} %s, $1 -- no', 'a int NOT NULL, b int NOT NULL', 'b, a', 'g, g % 7');
    PERFORM compose('columns have the name of the table', '"columns have the name of the table" int NOT NULL, keys int NOT NULL', '"columns have the name of the table", keys', 'g % 7, g');
    PERFORM compose('widest mixed', (SELECT string_agg(format('c%s int NOT NULL', i), ', ') FROM generate_series(1, 32) AS i),
                    (SELECT string_agg('c' || i || CASE i % 3 WHEN 0 THEN ' DESC' ELSE '' END, ', ') FROM generate_series(1, 32) AS i), (SELECT string_agg(CASE i WHEN 32 THEN 'g' ELSE 'g % 2' END, ', ') FROM generate_series(1, 32) AS i));
    PERFORM compose('widest', (SELECT string_agg(format('c%s int NOT NULL', i), ', ') FROM generate_series(1, 32) AS i),
                    (SELECT string_agg('c' || i, ', ') FROM generate_series(1, 32) AS i), (SELECT string_agg(CASE i WHEN 32 THEN 'g' ELSE 'g % 2' END, ', ') FROM generate_series(1, 32) AS i));
END $$;
CREATE TABLE included (a int, b text, x int, n int NOT NULL DEFAULT 0, PRIMARY KEY (b, a) INCLUDE (x));
INSERT INTO included SELECT g, g % 7, g FROM generate_series(1, 90) AS g;
SET intervalstyle = 'sql_standard';
SET timezone = 'Asia/Kolkata';
SELECT count(walk(relname, CASE WHEN relname <> 'included' THEN (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 1) END))
FROM (SELECT * FROM pg_class WHERE relnamespace = 'keys'::regnamespace AND relkind = 'r' ORDER BY relname COLLATE "C") AS c;
RESET intervalstyle;
SET extra_float_digits = -15;
CALL bbm.run();
SELECT * FROM unfinished;
SELECT * FROM wrong;
SELECT table_name, column_name, cursor_columns, cursor_types FROM bbm.migrations WHERE table_name !~ 'widest' ORDER BY table_name COLLATE "C";
-- As they stand in jobs: parts in the order of the index.
SELECT m.table_name, j.min_cursor, j.max_cursor FROM bbm.jobs AS j JOIN bbm.migrations AS m ON m.id = j.migration_id
WHERE m.table_name IN ('keys."two mixed too"', 'keys.included', 'keys.pattern', 'keys.floats', 'keys.names') ORDER BY table_name COLLATE "C", j.id;
SELECT sum(bbm.cleanup(job_class_name)) FROM (SELECT DISTINCT job_class_name FROM bbm.migrations) AS s;

RESET ALL;
SET search_path = keys, public;
SET client_min_messages = warning;

-- ---- The whole life with a key of three columns: a text with a comma, a day, a number that descends.
CREATE TABLE life (a text COLLATE "C" NOT NULL, d date NOT NULL, i int NOT NULL, by int NOT NULL DEFAULT 1, kind int NOT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON life (a, d, i DESC);
INSERT INTO life SELECT (ARRAY['a,b', '"q"', '\x', ''])[g % 4 + 1], date '2024-01-01' + g % 3, g, 1, g % 2 FROM generate_series(1, 120) AS g;
SET datestyle = 'SQL, DMY';
SELECT bbm.queue('life', 'life', cursor_columns => '{a,d,i}', command => 'UPDATE life SET n = n + 1 / by',
                 batch_min_value => ARRAY['"q"', '02/01/2024', '61'], batch_max_value => '{"a,b",03/01/2024,56}', batch_size => 16, sub_batch_size => 5) AS id \gset
SELECT min_cursor, max_cursor, frontier FROM bbm.migrations WHERE id = :id;
SELECT regexp_replace(line, 'cost=.*', '') FROM bbm.explain(:id) AS line;
-- A range by hand.
SELECT rows_affected FROM bbm.run_batch(:id, ARRAY['"q"', '02/01/2024', '61'], ARRAY['"q"', '02/01/2024', '1']);
SELECT rows_affected FROM bbm.run_batch(:id, '{"\"q\"",02/01/2024,61}', '{"a,b",01/01/2024,12}');
SELECT bbm.run_batch(:id, '{"a,b",01/01/2024,12}', '{"\"q\"",02/01/2024,61}'); \echo SQLSTATE :SQLSTATE
SELECT bbm.run_batch(:id, 'a,b', 'a,b'); \echo SQLSTATE :SQLSTATE
SELECT bbm.run_batch(:id, '{"a,b",2024-13-01,12}', '{a,2024-01-01,1}'); \echo SQLSTATE :SQLSTATE
SELECT bbm.run_batch(:id, NULL, '{a,01/01/2024,1}'); \echo SQLSTATE :SQLSTATE
SELECT sum(n) FROM life;
-- Rows that fail are found, and tried alone.
UPDATE life SET by = 0 WHERE i IN (49, 22, 70);
CALL bbm.run(:id);
SELECT status, status_reason FROM bbm.migrations WHERE id = :id;
SELECT min_key, max_key, sqlstate FROM bbm.failures WHERE migration_id = :id ORDER BY id;
UPDATE life SET by = 1;
SELECT bbm.retry(:id);
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT (a, d, -i) >= ('"q"', '2024-01-02', -61) AND (a, d, -i) <= ('a,b', '2024-01-03', -56) AS inside, n, count(*) FROM life GROUP BY 1, 2 ORDER BY 1, 2;
-- Once more, for the same range.
SELECT bbm.requeue(:id) AS again \gset
SELECT min_cursor, max_cursor FROM bbm.migrations WHERE id = :again;
CALL bbm.run(:again);
SELECT n, count(*) FROM life GROUP BY n ORDER BY n;
SELECT bbm.cleanup('life');
-- Quarantine, and a condition that leaves out every other row.
UPDATE life SET n = 0, by = CASE WHEN i IN (40, 77, 78) THEN 0 ELSE 1 END;
SELECT bbm.queue('aside', 'life', cursor_columns => '{d,a,i}', command => 'UPDATE life SET n = n + 1 / by', scope_to => 'kind = 0',
                 on_data_error => 'quarantine', batch_size => 20, sub_batch_size => 6) AS id \gset
CALL bbm.run(:id);
SELECT status, rows_affected, rows_quarantined FROM bbm.migrations WHERE id = :id;
SELECT key, sqlstate FROM bbm.quarantine WHERE migration_id = :id ORDER BY key;
UPDATE life SET by = 1;
SELECT rows_affected FROM bbm.run_batch(:id, '{"a,b",01/01/2024,100000}', '{"a,b",02/01/2024,0}', dry_run => false);
SELECT rows_affected FROM bbm.run_batch(:id, '{"",01/01/2024,1}', '{"z",01/01/2025,1}', dry_run => false);
SELECT kind, n, count(*) FROM life GROUP BY kind, n ORDER BY kind, n;
SELECT bbm.cleanup('aside');
-- Splits: after a lock that is waited for three times, by hand here.
UPDATE life SET n = 0;
SELECT bbm.queue('split', 'life', cursor_columns => '{a,d,i}', command => 'UPDATE life SET n = n + 1', batch_size => 80, sub_batch_size => 40) AS id \gset
ALTER TABLE life ADD CONSTRAINT none CHECK (n < 1) NOT VALID;
CALL bbm.run(:id, max_time => '1 min');
SELECT count(*) > 5 AS jobs_of_one_row FROM bbm.jobs WHERE migration_id = :id AND min_cursor = max_cursor AND status = 'failed';
ALTER TABLE life DROP CONSTRAINT none;
SELECT bbm.retry(:id) > 0 AS put_back;
UPDATE bbm.job SET wants_split = true WHERE migration_id = :id;
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM life GROUP BY n;
SELECT min_cursor, max_cursor, cursor, status FROM bbm.jobs WHERE migration_id = :id AND min_cursor <> max_cursor ORDER BY id;
SELECT bbm.cleanup('split');
-- A command with placeholders: the parts of the first key, then those of the last.
UPDATE life SET n = 0;
SELECT bbm.queue('placed', 'life', cursor_columns => '{a,d,i}', batch_size => 20, sub_batch_size => 6,
                 command => $$UPDATE keys.life SET n = n + 1 WHERE (a COLLATE "C", d, -i) >= ($1, $2, -$3) AND (a COLLATE "C", d, -i) <= ($4, $5, -$6)$$) AS id \gset
SELECT regexp_replace(line, 'cost=.*', '') FROM bbm.explain(:id) AS line LIMIT 4;
CALL bbm.run(:id);
SELECT status, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM life GROUP BY n;
SELECT bbm.cleanup('placed');
-- A bound is no value of a domain, whose collation would be another one than the column's.
CREATE TABLE placed (k c_text COLLATE german PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO placed SELECT 'k' || g FROM generate_series(1, 50) AS g;
SELECT bbm.queue('placed', 'placed', batch_size => 20, sub_batch_size => 6, command => 'UPDATE placed SET n = n + 1 WHERE k >= $1 AND k <= $2') AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM placed GROUP BY n;
SELECT bbm.cleanup('placed');
-- INSERT ... SELECT with a join, and DELETE.
CREATE TABLE copies (a text, d date, i int, m int);
CREATE TABLE other (a text, d date, i int);
INSERT INTO other VALUES ('a', '2024-01-01', 1), ('b', '2024-01-01', 2);
SELECT bbm.queue('copy', 'life', cursor_columns => '{a,d,i}', command => 'INSERT INTO copies SELECT life.a, life.d, life.i, other.i FROM other JOIN life ON true',
                 batch_size => 20, sub_batch_size => 6) AS id \gset
SELECT bbm.queue('remove', 'life', cursor_columns => '{a,d,i}', command => 'DELETE FROM life AS other USING other AS life WHERE life.i = 1', batch_size => 20, sub_batch_size => 6) AS remove \gset
CALL bbm.run();
SELECT id, status, rows_affected FROM bbm.migrations ORDER BY id;
SELECT count(*), count(DISTINCT (a, d, i, m)) FROM copies;
SELECT count(*) FROM life;
-- The empty table has no key.
SELECT bbm.queue('empty', 'life', cursor_columns => '{a,d,i}', command => 'UPDATE life SET n = n + 1') AS id \gset
SELECT status, min_cursor, max_cursor FROM bbm.migrations WHERE id = :id;
RESET datestyle;

-- ---- Every range of a key whose columns have different orders or operators, from and to keys that exist and keys between them.
CREATE EXTENSION IF NOT EXISTS citext SCHEMA public;
CREATE TABLE ranges (a citext NOT NULL, b int NOT NULL, c int NOT NULL, n int NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX ON ranges (a, b DESC, c);
INSERT INTO ranges SELECT chr((CASE WHEN b < 4 THEN 65 ELSE 97 END) + a), b, c FROM generate_series(1, 5, 2) AS a, generate_series(1, 5, 2) AS b, generate_series(1, 5, 2) AS c;
SELECT bbm.queue('ranges', 'ranges', cursor_columns => '{a,b,c}', command => 'UPDATE ranges SET n = n + 1') AS id \gset
WITH keys AS (SELECT chr(97 + a) AS a, b, c, a * 100 - b * 10 + c AS place FROM generate_series(1, 5) AS a, generate_series(1, 5) AS b, generate_series(1, 5) AS c WHERE (a + b + c) % 3 <> 0),
     bounds AS (SELECT l.place AS lower, u.place AS upper, (SELECT rows_affected FROM bbm.run_batch(:id, ARRAY[l.a, l.b::text, l.c::text], ARRAY[upper(u.a), u.b::text, u.c::text])) AS found
                FROM keys AS l JOIN keys AS u ON u.place >= l.place WHERE (l.place + u.place) % 2 = 0)
SELECT count(*), count(*) FILTER (WHERE found <> (SELECT count(*) FROM ranges AS r WHERE (ascii(pg_catalog.lower(r.a::text)) - 97) * 100 - r.b * 10 + r.c BETWEEN bounds.lower AND bounds.upper)) AS wrong,
       min(found) AS least, max(found) AS most, count(DISTINCT found) AS different
FROM bounds;
SELECT sum(n) FROM ranges;
SELECT count(*) FROM (SELECT bbm.queue('sizes ' || size, 'ranges', cursor_columns => '{a,b,c}', command => 'UPDATE ranges SET n = n + 1', batch_size => size, sub_batch_size => least(size, size % 4 + 1)) FROM generate_series(1, 28) AS size) AS s;
CALL bbm.run();
SELECT n, count(*) FROM ranges GROUP BY n;
SELECT sum(bbm.cleanup('sizes ' || size)) FROM generate_series(1, 28) AS size;

-- ---- Distinct values of columns that begin an index, whatever it is made of; rows with a NULL are in no range.
CREATE FUNCTION scatter(name text, columns text, index text, key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE keys.%I (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, %s)', name, columns);
    EXECUTE format('CREATE INDEX ON keys.%I (%s)', name, index);
    EXECUTE format('INSERT INTO keys.%I SELECT g, 0, %s FROM generate_series(1, 300) AS g', name, key);
END $$;
DO $$
BEGIN
    PERFORM scatter('values', 'a int', 'a', 'nullif(g % 17, 3)');
    PERFORM scatter('values down', 'a int', 'a DESC, id', 'nullif(g % 17, 3)');
    PERFORM scatter('values of nothing', 'a int', 'a', 'NULL');
    PERFORM scatter('values of one', 'a int NOT NULL', 'a', '7');
    PERFORM scatter('values equal', 'a numeric', 'a NULLS FIRST', '(ARRAY[1.0, 1.00, 2, 2.000, ''NaN'', NULL])[g % 6 + 1]');
    PERFORM scatter('values case', 'a text', 'a COLLATE "Case does not matter"', '(ARRAY[''a'', ''A'', ''b'', ''B'', NULL])[g % 5 + 1]');
    PERFORM scatter('values german', 'a text COLLATE "C"', 'a COLLATE german, id', '(texts())[g % 58 + 1]');
    PERFORM scatter('values of two', 'a int, b text', 'a, b COLLATE german', 'nullif(g % 7, 2), nullif(''b'' || g % 11, ''b2'')');
    PERFORM scatter('values of two mixed', 'a int, b int', 'a NULLS FIRST, b DESC NULLS LAST', 'nullif(g % 7, 2), nullif(g % 11, 2)');
    PERFORM scatter('values of two down', 'a int, b int', 'a DESC, b DESC, n, id', 'nullif(g % 7, 2), nullif(g % 11, 2)');
    PERFORM scatter('values of three', 'a citext, b int, step date NOT NULL', 'a, b DESC, step', 'nullif(chr(65 + g % 2 * 32 + g % 5), ''C''), nullif(g % 3, 2), date ''2024-01-01'' + g % 4');
    PERFORM scatter('values without null', 'a int NOT NULL, b int NOT NULL', 'a, b, id', 'g % 7, g % 11');
END $$;
CREATE VIEW valued AS
    SELECT c.relname AS name, (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 2) AS columns
    FROM pg_class AS c WHERE relnamespace = 'keys'::regnamespace AND relkind = 'r' AND relname ~ '^values' ORDER BY relname COLLATE "C";
CREATE FUNCTION with_null(name text, columns text[], OUT handled text, OUT left_out text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT string_agg(DISTINCT n::text, '','') FILTER (WHERE NOT is_null), string_agg(DISTINCT n::text, '','') FILTER (WHERE is_null) FROM (SELECT n, num_nulls(%s) > 0 AS is_null FROM keys.%I) AS s',
                   (SELECT string_agg(quote_ident(c), ', ') FROM unnest(columns) AS c), name) INTO handled, left_out;
END $$;
SELECT count(walk(name, columns, $$, batching_strategy => 'loose_index_scan'$$)) FROM valued;
CALL bbm.run();
SELECT * FROM unfinished;
SELECT name, columns, w.* FROM valued, with_null(name, columns) AS w;
SELECT table_name, cursor_types, min_cursor, max_cursor FROM bbm.migrations WHERE job_class_name ~ '^values' ORDER BY table_name COLLATE "C";
SELECT sum(bbm.cleanup(job_class_name)) FROM (SELECT DISTINCT job_class_name FROM bbm.migrations WHERE job_class_name ~ '^values') AS s;
-- NULLs as well, and batches of one value.
SELECT count(walk(name, columns, $$, batching_strategy => 'loose_index_scan', with_nulls => true$$)) FROM valued WHERE name <> 'values of three';
CALL bbm.run();
SELECT * FROM unfinished;
SELECT name, w.* FROM valued, with_null(name, columns) AS w WHERE name <> 'values of three' AND (handled <> '2' OR left_out <> '1');
SELECT sum(bbm.cleanup(job_class_name)) FROM (SELECT DISTINCT job_class_name FROM bbm.migrations WHERE job_class_name ~ '^values') AS s;
SELECT count(bbm.queue(name, 'keys.' || quote_ident(name), cursor_columns => columns, batching_strategy => 'loose_index_scan', batch_size => 1, command => format('UPDATE keys.%I SET n = n + 1', name))) FROM valued WHERE name <> 'values of three';
CALL bbm.run();
SELECT * FROM unfinished;
SELECT name, w.* FROM valued, with_null(name, columns) AS w WHERE name <> 'values of three' AND (handled <> '3' OR left_out <> '1');
SELECT table_name, count(*) AS jobs, bool_and(j.min_cursor = j.max_cursor) AS of_one_value
FROM bbm.jobs AS j JOIN bbm.migrations AS m ON m.id = j.migration_id WHERE m.job_class_name ~ '^values' GROUP BY table_name ORDER BY table_name COLLATE "C";
SELECT sum(bbm.cleanup(job_class_name)) FROM (SELECT DISTINCT job_class_name FROM bbm.migrations WHERE job_class_name ~ '^values') AS s;
DROP VIEW valued;

-- ---- One bound of each kind; bounds lie between keys, before and behind them.
CREATE TABLE stamps (at timestamptz PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO stamps SELECT timestamptz '2024-06-01 00:00+00' + g * interval '1 day' FROM generate_series(1, 60) AS g;
SET timezone = 'Asia/Kolkata';
SELECT bbm.queue('low', 'stamps', command => 'UPDATE stamps SET n = n + 1', batch_min_value => timestamptz '2024-07-01 00:00:00.5') AS id \gset
SELECT bbm.queue('high', 'stamps', command => 'UPDATE stamps SET n = n + 1', batch_max_value => '2024-07-01 05:30') AS id \gset
SELECT bbm.queue('neither', 'stamps', command => 'UPDATE stamps SET n = n + 1', batch_min_value => 'infinity') AS id \gset
RESET timezone;
CALL bbm.run();
SELECT job_class_name, status, rows_affected, min_cursor, max_cursor FROM bbm.migrations WHERE table_name = 'keys.stamps' ORDER BY id;
SELECT n, count(*), min(at) AT TIME ZONE 'UTC' AS least, max(at) AT TIME ZONE 'UTC' AS most FROM stamps GROUP BY n ORDER BY n;

-- ---- Estimates sample any key.
UPDATE stamps SET n = 0;
ANALYZE stamps, life;
SELECT total_keys, total_rows, based_on, samples > 0 AS sampled FROM bbm.estimate('e', 'stamps', command => 'UPDATE stamps SET n = n + 1');
CREATE TABLE pairs (a int, b text COLLATE "C", n int NOT NULL DEFAULT 0, PRIMARY KEY (a, b));
INSERT INTO pairs SELECT g % 5, g || 'x\''"' FROM generate_series(1, 2000) AS g;
ANALYZE pairs;
SELECT total_keys, total_rows, samples > 0 AS sampled FROM bbm.estimate('e', 'pairs', command => 'UPDATE pairs SET n = n + 1');
SELECT total_keys BETWEEN 300 AND 500 AS about_400, samples > 0 AS sampled
FROM bbm.estimate('e', 'pairs', command => 'UPDATE pairs SET n = n + 1', batch_min_value => '{1,""}', batch_max_value => '{1,z}');
SELECT bbm.queue('within', 'pairs', command => 'UPDATE pairs SET n = n + 1', finish_within => '1 h') AS id \gset
CALL bbm.run(:id);
SELECT n, count(*) FROM pairs GROUP BY n;

-- ---- What is read: never the whole table; by the index alone a bound is found, and about as many rows as there are.
CREATE FUNCTION read(name text, OUT seq_scans bigint, OUT rows_read numeric, OUT blocks_read numeric) LANGUAGE plpgsql AS $$
BEGIN
    SELECT pg_stat_get_numscans(c.oid), (SELECT sum(pg_stat_get_tuples_returned(indexrelid)) FROM pg_index WHERE indrelid = c.oid),
           (SELECT sum(pg_stat_get_blocks_fetched(indexrelid)) FROM pg_index WHERE indrelid = c.oid)
    INTO seq_scans, rows_read, blocks_read FROM pg_class AS c WHERE c.oid = ('keys.' || name)::regclass;
END $$;
CREATE TABLE p_one (k uuid PRIMARY KEY, n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100));
CREATE TABLE p_two (a int, b text COLLATE "C", n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100), PRIMARY KEY (a, b));
CREATE TABLE p_down (a int, b text COLLATE german, c date NOT NULL, n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100));
CREATE UNIQUE INDEX ON p_down (a DESC NULLS LAST, b DESC NULLS LAST, c DESC);
ALTER TABLE p_down ALTER a SET NOT NULL, ALTER b SET NOT NULL;
CREATE TABLE p_mixed (a int NOT NULL, b int NOT NULL, n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100));
CREATE UNIQUE INDEX ON p_mixed (a, b DESC);
CREATE TABLE p_citext (a int, b citext, n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100), PRIMARY KEY (a, b));
CREATE TABLE p_tenant (a int, b text COLLATE "C", n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100), PRIMARY KEY (a, b)) WITH (fillfactor = 50);
CREATE TABLE p_same (a int, b citext, n int NOT NULL DEFAULT 0, pad text DEFAULT repeat('x', 100), PRIMARY KEY (a, b));
INSERT INTO p_one SELECT md5(g::text)::uuid FROM generate_series(1, 20000) AS g;
INSERT INTO p_two SELECT g % 3, md5(g::text) FROM generate_series(1, 20000) AS g;
INSERT INTO p_down SELECT g % 3, md5(g::text), date '2024-01-01' + g % 10 FROM generate_series(1, 20000) AS g;
INSERT INTO p_mixed SELECT g % 3, g FROM generate_series(1, 20000) AS g;
INSERT INTO p_citext SELECT g % 3, md5(g::text) FROM generate_series(1, 20000) AS g;
INSERT INTO p_tenant SELECT 0, md5(g::text) || repeat('k', 100) FROM generate_series(1, 20000) AS g;
INSERT INTO p_same SELECT 0, md5(g::text) FROM generate_series(1, 20000) AS g;
ANALYZE p_one, p_two, p_down, p_mixed, p_citext, p_tenant, p_same;
SELECT line FROM bbm.queue('p', 'p_one', command => 'UPDATE p_one SET n = n + 1', batch_size => 1000, sub_batch_size => 100) AS id,
    LATERAL (SELECT regexp_replace(line, ' \(cost=.*', '') AS line FROM bbm.explain(id) AS line) AS e WHERE line ~ 'Cond|Scan|Sort|Filter';
SELECT bbm.queue('p', 'p_two', command => 'UPDATE p_two SET n = n + 1', batch_size => 1000, sub_batch_size => 100) \g /dev/null
SELECT bbm.queue('p', 'p_down', cursor_columns => '{a,b,c}', command => 'UPDATE p_down SET n = n + 1', batch_size => 1000, sub_batch_size => 100) \g /dev/null
SELECT bbm.queue('p', 'p_mixed', cursor_columns => '{a,b}', command => 'UPDATE p_mixed SET n = n + 1', batch_size => 1000, sub_batch_size => 100) \g /dev/null
SELECT bbm.queue('p', 'p_citext', command => 'UPDATE p_citext SET n = n + 1', batch_size => 1000, sub_batch_size => 100) \g /dev/null
SELECT bbm.queue('p', 'p_tenant', command => 'UPDATE p_tenant SET n = n + 1', batch_size => 1000, sub_batch_size => 100) \g /dev/null
SELECT bbm.queue('p', 'p_same', command => 'UPDATE p_same SET n = n + 1', batch_size => 1000, sub_batch_size => 100) \g /dev/null
SELECT pg_stat_force_next_flush();
CREATE TABLE reads AS SELECT name, (read(name)).* FROM unnest('{p_one,p_two,p_down,p_mixed,p_citext,p_tenant,p_same}'::text[]) AS name;
CALL bbm.run();
SELECT pg_stat_force_next_flush();
-- Each key is read by the search for jobs, the search for sub-batches, twice, and by the command.
SELECT name, n.seq_scans - b.seq_scans AS seq_scans, round((n.rows_read - b.rows_read) / 20000) AS times_read
FROM reads AS b, LATERAL read(name) AS n;
SELECT min(n), max(n) FROM (SELECT n FROM p_one UNION ALL SELECT n FROM p_two UNION ALL SELECT n FROM p_down UNION ALL SELECT n FROM p_mixed UNION ALL SELECT n FROM p_citext UNION ALL SELECT n FROM p_tenant UNION ALL SELECT n FROM p_same) AS s;
-- A range ends where it ends, also among rows that share the first column: that value has more than a hundred blocks.
SELECT bbm.queue('q', 'p_tenant', command => 'DELETE FROM p_tenant', start => false) AS id \gset
SELECT pg_stat_force_next_flush();
SELECT blocks_read AS before FROM read('p_tenant') \gset
SELECT rows_affected FROM bbm.run_batch(:id, '{0,3}', '{0,31}');
SELECT pg_stat_force_next_flush();
SELECT blocks_read - :before < 60 AS few_blocks FROM read('p_tenant');
-- The search for bounds, as it is written.
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET plan_cache_mode = force_generic_plan;
PREPARE bounds (int, text, date, int, text, date, bigint) AS
SELECT "a", "b", "c" FROM keys.p_down WHERE "a" OPERATOR(pg_catalog.=) CASE WHEN $1::pg_catalog.int4 OPERATOR(pg_catalog.=) $4::pg_catalog.int4 AND $2::pg_catalog.text COLLATE keys.german OPERATOR(pg_catalog.=) $5::pg_catalog.text THEN $1::pg_catalog.int4 END
AND "b" COLLATE keys.german OPERATOR(pg_catalog.=) $2::pg_catalog.text AND "c" OPERATOR(pg_catalog.>) $3::pg_catalog.date AND "c" OPERATOR(pg_catalog.<=) $6::pg_catalog.date
ORDER BY "a" USING OPERATOR(pg_catalog.<) NULLS FIRST, "b" COLLATE keys.german USING OPERATOR(pg_catalog.<) NULLS FIRST, "c" USING OPERATOR(pg_catalog.<) LIMIT $7 OPERATOR(pg_catalog.+) 1;
EXPLAIN (COSTS OFF) EXECUTE bounds (0, 'a', '2024-01-01', 1, 'b', '2024-01-01', 10);
PREPARE bounds_between (int, int, bigint) AS
SELECT "a", "b", "c" FROM keys.p_down WHERE "a" OPERATOR(pg_catalog.>) $1::pg_catalog.int4 AND "a" OPERATOR(pg_catalog.<) $2::pg_catalog.int4
ORDER BY "a" USING OPERATOR(pg_catalog.<) NULLS FIRST, "b" COLLATE keys.german USING OPERATOR(pg_catalog.<) NULLS FIRST, "c" USING OPERATOR(pg_catalog.<) LIMIT $3 OPERATOR(pg_catalog.+) 1;
EXPLAIN (COSTS OFF) EXECUTE bounds_between (0, 1, 10);
-- The next distinct values: from each the index leads to the next one.
CREATE TABLE p_values (a int, n int NOT NULL DEFAULT 0);
INSERT INTO p_values SELECT g % 100 FROM generate_series(1, 20000) AS g;
CREATE INDEX ON p_values (a);
ANALYZE p_values;
PREPARE distinct_values (int, int, bigint) AS
WITH RECURSIVE "bbm steps" (k1, step) AS (
    (SELECT *, 0::pg_catalog.int8 FROM (SELECT "a" FROM keys.p_values WHERE "a" OPERATOR(pg_catalog.>=) $1::integer AND "a" OPERATOR(pg_catalog.<=) $2::integer
     ORDER BY "a" USING OPERATOR(pg_catalog.<)) AS key LIMIT 1)
    UNION ALL SELECT next.*, "bbm steps".step OPERATOR(pg_catalog.+) 1::pg_catalog.int8
    FROM "bbm steps", LATERAL (SELECT "a" FROM keys.p_values WHERE "a" OPERATOR(pg_catalog.>) "bbm steps".k1 AND "a" OPERATOR(pg_catalog.<=) $2::integer
                               ORDER BY "a" USING OPERATOR(pg_catalog.<) LIMIT 1) AS next WHERE "bbm steps".step OPERATOR(pg_catalog.<) $3)
SELECT * FROM (SELECT k1 FROM "bbm steps" WHERE step OPERATOR(pg_catalog.=) 0) AS first LEFT JOIN (SELECT k1 FROM "bbm steps" WHERE step OPERATOR(pg_catalog.=) $3) AS last ON true;
EXECUTE distinct_values (0, 99, 9);
EXECUTE distinct_values (95, 99, 9);
EXECUTE distinct_values (100, 200, 9);
EXPLAIN (COSTS OFF) EXECUTE distinct_values (0, 99, 10);
RESET enable_seqscan;
RESET enable_bitmapscan;
RESET enable_sort;
-- A range of blocks reads these blocks.
PREPARE blocks (tid, tid) AS DELETE FROM keys.p_values WHERE "ctid" OPERATOR(pg_catalog.>=) $1::tid AND "ctid" OPERATOR(pg_catalog.<=) $2::tid;
EXPLAIN (COSTS OFF) EXECUTE blocks ('(0,0)', '(3,65535)');
-- A foreign server is asked for the order and for as many rows as are needed, and does the work.
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE SERVER keys_elsewhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE USER MAPPING FOR CURRENT_USER SERVER keys_elsewhere;
CREATE FOREIGN TABLE p_foreign (a int NOT NULL, b text COLLATE "C" NOT NULL, n int NOT NULL) SERVER keys_elsewhere;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_sort = off;
SET enable_async_append = off;
PREPARE elsewhere (text, text, bigint) AS
SELECT * FROM (SELECT "b" FROM keys.p_foreign WHERE "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.>) $1::pg_catalog.text AND "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.<=) $2::pg_catalog.text
    ORDER BY "b" COLLATE pg_catalog."C" USING OPERATOR(pg_catalog.<) LIMIT 1) AS first
LEFT JOIN (SELECT "b" FROM keys.p_foreign WHERE "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.>) $1::pg_catalog.text AND "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.<=) $2::pg_catalog.text
    ORDER BY "b" COLLATE pg_catalog."C" USING OPERATOR(pg_catalog.<) OFFSET $3 LIMIT 1) AS last ON true;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE elsewhere ('a', 'b', 10);
-- Of several columns: an arm of the range, and all of them.
PREPARE arm (int, text, int, text, bigint) AS
SELECT "a", "b" FROM keys.p_foreign WHERE "a" OPERATOR(pg_catalog.>=) $1::integer AND "a" OPERATOR(pg_catalog.<=) $3::integer
AND "a" OPERATOR(pg_catalog.=) CASE WHEN $1::integer OPERATOR(pg_catalog.<) $3::integer THEN $1::integer END AND "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.>) $2::pg_catalog.text
ORDER BY "a" USING OPERATOR(pg_catalog.<), "b" COLLATE pg_catalog."C" USING OPERATOR(pg_catalog.<) LIMIT $5 OPERATOR(pg_catalog.+) 1;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE arm (1, 'a', 2, 'b', 10);
PREPARE arms (int, text, int, text) AS UPDATE keys.p_foreign SET n = n + 1 WHERE
   (("a" OPERATOR(pg_catalog.=) CASE WHEN $1::integer OPERATOR(pg_catalog.<) $3::integer THEN $1::integer END AND "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.>=) $2::pg_catalog.text)
 OR ("a" OPERATOR(pg_catalog.>) $1::integer AND "a" OPERATOR(pg_catalog.<) $3::integer)
 OR ("a" OPERATOR(pg_catalog.=) CASE WHEN $1::integer OPERATOR(pg_catalog.<) $3::integer THEN $3::integer END AND "b" COLLATE pg_catalog."C" OPERATOR(pg_catalog.<=) $4::pg_catalog.text));
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE arms (1, 'a', 2, 'b');
RESET ALL;
SET client_min_messages = warning;
DROP SCHEMA keys CASCADE;
DROP EXTENSION citext;
