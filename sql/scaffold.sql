-- bbm.scaffold prints a script, and the script works as it is.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1

CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code int NOT NULL UNIQUE, total int,
                     total_cents int GENERATED ALWAYS AS (total * 100) STORED);
INSERT INTO orders (code, total) SELECT g * 3, g FROM generate_series(1, 12000) AS g;
SELECT count(*), sum(total), sum(hashint8(id) # hashint4(total)) AS mixed FROM orders \gset before_
\pset format unaligned
\pset tuples_only
SELECT * FROM bbm.scaffold('backfill', 'orders');
\pset format aligned
\pset tuples_only

-- Runs the steps of a script: each ends with an empty line. Nobody works in the background here, so that CALL bbm.run()
-- comes before the gate. Only errors are shown.
CREATE FUNCTION steps(script text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT step FROM (SELECT step, 2 * number AS number FROM regexp_split_to_table(script, '\n\n+') WITH ORDINALITY AS s (step, number)
                      UNION ALL
                      SELECT 'CALL bbm.run()', 2 * number - 1 FROM regexp_split_to_table(script, '\n\n+') WITH ORDINALITY AS s (step, number)
                      WHERE step ~ 'ensure_finished') AS steps
    WHERE regexp_replace(step, '--[^\n]*', '', 'g') ~ '\S' ORDER BY number
$$;
SELECT count(*) AS steps FROM steps(bbm.scaffold_text('backfill', 'orders'));
\o /dev/null
SELECT * FROM steps(bbm.scaffold_text('backfill', 'orders')) \gexec
\o
SELECT migration_id, table_name, event, from_status, to_status FROM bbm.events ORDER BY id;
SELECT count(*) = :before_count AND sum(total) = :before_sum AND sum(hashint8(id) # hashint4(total)) = :before_mixed AS unchanged FROM orders;
SELECT (SELECT count(*) FROM bbm.migrations) AS migrations, (SELECT count(*) FROM bbm.job_classes WHERE name = 'backfill') AS definitions,
       (SELECT count(*) FROM pg_class WHERE relname ~ 'bbm_copy') AS copies;

-- Every name is quoted for where it stands; another key; a name that is taken.
CREATE SCHEMA "Odd ones";
CREATE TABLE "Odd ones"."it's \ {a} @table@" ("k""ey" int NOT NULL UNIQUE, "{b}" int, "c'd" text);
CREATE TABLE "Odd ones"."it's \ {a} @table@_bbm_copy" ();
INSERT INTO "Odd ones"."it's \ {a} @table@" SELECT g, g, g FROM generate_series(-10, 10) AS g;
\o /dev/null
SELECT * FROM steps(bbm.scaffold_text('it''s \ @name@', '"Odd ones"."it''s \ {a} @table@"', 'k"ey')) \gexec
\o
SELECT migration_id, table_name, event FROM bbm.events WHERE job_class_name = 'it''s \ @name@' ORDER BY id;
SELECT relname FROM pg_class WHERE relnamespace = '"Odd ones"'::regnamespace AND relkind = 'r' ORDER BY relname;

-- A table of a key and nothing else.
CREATE TABLE keys (id int PRIMARY KEY);
INSERT INTO keys VALUES (1), (2);
\o /dev/null
SELECT * FROM steps(bbm.scaffold_text('keys', 'keys')) \gexec
\o
SELECT event FROM bbm.events WHERE job_class_name = 'keys' AND table_name = 'public.keys' ORDER BY id;
SELECT count(*) FROM keys;

-- A key of several columns, in an order of its own.
CREATE TABLE lines ("ord,er" int, line text COLLATE "C", n int, PRIMARY KEY ("ord,er", line));
INSERT INTO lines SELECT g % 3, chr(64 + g), g FROM generate_series(1, 30) AS g;
\o /dev/null
SELECT * FROM steps(bbm.scaffold_text('lines', 'lines')) \gexec
\o
SELECT event FROM bbm.events WHERE job_class_name = 'lines' AND table_name = 'public.lines' ORDER BY id;

-- What cannot be queued has no script.
CREATE TABLE heap (n int);
SELECT bbm.scaffold('x', 'heap');
SELECT bbm.scaffold('x', 'orders', 'total');
SELECT bbm.scaffold('x', 'orders', 'absent');
SELECT bbm.scaffold('', 'orders');
SELECT bbm.scaffold(NULL, 'orders');
SELECT bbm.scaffold('x', NULL);

DROP SCHEMA "Odd ones" CASCADE;
DROP TABLE orders, keys, lines, heap;
DROP FUNCTION steps;
