-- Years of a busy Airflow 3.3.2: millions of finished task instances, and a little live work. The last dag runs are live,
-- one in six of them queued; of the finished task instances one in 199 failed. Ids grow with time, as Airflow's do.

INSERT INTO dag_bundle (name, active, last_refreshed) VALUES ('dags', true, now()), ('reports', true, now()), ('old', false, NULL);
INSERT INTO team (name) VALUES ('data');
INSERT INTO dag_bundle_team (dag_bundle_name, team_name) VALUES ('reports', 'data');

INSERT INTO dag (dag_id, is_paused, is_stale, last_parsed_time, last_parse_duration, fileloc, relative_fileloc, bundle_name, owners,
                 timetable_type, partition_mapper_info, max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs,
                 has_task_concurrency_limits, next_dagrun, next_dagrun_create_after)
SELECT 'team_' || d / 50 || '.pipeline_' || d, mod(d, 10) = 0, mod(d, 20) = 7, now() - d * interval '40 ms', 0.1 + mod(d, 97) / 33.0,
       '/opt/airflow/dags/team_' || d / 50 || '/pipeline_' || d || '.py', 'team_' || d / 50 || '/pipeline_' || d || '.py',
       CASE WHEN mod(d, 4) = 0 THEN 'reports' ELSE 'dags' END, 'team_' || d / 50, 'CronTriggerTimetable', '{}', 16, 16, 0, false,
       now() - interval '1 day', now() + (mod(d, 1440) - 3) * interval '1 minute'
FROM generate_series(0, 999) AS d;

INSERT INTO dag_tag (name, dag_id)
SELECT name, dag_id FROM dag, unnest(ARRAY['daily', split_part(dag_id, '.', 1), 'tier_' || mod(length(dag_id), 3)]) AS name;

INSERT INTO slot_pool (pool, slots, include_deferred)
SELECT 'pool_' || p, 32, mod(p, 2) = 0 FROM generate_series(1, 7) AS p;

INSERT INTO import_error ("timestamp", filename, bundle_name, stacktrace)
SELECT now() - e * interval '1 hour', 'broken_' || e || '.py', 'dags', 'ModuleNotFoundError'
FROM generate_series(1, 3) AS e;

-- A version of a DAG for every fifth of the runs, spread over the same time.
CREATE TEMPORARY TABLE version AS
SELECT v, 'team_' || mod(v, 1000) / 50 || '.pipeline_' || mod(v, 1000) AS dag_id, 1 + v / 1000 AS version_number,
       uuidv7(made - clock_timestamp()) AS id, made
FROM generate_series(0, greatest(1000, %(dag_runs)s / 5) - 1) AS v,
     LATERAL (SELECT now() - (greatest(1000, %(dag_runs)s / 5) - v) * interval '100 seconds' AS made) AS moment;

INSERT INTO dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)
SELECT id, version_number, dag_id, 'dags', made, made FROM version ORDER BY v;

CREATE TEMPORARY TABLE first_version AS SELECT dag_id, id FROM version WHERE version_number = 1;

-- One backfill in three is still at work.
INSERT INTO backfill (id, dag_id, from_date, to_date, dag_run_conf, is_paused, reprocess_behavior, max_active_runs, created_at,
                      completed_at, updated_at)
SELECT b, 'team_0.pipeline_' || b, now() - interval '9 days', now() - interval '2 days', '{}', b = 1, 'none', 10,
       now() - interval '1 day', CASE WHEN mod(b, 3) > 0 THEN now() END, now()
FROM generate_series(1, 30) AS b;

INSERT INTO dag_run (id, dag_id, queued_at, logical_date, start_date, end_date, state, run_id, creating_job_id, run_type, triggered_by,
                     data_interval_start, data_interval_end, run_after, created_at, updated_at, created_dag_version_id)
SELECT r + 1, dag_id, began - interval '2 seconds', CASE WHEN mod(r, 7) > 0 THEN began END,
       CASE WHEN live AND mod(r, 6) = 0 THEN NULL ELSE began END, CASE WHEN NOT live THEN began + interval '20 minutes' END,
       CASE WHEN live AND mod(r, 6) = 0 THEN 'queued' WHEN live THEN 'running' WHEN mod(r, 97) = 0 THEN 'failed' ELSE 'success' END,
       CASE WHEN mod(r, 7) > 0 THEN 'scheduled__' ELSE 'manual__' END || to_char(began, 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), 1,
       CASE WHEN mod(r, 7) > 0 THEN 'scheduled' ELSE 'manual' END, 'timetable', began, began, began, began - interval '2 seconds',
       began + interval '20 minutes', first_version.id
FROM generate_series(0, %(dag_runs)s - 1) AS r,
     LATERAL (SELECT now() - (%(dag_runs)s - r) * interval '20 seconds' AS began, r >= %(dag_runs)s - %(live_runs)s AS live,
                     'team_' || mod(r, 1000) / 50 || '.pipeline_' || mod(r, 1000) AS of_dag) AS moment
     JOIN first_version ON dag_id = of_dag;

