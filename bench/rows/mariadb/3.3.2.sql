-- The same rows as postgresql/3.3.2.sql, in MariaDB's SQL.
SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_UNSIGNED_SUBTRACTION'), timestamp = UNIX_TIMESTAMP(NOW(6)),
            FOREIGN_KEY_CHECKS = 0, UNIQUE_CHECKS = 0;

-- MariaDB has one of its own from 11.7 on.
CREATE FUNCTION uuidv7(made TIMESTAMP(6)) RETURNS uuid NO SQL
RETURN CONCAT(LPAD(HEX(CAST(UNIX_TIMESTAMP(made) * 1000 AS UNSIGNED)), 12, '0'), '7', LPAD(HEX(FLOOR(RAND() * 4096)), 3, '0'), '8',
              LPAD(HEX(FLOOR(RAND() * POW(2, 28))), 7, '0'), LPAD(HEX(FLOOR(RAND() * POW(2, 32))), 8, '0'));

INSERT INTO dag_bundle (name, active, last_refreshed) VALUES ('dags', true, NOW(6)), ('reports', true, NOW(6)), ('old', false, NULL);
INSERT INTO team (name) VALUES ('data');
INSERT INTO dag_bundle_team (dag_bundle_name, team_name) VALUES ('reports', 'data');

INSERT INTO dag (dag_id, is_paused, is_stale, last_parsed_time, last_parse_duration, fileloc, relative_fileloc, bundle_name, owners,
                 timetable_type, partition_mapper_info, max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs,
                 has_task_concurrency_limits, next_dagrun, next_dagrun_create_after)
SELECT CONCAT('team_', d DIV 50, '.pipeline_', d), MOD(d, 10) = 0, MOD(d, 20) = 7, NOW(6) - INTERVAL 0.04 * d SECOND,
       0.1 + MOD(d, 97) / 33.0, CONCAT('/opt/airflow/dags/team_', d DIV 50, '/pipeline_', d, '.py'),
       CONCAT('team_', d DIV 50, '/pipeline_', d, '.py'), CASE WHEN MOD(d, 4) = 0 THEN 'reports' ELSE 'dags' END,
       CONCAT('team_', d DIV 50), 'CronTriggerTimetable', '{}', 16, 16, 0, false,
       NOW(6) - INTERVAL 1 DAY, NOW(6) + INTERVAL MOD(d, 1440) - 3 MINUTE
FROM (SELECT seq AS d FROM seq_0_to_999) AS numbers;

INSERT INTO dag_tag (name, dag_id)
SELECT ELT(seq, 'daily', SUBSTRING_INDEX(dag_id, '.', 1), CONCAT('tier_', MOD(LENGTH(dag_id), 3))), dag_id FROM dag, seq_1_to_3;

INSERT INTO slot_pool (pool, slots, include_deferred)
SELECT CONCAT('pool_', seq), 32, MOD(seq, 2) = 0 FROM seq_1_to_7;

INSERT INTO import_error (timestamp, filename, bundle_name, stacktrace)
SELECT NOW(6) - INTERVAL seq HOUR, CONCAT('broken_', seq, '.py'), 'dags', 'ModuleNotFoundError'
FROM seq_1_to_3;

-- A version of a DAG for every fifth of the runs, spread over the same time.
SET @versions = GREATEST(1000, %(dag_runs)s DIV 5);
INSERT INTO dag_version (id, version_number, dag_id, bundle_name, created_at, last_updated)
SELECT uuidv7(made), 1 + v DIV 1000, CONCAT('team_', MOD(v, 1000) DIV 50, '.pipeline_', MOD(v, 1000)), 'dags', made, made
FROM (SELECT seq AS v, NOW(6) - INTERVAL (@versions - seq) * 100 SECOND AS made
      FROM seq_0_to_%(dag_runs)s WHERE seq < @versions
      UNION ALL
      SELECT seq, NOW(6) - INTERVAL (@versions - seq) * 100 SECOND FROM seq_0_to_999 WHERE seq > %(dag_runs)s) AS version;

-- One backfill in three is still at work.
INSERT INTO backfill (id, dag_id, from_date, to_date, dag_run_conf, is_paused, reprocess_behavior, max_active_runs, created_at,
                      completed_at, updated_at)
