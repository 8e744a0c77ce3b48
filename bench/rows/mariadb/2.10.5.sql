-- The same rows as postgresql/2.10.5.sql, in MariaDB's SQL.
SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_UNSIGNED_SUBTRACTION'), timestamp = UNIX_TIMESTAMP(NOW(6)),
            FOREIGN_KEY_CHECKS = 0, UNIQUE_CHECKS = 0;

INSERT INTO dag (dag_id, is_paused, is_subdag, is_active, last_parsed_time, fileloc, owners, schedule_interval,
                 max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs, has_task_concurrency_limits,
                 next_dagrun, next_dagrun_create_after)
SELECT CONCAT('team_', d DIV 50, '.pipeline_', d), MOD(d, 10) = 0, false, MOD(d, 20) <> 7, NOW(6) - INTERVAL 0.04 * d SECOND,
       CONCAT('/opt/airflow/dags/team_', d DIV 50, '/pipeline_', d, '.py'), CONCAT('team_', d DIV 50), '"@daily"', 16, 16, 0, false,
       NOW(6) - INTERVAL 1 DAY, NOW(6) + INTERVAL MOD(d, 1440) - 3 MINUTE
FROM (SELECT seq AS d FROM seq_0_to_999) AS numbers;

INSERT INTO dag_tag (name, dag_id)
SELECT ELT(seq, 'daily', SUBSTRING_INDEX(dag_id, '.', 1), CONCAT('tier_', MOD(LENGTH(dag_id), 3))), dag_id FROM dag, seq_1_to_3;

INSERT INTO slot_pool (pool, slots, include_deferred)
SELECT CONCAT('pool_', seq), 32, MOD(seq, 2) = 0 FROM seq_1_to_7;

INSERT INTO import_error (timestamp, filename, stacktrace)
SELECT NOW(6) - INTERVAL seq HOUR, CONCAT('/opt/airflow/dags/broken_', seq, '.py'), 'ModuleNotFoundError'
FROM seq_1_to_3;

INSERT INTO dag_run (id, dag_id, queued_at, execution_date, start_date, end_date, state, run_id, creating_job_id,
                     external_trigger, run_type, data_interval_start, data_interval_end, dag_hash, updated_at)
SELECT r + 1, CONCAT('team_', MOD(r, 1000) DIV 50, '.pipeline_', MOD(r, 1000)), began - INTERVAL 2 SECOND,
       began - INTERVAL 1 DAY, CASE WHEN live AND MOD(r, 6) = 0 THEN NULL ELSE began END,
       CASE WHEN NOT live THEN began + INTERVAL 20 MINUTE END,
       CASE WHEN live AND MOD(r, 6) = 0 THEN 'queued' WHEN live THEN 'running' WHEN MOD(r, 97) = 0 THEN 'failed' ELSE 'success' END,
       CONCAT('scheduled__', REPLACE(began - INTERVAL 1 DAY, ' ', 'T'), '+00:00'), 1, false, 'scheduled',
       began - INTERVAL 1 DAY, began, MD5(MOD(r, 1000)), began + INTERVAL 20 MINUTE
FROM (SELECT seq - 1 AS r, NOW(6) - INTERVAL (%(dag_runs)s - seq + 1) * 20 SECOND AS began,
             seq > %(dag_runs)s - %(live_runs)s AS live FROM seq_1_to_%(dag_runs)s) AS moment;

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

INSERT INTO task_instance (task_id, dag_id, run_id, map_index, start_date, end_date, duration, state, try_number, max_tries,
                           hostname, unixname, job_id, pool, pool_slots, queue, priority_weight, operator, queued_dttm,
                           queued_by_job_id, pid, executor_config, updated_at, external_executor_id, task_display_name)
SELECT task_id, dag_id, run_id, -1, queued_at + INTERVAL t MINUTE, queued_at + INTERVAL t MINUTE, 50.25,
       CASE WHEN MOD(id * 31 + t, 199) = 0 THEN 'failed' ELSE 'success' END, CASE WHEN t = 3 THEN 2 ELSE 1 END, 2,
       hostname, 'airflow', id * 4 + t, pool, 1, queue, 20 - t, 'PythonOperator', queued_at + INTERVAL t MINUTE,
       1, 4242, X'80047d942e', queued_at + INTERVAL t MINUTE, '01234567-89ab-cdef-0123-456789abcdef', task_id
FROM dag_run CROSS JOIN step WHERE dag_run.state IN ('success', 'failed') OR NOT last
ORDER BY dag_id, task_id, run_id;

