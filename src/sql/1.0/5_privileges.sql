------------------------------------------------------------------------------------------------------------------------
-- Privileges and dumps.

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bbm FROM PUBLIC;
REVOKE ALL ON ALL PROCEDURES IN SCHEMA bbm FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bbm.is_home(bigint, oid), bbm.read_health(regclass) TO PUBLIC; -- the views need them
GRANT SELECT ON bbm.status, bbm.progress, bbm.migrations, bbm.parts, bbm.jobs, bbm.failures, bbm.workers, bbm.events, bbm.job_transitions,
    bbm.job_classes, bbm.health, bbm.batched_background_migrations, bbm.batched_background_migration_jobs,
    bbm.batched_background_migration_job_transition_logs TO PUBLIC;
GRANT USAGE ON SCHEMA bbm TO pg_monitor;

SELECT pg_extension_config_dump('bbm.job_class', 'WHERE owner_oid IS NOT NULL');
SELECT pg_extension_config_dump('bbm.migration', '');
SELECT pg_extension_config_dump('bbm.migration_id_seq', '');
SELECT pg_extension_config_dump('bbm.part', '');
SELECT pg_extension_config_dump('bbm.part_id_seq', '');
SELECT pg_extension_config_dump('bbm.job', '');
SELECT pg_extension_config_dump('bbm.job_id_seq', '');
SELECT pg_extension_config_dump('bbm.event', '');
SELECT pg_extension_config_dump('bbm.event_id_seq', '');
SELECT pg_extension_config_dump('bbm.job_transition', '');
SELECT pg_extension_config_dump('bbm.job_transition_id_seq', '');
SELECT pg_extension_config_dump('bbm.quarantine', '');
SELECT pg_extension_config_dump('bbm.quarantine_id_seq', '');