SELECT seq, CONCAT('team_0.pipeline_', seq), NOW(6) - INTERVAL 9 DAY, NOW(6) - INTERVAL 2 DAY, '{}', seq = 1, 'none', 10,
       NOW(6) - INTERVAL 1 DAY, CASE WHEN MOD(seq, 3) > 0 THEN NOW(6) END, NOW(6)
FROM seq_1_to_30;

INSERT INTO dag_run (id, dag_id, queued_at, logical_date, start_date, end_date, state, run_id, creating_job_id, run_type, triggered_by,
                     data_interval_start, data_interval_end, run_after, created_at, updated_at, created_dag_version_id)
SELECT r + 1, dag_id, began - INTERVAL 2 SECOND, CASE WHEN MOD(r, 7) > 0 THEN began END,
       CASE WHEN live AND MOD(r, 6) = 0 THEN NULL ELSE began END, CASE WHEN NOT live THEN began + INTERVAL 20 MINUTE END,
       CASE WHEN live AND MOD(r, 6) = 0 THEN 'queued' WHEN live THEN 'running' WHEN MOD(r, 97) = 0 THEN 'failed' ELSE 'success' END,
       CONCAT(CASE WHEN MOD(r, 7) > 0 THEN 'scheduled__' ELSE 'manual__' END, REPLACE(began, ' ', 'T'), '+00:00'), 1,
       CASE WHEN MOD(r, 7) > 0 THEN 'scheduled' ELSE 'manual' END, 'timetable', began, began, began, began - INTERVAL 2 SECOND,
       began + INTERVAL 20 MINUTE, dag_version.id
FROM (SELECT seq - 1 AS r, NOW(6) - INTERVAL (%(dag_runs)s - seq + 1) * 20 SECOND AS began,
             seq > %(dag_runs)s - %(live_runs)s AS live,
             CONCAT('team_', MOD(seq - 1, 1000) DIV 50, '.pipeline_', MOD(seq - 1, 1000)) AS of_dag
      FROM seq_1_to_%(dag_runs)s) AS moment
     JOIN dag_version ON dag_id = of_dag AND version_number = 1;

-- Eighty belong to a live triggerer, ten to a dead one, ten to nobody.
INSERT INTO `trigger` (id, classpath, kwargs, created_date, triggerer_id)
SELECT seq, 'airflow.triggers.temporal.TimeDeltaTrigger', '{}', NOW(6) - INTERVAL seq SECOND,
       CASE WHEN seq <= 80 THEN 2 WHEN seq <= 90 THEN 6 END
FROM seq_1_to_100;

CREATE TEMPORARY TABLE step AS
SELECT t, CONCAT('transform_step_', t) AS task_id, t >= %(tasks)s - 4 AS last, CONCAT('worker-', MOD(t, 16)) AS hostname,
       ELT(1 + MOD(t, 5), 'default', 'default', 'default', 'highmem', 'gpu') AS queue,
       CASE WHEN MOD(t, 3) = 0 THEN CONCAT('pool_', 1 + MOD(t, 7)) ELSE 'default_pool' END AS pool
FROM (SELECT seq - 1 AS t FROM seq_1_to_%(tasks)s) AS numbers;

INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, end_date, duration, state, try_number, max_tries,
                           hostname, unixname, pool, pool_slots, queue, priority_weight, operator, queued_dttm, scheduled_dttm,
                           queued_by_job_id, last_heartbeat_at, pid, executor_config, updated_at, external_executor_id,
                           task_display_name, dag_version_id)
SELECT uuidv7(queued_at), task_id, dag_id, run_id, -1, queued_at + INTERVAL t MINUTE, queued_at + INTERVAL t MINUTE, 50.25,
       CASE WHEN MOD(id * 31 + t, 199) = 0 THEN 'failed' ELSE 'success' END, CASE WHEN t = 3 THEN 2 ELSE 1 END, 2,
       hostname, 'airflow', pool, 1, queue, 20 - t, 'PythonOperator', queued_at + INTERVAL t MINUTE, queued_at + INTERVAL t MINUTE, 1,
       queued_at + INTERVAL t MINUTE, 4242, X'80047d942e', queued_at + INTERVAL t MINUTE, '01234567-89ab-cdef-0123-456789abcdef',
       task_id, created_dag_version_id
FROM dag_run CROSS JOIN step WHERE dag_run.state IN ('success', 'failed') OR NOT last
ORDER BY id;