-- Live work. Of four owners one scheduler is dead; what runs has one of the newest jobs; one in ten is unknown to its executor.
INSERT INTO task_instance (task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, hostname, unixname,
                           job_id, pool, pool_slots, queue, priority_weight, operator, queued_dttm, queued_by_job_id,
                           external_executor_id, updated_at, trigger_id, trigger_timeout)
SELECT task_id, dag_id, run_id, -1, CASE WHEN became NOT IN ('queued', 'scheduled') THEN queued_at + INTERVAL t MINUTE END, became,
       CASE WHEN became IS NULL THEN 0 ELSE 1 END, 2, hostname, 'airflow', CASE WHEN became = 'running' THEN %(jobs)s - MOD(id, 200) END,
       pool, 1, queue, 20 - t, 'PythonOperator', CASE WHEN became <> 'scheduled' THEN queued_at + INTERVAL t MINUTE END,
       CASE WHEN became IN ('running', 'queued') THEN ELT(1 + MOD(id, 4), 1, 3, 1, 5) END,
       CASE WHEN MOD(id, 10) > 0 THEN '01234567-89ab-cdef-0123-456789abcdef' END, queued_at + INTERVAL t MINUTE,
       CASE WHEN became = 'deferred' AND MOD(id, 50) > 0 THEN 1 + MOD(id, 100) END,
       CASE WHEN became = 'deferred' THEN NOW(6) + INTERVAL MOD(id, 100) - 5 MINUTE END
FROM (SELECT dag_run.*, step.*,
             ELT(1 + MOD(id + 3 * t, 11), 'running', 'running', 'running', 'queued', 'queued', 'scheduled', 'scheduled', 'deferred',
                 'up_for_retry', 'up_for_reschedule', NULL) AS became
      FROM dag_run CROSS JOIN step WHERE dag_run.state IN ('queued', 'running') AND last) AS now_in;

-- Ghosts: unfinished, but their run has ended.
INSERT INTO task_instance (task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, pool, pool_slots, queue)
SELECT 'ghost', dag_id, run_id, -1, queued_at, CASE WHEN MOD(id, 2) = 0 THEN 'running' ELSE 'queued' END, 1, 2, 'default_pool', 1,
       'default'
FROM dag_run WHERE id BETWEEN 11 AND 30;

-- What failed runs left without a state grows with the years.
INSERT INTO task_instance (task_id, dag_id, run_id, map_index, state, try_number, max_tries, pool, pool_slots, queue)
SELECT CONCAT('left_', seq), dag_id, run_id, -1, NULL, 0, 2, 'default_pool', 1, 'default'
FROM dag_run, seq_1_to_5 WHERE dag_run.state = 'failed';

INSERT INTO job (id, dag_id, state, job_type, start_date, end_date, latest_heartbeat, hostname, unixname)
SELECT j, NULL, CASE WHEN j <= 4 THEN 'running' ELSE 'failed' END,
       CASE WHEN MOD(j, 2) = 0 THEN 'TriggererJob' ELSE 'SchedulerJob' END, NOW(6) - INTERVAL 2 * j DAY, NULL,
       CASE WHEN j <= 4 THEN NOW(6) - INTERVAL 2 SECOND ELSE NOW(6) - INTERVAL j DAY END, CONCAT('host-', MOD(j, 4)), 'airflow'
FROM (SELECT seq AS j FROM seq_1_to_60) AS members
UNION ALL
SELECT j, CONCAT('team_', MOD(j, 1000) DIV 50, '.pipeline_', MOD(j, 1000)), CASE WHEN live THEN 'running' ELSE 'success' END,
       'LocalTaskJob', began, CASE WHEN NOT live THEN began + INTERVAL 50 SECOND END,
       CASE WHEN live THEN NOW(6) ELSE began + INTERVAL 50 SECOND END, CONCAT('worker-', MOD(j, 16)), 'airflow'
FROM (SELECT seq AS j, NOW(6) - INTERVAL (%(jobs)s - seq) * 5 SECOND AS began, seq > %(jobs)s - %(live_runs)s AS live
      FROM seq_61_to_%(jobs)s) AS moment;

INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, execution_date, run_id, owner, try_number)
SELECT l, began, CONCAT('team_', MOD(l, 1000) DIV 50, '.pipeline_', MOD(l, 1000)), CONCAT('transform_step_', MOD(l, 20)), -1,
       CASE WHEN MOD(l, 1000) = 0 THEN 'state mismatch' WHEN MOD(l, 1000) = 500 THEN 'heartbeat timeout'
            WHEN MOD(l, 4) = 0 THEN 'cli_task_run' WHEN MOD(l, 4) = 1 THEN 'running' ELSE 'success' END, began - INTERVAL 1 DAY,
       CONCAT('scheduled__', REPLACE(began - INTERVAL 1 DAY, ' ', 'T'), '+00:00'), 'airflow', 1