-- Eighty belong to a live triggerer, ten to a dead one, ten to nobody.
INSERT INTO trigger (id, classpath, kwargs, created_date, triggerer_id)
SELECT t, 'airflow.triggers.temporal.TimeDeltaTrigger', '{}', now() - t * interval '1 second',
       CASE WHEN t <= 80 THEN 2 WHEN t <= 90 THEN 6 END
FROM generate_series(1, 100) AS t;

CREATE TEMPORARY TABLE step AS
SELECT t, 'transform_step_' || t AS task_id, t * interval '1 minute' AS after, t >= %(tasks)s - 4 AS last,
       'worker-' || mod(t, 16) AS hostname, (ARRAY['default', 'default', 'default', 'highmem', 'gpu'])[1 + mod(t, 5)] AS queue,
       CASE WHEN mod(t, 3) = 0 THEN 'pool_' || 1 + mod(t, 7) ELSE 'default_pool' END AS pool
FROM generate_series(0, %(tasks)s - 1) AS t;

INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, end_date, duration, state, try_number, max_tries,
                           hostname, unixname, pool, pool_slots, queue, priority_weight, operator, queued_dttm, scheduled_dttm,
                           queued_by_job_id, last_heartbeat_at, pid, executor_config, updated_at, external_executor_id,
                           task_display_name, dag_version_id)
SELECT uuidv7(queued_at - clock_timestamp()), task_id, dag_id, run_id, -1, queued_at + after, queued_at + after, 50.25,
       CASE WHEN mod(id * 31 + t, 199) = 0 THEN 'failed' ELSE 'success' END, CASE WHEN t = 3 THEN 2 ELSE 1 END, 2,
       hostname, 'airflow', pool, 1, queue, 20 - t, 'PythonOperator', queued_at + after, queued_at + after, 1, queued_at + after, 4242,
       '\x80047d942e', queued_at + after, '01234567-89ab-cdef-0123-456789abcdef', task_id, created_dag_version_id
FROM dag_run CROSS JOIN step WHERE dag_run.state IN ('success', 'failed') OR NOT last;

-- Live work. Of four owners one scheduler is dead; one in ten is unknown to its executor, and one in ten has no fresh heartbeat.
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, hostname, unixname, pool,
                           pool_slots, queue, priority_weight, operator, queued_dttm, scheduled_dttm, queued_by_job_id,
                           last_heartbeat_at, external_executor_id, updated_at, trigger_id, trigger_timeout, dag_version_id)
SELECT uuidv7(queued_at - clock_timestamp()), task_id, dag_id, run_id, -1,
       CASE WHEN became NOT IN ('queued', 'scheduled') THEN queued_at + after END, became, CASE WHEN became IS NULL THEN 0 ELSE 1 END, 2,
       hostname, 'airflow', pool, 1, queue, 20 - t, 'PythonOperator', CASE WHEN became <> 'scheduled' THEN queued_at + after END,
       queued_at + after, CASE WHEN became IN ('running', 'queued') THEN (ARRAY[1, 3, 1, 5])[1 + mod(id, 4)] END,
       CASE WHEN became = 'running' THEN now() - CASE WHEN mod(id, 10) = 0 THEN interval '4 minutes' ELSE interval '5 seconds' END END,
       CASE WHEN mod(id, 10) > 0 THEN '01234567-89ab-cdef-0123-456789abcdef' END, queued_at + after,
       CASE WHEN became = 'deferred' AND mod(id, 50) > 0 THEN 1 + mod(id, 100) END,
       CASE WHEN became = 'deferred' THEN now() + (mod(id, 100) - 5) * interval '1 minute' END, created_dag_version_id
FROM dag_run CROSS JOIN step,
     LATERAL (SELECT (ARRAY['running', 'running', 'running', 'queued', 'queued', 'scheduled', 'scheduled', 'deferred',
                            'up_for_retry', 'up_for_reschedule', NULL])[1 + mod(id + 3 * t, 11)] AS became) AS now_in
WHERE dag_run.state IN ('queued', 'running') AND last;

-- Ghosts: unfinished, but their run has ended.
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, pool, pool_slots, queue)
SELECT uuidv7(queued_at - clock_timestamp()), 'ghost', dag_id, run_id, -1, queued_at,
       CASE WHEN mod(id, 2) = 0 THEN 'running' ELSE 'queued' END, 1, 2, 'default_pool', 1, 'default'
FROM dag_run WHERE id BETWEEN 11 AND 30;

-- What failed runs left without a state grows with the years.
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, state, try_number, max_tries, pool, pool_slots, queue)
SELECT uuidv7(queued_at - clock_timestamp()), 'left_' || l, dag_id, run_id, -1, NULL, 0, 2, 'default_pool', 1, 'default'
FROM dag_run, generate_series(1, 5) AS l WHERE dag_run.state = 'failed';

