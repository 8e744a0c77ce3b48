"""The figures on the screen, from pages as the exporter writes them."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.demo.figures import Figure, Page, figures
from airflow_obs.demo.screen import Lines
from airflow_obs.model import Metric

NOW = 1_700_000_000.0


def page(*samples: tuple[Metric, float, dict[str, str]]) -> Page:
    lines = []
    for metric, value, labels in samples:
        inside = ",".join(f'{name}="{text}"' for name, text in ({"airflow": "demo"} | labels).items())
        lines.append(f"{metric.name}{{{inside}}} {value}\n")
    return Page("".join(lines))


def beat(host: str, age: float) -> tuple[Metric, float, dict[str, str]]:
    return metrics.JOB_HEARTBEAT, NOW - age, {"job_type": "SchedulerJob", "hostname": host}


def found(name: str, shown: list[Figure]) -> Figure:
    [figure] = [figure for figure in shown if figure.name == name]
    return figure


def test_a_late_heartbeat_looks_sick() -> None:
    shown = figures(page(beat("a", 3), beat("b", 40), (metrics.JOBS_ALIVE, 1, {"job_type": "SchedulerJob"})), NOW)
    assert found("heartbeat a", shown) == Figure("heartbeat a", "3 s ago")
    assert found("heartbeat b", shown) == Figure("heartbeat b", "40 s ago", sick=True)
    assert found("schedulers alive", shown) == Figure("schedulers alive", "1 of 2", sick=True)


def test_the_slowest_and_the_biggest_are_named() -> None:
    shown = figures(page(
        (metrics.PARSE_DURATION, 0.4, {"dag_file": "a.py"}), (metrics.PARSE_DURATION, 7.25, {"dag_file": "b.py"}),
        (metrics.TABLE_SIZE, 2**20, {"table": "log"}), (metrics.TABLE_SIZE, 3 * 2**20, {"table": "xcom"}),
        (metrics.TABLE_DEAD_ROWS, 12_345, {"table": "log"}), (metrics.TABLE_DEAD_ROWS, 0, {"table": "xcom"}),
    ), NOW)  # fmt: skip
    assert found("slowest DAG file", shown) == Figure("slowest DAG file", "b.py 7.2 s", sick=True)
    assert found("biggest table", shown) == Figure("biggest table", "xcom 3.0 MiB")
    assert found("most dead rows", shown) == Figure("most dead rows", "log 12,345", sick=True)


def test_a_full_pool_and_a_long_queue_look_sick() -> None:
    shown = figures(page(
        (metrics.POOL_OPEN, 0, {"pool": "small"}), (metrics.POOL_SLOTS, 4, {"pool": "small"}),
        (metrics.POOL_SCHEDULED, 9, {"pool": "small"}),
        (metrics.TASK_INSTANCES_OLDEST, NOW - 50, {"state": "queued", "queue": "default"}),
        (metrics.TASK_INSTANCES, 3, {"state": "queued", "queue": "default", "pool": "small"}),
    ), NOW)  # fmt: skip
    assert found("pool small", shown) == Figure("pool small", "0 of 4 open, 9 waiting", sick=True)
    assert found("oldest queued", shown) == Figure("oldest queued", "50 s ago", sick=True)
    assert "3 queued" in found("task instances", shown).text


def test_tasks_that_went_astray_and_failing_runs_look_sick() -> None:
    shown = figures(page(
        (metrics.GHOSTS, 6, {"state": "queued"}), (metrics.GHOSTS, 0, {"state": "running"}),
        (metrics.ORPHANS, 0, {"state": "queued"}), (metrics.HEARTBEATS_OVERDUE, 4, {}),
        (metrics.DAGS_AT_LIMIT, 1, {"limit": "max_active_runs"}), (metrics.DAGS_AT_LIMIT, 0, {"limit": "max_active_tasks"}),
        (metrics.RUNS_FINISHED, 5, {"state": "failed", "run_type": "manual"}),
        (metrics.RUNS_FINISHED, 8, {"state": "success", "run_type": "scheduled"}),
        (metrics.TASK_EVENTS, 3, {"event": "state mismatch"}), (metrics.TASK_EVENTS, 0, {"event": "heartbeat timeout"}),
    ), NOW)  # fmt: skip
    for name, text in (
        ("nobody's tasks", "6 ghosts, 4 without heartbeat"),
        ("DAGs at a limit", "1 of runs, 0 of tasks"),
        ("runs since the start", "5 of 13 failed"),
        ("scheduler's complaints", "3 state mismatch"),
    ):
        assert found(name, shown) == Figure(name, text, sick=True)


def test_nothing_astray_looks_well() -> None:
    shown = figures(page(
        (metrics.GHOSTS, 0, {"state": "queued"}), (metrics.DAGS_AT_LIMIT, 0, {"limit": "max_active_runs"}),
        (metrics.RUNS_FINISHED, 2, {"state": "failed", "run_type": "scheduled"}),
        (metrics.TASK_EVENTS, 0, {"event": "state mismatch"}),
    ), NOW)  # fmt: skip
    for name, text in (
        ("nobody's tasks", "none"),
        ("DAGs at a limit", "0 of runs, 0 of tasks"),
        ("runs since the start", "2 of 2 failed"),
        ("scheduler's complaints", "none"),
    ):
        assert found(name, shown) == Figure(name, text)


def test_triggers_versions_and_upkeep_look_sick() -> None:
    shown = figures(page(
        (metrics.TRIGGERS, 1, {"hostname": "a"}), (metrics.TRIGGERS, 2, {"hostname": "none"}),
        (metrics.TRIGGERS_OLDEST, NOW - 30, {"hostname": "a"}), (metrics.TRIGGERS_STRANDED, 2, {"reason": "unassigned"}),
        (metrics.TRIGGERS_STRANDED_OLDEST, NOW - 9, {"reason": "unassigned"}),
        (metrics.DAGS, 4, {"state": "active"}), (metrics.DAGS, 3, {"state": "stale"}),
        (metrics.BUNDLE_REFRESHED, NOW - 60, {"bundle": "folder"}),
        (metrics.DAG_VERSIONS, 40, {}), (metrics.DAG_VERSIONS_MAX, 12, {}),
        (metrics.DB_DEADLOCKS, 3, {}), (metrics.DB_PREPARED, 1, {}), (metrics.DB_XMIN_AGE, 700, {"holder": "prepared"}),
        (metrics.CLEAN_UP_DUE, NOW - 10 * 86400, {"table": "log"}), (metrics.CLEAN_UP_DUE, NOW + 5, {"table": "job"}),
    ), NOW)  # fmt: skip
    for name, text in (
        ("triggers", "3, the oldest for 30 s; 2 run by nobody"),
        ("DAGs", "4 active, 0 paused, 3 stale"),
        ("bundle folder", "refreshed 60 s ago"),
        ("DAG versions", "40 in a day, of one DAG up to 12"),
        ("deadlocks", "3"),
        ("vacuum", "1 prepared transactions, the oldest snapshot 700 transactions ago"),
        ("clean-up", "log overdue for 10 days"),
    ):
        assert found(name, shown) == Figure(name, text, sick=True)
    stuck = figures(page((metrics.TRIGGERS_STRANDED, 0, {"reason": "dead"}), (metrics.DEFERRED_OVERDUE, 2, {})), NOW)
    assert found("triggers", stuck) == Figure("triggers", "0; 2 past their timeout", sick=True)
    many = figures(
        page((metrics.TRIGGERS, 6, {"hostname": "a"}), (metrics.TRIGGERS_STRANDED, 0, {"reason": "dead"})), NOW
    )
    assert found("triggers", many).sick


def test_what_is_not_there_has_no_age() -> None:
    shown = figures(
        page((metrics.TRIGGERS_STRANDED, 0, {}), (metrics.TRIGGERS, 0, {}), (metrics.BROKER_UNACKED, 0, {})), NOW
    )
    assert (found("triggers", shown).text, found("unacked messages", shown).text) == ("0", "0 held")


def test_triggers_versions_and_upkeep_look_well() -> None:
    shown = figures(page(
        (metrics.TRIGGERS, 4, {"hostname": "a"}), (metrics.TRIGGERS_OLDEST, NOW - 30, {"hostname": "a"}),
        (metrics.TRIGGERS_STRANDED, 0, {"reason": "dead"}),
        (metrics.DAGS, 9, {"state": "active"}), (metrics.DAGS, 1, {"state": "stale"}), (metrics.DAG_VERSIONS, 1, {}),
        (metrics.DB_DEADLOCKS, 0, {}), (metrics.DB_PREPARED, 0, {}), (metrics.CLEAN_UP_DUE, NOW + 5, {"table": "job"}),
    ), NOW)  # fmt: skip
    for name, text in (
        ("triggers", "4, the oldest for 30 s"),
        ("DAGs", "9 active, 0 paused, 1 stale"),
        ("DAG versions", "1 in a day, of one DAG up to 0"),
        ("deadlocks", "0"),
        ("vacuum", "0 prepared transactions, the oldest snapshot 0 transactions ago"),
        ("clean-up", "nothing overdue"),
    ):
        assert found(name, shown) == Figure(name, text)


def test_what_is_awaited_and_never_cleaned_up_looks_sick() -> None:
    shown = figures(page(
        (metrics.ASSETS_QUEUED, 2, {"dag_state": "active"}), (metrics.ASSETS_QUEUED, 9, {"dag_state": "paused"}),
        (metrics.ASSETS_QUEUED_OLDEST, NOW - 7200, {"dag_state": "active"}),
        (metrics.DEADLINES_MISSED, 3, {}), (metrics.CALLBACKS_WAITING, 2, {"runner": "triggerer", "state": "queued"}),
        (metrics.CLEAN_UP_UNDATED, 4, {"table": "dag_run"}), (metrics.CLEAN_UP_UNDATED, 8, {"table": "task_instance"}),
    ), NOW)  # fmt: skip
    for name, text in (
        ("asset updates", "2 wait for others, the oldest for 2 hours"),
        ("deadlines", "3 missed, 2 callbacks waiting"),
        ("rows never cleaned up", "12"),
    ):
        assert found(name, shown) == Figure(name, text, sick=True)


def test_what_is_awaited_and_never_cleaned_up_looks_well() -> None:
    shown = figures(page(
        (metrics.ASSETS_QUEUED, 1, {"dag_state": "active"}), (metrics.ASSETS_QUEUED_OLDEST, NOW - 60, {"dag_state": "active"}),
        (metrics.DEADLINES_MISSED, 0, {}), (metrics.CLEAN_UP_UNDATED, 0, {"table": "dag_run"}),
    ), NOW)  # fmt: skip
    for name, text in (
        ("asset updates", "1 wait for others, the oldest for 0 hours"),
        ("deadlines", "0 missed, 0 callbacks waiting"),
        ("rows never cleaned up", "0"),
    ):
        assert found(name, shown) == Figure(name, text)


def test_failing_collectors_and_idle_transactions_are_told() -> None:
    shown = figures(page(
        (metrics.COLLECTOR_SUCCESS, 1, {"collector": "jobs"}), (metrics.COLLECTOR_SUCCESS, 0, {"collector": "pools"}),
        (metrics.DB_OLDEST_TRANSACTION, NOW - 77, {"state": "idle in transaction"}),
        (metrics.DB_OLDEST_TRANSACTION, NOW - 500, {"state": "active"}),
    ), NOW)  # fmt: skip
    assert found("collectors", shown) == Figure("collectors", "1 of 2 well; not: pools", sick=True)
    assert found("longest idle transaction", shown) == Figure("longest idle transaction", "77 s", sick=True)


def test_plain_lines_mark_what_is_sick(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().show("demo", [Figure("import errors", "1", sick=True), Figure("dag runs", "2 running")])
    assert capsys.readouterr().out == ("demo | !import errors: 1 | dag runs: 2 running\n")


def test_lost_messages_and_a_long_held_one_look_sick() -> None:
    shown = figures(page(
        (metrics.CELERY_TASK_INSTANCES, 30, {"state": "queued", "queue": "a"}),
        (metrics.BROKER_MESSAGES, 2, {"queue": "a"}), (metrics.QUEUE_WORKERS, 0, {"queue": "a"}),
        (metrics.BROKER_UNACKED, 3, {}), (metrics.BROKER_UNACKED_OLDEST, NOW - 950, {}),
        (metrics.BROKER_VISIBILITY_TIMEOUT, 1000, {}), (metrics.BROKER_MEMORY, 2**20, {}),
        (metrics.BROKER_MEMORY_MAX, float("inf"), {}), (metrics.BROKER_EVICTED, 7, {}),
    ), NOW)  # fmt: skip
    assert found("queue a", shown) == Figure("queue a", "2 waiting, 0 workers", sick=True)
    assert found("unacked messages", shown).text == "3 held, the oldest for 950 of 1,000 s"
    assert found("unacked messages", shown).sick
    assert found("tasks without message", shown) == Figure("tasks without message", "25", sick=True)
    assert found("broker", shown) == Figure("broker", "1.0 MiB, 7 keys evicted", sick=True)


def test_a_worker_without_queues_and_one_that_is_down_look_sick() -> None:
    shown = figures(page(
        (metrics.WORKER_UP, 1, {"worker": "a@h"}), (metrics.WORKER_UP, 1, {"worker": "b@h"}),
        (metrics.WORKER_UP, 0, {"worker": "c@h"}), (metrics.WORKER_SUBSCRIBED, 1, {"worker": "a@h", "queue": "q"}),
        (metrics.WORKER_ACTIVE, 2, {"worker": "a@h"}), (metrics.WORKER_POOL_SIZE, 4, {"worker": "a@h"}),
    ), NOW)  # fmt: skip
    assert found("worker a@h", shown) == Figure("worker a@h", "2 of 4 busy, takes from q")
    assert found("worker b@h", shown) == Figure("worker b@h", "0 of 0 busy, takes from no queue", sick=True)
    assert found("worker c@h", shown) == Figure("worker c@h", "down", sick=True)