-- Live work. Of four owners one scheduler is dead; one in ten is unknown to its executor, and one in ten has no fresh heartbeat.
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, hostname, unixname, pool,
                           pool_slots, queue, priority_weight, operator, queued_dttm, scheduled_dttm, queued_by_job_id,
                           last_heartbeat_at, external_executor_id, updated_at, trigger_id, trigger_timeout, dag_version_id)
SELECT uuidv7(queued_at), task_id, dag_id, run_id, -1,
       CASE WHEN became NOT IN ('queued', 'scheduled') THEN queued_at + INTERVAL t MINUTE END, became,
       CASE WHEN became IS NULL THEN 0 ELSE 1 END, 2, hostname, 'airflow', pool, 1, queue, 20 - t, 'PythonOperator',
       CASE WHEN became <> 'scheduled' THEN queued_at + INTERVAL t MINUTE END, queued_at + INTERVAL t MINUTE,
       CASE WHEN became IN ('running', 'queued') THEN ELT(1 + MOD(id, 4), 1, 3, 1, 5) END,
       CASE WHEN became = 'running' THEN NOW(6) - INTERVAL CASE WHEN MOD(id, 10) = 0 THEN 240 ELSE 5 END SECOND END,
       CASE WHEN MOD(id, 10) > 0 THEN '01234567-89ab-cdef-0123-456789abcdef' END, queued_at + INTERVAL t MINUTE,
       CASE WHEN became = 'deferred' AND MOD(id, 50) > 0 THEN 1 + MOD(id, 100) END,
       CASE WHEN became = 'deferred' THEN NOW(6) + INTERVAL MOD(id, 100) - 5 MINUTE END, created_dag_version_id
FROM (SELECT dag_run.id, dag_run.dag_id, run_id, queued_at, created_dag_version_id, step.*,
             ELT(1 + MOD(id + 3 * t, 11), 'running', 'running', 'running', 'queued', 'queued', 'scheduled', 'scheduled', 'deferred',
                 'up_for_retry', 'up_for_reschedule', NULL) AS became
      FROM dag_run CROSS JOIN step WHERE dag_run.state IN ('queued', 'running') AND last) AS now_in;

-- Ghosts: unfinished, but their run has ended.
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, pool, pool_slots, queue)
SELECT uuidv7(queued_at), 'ghost', dag_id, run_id, -1, queued_at, CASE WHEN MOD(id, 2) = 0 THEN 'running' ELSE 'queued' END, 1, 2,
       'default_pool', 1, 'default'
FROM dag_run WHERE id BETWEEN 11 AND 30;

-- What failed runs left without a state grows with the years.
INSERT INTO task_instance (id, task_id, dag_id, run_id, map_index, state, try_number, max_tries, pool, pool_slots, queue)
SELECT uuidv7(queued_at), CONCAT('left_', seq), dag_id, run_id, -1, NULL, 0, 2, 'default_pool', 1, 'default'
FROM dag_run, seq_1_to_5 WHERE dag_run.state = 'failed';

INSERT INTO job (id, state, job_type, start_date, latest_heartbeat, hostname, unixname)
SELECT j, CASE WHEN j <= 4 THEN 'running' ELSE 'failed' END, CASE WHEN MOD(j, 2) = 0 THEN 'TriggererJob' ELSE 'SchedulerJob' END,
       NOW(6) - INTERVAL 2 * j DAY, CASE WHEN j <= 4 THEN NOW(6) - INTERVAL 2 SECOND ELSE NOW(6) - INTERVAL j DAY END,
       CONCAT('host-', MOD(j, 4)), 'airflow'
FROM (SELECT seq AS j FROM seq_1_to_60) AS members;

INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, logical_date, run_id, owner, try_number)
SELECT l, began, CONCAT('team_', MOD(l, 1000) DIV 50, '.pipeline_', MOD(l, 1000)), CONCAT('transform_step_', MOD(l, 20)), -1,
       CASE WHEN MOD(l, 1000) = 0 THEN 'state mismatch' WHEN MOD(l, 1000) = 500 THEN 'heartbeat timeout'
            WHEN MOD(l, 2) = 0 THEN 'running' ELSE 'success' END, began,
       CONCAT('scheduled__', REPLACE(began, ' ', 'T'), '+00:00'), 'airflow', 1
FROM (SELECT seq AS l, NOW(6) - INTERVAL (%(log)s - seq) * 5 SECOND AS began FROM seq_1_to_%(log)s) AS moment;

