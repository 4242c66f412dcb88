/* bbm: the SQL contract, in the order of its parts: tables, functions, views, compatibility, privileges.
   What a status may become is decided in src/core/lifecycle.hpp; the CHECKs here only guard the vocabulary. */
\echo Use "CREATE EXTENSION bbm" to load this file. \quit

SET LOCAL search_path = pg_catalog, pg_temp;

CREATE SCHEMA bbm;
COMMENT ON SCHEMA bbm IS 'batched background migrations';

------------------------------------------------------------------------------------------------------------------------
-- Tables. Nobody but the extension's owner may touch them; people read the views below.

CREATE TABLE bbm.job_class (
    name            text PRIMARY KEY CHECK (name <> ''),
    command         text NOT NULL,
    job_arguments   text[] NOT NULL DEFAULT '{}',
    scope_to        text,
    operation_name  text NOT NULL DEFAULT 'update_all',
    owner_oid       oid,
    owner_name      text,
    defined_at      timestamptz NOT NULL DEFAULT now(),
    needs_scope_to  boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE bbm.job_class IS 'named definitions of work; owner_oid is NULL for the built-in ones';

COMMENT ON COLUMN bbm.job_class.needs_scope_to IS 'bbm.queue wants a condition: without one it would do harm to every row';

INSERT INTO bbm.job_class (name, command, job_arguments, operation_name, needs_scope_to) VALUES
    ('CopyColumnUsingBackgroundMigrationJob',
     'UPDATE {table} SET ({copy_to}) = ROW({copy_from})',
     '{copy_from,copy_to}', 'update_all', false),
    -- What the application has written meanwhile stays.
    ('BackfillColumn',
     'UPDATE {table} SET {column_to} = {{value}} WHERE {column_to} IS NULL',
     '{column_to,value}', 'update_all', false),
    -- To the column's type, whatever it is, as jsonb_populate_record does it; `key` may be a list, which is a path.
    ('FillColumnFromJson',
     'UPDATE {table} SET {column_to} = (pg_catalog.jsonb_populate_record(NULL::{table}, pg_catalog.jsonb_build_object('
     '{{column_to}}, {column_from}::pg_catalog.jsonb OPERATOR(pg_catalog.#>) ARRAY[{{key}}]))).{column_to}',
     '{column_to,column_from,key}', 'update_all', false),
    ('DeleteRows',
     'DELETE FROM {table}',
     '{}', 'delete_all', true),
    -- The schema is an argument of its own, since an argument is one name.
    ('MoveRows',
     'WITH moved AS (DELETE FROM {table} RETURNING *) INSERT INTO {target_schema}.{target_table} SELECT * FROM moved',
     '{target_schema,target_table}', 'move_all', false);

-- Few CHECKs: the server reads each from its text for every statement, and these rows are updated once or more a job.
CREATE TABLE bbm.migration (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_class_name   text NOT NULL,
    table_oid        oid NOT NULL,
    table_root       oid NOT NULL,
    table_name       text NOT NULL,
    column_name      text NOT NULL,
    job_arguments    jsonb NOT NULL DEFAULT '[]',
    generation       integer NOT NULL DEFAULT 1,
    is_current       boolean NOT NULL DEFAULT true,
    status           text NOT NULL CHECK (status IN ('active', 'paused', 'finalizing', 'finished', 'finalized', 'failed')),
    -- the work, as it was defined when it was queued
    statement        text NOT NULL,
    has_placeholders boolean NOT NULL,
    scope_to         text,
    known_as         text NOT NULL,
    mentions         integer[],
    used_columns     text[],
    scope_mentions   integer[],
    operation_name   text NOT NULL,
    -- the walk
    batching_strategy text NOT NULL DEFAULT 'primary_key',
    cursor_columns   text[] NOT NULL CHECK (cardinality(cursor_columns) > 0),
    given_min        text[],
    given_max        text[],
    total_rows       bigint,
    walks_leaves     boolean NOT NULL DEFAULT false,
    with_nulls       boolean NOT NULL DEFAULT false,
    accepts_leaves   boolean NOT NULL DEFAULT false,
    workers          integer NOT NULL DEFAULT 1,
    -- the pace
    job_interval     interval NOT NULL DEFAULT '0',
    pause            interval NOT NULL DEFAULT '0',
    batch_size       integer NOT NULL,
    batch_size_given boolean NOT NULL,
    sub_batch_size   integer,
    max_batch_size   integer,
    row_cost_us      double precision NOT NULL DEFAULT 0,
    priority         integer NOT NULL DEFAULT 0,
    next_job_at      timestamptz,
    on_hold_until    timestamptz,
    hold_reason      text,
    -- what went wrong
    on_data_error    text NOT NULL DEFAULT 'fail' CHECK (on_data_error IN ('fail', 'quarantine')),
    recent_jobs      integer NOT NULL DEFAULT 0,
    bounds_attempts  integer NOT NULL DEFAULT 0,
    -- who and where
    owner_oid        oid NOT NULL,
    owner_name       text NOT NULL,
    search_path      text NOT NULL,
    home_system      bigint NOT NULL,
    home_database    oid NOT NULL,
    -- the sums over jobs that have left the running state; running jobs carry their own until then
    jobs_succeeded   bigint NOT NULL DEFAULT 0,
    keys_planned     bigint NOT NULL DEFAULT 0,
    rows_affected    bigint NOT NULL DEFAULT 0,
    sub_batches      bigint NOT NULL DEFAULT 0,
    work_us          bigint NOT NULL DEFAULT 0,
    longest_us       bigint NOT NULL DEFAULT 0,
    cancel_running   boolean NOT NULL DEFAULT false,
    status_reason    text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    active_since     timestamptz,
    started_at       timestamptz,
    finished_at      timestamptz
) WITH (fillfactor = 70);
COMMENT ON TABLE bbm.migration IS 'one piece of work over one table; key values are held in their types'' text form';
CREATE UNIQUE INDEX migration_identity ON bbm.migration (job_class_name, table_oid, column_name, job_arguments) WHERE is_current;
CREATE INDEX migration_runnable ON bbm.migration (table_root, id) WHERE status IN ('active', 'finalizing');

CREATE TABLE bbm.part (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL REFERENCES bbm.migration ON DELETE CASCADE,
    table_oid       oid NOT NULL,
    table_name      text NOT NULL,
    walk            text NOT NULL CHECK (walk IN ('keys', 'values', 'blocks', 'sweep')),
    is_only         boolean NOT NULL,
    condition       text,
    cursor_columns  text[] NOT NULL CHECK (cardinality(cursor_columns) > 0),
    cursor_types    text[] NOT NULL,
    table_file      text[],
    min_cursor      text[],
    max_cursor      text[],
    frontier        text[],
    is_cut          boolean NOT NULL,
    is_detached     boolean NOT NULL DEFAULT false,
    bound           text,
    total_rows      bigint,
    created_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
COMMENT ON TABLE bbm.part IS 'a table that a migration walks: its own, or one of its partitions or children; min_cursor..max_cursor was its range when it was queued';
CREATE INDEX part_of_migration ON bbm.part (migration_id, id);
CREATE INDEX part_uncut ON bbm.part (migration_id, id) WHERE NOT is_cut;

CREATE TABLE bbm.job (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL,
    part_id         bigint NOT NULL,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'failed', 'succeeded')),
    min_cursor      text[] NOT NULL,
    max_cursor      text[] NOT NULL,
    cursor          text[],
    window_max      text[],
    passes          smallint NOT NULL DEFAULT 0,
    pass            smallint NOT NULL DEFAULT 0,
    pass_cursor     text[],
    batch_size      integer NOT NULL,
    sub_batch_size  integer NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    epoch           bigint NOT NULL DEFAULT 0,
    unproven_starts integer NOT NULL DEFAULT 0,
    rows_affected   bigint NOT NULL DEFAULT 0,
    sub_batches     bigint NOT NULL DEFAULT 0,
    work_us         bigint NOT NULL DEFAULT 0,
    longest_us      bigint NOT NULL DEFAULT 0,
    elapsed_us      bigint NOT NULL DEFAULT 0,
    retry_at        timestamptz,
    wants_split     boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE bbm.job IS 'one batch of a part of a migration: the inclusive key range min_cursor..max_cursor, done up to and with cursor';
COMMENT ON COLUMN bbm.job.window_max IS 'the end of a window behind cursor, whose rows are done in passes; NULL: there is none';
COMMENT ON COLUMN bbm.job.passes IS 'of the window; which one a row belongs to, a hash of its key tells';
COMMENT ON COLUMN bbm.job.pass IS 'from 0; those before it are done, and this one up to and with pass_cursor';
CREATE INDEX job_of_migration ON bbm.job (migration_id, id);
CREATE INDEX job_running ON bbm.job (migration_id) WHERE status = 'running';
CREATE INDEX job_unfinished ON bbm.job (migration_id, id) WHERE status <> 'succeeded';

CREATE TABLE bbm.event (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL,
    job_id          bigint,
    job_class_name  text NOT NULL,
    table_name      text NOT NULL,
    event           text NOT NULL,
    from_status     text,
    to_status       text,
    reason          text,
    sqlstate        text,
    message         text,
    detail          text,
    data            jsonb,
    role_name       text NOT NULL,
    owner_oid       oid NOT NULL,
    home_system     bigint NOT NULL,
    home_database   oid NOT NULL,
    pid             integer NOT NULL,
    occurred_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE bbm.event IS 'what happened to migrations; outlives them; job_id where an error of that job was the cause';
CREATE INDEX event_of_migration ON bbm.event (migration_id, id);
CREATE INDEX event_finalize ON bbm.event (migration_id, id) WHERE event = 'finalize'; -- who waits looks four times a second
CREATE INDEX event_deleted_job ON bbm.event (job_id) WHERE event = 'delete' AND job_id IS NOT NULL;

CREATE TABLE bbm.job_transition (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL,
    job_id          bigint NOT NULL,
    from_status     text,
    to_status       text NOT NULL,
    reason          text,
    sqlstate        text,
    message         text,
    detail          text,
    hint            text,
    context         text,
    min_key         text[],
    max_key         text[],
    attempts        integer NOT NULL,
    role_name       text NOT NULL,
    pid             integer NOT NULL,
    occurred_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE bbm.job_transition IS 'what happened to jobs; an error stands here whole, with the key range it was met in';
CREATE INDEX job_transition_of_migration ON bbm.job_transition (migration_id, id);
CREATE INDEX job_transition_failures ON bbm.job_transition (migration_id, id) WHERE sqlstate IS NOT NULL;

CREATE TABLE bbm.quarantine (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL REFERENCES bbm.migration ON DELETE CASCADE,
    part_id         bigint NOT NULL,
    job_id          bigint NOT NULL,
    key             text[] NOT NULL,
    sqlstate        text NOT NULL,
    message         text NOT NULL,
    detail          text,
    hint            text,
    context         text,
    attempts        integer NOT NULL,
    quarantined_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (migration_id, part_id, key)
);
COMMENT ON TABLE bbm.quarantine IS 'rows that a migration left as they were because its command raises an error for them';

COMMENT ON COLUMN bbm.migration.table_root IS 'the topmost table that it is a partition or a child of: one migration at a time on all of them';
COMMENT ON COLUMN bbm.migration.known_as IS 'what statement and scope_to call the table: its name when it was queued, without schema';
COMMENT ON COLUMN bbm.migration.mentions IS 'where statement names the table: start, length and flags of each place; NULL: it cannot be given another name';
COMMENT ON COLUMN bbm.migration.scope_mentions IS 'where scope_to does';
COMMENT ON COLUMN bbm.migration.generation IS 'rises with bbm.requeue(); the newest one is_current, the others are history';
COMMENT ON COLUMN bbm.migration.batch_size_given IS 'a person chose batch_size: without an interval it then stays as it is';
COMMENT ON COLUMN bbm.migration.given_min IS 'batch_min_value as it was given; for the next generation';
COMMENT ON COLUMN bbm.migration.on_hold_until IS 'no job is started before; hold_reason says why';
COMMENT ON COLUMN bbm.migration.recent_jobs IS 'jobs that were cut since it became active, for the failure threshold';
COMMENT ON COLUMN bbm.migration.bounds_attempts IS 'ranges that could not be found in time; each halves the batch, after 3 the filter is left out of the search';
COMMENT ON COLUMN bbm.migration.keys_planned IS 'batch sizes of the jobs that succeeded: how far it is where the key has no arithmetic';
COMMENT ON COLUMN bbm.migration.walks_leaves IS 'each of its partitions or children by itself, and not the table as a whole';
COMMENT ON COLUMN bbm.migration.used_columns IS 'columns of the table that the command uses, and their types (name, type, name, type ...); should one change, the migration stops';
COMMENT ON COLUMN bbm.migration.accepts_leaves IS 'a person has said that all rows of new leaves are to be handled, though some may have come from others that are done';
COMMENT ON COLUMN bbm.migration.workers IS 'processes that work on it at once, at the most';
COMMENT ON COLUMN bbm.part.walk IS 'keys: by a unique key; values: by distinct values; blocks: by ctid; sweep: what the blocks have left, at once';
COMMENT ON COLUMN bbm.part.is_only IS 'the rows of this table alone, not those of its children';
COMMENT ON COLUMN bbm.part.condition IS 'which rows of the table, beside scope_to; NULL for all';
COMMENT ON COLUMN bbm.part.table_file IS 'what the table''s file was when it was looked at last; NULL before';
COMMENT ON COLUMN bbm.part.frontier IS 'the end of the last job that was cut; NULL before the first';
COMMENT ON COLUMN bbm.part.is_detached IS 'it is no part of the migration''s table any more; it was done to its end nevertheless';
COMMENT ON COLUMN bbm.part.bound IS 'its partition bound when it became a part';
COMMENT ON COLUMN bbm.part.is_cut IS 'all of its range is in jobs';
COMMENT ON COLUMN bbm.migration.active_since IS 'the last time it became active or finalizing; started_at is the start of the first job';
COMMENT ON COLUMN bbm.migration.row_cost_us IS 'measured microseconds per key, for the size of the next job and its first sub-batch';
COMMENT ON COLUMN bbm.migration.home_system IS 'system identifier of the server it was queued on; elsewhere (restore, clone) it does not run';
COMMENT ON COLUMN bbm.job.elapsed_us IS 'time that processes spent on it, pauses included, holds not; what the optimizer looks at';
COMMENT ON COLUMN bbm.job.wants_split IS 'the next claim cuts it in two at its middle key';
COMMENT ON COLUMN bbm.job.epoch IS 'rises with every claim; a process with an older epoch cannot commit';
COMMENT ON COLUMN bbm.job.unproven_starts IS 'starts since the last committed sub-batch: 3 of them mean a job that kills its server';

