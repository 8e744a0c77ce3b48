"""Fills a database with years of a busy Airflow 2.10.5: millions of finished task instances, and a little live work."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass

import psycopg2

from bench.postgres import tables_and_constraints
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, engine_for
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import Kind, Schema
from tests.embedded_postgres import EmbeddedPostgres

SCHEMA = Schema(Kind.POSTGRESQL, RELEASES["2.10.5"])
TASKS_PER_RUN = 20


@dataclass(frozen=True)
class Size:
    """How much history: rows of each large table, all following from the task instances."""

    task_instances: int

    @property
    def dag_runs(self) -> int:
        return self.task_instances // TASKS_PER_RUN

    @property
    def jobs(self) -> int:
        return self.task_instances // 5

    @property
    def log(self) -> int:
        return self.task_instances // 5

    @property
    def live_runs(self) -> int:
        """Unfinished dag runs, each with four unfinished task instances: the same at every size but the smallest."""
        return min(300, self.dag_runs // 2)

    @property
    def parameters(self) -> dict[str, int]:
        """What the statements that make the rows ask for."""
        counts = {"dag_runs": self.dag_runs, "live_runs": self.live_runs, "jobs": self.jobs, "log": self.log}
        return {**counts, "tasks": TASKS_PER_RUN}


# The last dag runs are live, one in six of them queued; of the finished task instances one in 199 failed.
_ROWS = """
INSERT INTO dag (dag_id, is_paused, is_subdag, is_active, last_parsed_time, fileloc, owners, schedule_interval,
                 max_active_tasks, max_active_runs, max_consecutive_failed_dag_runs, has_task_concurrency_limits,
                 next_dagrun, next_dagrun_create_after)
SELECT 'team_' || d / 50 || '.pipeline_' || d, mod(d, 10) = 0, false, mod(d, 20) <> 7, now() - d * interval '40 ms',
       '/opt/airflow/dags/team_' || d / 50 || '/pipeline_' || d || '.py', 'team_' || d / 50, '"@daily"', 16, 16, 0, false,
       now() - interval '1 day', now() + (mod(d, 1440) - 3) * interval '1 minute'
FROM generate_series(0, 999) AS d;

INSERT INTO slot_pool (pool, slots, include_deferred)
SELECT 'pool_' || p, 32, mod(p, 2) = 0 FROM generate_series(1, 7) AS p;

INSERT INTO import_error ("timestamp", filename, stacktrace)
SELECT now() - e * interval '1 hour', '/opt/airflow/dags/broken_' || e || '.py', 'ModuleNotFoundError'
FROM generate_series(1, 3) AS e;

INSERT INTO dag_run (id, dag_id, queued_at, execution_date, start_date, end_date, state, run_id, creating_job_id,
                     external_trigger, run_type, data_interval_start, data_interval_end, dag_hash, updated_at)
SELECT r + 1, 'team_' || mod(r, 1000) / 50 || '.pipeline_' || mod(r, 1000), began - interval '2 seconds',
       began - interval '1 day', CASE WHEN live AND mod(r, 6) = 0 THEN NULL ELSE began END,
       CASE WHEN NOT live THEN began + interval '20 minutes' END,
       CASE WHEN live AND mod(r, 6) = 0 THEN 'queued' WHEN live THEN 'running' WHEN mod(r, 97) = 0 THEN 'failed' ELSE 'success' END,
       'scheduled__' || to_char(began - interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), 1, false, 'scheduled',
       began - interval '1 day', began, md5(mod(r, 1000)::text), began + interval '20 minutes'
FROM generate_series(0, %(dag_runs)s - 1) AS r,
     LATERAL (SELECT now() - (%(dag_runs)s - r) * interval '20 seconds' AS began,
                     r >= %(dag_runs)s - %(live_runs)s AS live) AS moment;

INSERT INTO trigger (id, classpath, kwargs, created_date, triggerer_id)
SELECT t, 'airflow.triggers.temporal.TimeDeltaTrigger', '{}', now() - t * interval '1 second', 2 FROM generate_series(1, 100) AS t;

CREATE TEMPORARY TABLE step AS
SELECT t, 'transform_step_' || t AS task_id, t * interval '1 minute' AS after, t >= %(tasks)s - 4 AS last,
       'worker-' || mod(t, 16) AS hostname, (ARRAY['default', 'default', 'default', 'highmem', 'gpu'])[1 + mod(t, 5)] AS queue,
       CASE WHEN mod(t, 3) = 0 THEN 'pool_' || 1 + mod(t, 7) ELSE 'default_pool' END AS pool
FROM generate_series(0, %(tasks)s - 1) AS t;

INSERT INTO task_instance (task_id, dag_id, run_id, map_index, start_date, end_date, duration, state, try_number, max_tries,
                           hostname, unixname, job_id, pool, pool_slots, queue, priority_weight, operator, queued_dttm,
                           queued_by_job_id, pid, executor_config, updated_at, external_executor_id, task_display_name)
SELECT task_id, dag_id, run_id, -1, queued_at + after, queued_at + after, 50.25,
       CASE WHEN mod(id * 31 + t, 199) = 0 THEN 'failed' ELSE 'success' END, 1, 2,
       hostname, 'airflow', id * 4 + t, pool, 1, queue, 20 - t, 'PythonOperator', queued_at + after,
       1, 4242, '\\x80047d942e', queued_at + after, '01234567-89ab-cdef-0123-456789abcdef', task_id