INSERT INTO job (id, state, job_type, start_date, latest_heartbeat, hostname, unixname)
SELECT j, CASE WHEN j <= 4 THEN 'running' ELSE 'failed' END, CASE WHEN mod(j, 2) = 0 THEN 'TriggererJob' ELSE 'SchedulerJob' END,
       now() - j * interval '2 days', now() - CASE WHEN j <= 4 THEN interval '2 seconds' ELSE j * interval '1 day' END,
       'host-' || mod(j, 4), 'airflow'
FROM generate_series(1, 60) AS j;

INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, logical_date, run_id, owner, try_number)
SELECT l, began, 'team_' || mod(l, 1000) / 50 || '.pipeline_' || mod(l, 1000), 'transform_step_' || mod(l, 20), -1,
       CASE WHEN mod(l, 1000) = 0 THEN 'state mismatch' WHEN mod(l, 1000) = 500 THEN 'heartbeat timeout'
            WHEN mod(l, 2) = 0 THEN 'running' ELSE 'success' END, began,
       'scheduled__' || to_char(began, 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), 'airflow', 1
FROM generate_series(1, %(log)s) AS l,
     LATERAL (SELECT now() - (%(log)s - l) * interval '5 seconds' AS began) AS moment;

-- What waits in the queue now has been put back there twice.
INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, run_id, owner, try_number)
SELECT %(log)s + row_number() OVER (), now() - again * interval '10 minutes', dag_id, task_id, -1, 'stuck in queued reschedule', run_id,
       'scheduler', 1
FROM task_instance, generate_series(1, 2) AS again WHERE state = 'queued' AND pool = 'default_pool';

INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, "timestamp")
SELECT id, 'transform_step_0', -1, 'return_value', dag_id, run_id, '"path"', queued_at + interval '1 minute' FROM dag_run;

-- One task of each run has failed once.
INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, map_index, try_number, start_date, end_date, duration,
                                   state, max_tries, hostname, unixname, pool, pool_slots, queue, operator, queued_dttm, updated_at,
                                   dag_version_id)
SELECT uuidv7(queued_at - clock_timestamp()), 'transform_step_3', dag_id, run_id, -1, 1, queued_at, queued_at + interval '1 minute', 60,
       'failed', 2, 'worker-1', 'airflow', 'default_pool', 1, 'default', 'PythonOperator', queued_at, queued_at, created_dag_version_id
FROM dag_run;

INSERT INTO task_reschedule (id, ti_id, start_date, end_date, duration, reschedule_date)
SELECT row_number() OVER (ORDER BY id), id, start_date, start_date, 60, start_date
FROM task_instance WHERE task_id = 'transform_step_1' AND state = 'success';

-- Deadlines that were missed stay; of those of live runs a few have passed unseen.
CREATE TEMPORARY TABLE alarm AS
SELECT id AS dagrun_id, queued_at, uuidv7(queued_at - clock_timestamp()) AS deadline_id,
       uuidv7(queued_at - clock_timestamp()) AS callback_id, state IN ('queued', 'running') AS live
FROM dag_run WHERE mod(id, 5) = 0;

INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at)
SELECT callback_id, 'triggerer', 'import_path', '{}'::jsonb, CASE WHEN live THEN 'scheduled' ELSE 'success' END, 1, queued_at FROM alarm
UNION ALL
SELECT uuidv7(), 'dag_processor', 'dag_attribute', '{}', NULL, 1, now() FROM generate_series(1, 20) AS c;

INSERT INTO deadline (id, created_at, last_updated_at, dagrun_id, deadline_time, missed, callback_id)
SELECT deadline_id, queued_at, queued_at, dagrun_id,
       CASE WHEN live THEN now() + (mod(dagrun_id, 60) - 2) * interval '1 minute' ELSE queued_at + interval '10 minutes' END, NOT live,
       callback_id
FROM alarm;

INSERT INTO asset (id, name, uri, "group", extra, created_at, updated_at)
SELECT a, 'table_' || a, 's3://lake/table_' || a, 'asset', '{}', now(), now() FROM generate_series(1, 50) AS a;

INSERT INTO asset_event (id, asset_id, extra, source_task_id, source_dag_id, source_run_id, "timestamp")
SELECT id, 1 + mod(id, 50), '{}', 'transform_step_19', dag_id, run_id, queued_at FROM dag_run WHERE mod(id, 2) = 0;

INSERT INTO asset_dag_run_queue (asset_id, target_dag_id, created_at)
SELECT 1 + mod(length(dag_id), 50), dag_id, now() - interval '1 hour' FROM dag LIMIT 300;

-- As Celery makes it, where its results are kept beside Airflow's tables.
CREATE TABLE celery_taskmeta (id integer PRIMARY KEY, task_id varchar(155) UNIQUE, status varchar(50), result bytea,
                              date_done timestamp, traceback text);
INSERT INTO celery_taskmeta (id, task_id, status, date_done)
SELECT r, md5(r::text), 'SUCCESS', now() - (%(jobs)s - r) * interval '5 seconds' FROM generate_series(1, %(jobs)s) AS r;

SELECT setval('dag_run_id_seq', max(id)) FROM dag_run;
SELECT setval('log_id_seq', max(id)) FROM log;