-- What waits in the queue now has been put back there twice.
INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, run_id, owner, try_number)
SELECT %(log)s + ROW_NUMBER() OVER (), NOW(6) - INTERVAL 10 * seq MINUTE, dag_id, task_id, -1, 'stuck in queued reschedule', run_id,
       'scheduler', 1
FROM task_instance, seq_1_to_2 WHERE state = 'queued' AND pool = 'default_pool';

INSERT INTO xcom (dag_run_id, task_id, map_index, `key`, dag_id, run_id, value, timestamp)
SELECT id, 'transform_step_0', -1, 'return_value', dag_id, run_id, '"path"', queued_at + INTERVAL 1 MINUTE FROM dag_run;

-- One task of each run has failed once.
INSERT INTO task_instance_history (task_instance_id, task_id, dag_id, run_id, map_index, try_number, start_date, end_date, duration,
                                   state, max_tries, hostname, unixname, pool, pool_slots, queue, operator, queued_dttm, updated_at,
                                   dag_version_id)
SELECT uuidv7(queued_at), 'transform_step_3', dag_id, run_id, -1, 1, queued_at, queued_at + INTERVAL 1 MINUTE, 60, 'failed', 2,
       'worker-1', 'airflow', 'default_pool', 1, 'default', 'PythonOperator', queued_at, queued_at, created_dag_version_id
FROM dag_run;

INSERT INTO task_reschedule (id, ti_id, start_date, end_date, duration, reschedule_date)
SELECT ROW_NUMBER() OVER (ORDER BY id), id, start_date, start_date, 60, start_date
FROM task_instance WHERE task_id = 'transform_step_1' AND state = 'success';

-- Deadlines that were missed stay; of those of live runs a few have passed unseen.
CREATE TEMPORARY TABLE alarm AS
SELECT id AS dagrun_id, queued_at, uuidv7(queued_at) AS deadline_id, uuidv7(queued_at) AS callback_id,
       state IN ('queued', 'running') AS live
FROM dag_run WHERE MOD(id, 5) = 0;

INSERT INTO callback (id, type, fetch_method, data, state, priority_weight, created_at)
SELECT callback_id, 'triggerer', 'import_path', '{}', CASE WHEN live THEN 'scheduled' ELSE 'success' END, 1, queued_at FROM alarm
UNION ALL
SELECT uuidv7(NOW(6)), 'dag_processor', 'dag_attribute', '{}', NULL, 1, NOW(6) FROM seq_1_to_20;

INSERT INTO deadline (id, created_at, last_updated_at, dagrun_id, deadline_time, missed, callback_id)
SELECT deadline_id, queued_at, queued_at, dagrun_id,
       CASE WHEN live THEN NOW(6) + INTERVAL MOD(dagrun_id, 60) - 2 MINUTE ELSE queued_at + INTERVAL 10 MINUTE END, NOT live,
       callback_id
FROM alarm;

INSERT INTO asset (id, name, uri, `group`, extra, created_at, updated_at)
SELECT seq, CONCAT('table_', seq), CONCAT('s3://lake/table_', seq), 'asset', '{}', NOW(6), NOW(6) FROM seq_1_to_50;

INSERT INTO asset_event (id, asset_id, extra, source_task_id, source_dag_id, source_run_id, timestamp)
SELECT id, 1 + MOD(id, 50), '{}', 'transform_step_19', dag_id, run_id, queued_at FROM dag_run WHERE MOD(id, 2) = 0;

INSERT INTO asset_dag_run_queue (asset_id, target_dag_id, created_at)
SELECT 1 + MOD(LENGTH(dag_id), 50), dag_id, NOW(6) - INTERVAL 1 HOUR FROM dag LIMIT 300;

-- As Celery makes it, where its results are kept beside Airflow's tables.
CREATE TABLE celery_taskmeta (id integer PRIMARY KEY AUTO_INCREMENT, task_id varchar(155) UNIQUE, status varchar(50), result blob,
                              date_done datetime, traceback text);
INSERT INTO celery_taskmeta (id, task_id, status, date_done)
SELECT seq, MD5(seq), 'SUCCESS', NOW() - INTERVAL (%(jobs)s - seq) * 5 SECOND FROM seq_1_to_%(jobs)s;

DROP TEMPORARY TABLE step;
DROP TEMPORARY TABLE alarm;
SET SESSION sql_mode = DEFAULT, timestamp = DEFAULT, FOREIGN_KEY_CHECKS = 1, UNIQUE_CHECKS = 1;
