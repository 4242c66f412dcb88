-- Kinds of work: everything that plain SQL can do to the rows of a table, each row once. Every statement here counts or
-- copies, so that a row that is met twice, or not at all, shows.
\set QUIET on
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1

CREATE TABLE orders (id int PRIMARY KEY, customer int, total int, done int NOT NULL DEFAULT 0);
CREATE TABLE archive (LIKE orders);
CREATE TABLE lines (order_id int, what text, amount int);
CREATE TABLE customers (id int PRIMARY KEY, orders int NOT NULL DEFAULT 0, total int NOT NULL DEFAULT 0);
INSERT INTO customers SELECT g FROM generate_series(0, 6) AS g;
-- 97 rows, so that no size divides it; sub-batches of 4 and jobs of 10.
CREATE PROCEDURE fill() LANGUAGE sql AS $$
    TRUNCATE orders, archive, lines;
    UPDATE customers SET orders = 0, total = 0;
    INSERT INTO orders SELECT g, g % 7, g * 2 FROM generate_series(1, 97) AS g $$;
CREATE FUNCTION work(name text, command text, scope_to text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT bbm.queue(name, 'orders', command => command, scope_to => scope_to, batch_size => 10, sub_batch_size => 4) $$;

-- Rows move to another table.
CALL fill();
SELECT work('move', 'WITH moved AS (DELETE FROM orders RETURNING *) INSERT INTO archive SELECT * FROM moved') AS id \gset
CALL bbm.run(:id);
SELECT (SELECT count(*) FROM orders) AS kept, count(*), count(DISTINCT id), sum(total) FROM archive;
SELECT status, jobs_succeeded, rows_affected FROM bbm.migrations WHERE id = :id;

-- Some of them; the condition is in the command, in scope_to, or in both.
CALL fill();
SELECT work('move some', 'WITH moved AS (DELETE FROM orders AS o USING customers AS c WHERE c.id = o.customer AND c.id > 2 RETURNING o.*)
    INSERT INTO archive SELECT * FROM moved WHERE total < 100', 'id % 2 = 0') AS id \gset
CALL bbm.run(:id);
SELECT (SELECT count(*) FROM orders) AS kept, count(*), count(DISTINCT id), bool_and(customer > 2 AND total < 100 AND id % 2 = 0) AS right FROM archive;

-- One table to several, through one reading query. What nobody reads of a changing query's result is changed all the same.
CALL fill();
SELECT work('several', $$
    WITH src AS (SELECT o.id, o.customer, o.total FROM orders AS o JOIN customers AS c ON c.id = o.customer WHERE o.total > 50),
         a AS (INSERT INTO archive SELECT id, customer, total, 1 FROM src),
         b AS (INSERT INTO lines SELECT s.id, 'b', s.total FROM src AS s WHERE s.customer < 3 RETURNING order_id, amount)
    INSERT INTO lines SELECT order_id, 'c', amount * 10 FROM b$$) AS id \gset
CALL bbm.run(:id);
SELECT count(*), count(DISTINCT id), min(id) FROM archive;
SELECT what, count(*), count(DISTINCT order_id), sum(amount) FROM lines GROUP BY what ORDER BY what;
SELECT rows_affected FROM bbm.migrations WHERE id = :id; -- of the main statement

-- Updated rows go on to another table. (Each row of it meets one order here: several would meet it range by range.)
CALL fill();
DELETE FROM orders WHERE id > 6;
SELECT work('pass on', 'WITH d AS (UPDATE orders SET done = done + 1 RETURNING customer, total)
    UPDATE customers AS c SET orders = c.orders + 1, total = c.total + d.total FROM d WHERE d.customer = c.id') AS id \gset
CALL bbm.run(:id);
SELECT done, count(*) FROM orders GROUP BY done;
SELECT * FROM customers ORDER BY id;

-- Subqueries, a WITH clause in one of them, a recursive one beside them, materialized ones, shadowed names.
CALL fill();
SELECT work('nested', $$
    WITH RECURSIVE steps AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM steps WHERE n < 3),
         src AS MATERIALIZED (SELECT id, total FROM (WITH src AS (SELECT id, total FROM orders WHERE total % 4 = 0) SELECT * FROM src) AS s)
    INSERT INTO lines SELECT q.id, 'step ' || n, q.total
    FROM (SELECT src.*, (SELECT max(c.id) FROM customers AS c) AS most FROM src) AS q CROSS JOIN steps
    WHERE n <= (WITH src AS (SELECT count(*) AS n FROM customers) SELECT src.n FROM src)$$) AS id \gset
CALL bbm.run(:id);
SELECT what, count(*), count(DISTINCT order_id), sum(amount) FROM lines GROUP BY what ORDER BY what;

-- Other tables may be aggregated, limited and looked up as one likes.
CALL fill();
SELECT work('others', $$
    WITH best AS (SELECT id FROM customers GROUP BY id ORDER BY id LIMIT 3)
    INSERT INTO lines SELECT o.id, 'best', o.total FROM (SELECT * FROM orders) AS o
    JOIN (SELECT DISTINCT id FROM best) AS b ON b.id = o.customer
    LEFT JOIN (SELECT order_id, sum(amount) FROM lines GROUP BY order_id) AS l ON l.order_id = o.id
    WHERE EXISTS (SELECT FROM best WHERE best.id = o.customer)$$) AS id \gset
CALL bbm.run(:id);
SELECT what, count(*), count(DISTINCT order_id) FROM lines GROUP BY what;

-- SELECT of a function, for what it does: once for each row, or once for each range.
CALL fill();
CREATE FUNCTION bump(which int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN UPDATE orders SET done = done + 1 WHERE id = which; RETURN which; END $$;
SELECT work('each', 'SELECT bump(id) FROM orders', 'total > 100') AS id \gset
CALL bbm.run(:id);
SELECT done, count(*) FROM orders GROUP BY done ORDER BY done;
CREATE FUNCTION share_out(low int, high int) RETURNS int LANGUAGE plpgsql AS $$
    DECLARE o orders; n int := 0;
    BEGIN
        FOR o IN SELECT * FROM orders WHERE id BETWEEN low AND high ORDER BY id LOOP
            IF o.total % 3 = 0 THEN
                INSERT INTO lines VALUES (o.id, 'third', o.total / 3);
            ELSE
                UPDATE customers SET orders = orders + 1, total = total + o.total WHERE id = o.customer;
            END IF;
            UPDATE orders SET done = done + 10 WHERE id = o.id;
            n := n + 1;
        END LOOP;
        RETURN n;
    END $$;
SELECT work('logic', 'SELECT share_out($1, $2)') AS id \gset
CALL bbm.run(:id);
SELECT done, count(*) FROM orders GROUP BY done ORDER BY done;
SELECT (SELECT sum(amount) FROM lines) * 3 + (SELECT sum(total) FROM customers) = sum(total) AS complete FROM orders;

-- MERGE from the table: what it does not match is new, in whatever range it stands. Each range is analysed anew, since the
-- one before it has changed the table's row in the catalog.
CALL fill();
CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN GRANT SELECT ON orders, archive TO CURRENT_USER; RETURN NULL; END $$;
CREATE TRIGGER disturb AFTER INSERT ON archive EXECUTE FUNCTION disturb();
INSERT INTO archive SELECT id, customer, 0, 100 FROM orders WHERE id % 3 = 0;
SELECT work('merge from', 'MERGE INTO archive AS a USING orders AS o ON a.id = o.id AND a.customer = o.customer
    WHEN MATCHED AND o.customer = 0 THEN DELETE
    WHEN MATCHED THEN UPDATE SET done = a.done + 1, total = o.total
    WHEN NOT MATCHED THEN INSERT VALUES (o.id, o.customer, o.total, 1)', 'id > 10') AS id \gset
CALL bbm.run(:id);
SELECT done, count(*), count(DISTINCT id), min(id), sum(total) FROM archive GROUP BY done ORDER BY done;
SELECT rows_affected FROM bbm.migrations WHERE id = :id;
DROP TRIGGER disturb ON archive;
-- From a subquery, and from the rows of a WITH clause; with whole rows, an alias, ONLY, columns that were dropped.
CALL fill();
ALTER TABLE orders ADD gone int, ADD note text DEFAULT 'kept';
ALTER TABLE orders DROP gone;
SELECT work('merge query', 'MERGE INTO archive AS a USING (SELECT id, total FROM orders WHERE total > 100) AS s ON a.id = s.id
    WHEN NOT MATCHED THEN INSERT (id, total, done) VALUES (s.id, s.total, 1) WHEN MATCHED THEN UPDATE SET done = a.done + 1') AS id \gset
CALL bbm.run(:id);
SELECT work('merge rows', $$MERGE INTO lines AS l USING ONLY orders AS o ON l.order_id = o.id
    WHEN NOT MATCHED AND o.note = 'kept' THEN INSERT VALUES (o.id, o::text, length(o::text)) WHEN MATCHED THEN DELETE$$) AS id \gset
CALL bbm.run(:id);
SELECT count(*), count(DISTINCT order_id), bool_and(l.what = o::text) AS right FROM lines AS l JOIN orders AS o ON o.id = l.order_id;
SELECT work('merge join', $$MERGE INTO lines AS l USING (orders AS o JOIN customers AS c ON c.id = o.customer LEFT JOIN archive AS a ON a.id = o.id)
    ON l.order_id = o.id AND l.what = 'joined'
    WHEN NOT MATCHED THEN INSERT VALUES (o.id, 'joined', coalesce(a.done, 0)) WHEN MATCHED THEN UPDATE SET amount = amount + 1000$$) AS id \gset
CALL bbm.run(:id);
SELECT amount, count(*) FROM lines WHERE what = 'joined' GROUP BY amount ORDER BY amount;
SELECT work('merge moved', 'WITH d AS (DELETE FROM orders WHERE customer < 3 RETURNING id, customer)
    MERGE INTO archive AS a USING d ON a.id = d.id WHEN MATCHED THEN UPDATE SET done = a.done + 1 WHEN NOT MATCHED THEN INSERT (id, done) VALUES (d.id, 50)') AS id \gset
CALL bbm.run(:id);
SELECT done, count(*), count(DISTINCT id), (SELECT count(*) FROM orders) AS kept FROM archive GROUP BY done ORDER BY done;
ALTER TABLE orders DROP note;
-- MERGE into the table, where all that is done is done to its rows.
CALL fill();
SELECT work('merge into', 'MERGE INTO orders AS o USING customers AS c ON c.id = o.customer AND c.id > 1
    WHEN MATCHED AND o.total > 150 THEN DELETE WHEN MATCHED AND c.id < 4 THEN UPDATE SET done = o.done + c.id WHEN MATCHED THEN DO NOTHING', 'id > 4') AS id \gset
CALL bbm.run(:id);
SELECT done, count(*), min(id), max(total) FROM orders GROUP BY done ORDER BY done;

-- Only what the command reads itself and the key must be readable.
CREATE ROLE regress_bbm_kinds LOGIN;
GRANT USAGE ON SCHEMA bbm TO regress_bbm_kinds;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA bbm TO regress_bbm_kinds;
GRANT INSERT, DELETE, UPDATE, SELECT ON archive, lines TO regress_bbm_kinds;
\set merge 'MERGE INTO lines AS l USING orders AS o ON l.amount = o.total AND l.what IS NULL WHEN NOT MATCHED THEN INSERT VALUES (0, ''merged'', o.total)'
ALTER TABLE orders OWNER TO regress_bbm_kinds;
REVOKE ALL ON orders FROM regress_bbm_kinds;
GRANT SELECT (total) ON orders TO regress_bbm_kinds;
CALL fill();
SET ROLE regress_bbm_kinds;
\set VERBOSITY terse
SELECT work('no key', :'merge');
RESET ROLE;
GRANT SELECT (id) ON orders TO regress_bbm_kinds;
SET ROLE regress_bbm_kinds;
SELECT work('other column', 'MERGE INTO lines AS l USING orders AS o ON l.order_id = o.done WHEN MATCHED THEN DELETE');
SELECT work('key', :'merge') AS id \gset
SELECT current_user AS me, session_user AS super \gset
\c - :me
CALL bbm.run(:id);
\c - :super
SET client_min_messages = warning;
SELECT count(*), count(DISTINCT amount) FROM lines;

-- The job classes that come with bbm.
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE "Odd Events" (id int PRIMARY KEY, "Payload" jsonb, gone int, plain text, note text, n int, many int[], "on" date, mood mood, size positive,
                           changes int NOT NULL DEFAULT 0);
ALTER TABLE "Odd Events" DROP gone;
INSERT INTO "Odd Events" (id, "Payload", plain, note) VALUES
    (1, '{"n": 1, "it''s": "a\"b\\c", "on": "2020-02-29", "mood": "happy", "size": 3, "deep": {"er": [10, 20]}}', '{"n": 7}', 'own'),
    (2, '{"n": "2", "it''s": {"a": null}, "on": null, "mood": null, "deep": {"er": []}}', '{"n": null}', NULL),
    (3, '{"n": null, "it''s": null}', '{}', NULL),
    (4, '[1, 2]', '[]', NULL),
    (5, NULL, NULL, NULL),
    (6, '"n"', '1', '');
CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.changes := old.changes + 1; RETURN new; END $$;
CREATE TRIGGER count_change BEFORE UPDATE ON "Odd Events" FOR EACH ROW EXECUTE FUNCTION count_change();
CREATE FUNCTION work_class(name text, arguments jsonb, scope_to text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT bbm.queue(name, '"Odd Events"', 'id', arguments, scope_to => scope_to, batch_size => 4, sub_batch_size => 2) $$;
SELECT work_class('FillColumnFromJson', '["n", "Payload", "n"]') AS id \gset
CALL bbm.run(:id);
SELECT work_class('FillColumnFromJson', '["plain", "Payload", "it''s"]') AS id \gset
CALL bbm.run(:id);
SELECT work_class('FillColumnFromJson', '["on", "Payload", "on"]') AS id \gset
CALL bbm.run(:id);
SELECT work_class('FillColumnFromJson', '["mood", "Payload", "mood"]') AS id \gset
CALL bbm.run(:id);
SELECT work_class('FillColumnFromJson', '["size", "Payload", "size"]') AS id \gset
CALL bbm.run(:id);
SELECT work_class('FillColumnFromJson', '["many", "Payload", ["deep", "er"]]') AS id \gset
CALL bbm.run(:id);
SELECT statement FROM bbm.migrations WHERE id = :id;
SELECT id, n, plain, many, "on", mood, size, changes FROM "Odd Events" ORDER BY id;
-- JSON that is kept as text; a value that the column cannot hold fails its row alone.
UPDATE "Odd Events" SET plain = '{"n": ' || CASE id WHEN 4 THEN '"four"' ELSE id::text END || '}', changes = 0;
SELECT work_class('FillColumnFromJson', '["n", "plain", "n"]') AS id \gset
CALL bbm.run(:id);
SELECT min_key, sqlstate, message FROM bbm.failures WHERE migration_id = :id;
SELECT id, n, changes FROM "Odd Events" ORDER BY id;
SELECT bbm.delete(:id);
-- A literal where the column is NULL; what is there stays.
SELECT work_class('BackfillColumn', '["note", "it''s \\ new"]') AS id \gset
CALL bbm.run(:id);
SELECT statement, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT note, count(*) FROM "Odd Events" GROUP BY note ORDER BY note;
-- Rows go to another schema, and some of them are deleted there.
CREATE SCHEMA "Old Things";
CREATE TABLE "Old Things"."The ""Events""" (LIKE "Odd Events" INCLUDING ALL);
SELECT work_class('MoveRows', '["Old Things", "The \"Events\""]', 'id > 2') AS id \gset
CALL bbm.run(:id);
SELECT statement, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT bbm.queue('DeleteRows', '"Old Things"."The ""Events"""', scope_to => 'n IS NULL OR id = 6') AS id \gset
CALL bbm.run(:id);
SELECT statement, operation_name, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT 'here' AS place, array_agg(id ORDER BY id) FROM "Odd Events" UNION ALL SELECT 'there', array_agg(id ORDER BY id) FROM "Old Things"."The ""Events""" ORDER BY 1;

-- Partitioned tables: the same, leaf by leaf, whose columns may have other numbers.
CREATE TABLE readings (id int, "at" int, data jsonb, n int, done int NOT NULL DEFAULT 0, PRIMARY KEY (id, "at")) PARTITION BY RANGE ("at");
CREATE TABLE readings_1 PARTITION OF readings FOR VALUES FROM (0) TO (50);
CREATE TABLE readings_2 (done int NOT NULL DEFAULT 0, n int, gone int, data jsonb, "at" int NOT NULL, id int NOT NULL);
ALTER TABLE readings_2 DROP gone;
ALTER TABLE readings ATTACH PARTITION readings_2 FOR VALUES FROM (50) TO (100);
INSERT INTO readings SELECT g, g, jsonb_build_object('n', g) FROM generate_series(0, 99) AS g;
CREATE TABLE readings_archive (id int, "at" int, data jsonb, n int, done int);
SELECT bbm.queue('FillColumnFromJson', 'readings', job_arguments => '["n", "data", "n"]', batch_size => 10, sub_batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT count(*), bool_and(n = id) FROM readings;
SELECT bbm.queue('merge leaves', 'readings', batch_size => 10, sub_batch_size => 4, command =>
    'MERGE INTO readings_archive AS a USING readings AS r ON a.id = r.id WHEN NOT MATCHED THEN INSERT VALUES (r.id, r."at", r.data, r.n, 100) WHEN MATCHED THEN DELETE') AS id \gset
CALL bbm.run(:id);
SELECT count(*), count(DISTINCT id), bool_and(n = id AND data = jsonb_build_object('n', id)) FROM readings_archive;
SELECT bbm.queue('key leaves', 'readings', command => 'UPDATE readings SET done = 1, id = id + 1000'); \echo SQLSTATE :SQLSTATE
TRUNCATE readings_archive;
-- All columns "as they stand" would be other ones in each leaf. Named, or in leaves that are made alike, they are not.
SELECT bbm.queue('MoveRows', 'readings', job_arguments => '["public", "readings_archive"]'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('rows', 'readings', command => 'INSERT INTO lines SELECT r.id, r::text FROM readings AS r'); \echo SQLSTATE :SQLSTATE
SELECT bbm.queue('move named', 'readings', scope_to => 'n % 2 = 0', batch_size => 10, sub_batch_size => 4, command =>
    'WITH d AS (DELETE FROM readings RETURNING id, "at", data, n, done) INSERT INTO readings_archive SELECT id, "at", data, n, done FROM d') AS id \gset
CALL bbm.run(:id);
SELECT (SELECT count(*) FROM readings) AS kept, count(*), count(DISTINCT id), bool_and("at" = id AND n % 2 = 0 AND data = jsonb_build_object('n', id)) AS right
FROM readings_archive;
ALTER TABLE readings DETACH PARTITION readings_2;
CREATE TABLE readings_3 PARTITION OF readings FOR VALUES FROM (50) TO (100);
INSERT INTO readings SELECT id, "at", data, n, done FROM readings_2;
SELECT bbm.queue('MoveRows', 'readings', job_arguments => '["public", "readings_archive"]', batch_size => 10, sub_batch_size => 4) AS id \gset
CALL bbm.run(:id);
SELECT (SELECT count(*) FROM readings) AS kept, count(*), count(DISTINCT id), bool_and("at" = id AND n = id AND data = jsonb_build_object('n', id)) AS right
FROM readings_archive;

SELECT id, job_class_name, status, status_reason FROM bbm.migrations WHERE status <> 'finished';
DROP TABLE orders, archive, lines, customers, "Odd Events", readings, readings_2, readings_archive;
DROP SCHEMA "Old Things" CASCADE;
DROP DOMAIN positive;
DROP TYPE mood;
DROP PROCEDURE fill;
DROP FUNCTION work, work_class, bump, share_out, disturb, count_change;
DROP OWNED BY regress_bbm_kinds;
DROP ROLE regress_bbm_kinds;
