-- Read access for the airflow-obs exporter, and no more: only the columns it reads, no XCom values, no log details, no
-- connections, no variables, no DAG code. Works on every Airflow from 2.4 on: it grants what exists. `airflow-obs grants` prints it.
--
--   1. once, as an administrator:      CREATE ROLE airflow_obs LOGIN PASSWORD '…';
--   2. as the owner of Airflow's tables (usually the role in Airflow's own URL), in Airflow's database:
--                                      airflow-obs grants | psql "$AIRFLOW_DATABASE_URL"
--      where they are not in the schema public:
--                                      airflow-obs grants | PGOPTIONS='-c search_path=airflow' psql "$AIRFLOW_DATABASE_URL"
--   3. once, as an administrator, so that other roles' transactions are seen (else they are counted as `hidden`):
--                                      GRANT pg_read_all_stats TO airflow_obs;
--
-- Run 2 again after every `airflow db migrate`, as new releases bring new tables and columns, and after Celery has stored its first
-- result in this database, which makes its tables. Until then the exporter says what it may not read, in its log and in
-- db_table_readable, and does without or fails what needs it. Safe to run at any time.

DO $$
DECLARE
    reader CONSTANT name := 'airflow_obs';
    wanted RECORD;
    found text;
BEGIN
    IF to_regclass(quote_ident(current_schema()) || '.alembic_version') IS NULL THEN
        RAISE EXCEPTION 'schema % has no table alembic_version: say with PGOPTIONS where Airflow''s tables are', current_schema();
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), reader);
    FOR wanted IN
        SELECT * FROM (VALUES
            ('alembic_version', '{version_num}'),
            ('asset_dag_run_queue', '{target_dag_id,asset_event_id,created_at}'),
            ('asset_event', '{id,timestamp}'),
            ('backfill', '{id,is_paused,max_active_runs,completed_at}'),
            ('callback', '{id,created_at,type,state}'),
            ('callback_request', '{id,created_at}'),
            ('celery_taskmeta', '{id,date_done}'),
            ('celery_tasksetmeta', '{id,date_done}'),
            ('dag', '{dag_id,is_paused,is_active,is_stale,fileloc,relative_fileloc,last_parsed_time,last_parse_duration,next_dagrun_create_after,exceeds_max_non_backfill,has_import_errors,max_active_tasks,max_active_runs,owners,bundle_name}'),
            ('dag_bundle', '{name,active,last_refreshed}'),
            ('dag_bundle_team', '{dag_bundle_name,team_name}'),
            ('dag_run', '{id,state,run_type,queued_at,start_date,dag_id,run_id,end_date,run_after,execution_date,backfill_id,logical_date,data_interval_end,clear_number}'),
            ('dag_tag', '{dag_id,name}'),
            ('dag_version', '{id,created_at,dag_id}'),
            ('dataset_dag_run_queue', '{target_dag_id,created_at}'),
            ('dataset_event', '{id,timestamp}'),
            ('deadline', '{id,deadline_time,missed,callback_state}'),
            ('import_error', '{id,timestamp}'),
            ('job', '{id,job_type,hostname,state,latest_heartbeat,executor_class}'),
            ('log', '{id,dttm,event,dag_id,task_id,run_id,map_index,try_number}'),
            ('slot_pool', '{pool,slots,include_deferred}'),
            ('sla_miss', '{timestamp}'),
            ('task_fail', '{id,start_date}'),
            ('task_instance', '{id,state,queue,pool,pool_slots,executor,queued_dttm,scheduled_dttm,updated_at,start_date,working_set,dag_id,task_id,run_id,map_index,region_index,try_number,job_id,queued_by_job_id,external_executor_id,trigger_id,trigger_timeout,last_heartbeat_at,region_id,max_tries,end_date}'),
            ('task_instance_history', '{id,task_instance_id,start_date,dag_id,task_id,run_id,map_index,state,queue,try_number,max_tries,end_date}'),
            ('task_reschedule', '{id,start_date}'),
            ('trigger', '{id,created_date,triggerer_id}'),
            ('xcom', '{dag_run_id,timestamp}'),
            ('xcom_v1', '{dag_run_id,timestamp}'),
            ('xcom_v2', '{id,timestamp}')
        ) AS w (table_name, column_names)
    LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO found
        FROM pg_attribute
        WHERE attrelid = to_regclass(quote_ident(current_schema()) || '.' || quote_ident(wanted.table_name))
              AND attname = ANY (wanted.column_names::name[]) AND attnum > 0 AND NOT attisdropped;
        IF found IS NOT NULL THEN
            EXECUTE format('GRANT SELECT (%s) ON %I.%I TO %I', found, current_schema(), wanted.table_name, reader);
        END IF;
    END LOOP;
END
$$;
