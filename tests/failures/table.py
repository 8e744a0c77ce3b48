"""Failure mode → how it comes about and is cured, on which release, and which metrics move: the whole catalogue, by id."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_obs.catalog import metrics as m
from airflow_obs.model import Metric
from tests.airflow_schemas import Kind
from tests.failures import dag_files, scheduling, storage, storage_mysql, tasks
from tests.failures.scene import Case

MARIADB = Kind.MARIADB

TABLE: Mapping[str, tuple[Case, ...]] = {
    "S1": (Case(scheduling.a_scheduler_dies, (m.JOB_HEARTBEAT, m.JOBS_ALIVE)),),
    "S2": (
        Case(scheduling.no_run_is_created, (m.NEXT_RUN_DUE, m.NEXT_RUN_LEFT, m.DAGS_OVERDUE, m.DAG_NEXT_RUN)),
        Case(scheduling.a_run_waits_for_nothing, (m.QUEUED_RUNS, m.QUEUED_RUNS_OLDEST)),
        Case(scheduling.a_run_starts_late, (m.RUN_START_DELAY,)),
    ),
    "S5": (
        Case(
            scheduling.a_task_starves,
            (m.TASK_INSTANCES, m.TASK_INSTANCES_OLDEST, m.POOL_SCHEDULED, m.SCHEDULED, m.SCHEDULED_OLDEST),
        ),
        Case(scheduling.a_dag_is_full, (m.DAGS_AT_LIMIT,), "2.10.5"),
        Case(scheduling.a_dag_is_paused_in_mid_run, (m.PAUSED_TASKS,)),
        Case(scheduling.a_run_starts_late, (m.RUN_START_DELAY,), "2.10.5"),
    ),
    "S6": (
        Case(scheduling.two_sessions_deadlock, (m.DB_DEADLOCKS,)),
        Case(storage_mysql.two_sessions_deadlock, (m.DB_DEADLOCKS,), kind=MARIADB),
    ),
    "T1": (
        Case(
            tasks.a_task_is_stuck_in_queued,
            (m.TASK_INSTANCES, m.TASK_INSTANCES_OLDEST, m.TASK_QUEUE_WAIT, m.DAG_TASK_INSTANCES),
        ),
        Case(tasks.a_task_is_requeued, (m.TASKS_REQUEUED,), "2.10.5"),
    ),
    "T2": (
        Case(tasks.a_task_is_requeued, (m.TASK_EVENTS, m.TASKS_REQUEUED, m.TASK_REQUEUES_MAX)),
        Case(tasks.a_task_is_out_of_requeues, (m.TASK_EVENTS,)),
    ),
    "T3": (
        Case(tasks.a_ghost_haunts, (m.GHOSTS, m.GHOSTS_OLDEST)),
        Case(tasks.an_orphan_waits, (m.ORPHANS, m.ORPHANS_OLDEST)),
    ),
    "T4": (
        Case(tasks.a_worker_dies, (m.HEARTBEATS_OVERDUE, m.HEARTBEAT_OLDEST)),
        Case(tasks.a_worker_dies, (m.HEARTBEATS_OVERDUE, m.HEARTBEAT_OLDEST), "2.7.1"),
        Case(tasks.a_silent_task_is_failed, (m.TASKS_FINISHED, m.TASK_EVENTS)),
        Case(tasks.a_silent_task_is_tried_again, (m.TRIES_RETRIED,)),
    ),
    "T5": (Case(tasks.the_executor_disagrees, (m.TASK_EVENTS,)),),
    "T7": (Case(tasks.a_message_has_no_name, (m.UNNAMED, m.UNNAMED_OLDEST)),),
    "C5": (Case(tasks.a_task_is_stuck_in_queued, (m.CELERY_TASK_INSTANCES,)),),
    "C7": (
        Case(
            tasks.results_of_celery_pile_up,
            (m.CLEAN_UP_DUE, m.TABLE_SIZE, m.TABLE_ROWS, m.TABLE_OLDEST_ROW),
            about={"table": "celery_taskmeta"},
        ),
    ),
    "G1": (Case(dag_files.a_file_does_not_import, (m.IMPORT_ERRORS,)),),
    "G2": (Case(dag_files.a_file_takes_long, (m.PARSE_DURATION,)),),
    "G3": (
        Case(dag_files.the_dag_processor_stalls, (m.JOB_HEARTBEAT, m.JOBS_ALIVE, m.OLDEST_PARSE, m.NEWEST_PARSE)),
    ),
    "G4": (Case(dag_files.dags_vanish, (m.DAGS, m.BUNDLE_ACTIVE)),),
    "G5": (
        Case(dag_files.a_bundle_stays_as_it_is, (m.BUNDLE_REFRESHED,)),
        Case(dag_files.dags_vanish, (m.BUNDLE_ACTIVE,)),
    ),
    "G6": (Case(dag_files.a_dag_is_new_at_every_parse, (m.DAG_VERSIONS, m.DAG_VERSIONS_MAX, m.DAG_NEW_VERSIONS)),),
    "R1": (
        Case(
            scheduling.a_triggerer_dies,
            (m.JOB_HEARTBEAT, m.JOBS_ALIVE, m.TRIGGERS_STRANDED, m.TRIGGERS_STRANDED_OLDEST),
        ),
        Case(scheduling.nobody_takes_a_trigger, (m.TRIGGERS, m.TRIGGERS_STRANDED)),
    ),
    "R2": (
        Case(scheduling.a_trigger_does_not_fire, (m.TRIGGERS_OLDEST, m.DEFERRED_OVERDUE, m.DEFERRED_TIMEOUT)),
        Case(scheduling.a_trigger_is_lost, (m.DEFERRED_LOST,)),
    ),
    "R3": (
        Case(scheduling.nobody_takes_a_trigger, (m.TRIGGERS, m.TRIGGERS_STRANDED, m.TRIGGERS_STRANDED_OLDEST), "2.10.5"),
    ),
    "P1": (
        Case(
            scheduling.a_pool_is_exhausted,
            (m.POOL_OPEN, m.POOL_USED, m.POOL_SCHEDULED, m.SCHEDULED, m.SCHEDULED_OLDEST),
        ),
        Case(scheduling.a_pool_is_made_smaller, (m.POOL_SLOTS, m.POOL_OPEN)),
    ),
    "P2": (Case(scheduling.deferred_tasks_fill_a_pool, (m.POOL_DEFERRED, m.SCHEDULED, m.SCHEDULED_OLDEST)),),
    "P3": (
        Case(
            scheduling.a_dag_is_wedged,
            (
                m.DAG_RUNS, m.DAG_RUNS_OLDEST, m.QUEUED_RUNS, m.QUEUED_RUNS_OLDEST, m.DAGS_AT_LIMIT, m.DAG_UNFINISHED_RUNS,
                m.DAG_OLDEST_RUN,
            ),
        ),
        Case(scheduling.a_dag_is_paused_in_mid_run, (m.PAUSED_RUNS, m.PAUSED_RUNS_OLDEST)),
        Case(scheduling.a_dag_has_all_its_runs, (m.DAG_NEXT_RUN,)),
    ),
    "D1": (
        Case(storage.the_database_is_gone, (m.SOURCE_UP,)),
        Case(storage.a_replica_falls_behind, (m.REPLICA_LAG_BYTES,)),
    ),
    "D2": (
        Case(storage.sessions_are_used_up, (m.DB_CONNECTIONS, m.DB_CONNECTIONS_FREE)),
        Case(storage.sessions_are_used_up, (m.DB_CONNECTIONS, m.DB_CONNECTIONS_FREE), kind=MARIADB),
    ),
    "D3": (
        Case(
            storage.sessions_wait_behind_an_idle_one,
            (
                m.DB_LOCKS, m.DB_LOCK_WAIT_OLDEST, m.DB_BLOCKING, m.DB_BLOCKING_OLDEST, m.DB_LOCK_CHAIN,
                m.DB_OLDEST_TRANSACTION, m.DB_BLOCKED,
            ),
        ),
        Case(
            storage_mysql.sessions_wait_behind_an_idle_one,
            (m.DB_LOCK_WAIT_OLDEST, m.DB_BLOCKING, m.DB_BLOCKING_OLDEST, m.DB_LOCK_CHAIN, m.DB_OLDEST_TRANSACTION, m.DB_BLOCKED),
            kind=MARIADB,
        ),
        Case(storage_mysql.sessions_waited, (m.DB_ROW_LOCK_WAITS, m.DB_ROW_LOCK_WAIT_SECONDS), kind=MARIADB),
    ),
    "D4": (
        Case(storage.a_snapshot_is_never_closed, (m.DB_XMIN_AGE, m.DB_OLDEST_TRANSACTION)),
        Case(storage.a_prepared_transaction_is_forgotten, (m.DB_XMIN_AGE, m.DB_PREPARED, m.DB_PREPARED_OLDEST)),
        Case(storage.dead_rows_pile_up, (m.TABLE_DEAD_ROWS,), about={"table": "log"}),
        Case(storage.autovacuum_is_off, (m.TABLE_VACUUM_THRESHOLD,), about={"table": "log"}),
        Case(storage_mysql.an_old_view_stays_open, (m.DB_HISTORY, m.DB_OLDEST_TRANSACTION), kind=MARIADB),
    ),
    "D5": (
        Case(storage.a_snapshot_is_never_closed, (m.DB_XMIN_AGE,)),
        Case(storage.transactions_are_used_up, (m.DB_XID_AGE,)),
    ),
    "D6": (
        Case(storage.a_slot_keeps_log, (m.SLOT_ACTIVE, m.SLOT_RETAINED)),
        Case(storage.a_query_spills, (m.DB_TEMP_FILES, m.DB_TEMP_BYTES)),
        Case(storage.a_table_grows, (m.DB_SIZE, m.TABLE_SIZE, m.TABLE_ROWS), about={"table": "log"}),
    ),
    "D7": (
        Case(storage.nobody_cleans_up, (m.CLEAN_UP_DUE, m.TABLE_OLDEST_ROW)),
        Case(storage.archives_are_left, (m.ARCHIVE_TABLES, m.ARCHIVE_SIZE)),
    ),
    "D8": (Case(storage.a_run_is_never_deleted, (m.CLEAN_UP_UNDATED, m.TABLE_UNDATED), about={"table": "dag_run"}),),
    "D9": (
        Case(
            storage.a_migration_is_stuck,
            (m.AIRFLOW_INFO, m.DB_LOCKS, m.DB_LOCK_WAIT_OLDEST, m.DB_BLOCKING_OLDEST, m.DB_BLOCKED),
        ),
        Case(storage_mysql.a_migration_waits_for_a_table, (m.DB_LOCK_WAIT_OLDEST, m.DB_BLOCKED), kind=MARIADB),
    ),
    "X2": (
        Case(dag_files.a_clock_is_ahead, (m.JOB_CLOCK_AHEAD,)),
        Case(dag_files.the_database_has_another_time, (m.DB_CLOCK_OFFSET,)),
    ),
    "X3": (
        Case(dag_files.nobody_consumes_an_update, (m.ASSETS_QUEUED, m.ASSETS_QUEUED_OLDEST)),
        Case(dag_files.nobody_consumes_an_update, (m.ASSETS_QUEUED, m.ASSETS_QUEUED_OLDEST), "3.4.0b2"),
    ),
    "X4": (
        Case(dag_files.a_run_takes_too_long, (m.DAG_OLDEST_RUN,)),
        Case(dag_files.an_sla_is_missed, (m.SLA_MISSES,), "2.10.5"),
        Case(dag_files.a_deadline_passes, (m.DEADLINES_OVERDUE, m.DEADLINES_OVERDUE_OLDEST)),
        Case(dag_files.a_deadline_is_missed, (m.DEADLINES_MISSED,)),
        Case(dag_files.a_dag_misses_the_deadline_of_an_objective, (m.SLO_DAG_OVERDUE,)),
        Case(dag_files.nobody_takes_a_callback, (m.CALLBACKS_WAITING, m.CALLBACKS_OLDEST)),
    ),
    "X5": (
        Case(storage.the_database_is_gone, (m.COLLECTOR_SUCCESS, m.COLLECTOR_FAILURES, m.SOURCE_UP)),
        Case(storage.a_right_is_missing, (m.TABLE_READABLE,), about={"table": "log"}),
        Case(storage.the_page_has_no_room, (m.SERIES_DROPPED,)),
    ),
}  # fmt: skip

STANDING_STILL: Mapping[Metric, str] = {
    m.DB_CONNECTIONS_MAX: "the limit that others are held against",
    m.DB_CONNECTIONS_RESERVED: "a part of that limit",
    m.CLEAN_UP_RETENTION: "the policy's choice",
    m.TABLE_LAST_VACUUM: "it moves with every vacuum, and stands still in the failure",
    m.TABLE_LAST_ANALYZE: "it moves with every analyse, and stands still in the failure",
    m.COLLECTOR_LAST_SUCCESS: "it moves with every success, and stands still in the failure",
    m.TASK_INSTANCES_STARTED: "it moves with every task that starts, and stands still in the failure",
    m.TRIGGERS_ENDED: "it moves with every trigger that fires, and stands still in the failure",
    m.DB_READ_ONLY: "only a standby takes no writes: tests/collectors/test_standby.py",
    m.DB_REPLAY_LAG: "only a standby has it, and moves it: tests/collectors/test_standby.py",
    m.DB_REPLAYED: "only a standby has it, and moves it: tests/collectors/test_standby.py",
    m.DB_REPLICATION_RUNNING: "only a standby has it, and moves it: tests/collectors/test_standby.py",
    m.DB_RECOVERY_CONFLICTS: "only a standby has them, and counts them: tests/collectors/test_standby.py",
    m.CONFIG_RELOADED: "only who reloads has it, and moves it: tests/exporter/test_reload.py",
    m.PUSH_SUCCESS: "only who pushes has it, and moves it: tests/exporter/push/test_pusher.py",
    m.PUSH_LAST_SUCCESS: "it moves with every push, and stands still in the failure",
    m.PUSH_FAILURES: "only who pushes has it, and moves it: tests/exporter/push/test_pusher.py",
    m.PUSH_LOST: "only who pushes has it, and moves it: tests/exporter/push/test_otlp_failures.py",
    m.REPLICA_LAG: "a frozen replica has told no time yet; its lag in bytes moves",
}
"""What shows a failure by not moving, and why."""
