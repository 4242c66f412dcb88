-- May a command meet a row twice? Each verdict of bbm.is_repeatable() is compared with what happens: the command is run
-- twice, in two transactions, and "harm" says whether the second run made a difference. A yes with harm is a bug; a no
-- without harm is a command that cannot be proven.
\set QUIET on
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
DROP EXTENSION bbm;
CREATE EXTENSION bbm; -- migrations are numbered from 1
CREATE SCHEMA repeatable;
SET search_path = repeatable, public;

CREATE TABLE log (what text);
CREATE SEQUENCE numbers;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (x int, y int);

-- Functions, operators, casts and domains of all kinds.
CREATE FUNCTION noisy(int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ('noisy'); RETURN $1; END$$;
CREATE FUNCTION noisy_ok(int) RETURNS boolean VOLATILE LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ('noisy_ok'); RETURN true; END$$;
CREATE FUNCTION calm(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN $1 * 10; END$$;
CREATE FUNCTION calm_text(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT upper($1)$$;
CREATE FUNCTION liar(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN nextval('numbers'); END$$;
CREATE FUNCTION noisy_sum_step(int, int) RETURNS int VOLATILE LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ('sum'); RETURN $1 + $2; END$$;
CREATE AGGREGATE noisy_sum(int) (sfunc = noisy_sum_step, stype = int, initcond = '0');
CREATE OPERATOR !!! (function = noisy, rightarg = int);
CREATE FUNCTION same_noisily(int, int) RETURNS boolean VOLATILE LANGUAGE sql AS $$SELECT noisy($1) = $2$$;
CREATE OPERATOR === (function = same_noisily, leftarg = int, rightarg = int);
CREATE FUNCTION same_calmly(int, int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RETURN false; END$$;
CREATE OPERATOR ==== (function = same_calmly, leftarg = int, rightarg = int);
CREATE FUNCTION to_int(pair) RETURNS int VOLATILE LANGUAGE sql AS $$SELECT noisy(($1).x)$$;
CREATE CAST (pair AS int) WITH FUNCTION to_int(pair);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN watched AS int CHECK (noisy_ok(VALUE));

CREATE TABLE t (
    id int PRIMARY KEY, a int, b int, n int NOT NULL DEFAULT 0, done boolean NOT NULL DEFAULT false, done_at timestamptz,
    day date, state varchar(10) DEFAULT 'old', code char(3) DEFAULT 'old', note text DEFAULT 'old', small smallint DEFAULT 1,
    amount numeric(8,2) DEFAULT 1, plain numeric DEFAULT 1, ratio real DEFAULT 1, mood mood DEFAULT 'sad', arr int[] DEFAULT '{1,2}',
    pair pair DEFAULT '(1,2)', doc jsonb DEFAULT '{"done": false}', uid uuid, serial int DEFAULT nextval('numbers'), fixed int DEFAULT 7,
    pos positive, wat watched, tsv tsvector, gap pair, a_doubled int GENERATED ALWAYS AS (a * 2) STORED);
CREATE FUNCTION newest_id() RETURNS int STABLE LANGUAGE sql AS $$SELECT max(id) FROM t$$;
CREATE VIEW t_view AS SELECT * FROM t;
CREATE TABLE other (id int PRIMARY KEY, v int);
CREATE VIEW noisy_view AS SELECT id, noisy(v) AS v FROM other;

-- Triggers and rules.
CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO log VALUES (TG_NAME); IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; NEW.n := OLD.n + 1; RETURN NEW; END$$;
CREATE TABLE triggered (LIKE t INCLUDING DEFAULTS);
CREATE TRIGGER on_update BEFORE UPDATE ON triggered FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TABLE trigger_always (LIKE t INCLUDING DEFAULTS);
CREATE TRIGGER always BEFORE UPDATE ON trigger_always FOR EACH ROW EXECUTE FUNCTION count_up();
ALTER TABLE trigger_always ENABLE ALWAYS TRIGGER always;
CREATE TABLE trigger_replica (LIKE t INCLUDING DEFAULTS);
CREATE TRIGGER replica BEFORE UPDATE ON trigger_replica FOR EACH ROW EXECUTE FUNCTION count_up();
ALTER TABLE trigger_replica ENABLE REPLICA TRIGGER replica;
CREATE TABLE trigger_off (LIKE t INCLUDING DEFAULTS);
CREATE TRIGGER off BEFORE UPDATE ON trigger_off FOR EACH ROW EXECUTE FUNCTION count_up();
ALTER TABLE trigger_off DISABLE TRIGGER off;
CREATE TABLE trigger_after (LIKE t INCLUDING DEFAULTS);
CREATE TRIGGER after AFTER UPDATE ON trigger_after FOR EACH STATEMENT EXECUTE FUNCTION count_up();
CREATE TABLE trigger_delete (LIKE t INCLUDING DEFAULTS);
CREATE TRIGGER on_delete BEFORE DELETE ON trigger_delete FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TABLE trigger_keeps (LIKE t INCLUDING DEFAULTS);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO log VALUES ('kept'); RETURN NULL; END$$;
CREATE TRIGGER keeps BEFORE DELETE ON trigger_keeps FOR EACH ROW EXECUTE FUNCTION keep();
CREATE TABLE constraint_trigger (LIKE t INCLUDING DEFAULTS);
CREATE CONSTRAINT TRIGGER deferred AFTER UPDATE ON constraint_trigger DEFERRABLE FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TABLE ruled (LIKE t INCLUDING DEFAULTS);
CREATE RULE also AS ON UPDATE TO ruled DO ALSO INSERT INTO log VALUES ('rule');
CREATE TABLE checked (LIKE t INCLUDING DEFAULTS, CHECK (noisy_ok(a)));

-- Foreign keys. A column of the table itself that follows another one of it is written, too.
CREATE TABLE follows (id int PRIMARY KEY, code int UNIQUE, parent int REFERENCES follows (code) ON UPDATE CASCADE ON DELETE SET NULL, n int DEFAULT 0);
CREATE TABLE restricts (id int PRIMARY KEY, code int UNIQUE DEFERRABLE, n int DEFAULT 0);
CREATE TABLE refers (id int PRIMARY KEY, code int REFERENCES restricts (id) ON DELETE CASCADE);

-- Partitions and children.
CREATE TABLE parts (id int, a int, b int, n int DEFAULT 0) PARTITION BY LIST (a);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 (n int DEFAULT 0, b int, id int, a int);
ALTER TABLE parts ATTACH PARTITION parts_2 DEFAULT;
CREATE TABLE leaf_trigger (id int, a int, b int, n int DEFAULT 0) PARTITION BY LIST (a);
CREATE TABLE leaf_trigger_1 PARTITION OF leaf_trigger FOR VALUES IN (1);
CREATE TABLE leaf_trigger_2 PARTITION OF leaf_trigger DEFAULT;
CREATE TRIGGER on_leaf BEFORE UPDATE ON leaf_trigger_2 FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TABLE insert_trigger (id int, a int, b int, n int DEFAULT 0) PARTITION BY LIST (a);
CREATE TABLE insert_trigger_1 PARTITION OF insert_trigger DEFAULT;
CREATE TRIGGER on_insert AFTER INSERT ON insert_trigger_1 FOR EACH ROW EXECUTE FUNCTION count_up();
CREATE TABLE base (id int, a int, b int, n int DEFAULT 0);
CREATE TABLE child (extra int) INHERITS (base);
CREATE TABLE base_trigger (id int, a int, b int, n int DEFAULT 0);
CREATE TABLE child_trigger () INHERITS (base_trigger);
CREATE TRIGGER on_child BEFORE UPDATE ON child_trigger FOR EACH ROW EXECUTE FUNCTION count_up();

-- Other servers. Nobody connects to them.
CREATE EXTENSION postgres_fdw;
CREATE SERVER nowhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE remote (id int, a int, b int, n int, done boolean) SERVER nowhere;
CREATE FOREIGN DATA WRAPPER homemade;
CREATE SERVER somewhere FOREIGN DATA WRAPPER homemade;
CREATE FOREIGN TABLE strange (id int, a int, b int) SERVER somewhere;
CREATE TABLE parts_remote (id int, a int, b int) PARTITION BY LIST (a);
CREATE FOREIGN TABLE parts_remote_1 PARTITION OF parts_remote DEFAULT SERVER nowhere;

-- The truth. Every run begins with the same rows; most commands change t only.
CREATE FUNCTION fill(name text) RETURNS void LANGUAGE plpgsql AS
    $$BEGIN EXECUTE format('INSERT INTO %I (id, a, b) SELECT i, i %% 4, NULLIF(i %% 3, 0) FROM generate_series(1, 12) AS i', name); END$$;
CREATE FUNCTION restore(is_of_t boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE log, t, other;
    INSERT INTO other SELECT i, i * 100 FROM generate_series(0, 5) AS i;
    PERFORM fill('t');
    IF NOT is_of_t THEN
        TRUNCATE follows, restricts, refers, parts, leaf_trigger, insert_trigger, base, base_trigger, triggered, trigger_always,
                 trigger_replica, trigger_off, trigger_after, trigger_delete, trigger_keeps, constraint_trigger, ruled, checked;
        PERFORM fill(name) FROM unnest('{triggered,trigger_always,trigger_replica,trigger_off,trigger_after,trigger_delete,trigger_keeps,constraint_trigger}'::text[]) AS name;
        PERFORM fill(name) FROM unnest('{ruled,checked,parts,leaf_trigger,insert_trigger,base,child,base_trigger,child_trigger}'::text[]) AS name;
        INSERT INTO follows SELECT i, i * 10, NULLIF(i - 1, 0) * 10 FROM generate_series(1, 8) AS i;
        INSERT INTO restricts SELECT i, i * 10 FROM generate_series(1, 8) AS i;
        INSERT INTO refers SELECT i, i FROM generate_series(1, 8) AS i;
        TRUNCATE log;
    END IF;
    PERFORM setval('numbers', 1000);
END$$;

CREATE FUNCTION contents() RETURNS text LANGUAGE sql AS $$
    SELECT md5(string_agg(row, ';' ORDER BY row)) FROM (
        SELECT t::text FROM t UNION ALL SELECT l::text FROM log AS l UNION ALL SELECT o::text FROM other AS o
        UNION ALL SELECT f::text FROM follows AS f UNION ALL SELECT r::text FROM restricts AS r UNION ALL SELECT r::text FROM refers AS r
        UNION ALL SELECT p::text FROM parts AS p UNION ALL SELECT l::text FROM leaf_trigger AS l UNION ALL SELECT i::text FROM insert_trigger AS i
        UNION ALL SELECT x::text FROM base AS x UNION ALL SELECT x::text FROM base_trigger AS x
        UNION ALL SELECT x::text FROM triggered AS x UNION ALL SELECT x::text FROM trigger_always AS x UNION ALL SELECT x::text FROM trigger_replica AS x
        UNION ALL SELECT x::text FROM trigger_off AS x UNION ALL SELECT x::text FROM trigger_after AS x UNION ALL SELECT x::text FROM trigger_delete AS x
        UNION ALL SELECT x::text FROM trigger_keeps AS x UNION ALL SELECT x::text FROM constraint_trigger AS x UNION ALL SELECT x::text FROM ruled AS x
        UNION ALL SELECT x::text FROM checked AS x UNION ALL SELECT last_value::text FROM numbers) AS all_of_it (row)$$;

CREATE FUNCTION run(command text) RETURNS text LANGUAGE plpgsql AS
    $$BEGIN EXECUTE command; RETURN NULL; EXCEPTION WHEN OTHERS THEN RETURN SQLERRM; END$$;

CREATE TABLE attempt (
    no int GENERATED ALWAYS AS IDENTITY, expected boolean, command text, table_name regclass DEFAULT 't', scope text,
    verdict boolean, reason text, error text, once text, twice text);

CREATE PROCEDURE compare() LANGUAGE plpgsql AS $$
DECLARE
    a attempt;
    full_command text;
BEGIN
    FOR a IN SELECT * FROM attempt ORDER BY no LOOP
        SELECT * INTO a.verdict, a.reason FROM bbm.is_repeatable(a.command, a.table_name, a.scope);
        full_command := a.command || CASE WHEN a.scope IS NULL THEN '' WHEN a.command ~ 'WHERE' THEN ' AND (' || a.scope || ')' ELSE ' WHERE ' || a.scope END;
        PERFORM restore(a.table_name = 't'::regclass);
        COMMIT;
        a.error := run(full_command);
        a.once := contents();
        COMMIT;
        PERFORM run(full_command);
        a.twice := contents();
        COMMIT;
        UPDATE attempt SET (verdict, reason, error, once, twice) = (a.verdict, a.reason, a.error, a.once, a.twice) WHERE no = a.no;
    END LOOP;
END$$;

-- Deletions.
INSERT INTO attempt (expected, command) VALUES
(true, 'DELETE FROM t'),
(true, 'DELETE FROM t WHERE a = 1'),
(true, 'DELETE FROM t WHERE done_at IS NULL OR done_at < now()'),
(true, 'DELETE FROM t USING other WHERE other.id = t.a AND v > 100'),
(true, 'WITH bad AS (SELECT id FROM other WHERE v > 100) DELETE FROM t WHERE a IN (SELECT id FROM bad)'),
(false, $$DELETE FROM t WHERE nextval('numbers') % 2 = 0$$),
(false, 'DELETE FROM t WHERE random() < 0'),
(false, 'DELETE FROM t WHERE noisy(a) = 5'),
(false, 'DELETE FROM t WHERE ((!!! a) = 5)'),
(false, 'DELETE FROM t WHERE pair::int = 5'),
(false, 'DELETE FROM t WHERE a === 5'),
(false, 'DELETE FROM t WHERE a = (SELECT noisy_sum(v) FROM other)'),
(false, 'DELETE FROM t WHERE id = newest_id()'),
(false, 'DELETE FROM t WHERE NOT EXISTS (SELECT FROM t AS later WHERE later.id > t.id)'),
(false, 'DELETE FROM t WHERE id = (SELECT max(id) FROM t_view)'),
(false, 'DELETE FROM t USING noisy_view AS v WHERE v.id = a AND v.v = 7'),
(false, $$DELETE FROM t WHERE table_to_xml('t', true, false, '')::text LIKE '%<id>5%'$$),
(false, 'DELETE FROM t USING noisy(1) AS f WHERE f = a'),
(false, 'DELETE FROM t WHERE a IN (SELECT id FROM other ORDER BY noisy(id))'),
(false, 'DELETE FROM t WHERE EXISTS (SELECT FROM other AS o, LATERAL (SELECT noisy(o.v)) AS l WHERE o.id = t.a)'),
(true, 'DELETE FROM t USING generate_series(1, 2) AS f WHERE f = a'),
(false, 'DELETE FROM t WHERE wat::watched = 3 OR a::watched = 3'),
(false, 'WITH kept AS (INSERT INTO log VALUES (1) RETURNING what) DELETE FROM t WHERE a = 77'),
(false, 'DELETE FROM t WHERE a = 1 RETURNING noisy(a)'),
(false, 'DELETE FROM t WHERE CURRENT OF some_cursor'),
(false, 'DELETE FROM other');

-- Values that stay the same.
INSERT INTO attempt (expected, command) VALUES
(true, 'UPDATE t SET b = a'),
(true, 'UPDATE t SET b = a * 2, note = upper(state)'),
(true, 'UPDATE t SET b = 5'),
(true, 'UPDATE t SET b = NULL'),
(true, 'UPDATE t AS x SET b = x.a WHERE x.b IS NULL'),
(true, 'UPDATE t SET b = 1, n = 2 WHERE b > n'),
(true, 'UPDATE t SET b = a WHERE b IS DISTINCT FROM a'),
(true, 'UPDATE t SET b = calm(a)'),
(true, 'UPDATE t SET note = calm_text(state)'),
(true, 'UPDATE t SET (b, note) = (a + 1, state)'),
(true, 'UPDATE t SET fixed = DEFAULT, n = DEFAULT'),
(true, $$UPDATE t SET day = '2024-01-01', done_at = '2024-01-01 12:00 UTC'$$),
(true, $$UPDATE t SET note = 'now or never'$$),
(true, $$UPDATE t SET note = 'today', day = NULL$$),
(true, $$UPDATE t SET tsv = to_tsvector('pg_catalog.english', note)$$),
(true, $$UPDATE t SET mood = 'happy', doc = '{"done": true}', arr = ARRAY[a, 7], pair = ROW(a, 3)$$),
(true, 'UPDATE t SET pos = a + 1'),
(true, 'UPDATE t SET a = 3, b = fixed'),
(true, 'UPDATE t SET b = CASE WHEN a > 2 THEN greatest(a, 5) ELSE coalesce(a, id) END'),
(true, 'UPDATE t SET b = a_doubled'),
(true, 'UPDATE t SET b = (pair).x, a = arr[1]'),
(true, 'UPDATE t SET a_doubled = DEFAULT, b = 4');
INSERT INTO attempt (expected, command) VALUES
(false, 'UPDATE t SET n = n + 1'),
(false, 'UPDATE t SET a = b, b = a'),
(false, 'UPDATE t SET (a, n) = (n, a)'),
(false, 'UPDATE t SET a = a'),
(false, 'UPDATE t SET a = a + 1, b = a_doubled'),
(false, 'UPDATE t SET b = a_doubled, a = a_doubled'),
(false, 'UPDATE t SET note = md5(t::text)'),
(false, 'UPDATE t SET b = length(note), note = note || to_jsonb(t)::text'),
(false, 'UPDATE t SET note = ctid::text'),
(false, 'UPDATE t SET note = xmin::text'),
(false, 'UPDATE t SET uid = NULL, b = tableoid::int'),
(false, 'UPDATE t SET arr[1] = arr[2] + arr[1]'),
(false, 'UPDATE t SET arr[1] = 5'),
(false, 'UPDATE t SET arr[1] = noisy(1), arr[2] = 5'),
(false, 'UPDATE t SET pair.x = (pair).x + 1'),
(false, 'UPDATE t SET pair.x = (pair).y, pair.y = (pair).x'),
(false, $$UPDATE t SET doc['n'] = to_jsonb(a)$$),
(false, 'UPDATE t SET (a, b) = (SELECT v, v FROM other WHERE other.id = t.a)'),
(false, 'UPDATE t SET b = (SELECT max(v) FROM other)'),
(false, 'UPDATE t SET a = v FROM other WHERE other.id = a'),
(false, 'UPDATE t SET b = o.n + 1 FROM t AS o WHERE o.id = t.id'),
(false, 'UPDATE t SET n = o.n + 1 FROM t AS o WHERE o.id = t.id'),
(false, 'WITH o AS (SELECT 1) UPDATE t SET b = 5'),
(false, 'UPDATE t SET done_at = now()'),
(false, 'UPDATE t SET done_at = CURRENT_TIMESTAMP'),
(false, 'UPDATE t SET note = clock_timestamp()::text'),
(false, $$UPDATE t SET note = current_setting('TimeZone')$$),
(false, $$UPDATE t SET done_at = 'now'$$),
(false, $$UPDATE t SET done_at = E'\x6eow'$$),
(false, $$UPDATE t SET note = 'x', day = 'today'::date + 1$$),
(false, $$UPDATE t SET day = upper(daterange '[2024-01-01,TOMORROW)')$$),
(false, $$UPDATE t SET done_at = ('{now,2024-01-01}'::timestamptz[])[a]$$),
(false, $$UPDATE t SET pair = '(1,2)'$$),
(false, 'UPDATE t SET b = random() * 10'),
(false, 'UPDATE t SET serial = DEFAULT'),
(false, $$UPDATE t SET serial = nextval('numbers')$$),
(false, 'UPDATE t SET b = noisy(a)'),
(false, 'UPDATE t SET b = !!! a'),
(false, 'UPDATE t SET b = pair::int'),
(false, 'UPDATE t SET wat = a'),
(false, 'UPDATE t SET b = a WHERE noisy_ok(a)'),
(false, 'UPDATE t SET b = a WHERE done_at < now()'),
(false, 'UPDATE t SET b = a RETURNING noisy(a)'),
(false, 'WITH l AS (INSERT INTO log VALUES (1)) UPDATE t SET b = a'),
(false, 'UPDATE t SET b = newest_id()'),
(false, 'UPDATE t_view SET b = a'),
(false, 'UPDATE other SET v = 1');

-- Conditions that rows meet no more.
INSERT INTO attempt (expected, command, scope) VALUES
(true, 'UPDATE t SET n = n + 1, done = true WHERE NOT done', NULL),
(true, 'UPDATE t SET n = n + 1, done = true', 'NOT done'),
(true, 'UPDATE t SET n = n + 1, done = true WHERE a > 1 AND (b IS NULL AND done IS NOT TRUE)', NULL),
(true, 'UPDATE t SET n = n + 1, done = true WHERE done = false', NULL),
(true, 'UPDATE t SET n = n + 1, done = NOT false', 'coalesce(done, false) IS FALSE'),
(true, $$UPDATE t SET n = n + 1, state = 'new' WHERE state = 'old'$$, NULL),
(true, $$UPDATE t SET n = n + 1, state = 'new' WHERE state IN ('old', 'older')$$, NULL),
(true, $$UPDATE t SET n = n + 1, state = 'new' WHERE state <> 'new' OR state IS NULL$$, NULL),
(true, $$UPDATE t SET n = n + 1, code = 'new' WHERE code = 'old'$$, NULL),
(true, $$UPDATE t SET n = n + 1, note = 'new' WHERE note = 'old' AND a = (SELECT 1)$$, NULL),
(true, $$UPDATE t SET n = n + 1, mood = 'happy' WHERE mood = 'sad'$$, NULL),
(true, 'UPDATE t SET n = n + 1, small = 2 WHERE small < 2', NULL),
(true, 'UPDATE t SET n = n + 1, plain = 2 WHERE plain = 1', NULL),
(true, 'UPDATE t SET n = n + 1, b = -1 WHERE b IS DISTINCT FROM -1', NULL),
(true, 'UPDATE t SET n = n + 1, b = a WHERE b IS DISTINCT FROM a', NULL),
(true, 'UPDATE t SET n = n + 1, b = NULL WHERE b > 0', NULL),
(true, 'UPDATE t SET n = n + 1, b = NULL WHERE b IS NOT NULL', NULL),
(true, 'UPDATE t SET n = n + 1, b = 0 WHERE b BETWEEN 1 AND 2', NULL),
(true, $$UPDATE t SET n = n + 1, day = '2024-01-01' WHERE day IS NULL$$, NULL),
(true, 'UPDATE t SET n = n + 1, done_at = now() WHERE done_at IS NULL', NULL),
(true, 'UPDATE t SET n = n + 1, done_at = CURRENT_TIMESTAMP WHERE done_at IS NULL', NULL),
(true, 'UPDATE t SET n = n + 1, done_at = clock_timestamp(), day = CURRENT_DATE WHERE done_at IS NULL', NULL),
(true, 'UPDATE t SET n = n + 1, done_at = coalesce(day, now()) WHERE done_at IS NULL', NULL),
(true, 'UPDATE t SET n = n + 1, uid = gen_random_uuid() WHERE uid IS NULL', NULL),
(true, $$UPDATE t SET b = nextval('numbers') WHERE b IS NULL$$, NULL),
(true, 'UPDATE t SET n = n + 1, pos = 5 WHERE pos IS NULL', NULL),
(true, $$UPDATE t SET n = n + 1, amount = 2, tsv = 'done' WHERE tsv IS NULL$$, NULL),
(true, 'UPDATE t SET n = n + v, done = true FROM other WHERE other.id = a AND NOT done', NULL),
(true, 'UPDATE t SET n = (SELECT max(v) FROM other) + n, done = true WHERE NOT done', NULL),
(true, 'UPDATE t SET n = n + newest_id(), done = true WHERE NOT done', NULL),
(true, 'UPDATE t SET arr[1] = arr[1] + 1, pair.x = 7, done = true WHERE NOT done', NULL),
(true, 'UPDATE t SET n = n + 1, done = true WHERE done IS NOT DISTINCT FROM false', NULL),
(true, 'UPDATE t SET n = n + 1, done = true WHERE NOT (done OR a > 1)', NULL),
(true, $$UPDATE t SET n = n + 1, done = true WHERE done <> ALL ('{true}') AND (done, b) = (false, 1)$$, NULL),
(true, $$UPDATE t SET n = n + 1, state = 'new' WHERE state NOT IN ('new', 'newer')$$, NULL),
(true, $$UPDATE t SET n = n + 1, note = 'a' || 'b' WHERE note IS NULL OR note IS NULL$$, NULL),
(true, $$UPDATE t SET n = n + 1, uid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11' WHERE uid IS DISTINCT FROM 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'$$, NULL),
(true, 'UPDATE t SET n = n + 1, done = true FROM other TABLESAMPLE system (100) WHERE other.id = a AND NOT done', NULL),
(true, $$UPDATE t SET n = n + 1, fixed = DEFAULT WHERE fixed <> 7$$, NULL),
(true, 'UPDATE t SET n = n + 1 WHERE false', NULL);
INSERT INTO attempt (expected, command, scope) VALUES
(false, 'UPDATE t SET n = n + 1, done = true WHERE NOT done OR a = 1', NULL),
(false, 'UPDATE t SET n = n + 1, done = (a > 1) WHERE NOT done', NULL),
(false, 'UPDATE t SET n = n + 1, done = true', NULL),
(false, 'UPDATE t SET n = n + 1, b = a WHERE b IS NULL', NULL),
(false, 'UPDATE t SET n = n + 1, b = NULL WHERE b IS NULL', NULL),
(false, 'UPDATE t SET n = n + 1, b = n WHERE b IS DISTINCT FROM n', NULL),
(false, 'UPDATE t SET a = a + 1, b = a WHERE b IS DISTINCT FROM a', NULL),
(false, 'UPDATE t SET n = n + 1, b = v FROM other WHERE b IS DISTINCT FROM v AND other.id < 3', NULL),
(false, 'UPDATE t SET n = n + 1, b = noisy(a) WHERE b IS DISTINCT FROM noisy(a)', NULL),
(false, 'UPDATE t SET n = n + 1, done_at = now() WHERE done_at IS DISTINCT FROM now()', NULL),
(false, $$UPDATE t SET n = n + 1, done_at = 'now' WHERE done_at IS NULL OR done_at < 'now'$$, NULL),
(false, $$UPDATE t SET n = n + 1, done_at = 'now' WHERE done_at IS DISTINCT FROM 'now'$$, NULL),
(false, $$UPDATE t SET n = n + 1, done_at = '2024-01-01' WHERE done_at IS DISTINCT FROM '2024-01-01'$$, NULL),
(false, $$UPDATE t SET n = n + 1, note = 'new', code = 'abcd' WHERE code <> 'abcd'$$, NULL),
(false, $$UPDATE t SET n = n + 1, state = 'new' WHERE upper(state) = 'OLD'$$, NULL),
(false, $$UPDATE t SET n = n + 1, state = 'NEW' WHERE state = 'NEW' OR state = 'old'$$, NULL),
(false, 'UPDATE t SET n = n + 1, ratio = 0.1 WHERE ratio <> 0.1', NULL),
(false, 'UPDATE t SET n = n + 1, amount = 1.005 WHERE amount <> 1.005', NULL),
(false, 'UPDATE t SET n = n + 1, fixed = 5 WHERE NOT fixed ==== 5', NULL),
(false, 'UPDATE t SET n = n + 1, pair = ROW(NULL, NULL) WHERE pair IS NULL OR id > 0', NULL),
(false, 'UPDATE t SET n = n + 1, pair = ROW(NULL, NULL) WHERE (pair IS NULL) IS NOT NULL', NULL),
(false, $$UPDATE t SET n = n + 1, gap = '(,)' WHERE gap IS NULL$$, NULL),
(false, 'UPDATE t SET n = n + 1, gap = ROW(NULL, NULL)::pair WHERE gap IS NULL', NULL),
(false, 'UPDATE t SET n = n + 1, a = 0 WHERE a_doubled >= 0', NULL),
(false, 'UPDATE t SET n = n + 1, a = 3 WHERE 10 / a > 1', NULL),
(false, 'UPDATE t SET n = n + 1, a = 0 WHERE 10 / (a - 5) < 99', NULL),
(false, 'UPDATE t SET n = n + 1, b = 7 WHERE EXISTS (SELECT FROM other WHERE other.id = t.b) OR b = 7', NULL),
(false, 'UPDATE t SET n = n + 1, done = true FROM noisy(1) AS f WHERE NOT done', NULL),
(false, 'UPDATE t SET n = n + 1, small = 1, b = -70000 WHERE small = 1', NULL),
(false, $$UPDATE t SET n = n + 1, note = concat(VARIADIC NULL::text[]) WHERE note IS NULL OR id > 0$$, NULL),
(false, $$UPDATE t SET n = n + 1, note = concat(VARIADIC arr) WHERE note IS NULL$$, NULL),
(false, 'UPDATE t SET n = n + 1, a = 0 WHERE a_doubled IS DISTINCT FROM 1', NULL),
(false, 'UPDATE t SET n = n + 1, arr[1] = 9 WHERE arr[1] <> 8', NULL),
(false, 'UPDATE t SET b = random() WHERE b IS NULL', NULL),
(false, 'UPDATE t SET b = noisy(a), done = true WHERE NOT done', NULL),
(false, 'UPDATE t SET n = n + 1, done = true WHERE NOT done AND noisy_ok(a)', NULL),
(false, 'UPDATE t SET n = n + 1, done = true WHERE NOT done', 'noisy_ok(a)'),
(false, 'UPDATE t SET b = n, done = true FROM noisy_view AS v WHERE v.id = a AND NOT done', NULL),
(false, $$UPDATE t SET b = s, done = true FROM (SELECT nextval('numbers') AS s) AS x WHERE NOT done$$, NULL),
(false, 'UPDATE t SET n = n + 1, done = true WHERE NOT done RETURNING n', NULL);

-- What the table does by itself.
INSERT INTO attempt (expected, command, table_name) VALUES
(false, 'UPDATE triggered SET b = a', 'triggered'),
(false, 'UPDATE triggered SET b = a, done = true WHERE NOT done', 'triggered'),
(true, 'DELETE FROM triggered', 'triggered'),
(false, 'UPDATE trigger_always SET b = a', 'trigger_always'),
(false, 'UPDATE trigger_replica SET b = a', 'trigger_replica'),
(true, 'UPDATE trigger_off SET b = a', 'trigger_off'),
(false, 'UPDATE trigger_after SET b = a', 'trigger_after'),
(true, 'UPDATE trigger_delete SET b = a', 'trigger_delete'),
(false, 'DELETE FROM trigger_delete', 'trigger_delete'),
(false, 'DELETE FROM trigger_keeps', 'trigger_keeps'),
(false, 'UPDATE constraint_trigger SET b = a', 'constraint_trigger'),
(false, 'UPDATE ruled SET b = a', 'ruled'),
(true, 'DELETE FROM ruled', 'ruled'),
(false, 'UPDATE checked SET b = a', 'checked'),
(true, 'DELETE FROM checked', 'checked'),
(false, 'UPDATE follows SET code = parent + id', 'follows'),
(true, 'UPDATE follows SET n = parent + 1', 'follows'),
(false, 'DELETE FROM follows WHERE parent IS NULL', 'follows'),
(true, 'UPDATE restricts SET code = id + 100', 'restricts'),
(true, 'DELETE FROM restricts WHERE code > 40', 'restricts'),
(true, 'UPDATE refers SET code = 3', 'refers'),
(true, 'UPDATE parts SET n = b + id', 'parts'),
(true, 'UPDATE parts SET a = b', 'parts'),
(false, 'UPDATE parts SET a = a + 1', 'parts'),
(true, 'UPDATE parts SET a = 9, n = n + 1 WHERE a < 9', 'parts'),
(true, 'DELETE FROM parts WHERE a > 1', 'parts'),
(false, 'DELETE FROM parts_1 WHERE b >= ALL (SELECT b FROM parts)', 'parts_1'),
(false, 'UPDATE leaf_trigger SET b = a', 'leaf_trigger'),
(true, 'UPDATE leaf_trigger_1 SET b = a', 'leaf_trigger_1'),
(false, 'UPDATE insert_trigger SET a = b', 'insert_trigger'),
(true, 'UPDATE insert_trigger_1 SET n = b', 'insert_trigger_1'),
(true, 'UPDATE base SET b = a', 'base'),
(false, 'UPDATE base SET n = n + 1', 'base'),
(false, 'UPDATE base_trigger SET b = a', 'base_trigger'),
(true, 'UPDATE ONLY base_trigger SET b = a', 'base_trigger'),
(true, 'UPDATE remote SET b = a', 'remote'),
(true, 'UPDATE remote SET n = n + 1, done = true WHERE NOT done', 'remote'),
(false, 'UPDATE remote SET n = n + 1', 'remote'),
(true, 'DELETE FROM remote WHERE a = 1', 'remote'),
(false, 'DELETE FROM remote USING parts_remote_1 AS x WHERE x.id = remote.id', 'remote'),
(true, 'UPDATE parts_remote SET b = a', 'parts_remote'),
(false, 'UPDATE strange SET b = a', 'strange'),
(false, 'UPDATE t_view SET b = a', 't_view');

-- Everything else.
INSERT INTO attempt (expected, command) VALUES
(false, 'INSERT INTO other SELECT id + 100, a FROM t'),
(false, 'INSERT INTO other SELECT id, a FROM t ON CONFLICT DO NOTHING'),
(false, 'INSERT INTO other SELECT id, a FROM t ON CONFLICT (id) DO UPDATE SET v = other.v + 1'),
(false, 'SELECT noisy(a) FROM t'),
(false, 'SELECT id FROM t'),
(false, 'MERGE INTO t USING other ON other.id = t.a WHEN MATCHED THEN UPDATE SET n = n + 1');

CALL compare();

SELECT no, command || coalesce(' / ' || scope, '') AS command, verdict AS repeatable, once <> twice AS harm FROM attempt ORDER BY no;
SELECT reason, count(*) FROM attempt WHERE verdict GROUP BY reason ORDER BY reason COLLATE "C";
SELECT no, reason FROM attempt WHERE NOT verdict ORDER BY no;

-- Nothing may stand here: wrong verdicts, and above all a yes with harm.
SELECT no, command, expected, verdict, reason FROM attempt WHERE verdict IS DISTINCT FROM expected ORDER BY no;
SELECT no, command, reason FROM attempt WHERE verdict AND once IS DISTINCT FROM twice ORDER BY no;
-- Nor a yes that was not tried, but for other servers.
SELECT no, command FROM attempt WHERE verdict AND error IS NOT NULL ORDER BY no;
SELECT verdict, once <> twice AS harm, count(*) FROM attempt GROUP BY verdict, harm ORDER BY verdict, harm;
-- The others have been run, too, but for those that PostgreSQL refuses.
SELECT no, command FROM attempt WHERE NOT verdict AND error IS NOT NULL AND no NOT IN (SELECT no FROM attempt WHERE error ~ 'user mapping') ORDER BY no;

-- Who declares a function immutable is believed, by bbm as by the server.
SELECT * FROM bbm.is_repeatable('UPDATE t SET b = liar(a)', 't');

-- Row security: policies would be asked each time. Superusers and owners have none.
CREATE ROLE regress_bbm_reader;
GRANT USAGE ON SCHEMA bbm, repeatable TO regress_bbm_reader;
GRANT EXECUTE ON FUNCTION bbm.is_repeatable TO regress_bbm_reader;
GRANT ALL ON t, other TO regress_bbm_reader;
ALTER TABLE other ENABLE ROW LEVEL SECURITY;
CREATE POLICY noisy ON other USING (noisy_ok(v));
SELECT is_repeatable FROM bbm.is_repeatable('DELETE FROM other', 'other');
SET ROLE regress_bbm_reader;
SELECT is_repeatable FROM bbm.is_repeatable('DELETE FROM other', 'other'); \echo SQLSTATE :SQLSTATE
SELECT is_repeatable FROM bbm.is_repeatable('DELETE FROM t USING other WHERE other.id = t.id', 't'); \echo SQLSTATE :SQLSTATE
RESET ROLE;

-- Placeholders stand for keys, and mean other ones the next time.
SELECT * FROM bbm.is_repeatable('UPDATE t SET b = a WHERE id BETWEEN $1 AND $2', 't');
SELECT * FROM bbm.is_repeatable('UPDATE t SET b = $2 WHERE id BETWEEN $1 AND $2', 't');
SELECT * FROM bbm.is_repeatable('UPDATE t SET n = n + 1, done = true WHERE id BETWEEN $1 AND $2 AND NOT done', 't');
SELECT * FROM bbm.is_repeatable('UPDATE base SET b = a WHERE id BETWEEN $1 AND $2', 'base'); \echo SQLSTATE :SQLSTATE

-- What is no command at all is refused as bbm.queue() does.
SELECT * FROM bbm.is_repeatable('', 't'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.is_repeatable('UPDATE t SET b = a; UPDATE t SET n = n + 1', 't'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.is_repeatable('VACUUM t', 't'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.is_repeatable('UPDATE t SET missing = 1', 't'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.is_repeatable(NULL, 't'); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.is_repeatable('UPDATE t SET b = a', NULL); \echo SQLSTATE :SQLSTATE
SELECT * FROM bbm.is_repeatable('UPDATE t SET b = a', 't', 'a = 1; DROP TABLE t'); \echo SQLSTATE :SQLSTATE

-- What was allowed when it was queued is not any more.
CREATE TABLE changed (n int DEFAULT 0, done boolean DEFAULT false);
INSERT INTO changed SELECT FROM generate_series(1, 100);
SELECT bbm.queue('changed', 'changed', command => 'UPDATE changed SET n = n + 1, done = true WHERE NOT done', batching_strategy => 'ctid') AS id \gset
CREATE TRIGGER late BEFORE UPDATE ON changed FOR EACH ROW EXECUTE FUNCTION count_up();
CALL bbm.run(:id); \echo SQLSTATE :SQLSTATE
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT sqlstate, message, detail FROM bbm.failures WHERE migration_id = :id;
DROP TRIGGER late ON changed;
SELECT bbm.retry(:id) AS jobs_put_back;
CALL bbm.run(:id);
SELECT status FROM bbm.migrations WHERE id = :id;
SELECT n, done, count(*) FROM changed GROUP BY n, done;

DROP OWNED BY regress_bbm_reader;
DROP ROLE regress_bbm_reader;
DROP FOREIGN DATA WRAPPER homemade CASCADE;
DROP EXTENSION postgres_fdw CASCADE;
DROP SCHEMA repeatable CASCADE;
