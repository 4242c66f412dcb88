-- The forms of work: plain DML, to which bbm adds each range, and statements that use $1 and $2 themselves.
\set QUIET on
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1

CREATE TABLE orders (id int PRIMARY KEY, customer int, total int, cents bigint, done int NOT NULL DEFAULT 0);
INSERT INTO orders SELECT g, g % 5, g * 2 FROM generate_series(1, 100) AS g;
CREATE TABLE customers (id int PRIMARY KEY, factor int);
INSERT INTO customers SELECT g, g * 10 FROM generate_series(0, 3) AS g; -- none for number 4
CREATE TABLE log (id int, what text, at_most int);

-- UPDATE, with alias, condition and RETURNING.
SELECT bbm.queue('update', 'orders', command => 'UPDATE orders AS o SET cents = o.total * 100, done = o.done + 1 WHERE o.total > 20 RETURNING o.id', batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT done, count(*), min(id), max(id), bool_and(cents = total * 100) AS right FROM orders GROUP BY done ORDER BY done;
SELECT jobs_succeeded, rows_affected FROM bbm.migrations WHERE id = :id;

-- UPDATE ... FROM.
SELECT bbm.queue('update from', 'orders', command => 'UPDATE orders SET cents = c.factor, done = done + 1 FROM customers AS c WHERE c.id = customer', batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT cents, count(*) FROM orders WHERE customer < 4 GROUP BY cents ORDER BY cents;
SELECT rows_affected FROM bbm.migrations WHERE id = :id;

-- A reading CTE, a sub-select of another table, a join of others.
SELECT bbm.queue('with', 'orders', batch_size => 15, command =>
    'WITH f AS (SELECT id, factor FROM customers WHERE factor > 0)
     UPDATE orders SET cents = (SELECT max(factor) FROM customers) + f.factor FROM f LEFT JOIN log ON log.id = f.id WHERE f.id = customer') AS id \gset
CALL bbm.run(:id);
SELECT cents, count(*) FROM orders WHERE customer BETWEEN 1 AND 3 GROUP BY cents ORDER BY cents;
SELECT rows_affected FROM bbm.migrations WHERE id = :id;

-- INSERT ... SELECT, from a join and from the kept side of an outer join; a table is read under an alias.
SELECT bbm.queue('insert', 'orders', command => $$INSERT INTO log SELECT o.id, 'plain' FROM orders AS o WHERE o.customer = 1$$, batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('insert join', 'orders', command => $$INSERT INTO log SELECT orders.id, 'join' FROM customers JOIN orders ON customers.id = orders.customer$$, batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('insert outer', 'orders', command => $$INSERT INTO log SELECT o.id, 'outer' FROM orders o LEFT JOIN customers c ON c.id = o.customer WHERE c.id IS NULL$$, batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('insert comma', 'orders', command => $$INSERT INTO log SELECT o.id, 'comma' FROM customers c, orders o WHERE c.id = o.customer ORDER BY o.id$$, batch_size => 15, scope_to => 'id <= 50') AS id \gset
CALL bbm.run(:id);
SELECT what, count(*), count(DISTINCT id) FROM log GROUP BY what ORDER BY what;
SELECT job_class_name, rows_affected FROM bbm.migrations WHERE job_class_name LIKE 'insert%' ORDER BY id;

-- A scope with a sub-select, while names of other tables in the command are ambiguous for it.
SELECT bbm.queue('scope', 'orders', command => $$INSERT INTO log SELECT o.id, 'scope' FROM customers c, orders o WHERE c.id = o.customer$$,
                 batch_size => 15, scope_to => 'id > 40 AND EXISTS (SELECT FROM customers AS c WHERE c.id = customer AND c.factor = orders.customer * 10 AND c.id > 1)') AS id \gset
CALL bbm.run(:id);
SELECT what, count(*), count(DISTINCT id), min(id) FROM log WHERE what = 'scope' GROUP BY what;

-- DELETE and DELETE ... USING.
CREATE TABLE doomed (id int PRIMARY KEY, customer int);
INSERT INTO doomed SELECT g, g % 5 FROM generate_series(1, 100) AS g;
SELECT bbm.queue('delete', 'doomed', command => 'DELETE FROM doomed AS d WHERE d.customer = 4', batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT bbm.queue('using', 'doomed', command => 'DELETE FROM doomed USING customers AS c WHERE c.id = customer AND c.factor >= 20', batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT customer, count(*) FROM doomed GROUP BY customer ORDER BY customer;
SELECT job_class_name, rows_affected FROM bbm.migrations WHERE table_name = 'public.doomed' ORDER BY id;

-- $1 and $2: the first and the last key of the range, both inclusive, of the key's type.
TRUNCATE log;
SELECT bbm.queue('explicit update', 'orders', command => 'UPDATE orders SET done = 7 WHERE id BETWEEN $1 AND $2', batch_size => 15) AS id \gset
CALL bbm.run(:id);
SELECT done, count(*) FROM orders GROUP BY done;
CREATE FUNCTION note_range(low int, high int) RETURNS void LANGUAGE sql AS $$ INSERT INTO log VALUES (low, 'range', high) $$;
SELECT bbm.queue('function', 'orders', command => 'SELECT note_range($1, $2)', batch_size => 30, sub_batch_size => 30) AS id \gset
CALL bbm.run(:id);
SELECT * FROM log ORDER BY id;
SELECT bbm.queue('merge', 'orders', batch_size => 15, command =>
    'MERGE INTO orders AS o USING customers AS c ON c.id = o.customer AND o.id BETWEEN $1 AND $2
     WHEN MATCHED AND c.factor = 30 THEN DELETE WHEN MATCHED THEN UPDATE SET done = 8') AS id \gset
CALL bbm.run(:id);
SELECT customer, done, count(*) FROM orders GROUP BY customer, done ORDER BY customer;
SELECT rows_affected FROM bbm.migrations WHERE id = :id;
-- What bbm cannot split by itself it runs as it is told, a self-join for instance.
SELECT bbm.queue('self-join', 'orders', batch_size => 15, command =>
    'UPDATE orders SET done = 9 FROM orders AS next WHERE next.id = orders.id + 1 AND orders.id BETWEEN $1 AND $2') AS id \gset
CALL bbm.run(:id);
SELECT customer, done, count(*) FROM orders GROUP BY customer, done ORDER BY customer, done;

-- Triggers and generated columns work as ever.
CREATE TABLE watched (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, twice int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO watched SELECT g FROM generate_series(1, 30) AS g;
CREATE TABLE rows_seen (id int);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO rows_seen VALUES (new.id); RETURN new; END $$;
CREATE TRIGGER see AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION see();
CREATE TABLE statements_seen (rows int);
CREATE FUNCTION see_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO statements_seen SELECT count(*) FROM changed; RETURN NULL; END $$;
CREATE TRIGGER see_statement AFTER UPDATE ON watched REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION see_statement();
SELECT bbm.queue('triggers', 'watched', command => 'UPDATE watched SET n = n + 1', batch_size => 20, sub_batch_size => 8) AS id \gset
CALL bbm.run(:id);
SELECT n, twice, count(*) FROM watched GROUP BY n, twice;
SELECT count(*), count(DISTINCT id) FROM rows_seen;
SELECT * FROM statements_seen;

-- A trigger that runs the very text of the command does that for all rows: the range is for bbm's own statement.
CREATE TABLE mirror (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO mirror SELECT g FROM generate_series(1, 4) AS g;
CREATE FUNCTION reflect() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF pg_trigger_depth() = 1 THEN UPDATE mirror SET n = n + 1; END IF; RETURN NULL; END $$;
CREATE TRIGGER reflect AFTER UPDATE ON mirror FOR EACH STATEMENT EXECUTE FUNCTION reflect();
SELECT bbm.queue('mirror', 'mirror', command => 'UPDATE mirror SET n = n + 1', batch_size => 4, sub_batch_size => 2) AS id \gset
CALL bbm.run(:id);
SELECT * FROM mirror ORDER BY id;

-- Names in the command are looked up by the search_path of the moment it was queued.
CREATE SCHEMA one CREATE TABLE same (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
CREATE SCHEMA two CREATE TABLE same (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
INSERT INTO one.same VALUES (1), (2);
INSERT INTO two.same VALUES (1), (2), (3);
SET search_path = one;
SELECT bbm.queue('same', 'same', command => 'UPDATE same SET n = n + 1') AS first \gset
SET search_path = two, one;
SELECT bbm.queue('same', 'same', command => 'UPDATE same SET n = n + 10') AS second \gset
SET search_path = one;
SELECT bbm.queue('wrong', 'two.same', command => 'UPDATE same SET n = n + 10');
RESET search_path;
CALL bbm.run(:first);
CALL bbm.run(:second);
SHOW search_path;
SELECT 'one' AS schema, * FROM one.same UNION ALL SELECT 'two', * FROM two.same ORDER BY 1, 2;
SELECT table_name, rows_affected FROM bbm.migrations WHERE job_class_name = 'same' ORDER BY id;

-- Settings of the caller's session are his again afterwards.
SET lock_timeout = '7s';
SET row_security = on;
SET default_transaction_isolation = 'serializable';
SELECT bbm.queue('settings', 'one.same', command => 'UPDATE one.same SET n = n + 1') AS id \gset
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;
SHOW lock_timeout;
SHOW row_security;
SHOW transaction_isolation;

DROP TABLE orders, customers, log, doomed, watched, rows_seen, statements_seen, mirror;
DROP FUNCTION note_range, see, see_statement, reflect;
DROP SCHEMA one, two CASCADE;