FROM (SELECT seq AS l, NOW(6) - INTERVAL (%(log)s - seq) * 5 SECOND AS began FROM seq_1_to_%(log)s) AS moment;

INSERT INTO xcom (dag_run_id, task_id, map_index, `key`, dag_id, run_id, value, timestamp)
SELECT id, 'transform_step_0', -1, 'return_value', dag_id, run_id, X'2270617468220a', queued_at + INTERVAL 1 MINUTE FROM dag_run;

-- What waits in the queue now has been put back there twice.
INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, run_id, owner, try_number)
SELECT %(log)s + ROW_NUMBER() OVER (), NOW(6) - INTERVAL 10 * seq MINUTE, dag_id, task_id, -1, 'stuck in queued reschedule', run_id,
       'scheduler', 1
FROM task_instance, seq_1_to_2 WHERE state = 'queued' AND pool = 'default_pool';

-- One task of each run has failed once.
INSERT INTO task_instance_history (id, task_id, dag_id, run_id, map_index, try_number, start_date, end_date, duration, state, max_tries,
                                   hostname, unixname, pool, pool_slots, queue, operator, queued_dttm, updated_at)
SELECT id, 'transform_step_3', dag_id, run_id, -1, 1, queued_at, queued_at + INTERVAL 1 MINUTE, 60, 'failed', 2, 'worker-1', 'airflow',
       'default_pool', 1, 'default', 'PythonOperator', queued_at, queued_at
FROM dag_run;

INSERT INTO task_fail (id, task_id, dag_id, run_id, map_index, start_date, end_date, duration)
SELECT id, 'transform_step_3', dag_id, run_id, -1, queued_at, queued_at + INTERVAL 1 MINUTE, 60 FROM dag_run;

INSERT INTO task_reschedule (id, task_id, dag_id, run_id, map_index, try_number, start_date, end_date, duration, reschedule_date)
SELECT id, 'transform_step_1', dag_id, run_id, -1, 1, queued_at, queued_at + INTERVAL 1 MINUTE, 60, queued_at + INTERVAL 2 MINUTE
FROM dag_run WHERE MOD(id, 2) = 0;

INSERT INTO sla_miss (task_id, dag_id, execution_date, email_sent, timestamp, notification_sent)
SELECT 'transform_step_9', dag_id, execution_date, true, queued_at + INTERVAL 1 HOUR, true FROM dag_run WHERE MOD(id, 5) = 0;

INSERT INTO callback_request (id, created_at, priority_weight, callback_data, callback_type)
SELECT seq, NOW(6) - INTERVAL seq MINUTE, 1, '{}', 'TaskCallbackRequest' FROM seq_1_to_20;

INSERT INTO dataset (id, uri, extra, created_at, updated_at)
SELECT seq, CONCAT('s3://lake/table_', seq), '{}', NOW(6), NOW(6) FROM seq_1_to_50;

INSERT INTO dataset_event (id, dataset_id, extra, source_task_id, source_dag_id, source_run_id, timestamp)
SELECT id, 1 + MOD(id, 50), '{}', 'transform_step_19', dag_id, run_id, queued_at FROM dag_run WHERE MOD(id, 2) = 0;

INSERT INTO dataset_dag_run_queue (dataset_id, target_dag_id, created_at)
SELECT 1 + MOD(LENGTH(dag_id), 50), dag_id, NOW(6) - INTERVAL 1 HOUR FROM dag LIMIT 300;

-- As Celery makes it, where its results are kept beside Airflow's tables.
CREATE TABLE celery_taskmeta (id integer PRIMARY KEY AUTO_INCREMENT, task_id varchar(155) UNIQUE, status varchar(50), result blob,
                              date_done datetime, traceback text);
INSERT INTO celery_taskmeta (id, task_id, status, date_done)
SELECT seq, MD5(seq), 'SUCCESS', NOW() - INTERVAL (%(jobs)s - seq) * 5 SECOND FROM seq_1_to_%(jobs)s;

DROP TEMPORARY TABLE step;
SET SESSION sql_mode = DEFAULT, timestamp = DEFAULT, FOREIGN_KEY_CHECKS = 1, UNIQUE_CHECKS = 1;
