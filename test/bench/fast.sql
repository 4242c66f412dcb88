-- Tables, statements and checks of fast.sh. Every measured table is called "target" and made from fast.source.
CREATE EXTENSION amcheck;
CREATE SCHEMA fast;
SET check_function_bodies = off; -- "target" comes later

CREATE TABLE fast.source WITH (autovacuum_enabled = false) AS
    SELECT id, (id % 1000)::integer AS n, (id % 977)::integer AS e, id * 3 AS b,
           timestamptz '2020-01-01' + id * interval '1 s' AS c, id % 7 = 0 AS d, md5(id::text) AS f,
           NULL::bigint AS new_col
    FROM generate_series(1, :fast_rows::bigint) AS id;
VACUUM (FREEZE, ANALYZE) fast.source;

-- What differs between the tables. All have eight columns and about 100 bytes a row on disk.
CREATE TABLE fast.shape (
    name        text PRIMARY KEY,
    key         text NOT NULL DEFAULT 'id',
    columns     text NOT NULL DEFAULT 'id, n, e, b, c, d, f, new_col',
    indexed     text[] NOT NULL DEFAULT '{}', -- "written" is the column that the statement writes
    filling     integer NOT NULL DEFAULT 100
);
INSERT INTO fast.shape (name) VALUES ('narrow'), ('narrow10m');
INSERT INTO fast.shape (name, indexed, filling) VALUES
    ('wide3', '{e,c,f}', 100), ('wide3_90', '{e,c,f}', 90), ('wide3u', '{written,c,f}', 100);
INSERT INTO fast.shape (name, key, columns) VALUES
    ('uuid', 'id', 'md5(id::text)::uuid AS id, n, e, b, c, d, f, new_col'),
    ('composite', 'k1, k2', '(id / 1000)::integer AS k1, (id % 1000)::integer AS k2, n, e, b, c, f, new_col');

CREATE TABLE fast.statement (name text PRIMARY KEY, written text NOT NULL, value text NOT NULL);
INSERT INTO fast.statement VALUES ('backfill', 'new_col', '(e * 3 + n)::bigint'), ('any', 'n', 'n + 1');

-- Indexes are built behind the rows: compact, as after REINDEX.
CREATE PROCEDURE fast.add_indexes(named text, on_shape text, of_statement text) LANGUAGE plpgsql AS $$
DECLARE
    like_this fast.shape;
    indexed text;
BEGIN
    SELECT * INTO STRICT like_this FROM fast.shape WHERE name = on_shape;
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT target_pkey PRIMARY KEY (%s)', named, like_this.key);
    FOREACH indexed IN ARRAY like_this.indexed LOOP
        IF indexed = 'written' THEN
            SELECT written INTO STRICT indexed FROM fast.statement WHERE name = of_statement;
        END IF;
        EXECUTE format('CREATE INDEX ON %I (%I)', named, indexed);
    END LOOP;
END $$;

CREATE PROCEDURE fast.make(on_shape text, rows bigint, of_statement text) LANGUAGE plpgsql AS $$
DECLARE
    like_this fast.shape;
BEGIN
    SELECT * INTO STRICT like_this FROM fast.shape WHERE name = on_shape;
    DROP TABLE IF EXISTS target, form;
    EXECUTE format('CREATE TABLE form AS SELECT %s FROM fast.source LIMIT 0', like_this.columns);
    EXECUTE format('CREATE TABLE target (LIKE form) WITH (autovacuum_enabled = false, fillfactor = %s)', like_this.filling);
    -- a scan that joins another one in its middle would give another heap
    SET LOCAL synchronize_seqscans = off;
    EXECUTE format('INSERT INTO target SELECT %s FROM fast.source WHERE id <= %s', like_this.columns, rows);
    CALL fast.add_indexes('target', on_shape, of_statement);
END $$;

-- The row of a table with the statement done, as a list for SELECT.
CREATE FUNCTION fast.done_columns(of_statement text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(CASE attname WHEN written THEN format('(%s)::%s AS %I', value, atttypid::regtype, attname)
                                   ELSE quote_ident(attname) END, ', ' ORDER BY attnum)
    FROM pg_attribute, fast.statement
    WHERE attrelid = 'target'::regclass AND attnum > 0 AND NOT attisdropped AND name = of_statement
$$;

CREATE PROCEDURE fast.copy_and_swap(on_shape text, of_statement text) LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE target IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE target_copy WITH (autovacuum_enabled = false, fillfactor = %s) AS SELECT %s FROM target',
                   (SELECT filling FROM fast.shape WHERE name = on_shape), fast.done_columns(of_statement));
    ALTER TABLE target DROP CONSTRAINT target_pkey;
    CALL fast.add_indexes('target_copy', on_shape, of_statement);
    DROP TABLE target;
    ALTER TABLE target_copy RENAME TO target;
END $$;

