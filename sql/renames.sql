-- A migration walks a table, not a name: it goes on when the table is renamed, moved, replaced under its name or hidden by
-- another one. Whatever has the old name then is not touched.
\set QUIET on
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA before;
CREATE SCHEMA renames;
CREATE SCHEMA after;
SET search_path = renames, public;

-- What was done to which row of which table: of the case's own (its number), or of the one that took its place (minus).
CREATE TABLE hits (id int, customer_id int, nr int);
CREATE TABLE customers (id int PRIMARY KEY);
INSERT INTO customers SELECT generate_series(0, 4);
CREATE FUNCTION note_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO renames.hits (id, nr) VALUES (coalesce(old.id, new.id), tg_argv[0]::int);
    RETURN NULL;
END $$;
CREATE FUNCTION note(nr int, id int) RETURNS text LANGUAGE sql AS $$INSERT INTO renames.hits (id, nr) VALUES (id, nr) RETURNING 'noted'$$;
CREATE FUNCTION make(name text, nr int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %s (id int PRIMARY KEY, customer_id int, n int)', name);
    EXECUTE format('INSERT INTO %s SELECT g, g %% 5, %s FROM generate_series(1, 40) AS g', name, nr);
    EXECUTE format('CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION note_row(%L)', name, nr);
END $$;

-- {t} is the table's name, {q} the same with its schema.
CREATE TABLE form (nr int GENERATED ALWAYS AS IDENTITY, name text, command text, scope_to text);
INSERT INTO form (command) VALUES
    ('UPDATE {t} SET n = n + 1'),
    ('UPDATE {q} SET n = {t}.n + 1'),
    ('UPDATE {q} SET n = {q}.n + 1 WHERE {q}.id > 0'),
    ('UPDATE ONLY {t} o SET n = o.n + 1'),
    ('UPDATE ONLY({q})SET n = {t}.n + 1'),
    ('UPDATE {t}*SET n = {t}.n + 1'),
    ('UPDATE {t} AS o SET n = 1 FROM customers AS c WHERE c.id = o.customer_id'),
    (E'update renames . /* {t} */ {t} -- {t}\n set n = ''-3'' /* "{t}" */ where id <> $$0$$ -- the end'),
    ('DELETE FROM {t}'),
    ('DELETE FROM {t} USING customers AS c WHERE c.id = {t}.customer_id'),
    ('WITH {t} AS (SELECT id FROM customers) UPDATE {q} AS o SET n = 1 FROM {t} WHERE {t}.id = o.customer_id'),
    ('WITH {t} AS (SELECT id FROM customers) UPDATE {t} SET n = 1 FROM {t} AS c WHERE c.id = {t}.customer_id'),
    ('INSERT INTO hits SELECT * FROM {t}'),
    ('INSERT INTO hits TABLE {t}'),
    ('INSERT INTO hits (SELECT {t}.* FROM ONLY {t})'),
    ('INSERT INTO hits SELECT o.* FROM customers AS c JOIN {t} AS o ON o.customer_id = c.id'),
    ('INSERT INTO hits SELECT {t}.id, c.id, {t}.n FROM {t} LEFT JOIN customers AS c ON c.id = {t}.customer_id'),
    ('INSERT INTO hits WITH c AS (SELECT * FROM customers) SELECT {t}.* FROM {t}, c WHERE c.id = {t}.customer_id'),
    -- With a range of their own they may name it more than once.
    ('UPDATE {t} SET n = n + 1 WHERE id BETWEEN $1 AND $2'),
    ('UPDATE {t} SET n = (SELECT count(*) FROM {t} AS same WHERE same.customer_id = {t}.customer_id) WHERE {t}.id BETWEEN $1 AND $2'),
    ('UPDATE {t} SET (n, customer_id) = (SELECT o.n, o.customer_id FROM {q} AS o WHERE o.id = {t}.id) WHERE id BETWEEN $1 AND $2'),
    ('WITH gone AS (DELETE FROM {t} WHERE id BETWEEN $1 AND $2 RETURNING {t}.*) SELECT count(*) FROM gone'),
    ('WITH gone AS (DELETE FROM {q} WHERE {q}.id BETWEEN $1 AND $2 RETURNING *), c AS (UPDATE customers SET id = id WHERE id IN (SELECT id FROM gone)) SELECT FROM gone'),
    ('WITH {t} AS (SELECT * FROM {t} WHERE id BETWEEN $1 AND $2) UPDATE {t} SET n = 0 FROM {t} AS cte WHERE cte.id = {t}.id'),
    ('WITH RECURSIVE r AS (SELECT $1 AS id UNION ALL SELECT id + 1 FROM r WHERE id < $2) UPDATE {t} SET n = 0 FROM r WHERE r.id = {t}.id'),
    ('WITH RECURSIVE {t} AS (SELECT $1 AS id UNION ALL SELECT id + 1 FROM {t} WHERE id < $2) UPDATE {q} AS o SET n = 0 FROM {t} WHERE {t}.id = o.id'),
    ('MERGE INTO {t} USING (SELECT * FROM {t}) AS s ON s.id = {t}.id AND s.id BETWEEN $1 AND $2 WHEN MATCHED THEN UPDATE SET n = s.n'),
    ('MERGE INTO {t} AS o USING {t} ON {t}.id = o.id AND o.id BETWEEN $1 AND $2 WHEN MATCHED AND EXISTS (SELECT FROM {t} AS x) THEN DELETE'),
    ('MERGE INTO hits USING {t} ON false AND hits.id = {t}.id WHEN NOT MATCHED AND {t}.id BETWEEN $1 AND $2 THEN INSERT VALUES ({t}.id, 0, {t}.n)'),
    ('INSERT INTO {t} (id, n) SELECT o.id, 1 FROM {t} AS o WHERE o.id BETWEEN $1 AND $2 ON CONFLICT (id) DO UPDATE SET n = {t}.n + excluded.n'),
    ('SELECT note({nr}, {t}.id) FROM {t} WHERE id BETWEEN $1 AND $2'),
    ('SELECT note({nr}, id) FROM {t} TABLESAMPLE system (100) WHERE id BETWEEN $1 AND $2'),
    ('SELECT note({nr}, locked.id) FROM (SELECT * FROM {t} WHERE id BETWEEN $1 AND $2 FOR UPDATE OF {t}) AS locked'),
    ('SELECT note({nr}, id) FROM {q} WHERE id BETWEEN $1 AND $2 AND EXISTS (SELECT FROM {t}) UNION ALL (SELECT NULL FROM {t} EXCEPT TABLE nothing)'),
    ('SELECT CASE WHEN id = ANY (ARRAY(SELECT id FROM {t})) THEN note({nr}, id) END FROM {t} WHERE id BETWEEN $1 AND $2 ORDER BY (SELECT max(id) FROM {t})');
INSERT INTO form (command, scope_to) VALUES
    ('UPDATE {t} SET n = n + 1', '{t}.customer_id < 5 AND {q}.id > 0'),
    ('INSERT INTO hits SELECT o.* FROM {t} AS o', 'EXISTS (SELECT FROM customers AS c WHERE c.id = {q}.customer_id)');
INSERT INTO form (name, command) VALUES
    ('Or"ders', 'UPDATE{t}SET n = {t}.n + 1'),
    ('Or"ders', 'UPDATE{t}AS"o"SET n = o.n + 1'),
    ('Order', 'UPDATE U&"!004Frder {nr} {how}"UESCAPE''!''SET n = "Order {nr} {how}".n + 1'),
    ('größe', 'UPDATE größe_{nr}_{how} SET n = größe_{nr}_{how}.n + 1');
CREATE TABLE nothing (nothing text);

-- Each of them four times.
CREATE TABLE piece AS
    SELECT 10 * nr + array_position('{renamed,moved,swapped,hidden}', how) AS nr, how,
           CASE WHEN name ~ '^[A-Z]' THEN format('%I', format('%s %s %s', name, nr, how)) ELSE format('%s_%s_%s', coalesce(name, 'orders'), nr, how) END AS name,
           replace(replace(command, '{how}', how), ' {nr} ', format(' %s ', nr)) AS command, scope_to, nr AS form, NULL::bigint AS id
    FROM form CROSS JOIN unnest('{renamed,moved,swapped,hidden}'::text[]) AS how;
UPDATE piece SET
    command = replace(replace(replace(replace(command, '_{nr}_', format('_%s_', form)), '{nr}', nr::text), '{t}', name), '{q}', 'renames.' || name),
    scope_to = replace(replace(scope_to, '{t}', name), '{q}', 'renames.' || name);
SELECT count(make('renames.' || name, nr)) FROM piece;
-- A schema in which there is nothing yet goes first.
SET search_path = before, renames, public;
UPDATE piece SET id = bbm.queue('piece ' || nr, format('renames.%s', name)::regclass, command => command, scope_to => scope_to, batch_size => 15, sub_batch_size => 4, start => false);

DO $$
DECLARE p piece;
BEGIN
    FOR p IN SELECT * FROM piece LOOP
        IF p.how = 'hidden' THEN
            PERFORM make('before.' || p.name, -p.nr);
            CONTINUE;
        END IF;
        EXECUTE format(CASE p.how WHEN 'moved' THEN 'ALTER TABLE renames.%s SET SCHEMA after' ELSE 'ALTER TABLE renames.%s RENAME TO "now, %s"' END, p.name, p.nr);
        IF p.how = 'swapped' THEN
            PERFORM make('renames.' || p.name, -p.nr);
        END IF;
    END LOOP;
END $$;
DELETE FROM hits;
UPDATE piece SET id = id WHERE bbm.resume(id);
\set ECHO none
SELECT format('CALL bbm.run(%s)', id) FROM piece ORDER BY nr \gexec
\set ECHO all

-- None is missing, none was handled twice, none is of another table.
CREATE VIEW renames.result AS
    SELECT p.*, m.status, m.status_reason, m.table_name, count(h.id) AS hits, count(DISTINCT h.id) AS rows,
           (SELECT count(*) FROM hits AS h WHERE h.nr = -p.nr) AS wrong
    FROM piece AS p JOIN bbm.migrations AS m USING (id) LEFT JOIN hits AS h ON h.nr = p.nr
    GROUP BY p.nr, p.how, p.name, p.command, p.scope_to, p.form, p.id, m.status, m.status_reason, m.table_name;
SELECT nr, command, status, status_reason, hits, rows, wrong FROM result
WHERE (status, hits, rows, wrong) IS DISTINCT FROM ('finished', 40, 40, 0) ORDER BY nr;
SELECT how, count(*), sum(rows) FROM result GROUP BY how ORDER BY how;
-- The command stays as it was queued; the name is the one of today, and an event tells of it.
SELECT count(*) FROM piece AS p JOIN bbm.migrations AS m USING (id) WHERE m.statement <> p.command;
SELECT how, regexp_replace(table_name, '\d+', 'N', 'g') AS table_name, count(*) FROM result WHERE form <= 37 GROUP BY 1, 2 ORDER BY 1;
SELECT e.event, e.to_status, e.reason FROM bbm.events AS e JOIN piece AS p ON p.id = e.migration_id WHERE p.form = 1 AND e.event = 'rename' ORDER BY e.id;
SELECT how, count(*) FROM bbm.events AS e JOIN piece AS p ON p.id = e.migration_id WHERE e.event = 'rename' GROUP BY how;

-- What does not tell where the name stands stops, with the reason, until the table has its name back: a name in a function or
-- a string, TABLE with a column of it behind it, a column with its schema where something else is called like the table.
CREATE FUNCTION renames.touch(name text, first int, last int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE %I SET n = n + 1 WHERE id BETWEEN %s AND %s', name, first, last);
END $$;
CREATE TABLE renames.stuck (nr int, command text, id bigint);
INSERT INTO stuck VALUES
    (1, 'SELECT touch(''stuck_1'', $1, $2)'),
    (2, 'INSERT INTO hits TABLE stuck_2 ORDER BY stuck_2.id'),
    (3, 'UPDATE renames.stuck_3 SET n = 1 WHERE EXISTS (SELECT FROM after.stuck_3 WHERE after.stuck_3.id = renames.stuck_3.id)'),
    (4, 'WITH stuck_4 AS (SELECT $1 AS id) UPDATE renames.stuck_4 SET n = 1 WHERE renames.stuck_4.id BETWEEN (SELECT stuck_4.id FROM stuck_4) AND $2');
SELECT count(make('renames.stuck_' || nr, 1000 + nr)), count(make('after.stuck_' || nr, -1000 - nr)) FROM stuck;
DELETE FROM hits;
UPDATE stuck SET id = bbm.queue('stuck ' || nr, format('renames.stuck_%s', nr)::regclass, command => command, batch_size => 15, start => false);
SELECT format('ALTER TABLE renames.stuck_%s RENAME TO was_stuck_%1$s', nr) FROM stuck ORDER BY nr \gexec
SELECT count(make('renames.stuck_' || nr, -1000 - nr)) FROM stuck;
DELETE FROM hits;
UPDATE stuck SET id = id WHERE bbm.resume(id);
SELECT format('CALL bbm.run(%s)', id) FROM stuck ORDER BY nr \gexec
\echo SQLSTATE :SQLSTATE
SELECT m.table_name, m.status, m.status_reason, count(h.id) FROM stuck JOIN bbm.migrations AS m USING (id) LEFT JOIN hits AS h ON abs(h.nr) = 1000 + stuck.nr GROUP BY 1, 2, 3 ORDER BY 1;
SELECT count(*) FROM hits;
SELECT bbm.explain(id) FROM stuck WHERE nr = 1;
SELECT format('DROP TABLE renames.stuck_%s', nr), format('ALTER TABLE renames.was_stuck_%s RENAME TO stuck_%1$s', nr) FROM stuck ORDER BY nr \gexec
UPDATE stuck SET id = id WHERE bbm.retry(id) >= 0;
SELECT format('CALL bbm.run(%s)', id) FROM stuck ORDER BY nr \gexec
SELECT m.table_name, m.status, h.nr > 0 AS own, count(h.id), count(DISTINCT h.id) FROM stuck JOIN bbm.migrations AS m USING (id) LEFT JOIN hits AS h ON abs(h.nr) = 1000 + stuck.nr GROUP BY 1, 2, 3 ORDER BY 1;

-- In mid-job: the job goes on behind its cursor. Again and again, and back to the first name.
SELECT make('renames.wanders', 2000);
CREATE FUNCTION renames.halt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bbm.pause('wanders');
    RETURN NULL;
END $$;
SET search_path = renames, public;
CREATE TRIGGER halt AFTER UPDATE ON wanders FOR EACH ROW WHEN (new.id % 9 = 0) EXECUTE FUNCTION halt();
SELECT bbm.queue('wanders', 'wanders', command => 'UPDATE wanders SET n = wanders.n + 1', scope_to => 'wanders.n = 2000', batch_size => 40, sub_batch_size => 3) AS id \gset
CALL bbm.run(:id);
SELECT status, table_name, (SELECT array_agg(cursor) FROM bbm.jobs WHERE migration_id = :id) AS cursor FROM bbm.migrations WHERE id = :id;
ALTER TABLE wanders RENAME TO "Wanderer";
ALTER TABLE "Wanderer" SET SCHEMA after;
SELECT make('renames.wanders', -2000);
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT status, table_name, (SELECT array_agg(cursor) FROM bbm.jobs WHERE migration_id = :id) AS cursor FROM bbm.migrations WHERE id = :id;
DROP TABLE wanders;
ALTER TABLE after."Wanderer" SET SCHEMA renames;
ALTER TABLE "Wanderer" RENAME TO wanders;
SELECT bbm.resume(:id);
-- Whoever only looks sees it as well, before a worker does.
SELECT * FROM bbm.explain(:id) AS line LIMIT 1;
CALL bbm.run(:id);
ALTER TABLE wanders RENAME TO "Wanderer";
SELECT bbm.resume(:id);
SELECT * FROM bbm.explain(:id) AS line LIMIT 1;
CALL bbm.run(:id);
SELECT bbm.resume(:id);
CALL bbm.run(:id);
SELECT status, table_name, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT count(*), count(DISTINCT id) FROM hits WHERE nr = 2000;
SELECT count(*) FROM hits WHERE nr = -2000;
SELECT event, to_status, reason FROM bbm.events WHERE migration_id = :id AND event = 'rename' ORDER BY id;
SELECT sum(attempts) AS attempts, count(*) FROM bbm.jobs WHERE migration_id = :id;
SELECT count(*) FROM bbm.failures WHERE migration_id = :id;

-- The next generation starts with the name of today; so does a batch run by hand.
DROP TRIGGER halt ON "Wanderer";
UPDATE "Wanderer" SET n = 2000;
SELECT rows_affected FROM bbm.run_batch(:id, 1, 7);
ALTER TABLE "Wanderer" RENAME TO wandered;
SELECT rows_affected FROM bbm.run_batch(:id, 1, 7);
SELECT bbm.requeue(:id) AS id \gset
ALTER TABLE wandered SET SCHEMA after;
CALL bbm.run(:id);
SELECT status, table_name, generation, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT n, count(*) FROM after.wandered GROUP BY n;

-- Leaf by leaf: each has its own name, and is known to the command and the condition by that of the whole.
CREATE TABLE divided (id int PRIMARY KEY, customer_id int, n int) PARTITION BY RANGE (id);
CREATE TABLE lower PARTITION OF divided FOR VALUES FROM (1) TO (21);
CREATE TABLE upper PARTITION OF divided FOR VALUES FROM (21) TO (41);
INSERT INTO divided SELECT g, g % 5, 3000 FROM generate_series(1, 40) AS g;
CREATE TRIGGER note AFTER UPDATE ON divided FOR EACH ROW EXECUTE FUNCTION note_row('3000');
SELECT bbm.queue('leaves', 'divided', command => 'UPDATE renames.divided SET n = renames.divided.n + divided.customer_id', scope_to => 'divided.id > 0 AND renames.divided.n = 3000', batch_size => 7, start => false) AS id \gset
ALTER TABLE divided RENAME TO was_divided;
ALTER TABLE lower SET SCHEMA after;
ALTER TABLE upper RENAME TO "Upper";
SELECT make('renames.divided', -3000), make('renames.lower', -3000), make('renames.upper', -3000);
SELECT bbm.resume(:id);
SELECT * FROM bbm.explain(:id) AS line LIMIT 2;
CALL bbm.run(:id);
SELECT status, table_name, rows_affected FROM bbm.migrations WHERE id = :id;
SELECT table_name FROM bbm.parts WHERE migration_id = :id ORDER BY id;
SELECT n - customer_id AS n, count(*) FROM was_divided GROUP BY 1;
SELECT nr, count(*), count(DISTINCT id) FROM hits WHERE abs(nr) = 3000 GROUP BY nr;
SELECT reason FROM bbm.events WHERE migration_id = :id AND event = 'rename' ORDER BY id;
SELECT bbm.queue('stuck leaves', 'was_divided', command => 'INSERT INTO hits TABLE was_divided ORDER BY was_divided.id');

SET client_min_messages = error;
DROP SCHEMA before, renames, after CASCADE;