FROM dag_run CROSS JOIN step WHERE dag_run.state IN ('success', 'failed') OR NOT last;

INSERT INTO task_instance (task_id, dag_id, run_id, map_index, start_date, state, try_number, max_tries, hostname, unixname,
                           pool, pool_slots, queue, priority_weight, operator, queued_dttm, updated_at, trigger_id)
SELECT task_id, dag_id, run_id, -1, CASE WHEN became NOT IN ('queued', 'scheduled') THEN queued_at + after END, became, 1, 2,
       hostname, 'airflow', pool, 1, queue, 20 - t, 'PythonOperator', CASE WHEN became <> 'scheduled' THEN queued_at + after END,
       queued_at + after, CASE WHEN became = 'deferred' THEN 1 + mod(id, 100) END
FROM dag_run CROSS JOIN step,
     LATERAL (SELECT (ARRAY['running', 'running', 'running', 'queued', 'queued', 'scheduled', 'scheduled', 'deferred',
                            'up_for_retry', 'up_for_reschedule', NULL])[1 + mod(id + 3 * t, 11)] AS became) AS now_in
WHERE dag_run.state IN ('queued', 'running') AND last;

INSERT INTO job (id, dag_id, state, job_type, start_date, end_date, latest_heartbeat, hostname, unixname)
SELECT j, NULL, CASE WHEN j <= 4 THEN 'running' ELSE 'failed' END,
       CASE WHEN mod(j, 2) = 0 THEN 'TriggererJob' ELSE 'SchedulerJob' END, now() - j * interval '2 days', NULL,
       now() - CASE WHEN j <= 4 THEN interval '2 seconds' ELSE j * interval '1 day' END, 'host-' || mod(j, 4), 'airflow'
FROM generate_series(1, 60) AS j
UNION ALL
SELECT j, 'team_' || mod(j, 1000) / 50 || '.pipeline_' || mod(j, 1000), CASE WHEN live THEN 'running' ELSE 'success' END,
       'LocalTaskJob', began, CASE WHEN NOT live THEN began + interval '50 seconds' END,
       CASE WHEN live THEN now() ELSE began + interval '50 seconds' END, 'worker-' || mod(j, 16), 'airflow'
FROM generate_series(61, %(jobs)s) AS j,
     LATERAL (SELECT now() - (%(jobs)s - j) * interval '5 seconds' AS began, j > %(jobs)s - %(live_runs)s AS live) AS moment;

INSERT INTO log (id, dttm, dag_id, task_id, map_index, event, execution_date, run_id, owner, try_number)
SELECT l, began, 'team_' || mod(l, 1000) / 50 || '.pipeline_' || mod(l, 1000), 'transform_step_' || mod(l, 20), -1,
       CASE mod(l, 4) WHEN 0 THEN 'cli_task_run' WHEN 1 THEN 'running' ELSE 'success' END, began - interval '1 day',
       'scheduled__' || to_char(began - interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), 'airflow', 1
FROM generate_series(1, %(log)s) AS l,
     LATERAL (SELECT now() - (%(log)s - l) * interval '5 seconds' AS began) AS moment;

INSERT INTO xcom (dag_run_id, task_id, map_index, key, dag_id, run_id, value, "timestamp")
SELECT id, 'transform_step_0', -1, 'return_value', dag_id, run_id, '\\x2270617468220a', queued_at + interval '1 minute' FROM dag_run
"""


@dataclass(frozen=True)
class Filled:
    """A database with its history: its name, the exporter's URL, how much is in it (`rows` per table), and the seconds it took."""

    name: str
    exporter_url: str
    size: Size
    rows: dict[str, int]
    megabytes: float
    seconds: float


def fill(server: EmbeddedPostgres, size: Size) -> Filled:
    """A new database of this size, vacuumed and analysed, with the exporter's role set up as its grants say.

    The exporter's role has the server log the duration of each of its statements.
    """
    started = time.monotonic()
    name = f"airflow_{size.task_instances}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    tables, constraints = tables_and_constraints(SCHEMA.file.read_text())
    # In the transaction that makes a table, its rows need no write-ahead log.
    with (
        closing(psycopg2.connect(host=str(server.socket_folder), user="postgres", dbname=name)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(tables)
        cursor.execute(_ROWS, size.parameters)
        cursor.execute(constraints)
    server.execute("VACUUM (ANALYZE)", name)
    url = server.url(name)
    database = AirflowDatabase(SCHEMA, url, engine_for(url))
    exporter_url = database.exporter_url  # asking for it makes the role
    database.execute(f"GRANT pg_read_all_stats TO {EXPORTER_ROLE}")
    database.execute(f"ALTER ROLE {EXPORTER_ROLE} SET log_min_duration_statement = 0")
    ((stored,),) = database.execute("SELECT pg_database_size(current_database())")
    filled = Filled(name, exporter_url, size, _rows(database), stored / 1e6, time.monotonic() - started)
    database.engine.dispose()
    return filled


def _rows(database: AirflowDatabase) -> dict[str, int]:
    counted = (
        "SELECT relname, reltuples::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    return dict(map(tuple, database.execute(counted)))
