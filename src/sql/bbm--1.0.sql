/* bbm: the SQL contract. Reading order: tables, functions, views, privileges.
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
    defined_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE bbm.job_class IS 'named definitions of work; owner_oid is NULL for the built-in ones';

INSERT INTO bbm.job_class (name, command, job_arguments) VALUES
    ('CopyColumnUsingBackgroundMigrationJob',
     'UPDATE {table} SET ({copy_to}) = ROW({copy_from})',
     '{copy_from,copy_to}');

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
    operation_name   text NOT NULL,
    -- the walk
    batching_strategy text NOT NULL DEFAULT 'primary_key' CHECK (batching_strategy IN ('primary_key')),
    cursor_columns   text[] NOT NULL CHECK (cardinality(cursor_columns) > 0),
    cursor_types     text[] NOT NULL,
    given_min        text[],
    given_max        text[],
    min_cursor       text[],
    max_cursor       text[],
    frontier         text[],
    total_rows       bigint,
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

CREATE TABLE bbm.job (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL REFERENCES bbm.migration ON DELETE CASCADE,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'failed', 'succeeded')),
    min_cursor      text[] NOT NULL,
    max_cursor      text[] NOT NULL,
    cursor          text[],
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
COMMENT ON TABLE bbm.job IS 'one batch of a migration: the inclusive key range min_cursor..max_cursor, done up to and with cursor';
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
CREATE INDEX event_deleted_job ON bbm.event (job_id) WHERE event = 'delete' AND job_id IS NOT NULL;

CREATE TABLE bbm.job_transition (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    migration_id    bigint NOT NULL REFERENCES bbm.migration ON DELETE CASCADE,
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
    job_id          bigint NOT NULL,
    key             text[] NOT NULL,
    sqlstate        text NOT NULL,
    message         text NOT NULL,
    detail          text,
    hint            text,
    context         text,
    attempts        integer NOT NULL,
    quarantined_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (migration_id, key)
);
COMMENT ON TABLE bbm.quarantine IS 'rows that a migration left as they were because its command raises an error for them';

COMMENT ON COLUMN bbm.migration.table_root IS 'the topmost table that it is a partition or a child of: one migration at a time on all of them';
COMMENT ON COLUMN bbm.migration.generation IS 'rises with bbm.requeue(); the newest one is_current, the others are history';
COMMENT ON COLUMN bbm.migration.batch_size_given IS 'a person chose batch_size: without an interval it then stays as it is';
COMMENT ON COLUMN bbm.migration.given_min IS 'batch_min_value as it was given; for the next generation';
COMMENT ON COLUMN bbm.migration.on_hold_until IS 'no job is started before; hold_reason says why';
COMMENT ON COLUMN bbm.migration.recent_jobs IS 'jobs that were cut since it became active, for the failure threshold';
COMMENT ON COLUMN bbm.migration.bounds_attempts IS 'ranges that could not be found in time; each halves the batch, after 3 the filter is left out of the search';
COMMENT ON COLUMN bbm.migration.frontier IS 'the end of the last job that was cut; NULL before the first';
COMMENT ON COLUMN bbm.migration.active_since IS 'the last time it became active or finalizing; started_at is the start of the first job';
COMMENT ON COLUMN bbm.migration.row_cost_us IS 'measured microseconds per key, for the size of the next job and its first sub-batch';
COMMENT ON COLUMN bbm.migration.home_system IS 'system identifier of the server it was queued on; elsewhere (restore, clone) it does not run';
COMMENT ON COLUMN bbm.job.elapsed_us IS 'time that processes spent on it, pauses included, holds not; what the optimizer looks at';
COMMENT ON COLUMN bbm.job.wants_split IS 'the next claim cuts it in two at its middle key';
COMMENT ON COLUMN bbm.job.epoch IS 'rises with every claim; a process with an older epoch cannot commit';
COMMENT ON COLUMN bbm.job.unproven_starts IS 'starts since the last committed sub-batch: 3 of them mean a job that kills its server';

------------------------------------------------------------------------------------------------------------------------
-- Functions. A migration is named by its id, by its job class name while that is unambiguous, or by its configuration;
-- the three forms of a function share one C symbol, which looks at the declared types of its arguments.

CREATE FUNCTION bbm.define(name text, command text, job_arguments text[] DEFAULT '{}', scope_to text DEFAULT NULL, operation_name text DEFAULT 'update_all')
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_define';
COMMENT ON FUNCTION bbm.define(text, text, text[], text, text) IS 'define a job class: DML with {name} for an argument as identifier and {{name}} as literal; {table} is the migrations table, {column} its batch column';
CREATE FUNCTION bbm.undefine(name text)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_undefine';
COMMENT ON FUNCTION bbm.undefine(text) IS 'remove a job class; migrations that are queued keep their definition; true if there was one';

CREATE FUNCTION bbm.queue(job_class_name text, table_name regclass, column_name text DEFAULT NULL, job_arguments jsonb DEFAULT '[]', command text DEFAULT NULL, scope_to text DEFAULT NULL, job_interval interval DEFAULT NULL, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, pause interval DEFAULT NULL, batch_min_value "any" DEFAULT NULL, batch_max_value "any" DEFAULT NULL, batching_strategy text DEFAULT 'primary_key', cursor_columns text[] DEFAULT NULL, priority integer DEFAULT 0, finish_within interval DEFAULT NULL, on_data_error text DEFAULT 'fail', start boolean DEFAULT true, if_not_exists boolean DEFAULT false)
    RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_queue';
COMMENT ON FUNCTION bbm.queue(text, regclass, text, jsonb, text, text, interval, integer, integer, integer, interval, "any", "any", text, text[], integer, interval, text, boolean, boolean) IS 'queue a migration and return its id; the work starts after COMMIT';

CREATE FUNCTION bbm.estimate(job_class_name text, table_name regclass, column_name text DEFAULT NULL, job_arguments jsonb DEFAULT '[]', command text DEFAULT NULL, scope_to text DEFAULT NULL, job_interval interval DEFAULT NULL, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, pause interval DEFAULT NULL, batch_min_value "any" DEFAULT NULL, batch_max_value "any" DEFAULT NULL, batching_strategy text DEFAULT 'primary_key', cursor_columns text[] DEFAULT NULL, max_time interval DEFAULT '10 s',
    OUT total_rows bigint, OUT total_keys bigint, OUT based_on text, OUT samples integer, OUT sampled_keys bigint, OUT sampled_rows bigint,
    OUT keys_per_batch integer, OUT jobs bigint, OUT rows_per_batch bigint, OUT batch_time interval, OUT batch_time_min interval, OUT batch_time_max interval,
    OUT rows_per_s bigint, OUT full_speed_min interval, OUT full_speed_max interval, OUT at_pace_min interval, OUT at_pace_max interval,
    OUT wal_bytes_per_row bigint, OUT wal_bytes bigint, OUT growth_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_estimate';
COMMENT ON FUNCTION bbm.estimate(text, regclass, text, jsonb, text, text, interval, integer, integer, integer, interval, "any", "any", text, text[], interval) IS 'what a migration would take: samples are run and rolled back, nothing is stored; dead rows of the samples stay until VACUUM';

CREATE FUNCTION bbm.pause(id bigint, immediate boolean DEFAULT false, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_pause';
COMMENT ON FUNCTION bbm.pause(bigint, boolean, text) IS 'stop a migration after its current sub-batch, or at once with immediate; true if that changed anything (by id)';
CREATE FUNCTION bbm.pause(name text, immediate boolean DEFAULT false, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_pause';
COMMENT ON FUNCTION bbm.pause(text, boolean, text) IS 'stop a migration after its current sub-batch, or at once with immediate; true if that changed anything (by job class name)';
CREATE FUNCTION bbm.pause(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, immediate boolean DEFAULT false, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_pause';
COMMENT ON FUNCTION bbm.pause(text, regclass, text, jsonb, boolean, text) IS 'stop a migration after its current sub-batch, or at once with immediate; true if that changed anything (by configuration)';

CREATE FUNCTION bbm.resume(id bigint, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_resume';
COMMENT ON FUNCTION bbm.resume(bigint, text) IS 'let a paused migration go on; true if that changed anything (by id)';
CREATE FUNCTION bbm.resume(name text, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_resume';
COMMENT ON FUNCTION bbm.resume(text, text) IS 'let a paused migration go on; true if that changed anything (by job class name)';
CREATE FUNCTION bbm.resume(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_resume';
COMMENT ON FUNCTION bbm.resume(text, regclass, text, jsonb, text) IS 'let a paused migration go on; true if that changed anything (by configuration)';

CREATE FUNCTION bbm.retry(id bigint, reason text DEFAULT NULL)
    RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_retry';
COMMENT ON FUNCTION bbm.retry(bigint, text) IS 'start a failed migration again; the number of failed jobs put back (by id)';
CREATE FUNCTION bbm.retry(name text, reason text DEFAULT NULL)
    RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_retry';
COMMENT ON FUNCTION bbm.retry(text, text) IS 'start a failed migration again; the number of failed jobs put back (by job class name)';
CREATE FUNCTION bbm.retry(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, reason text DEFAULT NULL)
    RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_retry';
COMMENT ON FUNCTION bbm.retry(text, regclass, text, jsonb, text) IS 'start a failed migration again; the number of failed jobs put back (by configuration)';

CREATE FUNCTION bbm.delete(id bigint, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_delete';
COMMENT ON FUNCTION bbm.delete(bigint, text) IS 'remove a migration, running or not; its events stay (by id)';
CREATE FUNCTION bbm.delete(name text, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_delete';
COMMENT ON FUNCTION bbm.delete(text, text) IS 'remove a migration, running or not; its events stay (by job class name)';
CREATE FUNCTION bbm.delete(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_delete';
COMMENT ON FUNCTION bbm.delete(text, regclass, text, jsonb, text) IS 'remove a migration, running or not; its events stay (by configuration)';

CREATE FUNCTION bbm.alter(id bigint, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, job_interval interval DEFAULT NULL, pause interval DEFAULT NULL, priority integer DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_alter';
COMMENT ON FUNCTION bbm.alter(bigint, integer, integer, integer, interval, interval, integer) IS 'change the pace of a migration; NULL keeps a setting (by id)';
CREATE FUNCTION bbm.alter(name text, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, job_interval interval DEFAULT NULL, pause interval DEFAULT NULL, priority integer DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_alter';
COMMENT ON FUNCTION bbm.alter(text, integer, integer, integer, interval, interval, integer) IS 'change the pace of a migration; NULL keeps a setting (by job class name)';
CREATE FUNCTION bbm.alter(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, job_interval interval DEFAULT NULL, pause interval DEFAULT NULL, priority integer DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_alter';
COMMENT ON FUNCTION bbm.alter(text, regclass, text, jsonb, integer, integer, integer, interval, interval, integer) IS 'change the pace of a migration; NULL keeps a setting (by configuration)';

CREATE FUNCTION bbm.hold(id bigint, duration interval, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_hold';
COMMENT ON FUNCTION bbm.hold(bigint, interval, text) IS 'start no job and no sub-batch of a migration for that long; 0 ends a hold; true if that changed anything (by id)';
CREATE FUNCTION bbm.hold(name text, duration interval, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_hold';
COMMENT ON FUNCTION bbm.hold(text, interval, text) IS 'start no job and no sub-batch of a migration for that long; 0 ends a hold; true if that changed anything (by job class name)';
CREATE FUNCTION bbm.hold(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, duration interval, reason text DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_hold';
COMMENT ON FUNCTION bbm.hold(text, regclass, text, jsonb, interval, text) IS 'start no job and no sub-batch of a migration for that long; 0 ends a hold; true if that changed anything (by configuration)';

CREATE FUNCTION bbm.mark_finished(id bigint, reason text)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_mark_finished';
COMMENT ON FUNCTION bbm.mark_finished(bigint, text) IS 'the last resort: call a migration finished although it is not, with the reason; its jobs become succeeded (by id)';
CREATE FUNCTION bbm.mark_finished(name text, reason text)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_mark_finished';
COMMENT ON FUNCTION bbm.mark_finished(text, text) IS 'the last resort: call a migration finished although it is not, with the reason; its jobs become succeeded (by job class name)';
CREATE FUNCTION bbm.mark_finished(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, reason text)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_mark_finished';
COMMENT ON FUNCTION bbm.mark_finished(text, regclass, text, jsonb, text) IS 'the last resort: call a migration finished although it is not, with the reason; its jobs become succeeded (by configuration)';

CREATE FUNCTION bbm.requeue(id bigint, reason text DEFAULT NULL)
    RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_requeue';
COMMENT ON FUNCTION bbm.requeue(bigint, text) IS 'queue an ended migration once more as a new generation, with its definition and the keys of today; the id of the new one (by id)';
CREATE FUNCTION bbm.requeue(name text, reason text DEFAULT NULL)
    RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_requeue';
COMMENT ON FUNCTION bbm.requeue(text, text) IS 'queue an ended migration once more as a new generation, with its definition and the keys of today; the id of the new one (by job class name)';
CREATE FUNCTION bbm.requeue(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, reason text DEFAULT NULL)
    RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_requeue';
COMMENT ON FUNCTION bbm.requeue(text, regclass, text, jsonb, text) IS 'queue an ended migration once more as a new generation, with its definition and the keys of today; the id of the new one (by configuration)';

CREATE FUNCTION bbm.finished(id bigint)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_finished';
COMMENT ON FUNCTION bbm.finished(bigint) IS 'is the migration finished or finalized? (by id)';
CREATE FUNCTION bbm.finished(name text)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_finished';
COMMENT ON FUNCTION bbm.finished(text) IS 'is the migration finished or finalized? (by job class name)';
CREATE FUNCTION bbm.finished(job_class_name text, table_name regclass, column_name text, job_arguments jsonb)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_finished';
COMMENT ON FUNCTION bbm.finished(text, regclass, text, jsonb) IS 'is the migration finished or finalized? (by configuration)';

CREATE FUNCTION bbm.finalize(id bigint)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_finalize';
COMMENT ON FUNCTION bbm.finalize(bigint) IS 'bring a migration to its end now and wait for it; goes on without its caller (by id)';
CREATE FUNCTION bbm.finalize(name text)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_finalize';
COMMENT ON FUNCTION bbm.finalize(text) IS 'bring a migration to its end now and wait for it; goes on without its caller (by job class name)';
CREATE FUNCTION bbm.finalize(job_class_name text, table_name regclass, column_name text, job_arguments jsonb)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_finalize';
COMMENT ON FUNCTION bbm.finalize(text, regclass, text, jsonb) IS 'bring a migration to its end now and wait for it; goes on without its caller (by configuration)';

CREATE FUNCTION bbm.ensure_finished(id bigint, finalize boolean DEFAULT true, missing_ok boolean DEFAULT false)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_ensure_finished';
COMMENT ON FUNCTION bbm.ensure_finished(bigint, boolean, boolean) IS 'the gate for later releases: confirm a finished migration, else finish it, else raise 55000 (by id)';
CREATE FUNCTION bbm.ensure_finished(name text, finalize boolean DEFAULT true, missing_ok boolean DEFAULT false)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_ensure_finished';
COMMENT ON FUNCTION bbm.ensure_finished(text, boolean, boolean) IS 'the gate for later releases: confirm a finished migration, else finish it, else raise 55000 (by job class name)';
CREATE FUNCTION bbm.ensure_finished(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, finalize boolean DEFAULT true, missing_ok boolean DEFAULT false)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_ensure_finished';
COMMENT ON FUNCTION bbm.ensure_finished(text, regclass, text, jsonb, boolean, boolean) IS 'the gate for later releases: confirm a finished migration, else finish it, else raise 55000 (by configuration)';

CREATE FUNCTION bbm.wait(id bigint, timeout interval DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_wait';
COMMENT ON FUNCTION bbm.wait(bigint, interval) IS 'wait until a migration is finished; false when the time is over, an error when it failed (by id)';
CREATE FUNCTION bbm.wait(name text, timeout interval DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_wait';
COMMENT ON FUNCTION bbm.wait(text, interval) IS 'wait until a migration is finished; false when the time is over, an error when it failed (by job class name)';
CREATE FUNCTION bbm.wait(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, timeout interval DEFAULT NULL)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_wait';
COMMENT ON FUNCTION bbm.wait(text, regclass, text, jsonb, interval) IS 'wait until a migration is finished; false when the time is over, an error when it failed (by configuration)';

CREATE FUNCTION bbm.explain_text(id bigint)
    RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_explain_text';
COMMENT ON FUNCTION bbm.explain_text(bigint) IS 'what bbm.explain splits into lines (by id)';
CREATE FUNCTION bbm.explain_text(name text)
    RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_explain_text';
COMMENT ON FUNCTION bbm.explain_text(text) IS 'what bbm.explain splits into lines (by job class name)';
CREATE FUNCTION bbm.explain_text(job_class_name text, table_name regclass, column_name text, job_arguments jsonb)
    RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_explain_text';
COMMENT ON FUNCTION bbm.explain_text(text, regclass, text, jsonb) IS 'what bbm.explain splits into lines (by configuration)';

CREATE FUNCTION bbm.explain(id bigint)
    RETURNS SETOF text LANGUAGE sql VOLATILE
    BEGIN ATOMIC SELECT line FROM pg_catalog.string_to_table(bbm.explain_text($1), pg_catalog.chr(10)) AS line; END;
COMMENT ON FUNCTION bbm.explain(bigint) IS 'the exact statement and plan of the next sub-batch (by id)';
CREATE FUNCTION bbm.explain(name text)
    RETURNS SETOF text LANGUAGE sql VOLATILE
    BEGIN ATOMIC SELECT line FROM pg_catalog.string_to_table(bbm.explain_text($1), pg_catalog.chr(10)) AS line; END;
COMMENT ON FUNCTION bbm.explain(text) IS 'the exact statement and plan of the next sub-batch (by job class name)';
CREATE FUNCTION bbm.explain(job_class_name text, table_name regclass, column_name text, job_arguments jsonb)
    RETURNS SETOF text LANGUAGE sql VOLATILE
    BEGIN ATOMIC SELECT line FROM pg_catalog.string_to_table(bbm.explain_text($1, $2, $3, $4), pg_catalog.chr(10)) AS line; END;
COMMENT ON FUNCTION bbm.explain(text, regclass, text, jsonb) IS 'the exact statement and plan of the next sub-batch (by configuration)';

CREATE FUNCTION bbm.run_batch(id bigint, min "any", max "any", dry_run boolean DEFAULT true, OUT rows_affected bigint, OUT duration interval, OUT wal_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_run_batch';
COMMENT ON FUNCTION bbm.run_batch(bigint, "any", "any", boolean) IS 'run the command for a range of keys and roll it back; with dry_run => false run the quarantined rows of the range (by id)';
CREATE FUNCTION bbm.run_batch(name text, min "any", max "any", dry_run boolean DEFAULT true, OUT rows_affected bigint, OUT duration interval, OUT wal_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_run_batch';
COMMENT ON FUNCTION bbm.run_batch(text, "any", "any", boolean) IS 'run the command for a range of keys and roll it back; with dry_run => false run the quarantined rows of the range (by job class name)';
CREATE FUNCTION bbm.run_batch(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, min "any", max "any", dry_run boolean DEFAULT true, OUT rows_affected bigint, OUT duration interval, OUT wal_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_run_batch';
COMMENT ON FUNCTION bbm.run_batch(text, regclass, text, jsonb, "any", "any", boolean) IS 'run the command for a range of keys and roll it back; with dry_run => false run the quarantined rows of the range (by configuration)';

CREATE FUNCTION bbm.scaffold_text(name text, table_name regclass, column_name text DEFAULT NULL)
    RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_scaffold_text';
COMMENT ON FUNCTION bbm.scaffold_text(text, regclass, text) IS 'what bbm.scaffold splits into lines';
CREATE FUNCTION bbm.scaffold(name text, table_name regclass, column_name text DEFAULT NULL)
    RETURNS SETOF text LANGUAGE sql VOLATILE
    BEGIN ATOMIC SELECT line FROM pg_catalog.string_to_table(bbm.scaffold_text($1, $2, $3), pg_catalog.chr(10)) AS line; END;
COMMENT ON FUNCTION bbm.scaffold(text, regclass, text) IS 'a script to start from: define, test, estimate, queue, watch, gate, clean up';

CREATE FUNCTION bbm.adopt(id bigint)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_adopt';
COMMENT ON FUNCTION bbm.adopt(bigint) IS 'let a migration that came with a restore, a clone or pg_upgrade run here; true if that changed anything';
CREATE FUNCTION bbm.is_home(home_system bigint, home_database oid)
    RETURNS boolean LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'bbm_is_home';
COMMENT ON FUNCTION bbm.is_home(bigint, oid) IS 'is this the server and the database? Only there do stored role numbers mean what they meant';

CREATE FUNCTION bbm.read_health(table_name regclass DEFAULT NULL)
    RETURNS TABLE (indicator text, value double precision, "limit" double precision, unit text, verdict text, reason text)
    LANGUAGE c VOLATILE ROWS 5 AS 'MODULE_PATHNAME', 'bbm_read_health';
COMMENT ON FUNCTION bbm.read_health(regclass) IS 'what bbm.health shows: the indicators of the server, or those of a table';

CREATE FUNCTION bbm.cleanup(name text)
    RETURNS integer LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_cleanup';
COMMENT ON FUNCTION bbm.cleanup(text) IS 'remove the ended migrations of a job class and its definition; the number of migrations removed';

CREATE FUNCTION bbm.ensure_running()
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_ensure_running';
COMMENT ON FUNCTION bbm.ensure_running() IS 'start bbms processes in this database if work is due; true if it asked for that';

CREATE PROCEDURE bbm.run(id bigint DEFAULT NULL, max_time interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_run';
COMMENT ON PROCEDURE bbm.run(bigint, interval) IS 'do the work here, with a commit after every sub-batch; without id: all of the caller''s migrations';
CREATE PROCEDURE bbm.run(name text, max_time interval DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_run';
COMMENT ON PROCEDURE bbm.run(text, interval) IS 'do the work here, with a commit after every sub-batch (by job class name)';

------------------------------------------------------------------------------------------------------------------------
-- Views. Owners see their own rows, pg_monitor sees all. Role numbers count only where they were written: after a restore
-- the same number may be another role.

CREATE VIEW bbm.workers WITH (security_barrier) AS
    SELECT l.pid, m.id AS migration_id, m.job_class_name, m.table_name, j.id AS job_id, j.min_cursor, j.max_cursor, j.cursor,
           j.sub_batch_size, j.sub_batches, j.rows_affected, j.started_at
    FROM pg_catalog.pg_locks AS l
    JOIN bbm.job AS j ON j.id = (l.classid::bigint << 32 | l.objid::bigint)
    JOIN bbm.migration AS m ON m.id = j.migration_id
    WHERE l.locktype = 'advisory' AND l.objsubid = 4 AND l.granted AND j.status = 'running'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = current_database())
      AND (bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON VIEW bbm.workers IS 'the processes that hold a job now';

CREATE VIEW bbm.migrations WITH (security_barrier) AS
    SELECT m.id, m.job_class_name, m.table_name, m.table_oid, m.table_root, m.column_name, m.job_arguments, m.generation, m.is_current, m.status,
           m.status_reason, m.statement, m.scope_to, m.operation_name, m.batching_strategy, m.cursor_columns, m.cursor_types,
           m.min_cursor, m.max_cursor, m.frontier, m.total_rows, m.job_interval, m.pause, m.batch_size, m.batch_size_given,
           m.sub_batch_size, m.max_batch_size, m.priority, m.next_job_at, m.on_hold_until, m.hold_reason, m.on_data_error,
           m.recent_jobs, m.bounds_attempts, m.owner_name, m.jobs_succeeded, u.jobs_unfinished, u.jobs_failed,
           q.rows_quarantined, m.rows_affected + u.rows_affected AS rows_affected, m.sub_batches + u.sub_batches AS sub_batches,
           (m.work_us + u.work_us) * interval '1 microsecond' AS work_time,
           greatest(m.longest_us, u.longest_us) * interval '1 microsecond' AS longest_sub_batch,
           p.progress, bbm.is_home(m.home_system, m.home_database) AS is_home, m.created_at, m.active_since, m.started_at,
           m.finished_at
    FROM bbm.migration AS m
    -- LEFT JOINs, though there is always a row: whoever does not ask for these columns does not pay for them.
    LEFT JOIN LATERAL (
        SELECT count(*) AS jobs_unfinished, count(*) FILTER (WHERE j.status = 'failed') AS jobs_failed,
               coalesce(sum(j.rows_affected), 0)::bigint AS rows_affected, coalesce(sum(j.sub_batches), 0)::bigint AS sub_batches,
               coalesce(sum(j.work_us), 0)::bigint AS work_us, coalesce(max(j.longest_us), 0) AS longest_us,
               coalesce(sum(CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}')
                                 THEN j.max_cursor[1]::numeric - coalesce(j.cursor[1]::numeric, j.min_cursor[1]::numeric - 1) END), 0) AS positions
        FROM bbm.job AS j WHERE j.migration_id = m.id AND j.status <> 'succeeded') AS u ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS rows_quarantined FROM bbm.quarantine AS q WHERE q.migration_id = m.id) AS q ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN m.status IN ('finished', 'finalized') THEN 1
                    WHEN m.frontier IS NULL THEN 0
                    WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}')
                    THEN trunc(least(0.9999, greatest(0, (m.frontier[1]::numeric - m.min_cursor[1]::numeric + 1 - u.positions)
                                                        / (m.max_cursor[1]::numeric - m.min_cursor[1]::numeric + 1))), 4)
               END AS progress) AS p
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.migrations IS 'every migration with its definition and its counters; progress is by key position, NULL where the key has no arithmetic';

CREATE VIEW bbm.jobs WITH (security_barrier) AS
    SELECT j.id, j.migration_id, m.job_class_name, j.status, j.min_cursor, j.max_cursor, j.cursor, j.batch_size, j.sub_batch_size,
           j.attempts, j.epoch, j.rows_affected, j.sub_batches, j.work_us * interval '1 microsecond' AS work_time,
           j.longest_us * interval '1 microsecond' AS longest_sub_batch, j.elapsed_us * interval '1 microsecond' AS elapsed,
           j.retry_at, j.wants_split, j.created_at, j.started_at, j.finished_at
    FROM bbm.job AS j JOIN bbm.migration AS m ON m.id = j.migration_id
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.jobs IS 'the batches of each migration, with their key ranges and counters';

CREATE VIEW bbm.job_transitions WITH (security_barrier) AS
    SELECT t.id, t.migration_id, t.job_id, m.job_class_name, t.from_status, t.to_status, t.reason, t.sqlstate, t.message, t.detail,
           t.hint, t.context, t.min_key, t.max_key, t.attempts, t.role_name, t.pid, t.occurred_at
    FROM bbm.job_transition AS t JOIN bbm.migration AS m ON m.id = t.migration_id
    WHERE bbm.is_home(m.home_system, m.home_database) AND pg_has_role(m.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.job_transitions IS 'every change of a job''s status: from, to, when, by whom, why';

CREATE VIEW bbm.events WITH (security_barrier) AS
    SELECT e.id, e.migration_id, e.job_id, e.job_class_name, e.table_name, e.event, e.from_status, e.to_status, e.reason, e.sqlstate, e.message,
           e.detail, e.data, e.role_name, e.pid, e.occurred_at
    FROM bbm.event AS e
    WHERE bbm.is_home(e.home_system, e.home_database) AND pg_has_role(e.owner_oid, 'USAGE') OR pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW bbm.events IS 'every change of a migration: from, to, when, by whom, why';

CREATE VIEW bbm.failures WITH (security_barrier) AS
    SELECT t.id, t.migration_id, t.job_class_name, t.job_id, t.min_key, t.max_key, t.attempts, t.sqlstate, t.message, t.detail, t.hint,
           t.context, t.occurred_at AS failed_at, false AS quarantined
    FROM bbm.job_transitions AS t WHERE t.sqlstate IS NOT NULL
    UNION ALL
    SELECT e.id, e.migration_id, e.job_class_name, NULL, NULL, NULL, NULL, e.sqlstate, e.message, e.detail, NULL, NULL, e.occurred_at, false
    FROM bbm.events AS e WHERE e.sqlstate IS NOT NULL AND e.job_id IS NULL
    UNION ALL
    SELECT q.id, q.migration_id, m.job_class_name, q.job_id, q.key, q.key, q.attempts, q.sqlstate, q.message, q.detail, q.hint,
           q.context, q.quarantined_at, true
    FROM bbm.quarantine AS q JOIN bbm.migrations AS m ON m.id = q.migration_id;
COMMENT ON VIEW bbm.failures IS 'every error met in a batch, whole, with its key range, those met between batches, and the rows in quarantine';

CREATE VIEW bbm.job_classes AS
    SELECT c.name, c.command, c.job_arguments, c.scope_to, c.operation_name, coalesce(c.owner_name, 'built in') AS owner_name, c.defined_at
    FROM bbm.job_class AS c;
COMMENT ON VIEW bbm.job_classes IS 'the definitions that bbm.queue knows by name';

-- What is left is taken to cost what the last 20 jobs cost by key position: from the cheapest to the dearest of them, less
-- one in ten on either side, and wider the fewer they are. A hold may end early, so only eta_high counts it. More than a
-- century is not known.
CREATE VIEW bbm.progress WITH (security_barrier) AS
    SELECT m.id, m.job_class_name, m.table_name, m.status, m.status IN ('finished', 'finalized') AS finished, m.progress,
           CASE WHEN m.status IN ('finished', 'finalized') THEN 'finished'
                WHEN m.frontier IS NULL THEN 'not started'
                WHEN m.progress IS NULL THEN 'unknown'
                ELSE 'key position' END AS progress_basis,
           m.rows_affected, m.total_rows, m.jobs_succeeded, m.jobs_failed, m.rows_quarantined,
           round(m.rows_affected / nullif(extract(epoch FROM m.work_time), 0), 1) AS rows_per_s,
           greatest(coalesce(m.finished_at, now()) - m.started_at, interval '0') AS elapsed,
           CASE WHEN m.status IN ('finished', 'finalized') THEN interval '0'
                WHEN e.low < 3e9 THEN e.low * interval '1 second' END AS eta_low,
           CASE WHEN m.status IN ('finished', 'finalized') THEN interval '0'
                WHEN e.high < 3e9 THEN e.high * interval '1 second' END AS eta_high,
           m.on_hold_until, m.hold_reason
    FROM bbm.migrations AS m
    CROSS JOIN LATERAL (
        SELECT CASE WHEN m.is_home AND m.status IN ('active', 'finalizing') AND m.cursor_types IN ('{smallint}', '{integer}', '{bigint}')
                    THEN (1 - m.progress) * (m.max_cursor[1]::numeric - m.min_cursor[1]::numeric + 1) END::float8 AS positions,
               -- Nothing of this applies to a migration that is finalizing.
               CASE WHEN m.status = 'active' THEN extract(epoch FROM m.job_interval) ELSE 0 END AS interval_s,
               CASE WHEN m.status = 'active' THEN extract(epoch FROM m.pause) ELSE 0 END AS pause_s,
               greatest(extract(epoch FROM m.on_hold_until - now()), 0) AS hold_s) AS l
    LEFT JOIN LATERAL (
        SELECT 1 + 1.0 / nullif(count(*), 0) AS doubt, percentile_cont(0.1) WITHIN GROUP (ORDER BY c.seconds / c.positions) AS low,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY c.seconds / c.positions) AS high
        FROM (SELECT greatest(j.work_us / 1e6 + j.sub_batches * l.pause_s, l.interval_s,
                              CASE WHEN m.status = 'active' THEN j.elapsed_us / 1e6 END)::float8 AS seconds,
                     CASE WHEN l.positions IS NOT NULL THEN j.cursor[1]::numeric - j.min_cursor[1]::numeric + 1 END::float8 AS positions
              FROM bbm.job AS j
              WHERE j.migration_id = m.id AND j.cursor IS NOT NULL AND l.positions IS NOT NULL
                AND (j.status = 'succeeded' OR l.interval_s = 0) -- the interval is the price of a whole job
              ORDER BY j.id DESC LIMIT 20) AS c) AS r ON true
    CROSS JOIN LATERAL (SELECT r.low / r.doubt * l.positions AS low, r.high * r.doubt * l.positions + l.hold_s AS high) AS e;
COMMENT ON VIEW bbm.progress IS 'one row a migration, for machines; eta_low and eta_high say how long it still needs while it runs, NULL when nobody knows';

CREATE VIEW bbm.status WITH (security_barrier) AS
    SELECT m.id,
           CASE WHEN length(m.job_class_name) > 20 THEN left(m.job_class_name, 18) || '..' ELSE m.job_class_name END AS name,
           CASE WHEN length(t.name) > 12 THEN left(t.name, 10) || '..' ELSE t.name END AS table_name,
           m.status,
           CASE WHEN m.progress IS NULL THEN '   ?' ELSE
                '[' || rpad(repeat('#', floor(m.progress * 4)::integer), 4, '-') || '] ' || lpad(trunc(m.progress * 100, 1)::text, 5) || '%' END AS progress,
           g.rows_per_s::bigint AS rows_per_s,
           CASE WHEN m.status NOT IN ('active', 'finalizing') THEN NULL
                WHEN e.middle < interval '100 hours' THEN date_trunc('second', e.middle)
                WHEN e.middle < interval '10000 hours' THEN date_trunc('day', justify_hours(e.middle))
                ELSE date_trunc('year', justify_interval(e.middle)) END AS eta,
           left(CASE WHEN NOT m.is_home THEN 'from elsewhere:adopt'
                     WHEN m.status IN ('failed', 'paused') THEN coalesce(m.status_reason, '')
                     WHEN m.status NOT IN ('active', 'finalizing') THEN ''
                     WHEN m.on_hold_until > now() THEN
                          CASE WHEN m.hold_reason ~ '^[a-z_]+$' THEN 'hold: ' || m.hold_reason -- an indicator
                               WHEN m.on_hold_until < now() + interval '1 day' THEN 'held until ' || to_char(m.on_hold_until, 'HH24:MI:SS')
                               ELSE 'held until ' || to_char(m.on_hold_until, 'DD Mon') END
                     WHEN w.workers > 0 THEN w.workers || CASE w.workers WHEN 1 THEN ' worker' ELSE ' workers' END
                     WHEN current_setting('bbm.enabled') = 'off' THEN 'bbm.enabled is off'
                     WHEN current_setting('bbm.max_workers') = '0' THEN 'bbm.max_workers is 0'
                     WHEN m.next_job_at > now() THEN 'next job at ' || to_char(m.next_job_at, 'HH24:MI:SS')
                     WHEN b.blocker IS NOT NULL THEN 'waits for ' || b.blocker
                     WHEN r.running >= current_setting('bbm.max_running_migrations')::integer THEN 'waits for a place'
                     ELSE 'starting' END, 20) AS note
    FROM bbm.migrations AS m
    JOIN bbm.progress AS g ON g.id = m.id
    CROSS JOIN LATERAL (SELECT extract(epoch FROM g.eta_low + g.eta_high) / 2 * interval '1 second' AS middle) AS e
    CROSS JOIN LATERAL (SELECT coalesce((SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c WHERE c.oid = m.table_oid AND m.is_home), m.table_name) AS name) AS t
    CROSS JOIN LATERAL (SELECT count(*) AS workers FROM bbm.workers AS w WHERE w.migration_id = m.id) AS w
    CROSS JOIN LATERAL (SELECT min(w.migration_id) AS blocker FROM bbm.workers AS w JOIN bbm.migrations AS o ON o.id = w.migration_id
                        WHERE o.table_root = m.table_root AND o.id <> m.id) AS b
    CROSS JOIN LATERAL (SELECT count(DISTINCT w.migration_id) AS running FROM bbm.workers AS w) AS r
    WHERE m.is_current
    ORDER BY m.id;
COMMENT ON VIEW bbm.status IS 'one line a migration, at most 120 columns, made for \watch; generations that bbm.requeue() replaced are left out';

------------------------------------------------------------------------------------------------------------------------
-- What GitLab's documents query, with its names and numbers. There a migration that is queued anew replaces the old one, so
-- only current generations stand here; the others are in bbm.migrations and bbm.jobs.

CREATE VIEW bbm.batched_background_migrations WITH (security_barrier) AS
    SELECT m.id, m.created_at, greatest(m.created_at, m.active_since, m.finished_at, e.last_at) AS updated_at,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN m.min_cursor[1]::bigint END AS min_value,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN m.max_cursor[1]::bigint END AS max_value,
           m.batch_size, m.sub_batch_size, least(extract(epoch FROM m.job_interval), 2147483647)::integer AS "interval",
           CASE m.status WHEN 'paused' THEN 0 WHEN 'active' THEN 1 WHEN 'finished' THEN 3 WHEN 'failed' THEN 4
                         WHEN 'finalizing' THEN 5 WHEN 'finalized' THEN 6 END::smallint AS status,
           m.job_class_name, replace(initcap(replace(m.batching_strategy, '_', ' ')), ' ', '') || 'BatchingStrategy' AS batch_class_name,
           (parse_ident(m.table_name))[2] AS table_name, m.column_name, m.job_arguments, m.total_rows AS total_tuple_count,
           least(extract(epoch FROM m.pause) * 1000, 2147483647)::integer AS pause_ms, m.max_batch_size,
           coalesce(e.active_at, m.started_at) AS started_at, m.on_hold_until, (parse_ident(m.table_name))[1] AS gitlab_schema,
           m.finished_at, NULL::text AS queued_migration_version,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(m.min_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(m.min_cursor) END AS min_cursor,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(m.max_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(m.max_cursor) END AS max_cursor
    FROM bbm.migrations AS m
    LEFT JOIN LATERAL (
        SELECT max(e.occurred_at) AS last_at,
               max(e.occurred_at) FILTER (WHERE e.to_status = 'active' AND e.from_status IS DISTINCT FROM 'active') AS active_at
        FROM bbm.event AS e WHERE e.migration_id = m.id) AS e ON true
    WHERE m.is_current;
COMMENT ON VIEW bbm.batched_background_migrations IS 'GitLab''s view of bbm.migrations: status 0 paused, 1 active, 3 finished, 4 failed, 5 finalizing, 6 finalized; interval in seconds';

CREATE VIEW bbm.batched_background_migration_jobs WITH (security_barrier) AS
    SELECT j.id, j.created_at, greatest(j.created_at, j.started_at, j.finished_at) AS updated_at, j.started_at, j.finished_at,
           j.migration_id AS batched_background_migration_id,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN j.min_cursor[1]::bigint END AS min_value,
           CASE WHEN m.cursor_types IN ('{smallint}', '{integer}', '{bigint}') THEN j.max_cursor[1]::bigint END AS max_value,
           j.batch_size, j.sub_batch_size,
           CASE j.status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'failed' THEN 2 WHEN 'succeeded' THEN 3 END::smallint AS status,
           least(j.attempts, 32767)::smallint AS attempts,
           CASE WHEN j.sub_batches = 0 THEN '{}' ELSE jsonb_build_object(
                'timings', jsonb_build_object(m.operation_name, jsonb_build_array(extract(epoch FROM j.work_time))),
                'affected_rows', jsonb_build_object(m.operation_name, jsonb_build_array(j.rows_affected))) END AS metrics,
           least(extract(epoch FROM m.pause) * 1000, 2147483647)::integer AS pause_ms,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(j.min_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(j.min_cursor) END AS min_cursor,
           CASE WHEN m.cursor_types <@ '{smallint,integer,bigint}' THEN ('[' || array_to_string(j.max_cursor, ',') || ']')::jsonb
                ELSE to_jsonb(j.max_cursor) END AS max_cursor
    FROM bbm.jobs AS j JOIN bbm.migrations AS m ON m.id = j.migration_id
    WHERE m.is_current;
COMMENT ON VIEW bbm.batched_background_migration_jobs IS 'GitLab''s view of bbm.jobs: status 0 pending, 1 running, 2 failed, 3 succeeded; metrics hold one total instead of one value a sub-batch';

CREATE VIEW bbm.batched_background_migration_job_transition_logs WITH (security_barrier) AS
    SELECT t.id, t.job_id AS batched_background_migration_job_id, t.occurred_at AS created_at, t.occurred_at AS updated_at,
           CASE t.from_status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'failed' THEN 2 WHEN 'succeeded' THEN 3 END::smallint AS previous_status,
           CASE t.to_status WHEN 'pending' THEN 0 WHEN 'running' THEN 1 WHEN 'failed' THEN 2 WHEN 'succeeded' THEN 3 END::smallint AS next_status,
           t.sqlstate AS exception_class, t.message AS exception_message
    FROM bbm.job_transitions AS t JOIN bbm.migrations AS m ON m.id = t.migration_id
    WHERE m.is_current;
COMMENT ON VIEW bbm.batched_background_migration_job_transition_logs IS 'GitLab''s view of bbm.job_transitions, with the numbers of its jobs; exception_class is the SQLSTATE, exception_message is never cut';

CREATE VIEW bbm.health WITH (security_barrier) AS
    SELECT h.indicator, NULL::text AS table_name, h.value, h."limit", h.unit, h.verdict, h.reason
    FROM bbm.read_health() AS h
    UNION ALL
    SELECT h.indicator, m.table_name, h.value, h."limit", h.unit, h.verdict, h.reason
    FROM (SELECT DISTINCT m.table_oid, m.table_name FROM bbm.migrations AS m WHERE m.is_home AND m.status IN ('active', 'finalizing')
          ORDER BY m.table_name) AS m
    CROSS JOIN LATERAL bbm.read_health(m.table_oid::regclass) AS h;
COMMENT ON VIEW bbm.health IS 'the signals that hold migrations: of the server, and of the tables of migrations that run; rates are since the last look of this session';

------------------------------------------------------------------------------------------------------------------------
-- Privileges and dumps.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bbm FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA bbm FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bbm.is_home(bigint, oid), bbm.read_health(regclass) TO PUBLIC; -- the views need them
GRANT SELECT ON bbm.status, bbm.progress, bbm.migrations, bbm.jobs, bbm.failures, bbm.workers, bbm.events, bbm.job_transitions,
    bbm.job_classes, bbm.health, bbm.batched_background_migrations, bbm.batched_background_migration_jobs,
    bbm.batched_background_migration_job_transition_logs TO PUBLIC;
GRANT USAGE ON SCHEMA bbm TO pg_monitor;

SELECT pg_extension_config_dump('bbm.job_class', 'WHERE owner_oid IS NOT NULL');
SELECT pg_extension_config_dump('bbm.migration', '');
SELECT pg_extension_config_dump('bbm.migration_id_seq', '');
SELECT pg_extension_config_dump('bbm.job', '');
SELECT pg_extension_config_dump('bbm.job_id_seq', '');
SELECT pg_extension_config_dump('bbm.event', '');
SELECT pg_extension_config_dump('bbm.event_id_seq', '');
SELECT pg_extension_config_dump('bbm.job_transition', '');
SELECT pg_extension_config_dump('bbm.job_transition_id_seq', '');
SELECT pg_extension_config_dump('bbm.quarantine', '');
SELECT pg_extension_config_dump('bbm.quarantine_id_seq', '');
