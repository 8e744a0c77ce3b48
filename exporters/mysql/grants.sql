-- Read access for the airflow-obs exporter on MySQL and MariaDB, and no more: only the columns it reads, no XCom values, no log
-- details, no connections, no variables, no DAG code. Works on every Airflow from 2.4 on: it prints a GRANT for what exists.
-- `airflow-obs grants --for mysql` prints this query, whose answer is what is to be run.
--
--   1. once, as an administrator:      CREATE USER airflow_obs@'%' IDENTIFIED BY '…';
--   2. as an administrator (the user in Airflow's own URL may not grant, unless it was given the GRANT OPTION), `airflow` being the
--      name of Airflow's database:     airflow-obs grants --for mysql | mysql -N airflow | mysql airflow
--      where the account is of another host than '%', and with MariaDB's client:
--                                      airflow-obs grants --for mysql | mariadb --init-command="SET @host = '10.0.%'" -N airflow | mariadb airflow
--   3. once, as an administrator, so that other sessions, InnoDB's transactions and what the exporter may not read are seen (else the
--      metrics of them are left out, and a column that was not granted counts as one that this Airflow does not have):
--                                      GRANT PROCESS ON *.* TO airflow_obs@'%';
--   4. once, as an administrator, for what few ask: on a replica, how far it is behind (the second is MariaDB's, from 10.5.9 on);
--      with the performance schema switched on, how many SLAs of Airflow 2 were missed, and on MySQL 8 and later who it is whom
--      sessions wait for, by rows and by tables (the last two; else `hidden`, while MariaDB tells of rows without more ado):
--                                      GRANT REPLICATION CLIENT ON *.* TO airflow_obs@'%';
--                                      GRANT SLAVE MONITOR ON *.* TO airflow_obs@'%';
--                                      GRANT SELECT ON performance_schema.table_io_waits_summary_by_table TO airflow_obs@'%';
--                                      GRANT SELECT ON performance_schema.data_lock_waits TO airflow_obs@'%';
--                                      GRANT SELECT ON performance_schema.metadata_locks TO airflow_obs@'%';
--
-- Run 2 again after every `airflow db migrate`, as new releases bring new tables and columns, and after Celery has stored its first
-- result in this database, which makes its tables. Until then the exporter says what it may not read, in its log and in
-- db_table_readable, and does without or fails what needs it. Safe to run at any time.

SELECT CONCAT(
    'GRANT SELECT (', GROUP_CONCAT('`', column_name, '`' ORDER BY ordinal_position SEPARATOR ', '), ') ON `',
    REPLACE(table_schema, '`', '``'), '`.`', table_name, '` TO `airflow_obs`@`', CONVERT(COALESCE(@host, '%') USING utf8mb4), '`;'
) AS statement
FROM information_schema.columns
WHERE table_schema = DATABASE() AND (
    table_name = 'alembic_version' AND column_name IN ('version_num')
    OR table_name = 'asset_dag_run_queue' AND column_name IN ('target_dag_id', 'asset_event_id', 'created_at')
    OR table_name = 'asset_event' AND column_name IN ('id', 'timestamp')
    OR table_name = 'backfill' AND column_name IN ('id', 'is_paused', 'max_active_runs', 'completed_at')
    OR table_name = 'callback' AND column_name IN ('id', 'created_at', 'type', 'state')
    OR table_name = 'callback_request' AND column_name IN ('id', 'created_at')
    OR table_name = 'celery_taskmeta' AND column_name IN ('id', 'date_done')
    OR table_name = 'celery_tasksetmeta' AND column_name IN ('id', 'date_done')
    OR table_name = 'dag' AND column_name IN ('dag_id', 'is_paused', 'is_active', 'is_stale', 'fileloc', 'relative_fileloc', 'last_parsed_time', 'last_parse_duration', 'next_dagrun_create_after', 'exceeds_max_non_backfill', 'has_import_errors', 'max_active_tasks', 'max_active_runs', 'owners', 'bundle_name')
    OR table_name = 'dag_bundle' AND column_name IN ('name', 'active', 'last_refreshed')
    OR table_name = 'dag_bundle_team' AND column_name IN ('dag_bundle_name', 'team_name')
    OR table_name = 'dag_run' AND column_name IN ('id', 'state', 'run_type', 'queued_at', 'start_date', 'dag_id', 'run_id', 'end_date', 'run_after', 'execution_date', 'backfill_id', 'logical_date', 'data_interval_end', 'clear_number')
    OR table_name = 'dag_tag' AND column_name IN ('dag_id', 'name')
    OR table_name = 'dag_version' AND column_name IN ('id', 'created_at', 'dag_id')
    OR table_name = 'dataset_dag_run_queue' AND column_name IN ('target_dag_id', 'created_at')
    OR table_name = 'dataset_event' AND column_name IN ('id', 'timestamp')
    OR table_name = 'deadline' AND column_name IN ('id', 'deadline_time', 'missed', 'callback_state')
    OR table_name = 'import_error' AND column_name IN ('id', 'timestamp')
    OR table_name = 'job' AND column_name IN ('id', 'job_type', 'hostname', 'state', 'latest_heartbeat', 'executor_class')
    OR table_name = 'log' AND column_name IN ('id', 'dttm', 'event', 'dag_id', 'task_id', 'run_id', 'map_index', 'try_number')
    OR table_name = 'slot_pool' AND column_name IN ('pool', 'slots', 'include_deferred')
    OR table_name = 'sla_miss' AND column_name IN ('timestamp')
    OR table_name = 'task_fail' AND column_name IN ('id', 'start_date')
    OR table_name = 'task_instance' AND column_name IN ('id', 'state', 'queue', 'pool', 'pool_slots', 'executor', 'queued_dttm', 'scheduled_dttm', 'updated_at', 'start_date', 'working_set', 'dag_id', 'task_id', 'run_id', 'map_index', 'region_index', 'try_number', 'job_id', 'queued_by_job_id', 'external_executor_id', 'trigger_id', 'trigger_timeout', 'last_heartbeat_at', 'region_id', 'max_tries', 'end_date')
    OR table_name = 'task_instance_history' AND column_name IN ('id', 'task_instance_id', 'start_date', 'dag_id', 'task_id', 'run_id', 'map_index', 'state', 'queue', 'try_number', 'max_tries', 'end_date')
    OR table_name = 'task_reschedule' AND column_name IN ('id', 'start_date')
    OR table_name = 'trigger' AND column_name IN ('id', 'created_date', 'triggerer_id')
    OR table_name = 'xcom' AND column_name IN ('dag_run_id', 'timestamp')
    OR table_name = 'xcom_v1' AND column_name IN ('dag_run_id', 'timestamp')
    OR table_name = 'xcom_v2' AND column_name IN ('id', 'timestamp')
)
GROUP BY table_schema, table_name
UNION ALL
SELECT CONCAT(
    'SIGNAL SQLSTATE ''45000'' SET MESSAGE_TEXT = ''', COALESCE(CONCAT('database ', REPLACE(DATABASE(), '''', '''''')), 'no database'),
    ' has no table alembic_version: name Airflow''''s database'';'
)
FROM (SELECT 1) AS once
WHERE NOT EXISTS (
    SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'alembic_version'
);