-- Loops as people write them. Procedures of their own for each statement, so that plans are kept.
CREATE PROCEDURE fast.make_loops(assignment text) LANGUAGE plpgsql AS $make$
BEGIN
    DROP PROCEDURE IF EXISTS fast.loop_offset, fast.loop_max, fast.loop_bounds;
    EXECUTE replace($loop$
CREATE PROCEDURE fast.loop_offset(size integer) LANGUAGE plpgsql AS $$
DECLARE
    here bigint := (SELECT min(id) FROM target);
    next bigint;
BEGIN
    LOOP
        SELECT id INTO next FROM target WHERE id >= here ORDER BY id LIMIT 1 OFFSET size;
        EXIT WHEN next IS NULL;
        UPDATE target SET {assignment} WHERE id >= here AND id < next;
        COMMIT;
        here := next;
    END LOOP;
    UPDATE target SET {assignment} WHERE id >= here;
END $$ $loop$, '{assignment}', assignment);
    EXECUTE replace($loop$
CREATE PROCEDURE fast.loop_max(size integer) LANGUAGE plpgsql AS $$
DECLARE
    here bigint := 0;
    last bigint;
BEGIN
    LOOP
        SELECT max(id) INTO last FROM (SELECT id FROM target WHERE id > here ORDER BY id LIMIT size) AS next;
        EXIT WHEN last IS NULL;
        UPDATE target SET {assignment} WHERE id > here AND id <= last;
        COMMIT;
        here := last;
    END LOOP;
END $$ $loop$, '{assignment}', assignment);
    EXECUTE replace($loop$
CREATE PROCEDURE fast.loop_bounds(size integer) LANGUAGE plpgsql AS $$
DECLARE
    here bigint := 0;
    last bigint := (SELECT max(id) FROM target);
BEGIN
    WHILE here < last LOOP
        UPDATE target SET {assignment} WHERE id > here AND id <= here + size;
        COMMIT;
        here := here + size;
    END LOOP;
END $$ $loop$, '{assignment}', assignment);
END $make$;

-- What a client that works as GitLab does keeps about its jobs.
CREATE TABLE fast.client_job (
    id bigserial PRIMARY KEY, migration_id bigint NOT NULL, min_value bigint, max_value bigint, batch_size integer NOT NULL,
    sub_batch_size integer NOT NULL, status smallint NOT NULL DEFAULT 0, attempts smallint NOT NULL DEFAULT 0,
    metrics jsonb NOT NULL DEFAULT '{}', created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, finished_at timestamptz
);
CREATE INDEX ON fast.client_job (migration_id, id);
CREATE INDEX ON fast.client_job (migration_id, status);
CREATE INDEX ON fast.client_job (migration_id, max_value);
CREATE INDEX ON fast.client_job (migration_id, finished_at);
CREATE TABLE fast.client_log (
    id bigserial PRIMARY KEY, job_id bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
    previous_status smallint NOT NULL, next_status smallint NOT NULL
);
CREATE INDEX ON fast.client_log (job_id);

-- Names are looked up when it is read: the table is another one each time.
CREATE VIEW fast.size AS
    SELECT pg_relation_size(to_regclass('target')) AS heap, pg_relation_size(to_regclass('target_pkey')) AS pk,
           (SELECT coalesce(sum(pg_relation_size(indexrelid)), 0) FROM pg_index
            WHERE indrelid = to_regclass('target') AND NOT indisprimary) AS others,
           pg_current_wal_insert_lsn() - '0/0' AS wal;

CREATE TABLE fast.expected (shape text, statement text, rows bigint, count bigint, sum numeric, PRIMARY KEY (shape, statement, rows));

CREATE FUNCTION fast.contents(OUT count bigint, OUT sum numeric) LANGUAGE sql AS
    $$SELECT count(*), sum(hashtextextended(target::text, 0)) FROM target$$;

-- What one UPDATE gives, worked out from the source once; that one UPDATE gives it is checked as for every other method.
CREATE PROCEDURE fast.expect(on_shape text, of_statement text, rows_ bigint) LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM fast.expected WHERE (shape, statement, rows) = (on_shape, of_statement, rows_)) THEN
        RETURN;
    END IF;
    EXECUTE format('INSERT INTO fast.expected SELECT %L, %L, %s, count(*), sum(hashtextextended(done::text, 0))'
                   ' FROM (SELECT %s FROM (SELECT %s FROM fast.source WHERE id <= %s) AS target) AS done',
                   on_shape, of_statement, rows_, fast.done_columns(of_statement),
                   (SELECT columns FROM fast.shape WHERE name = on_shape), rows_);
END $$;

CREATE PROCEDURE fast.check_indexes() LANGUAGE plpgsql AS $$
DECLARE
    checked regclass;
BEGIN
    FOR checked IN SELECT indexrelid FROM pg_index WHERE indrelid = 'target'::regclass LOOP
        PERFORM bt_index_check(checked, true);
    END LOOP;
    PERFORM bench.check(FOUND, 'no index was checked');
END $$;

CREATE PROCEDURE fast.check_contents(on_shape text, of_statement text, rows_ bigint) LANGUAGE plpgsql AS $$
DECLARE
    found record;
    want fast.expected;
BEGIN
    CALL fast.expect(on_shape, of_statement, rows_);
    SELECT * INTO STRICT want FROM fast.expected WHERE (shape, statement, rows) = (on_shape, of_statement, rows_);
    SELECT * INTO found FROM fast.contents();
    PERFORM bench.check(want.count = rows_ AND found.count = want.count, format('%s rows, not %s', found.count, want.count));
    PERFORM bench.check(found.sum = want.sum, format('contents are not what one UPDATE gives (%s, not %s)', found.sum, want.sum));
    CALL fast.check_indexes();
END $$;

-- Where only the first rows were done.
CREATE PROCEDURE fast.check_beginning(done bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM bench.check((SELECT count(*) = done FROM target WHERE new_col = e * 3 + n)
                        AND (SELECT count(new_col) = done FROM target), format('not the first %s rows', done));
    CALL fast.check_indexes();
END $$;
