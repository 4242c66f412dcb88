------------------------------------------------------------------------------------------------------------------------
-- Functions. A migration is named by its id, by its job class name while that is unambiguous, or by its configuration;
-- the three forms of a function share one C symbol, which looks at the declared types of its arguments.

CREATE FUNCTION bbm.define(name text, command text, job_arguments text[] DEFAULT '{}', scope_to text DEFAULT NULL, operation_name text DEFAULT 'update_all')
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_define';
COMMENT ON FUNCTION bbm.define(text, text, text[], text, text) IS 'define a job class: DML with {name} for an argument as identifier and {{name}} as literal; {table} is the migrations table, {column} its batch column';
CREATE FUNCTION bbm.undefine(name text)
    RETURNS boolean LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_undefine';
COMMENT ON FUNCTION bbm.undefine(text) IS 'remove a job class; migrations that are queued keep their definition; true if there was one';

CREATE FUNCTION bbm.queue(job_class_name text, table_name regclass, column_name text DEFAULT NULL, job_arguments jsonb DEFAULT '[]', command text DEFAULT NULL, scope_to text DEFAULT NULL, job_interval interval DEFAULT NULL, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, pause interval DEFAULT NULL, batch_min_value "any" DEFAULT NULL, batch_max_value "any" DEFAULT NULL, batching_strategy text DEFAULT 'primary_key', cursor_columns text[] DEFAULT NULL, workers integer DEFAULT 1, priority integer DEFAULT 0, finish_within interval DEFAULT NULL, on_data_error text DEFAULT 'fail', start boolean DEFAULT true, if_not_exists boolean DEFAULT false, with_nulls boolean DEFAULT false)
    RETURNS bigint LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_queue';
COMMENT ON FUNCTION bbm.queue(text, regclass, text, jsonb, text, text, interval, integer, integer, integer, interval, "any", "any", text, text[], integer, integer, interval, text, boolean, boolean, boolean) IS 'queue a migration and return its id; the work starts after COMMIT. '
    'batching_strategy: primary_key, loose_index_scan (distinct values), ctid (blocks) or a function f(regclass, text, text, text, integer) RETURNS text, named with its schema; '
    'workers: jobs at once. A table with partitions or children is walked leaf by leaf: see bbm.parts';

CREATE FUNCTION bbm.estimate(job_class_name text, table_name regclass, column_name text DEFAULT NULL, job_arguments jsonb DEFAULT '[]', command text DEFAULT NULL, scope_to text DEFAULT NULL, job_interval interval DEFAULT NULL, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, pause interval DEFAULT NULL, batch_min_value "any" DEFAULT NULL, batch_max_value "any" DEFAULT NULL, batching_strategy text DEFAULT 'primary_key', cursor_columns text[] DEFAULT NULL, max_time interval DEFAULT '10 s',
    OUT total_rows bigint, OUT total_keys bigint, OUT based_on text, OUT samples integer, OUT sampled_keys bigint, OUT sampled_rows bigint,
    OUT keys_per_batch integer, OUT jobs bigint, OUT rows_per_batch bigint, OUT batch_time interval, OUT batch_time_min interval, OUT batch_time_max interval,
    OUT rows_per_s bigint, OUT full_speed_min interval, OUT full_speed_max interval, OUT at_pace_min interval, OUT at_pace_max interval,
    OUT wal_bytes_per_row bigint, OUT wal_bytes bigint, OUT growth_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_estimate';
COMMENT ON FUNCTION bbm.estimate(text, regclass, text, jsonb, text, text, interval, integer, integer, integer, interval, "any", "any", text, text[], interval) IS 'what a migration would take with one worker: samples are run and rolled back, nothing is stored; dead rows of the samples stay until VACUUM. Of several partitions or children the largest is sampled';

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

CREATE FUNCTION bbm.alter(id bigint, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, job_interval interval DEFAULT NULL, pause interval DEFAULT NULL, priority integer DEFAULT NULL, workers integer DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_alter';
COMMENT ON FUNCTION bbm.alter(bigint, integer, integer, integer, interval, interval, integer, integer) IS 'change the pace of a migration, and how many workers it may have, while it runs; NULL keeps a setting (by id)';
CREATE FUNCTION bbm.alter(name text, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, job_interval interval DEFAULT NULL, pause interval DEFAULT NULL, priority integer DEFAULT NULL, workers integer DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_alter';
COMMENT ON FUNCTION bbm.alter(text, integer, integer, integer, interval, interval, integer, integer) IS 'change the pace of a migration, and how many workers it may have, while it runs; NULL keeps a setting (by job class name)';
CREATE FUNCTION bbm.alter(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, batch_size integer DEFAULT NULL, sub_batch_size integer DEFAULT NULL, max_batch_size integer DEFAULT NULL, job_interval interval DEFAULT NULL, pause interval DEFAULT NULL, priority integer DEFAULT NULL, workers integer DEFAULT NULL)
    RETURNS void LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_alter';
COMMENT ON FUNCTION bbm.alter(text, regclass, text, jsonb, integer, integer, integer, interval, interval, integer, integer) IS 'change the pace of a migration, and how many workers it may have, while it runs; NULL keeps a setting (by configuration)';

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

-- The same by CALL: between two looks they are in no transaction, so that no snapshot of theirs keeps dead rows.
CREATE PROCEDURE bbm.finish(id bigint)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_finish';
COMMENT ON PROCEDURE bbm.finish(bigint) IS 'bbm.finalize without a snapshot that keeps dead rows: bring a migration to its end now and wait for it (by id)';
CREATE PROCEDURE bbm.finish(name text)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_finish';
COMMENT ON PROCEDURE bbm.finish(text) IS 'bbm.finalize without a snapshot that keeps dead rows: bring a migration to its end now and wait for it (by job class name)';
CREATE PROCEDURE bbm.finish(job_class_name text, table_name regclass, column_name text, job_arguments jsonb)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_finish';
COMMENT ON PROCEDURE bbm.finish(text, regclass, text, jsonb) IS 'bbm.finalize without a snapshot that keeps dead rows: bring a migration to its end now and wait for it (by configuration)';

CREATE PROCEDURE bbm.await(id bigint, timeout interval DEFAULT NULL, INOUT finished boolean DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_await';
COMMENT ON PROCEDURE bbm.await(bigint, interval, boolean) IS 'bbm.wait without a snapshot that keeps dead rows: finished is false when the time is over (by id)';
CREATE PROCEDURE bbm.await(name text, timeout interval DEFAULT NULL, INOUT finished boolean DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_await';
COMMENT ON PROCEDURE bbm.await(text, interval, boolean) IS 'bbm.wait without a snapshot that keeps dead rows: finished is false when the time is over (by job class name)';
CREATE PROCEDURE bbm.await(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, timeout interval DEFAULT NULL, INOUT finished boolean DEFAULT NULL)
    LANGUAGE c AS 'MODULE_PATHNAME', 'bbm_await';
COMMENT ON PROCEDURE bbm.await(text, regclass, text, jsonb, interval, boolean) IS 'bbm.wait without a snapshot that keeps dead rows: finished is false when the time is over (by configuration)';

CREATE FUNCTION bbm.is_repeatable(command text, table_name regclass, scope_to text DEFAULT NULL, OUT is_repeatable boolean, OUT reason text)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_is_repeatable';
COMMENT ON FUNCTION bbm.is_repeatable(text, regclass, text) IS 'may the command meet a row of the table twice and do no harm? With the reason; nothing is run. What ctid and tables of other servers need';

CREATE FUNCTION bbm.window_scan(internal)
    RETURNS tsm_handler LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'bbm_window_scan';
COMMENT ON FUNCTION bbm.window_scan(internal) IS 'how a command of a migration reads the rows of one pass; in a query of your own it raises 55000';

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

CREATE FUNCTION bbm.run_batch(id bigint, min "any", max "any", dry_run boolean DEFAULT true, part regclass DEFAULT NULL, OUT rows_affected bigint, OUT duration interval, OUT wal_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_run_batch';
COMMENT ON FUNCTION bbm.run_batch(bigint, "any", "any", boolean, regclass) IS 'run the command for a range of keys and roll it back; with dry_run => false run the quarantined rows of the range; part names the table where several are walked (by id)';
CREATE FUNCTION bbm.run_batch(name text, min "any", max "any", dry_run boolean DEFAULT true, part regclass DEFAULT NULL, OUT rows_affected bigint, OUT duration interval, OUT wal_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_run_batch';
COMMENT ON FUNCTION bbm.run_batch(text, "any", "any", boolean, regclass) IS 'run the command for a range of keys and roll it back; with dry_run => false run the quarantined rows of the range; part names the table where several are walked (by job class name)';
CREATE FUNCTION bbm.run_batch(job_class_name text, table_name regclass, column_name text, job_arguments jsonb, min "any", max "any", dry_run boolean DEFAULT true, part regclass DEFAULT NULL, OUT rows_affected bigint, OUT duration interval, OUT wal_bytes bigint)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'bbm_run_batch';
COMMENT ON FUNCTION bbm.run_batch(text, regclass, text, jsonb, "any", "any", boolean, regclass) IS 'run the command for a range of keys and roll it back; with dry_run => false run the quarantined rows of the range; part names the table where several are walked (by configuration)';

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

