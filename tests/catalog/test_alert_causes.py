"""An alert on a consequence stays silent where another alert names the cause, and only there."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope, Series
from tests.tools import tool

MINUTE = 60
KNOBS: dict[str, dict[str, int | Decimal]] = {
    "AirflowSchedulesOverdue": {"threshold": 10 * MINUTE},
    "AirflowSchedulerMissing": {"threshold": Decimal("0.5"), "window": 870},
    "AirflowTasksQueuedLong": {"threshold": 8 * MINUTE},
    "AirflowNoTaskStarts": {"threshold": 5 * MINUTE, "busy": 20 * MINUTE},
    "AirflowTaskRequeuesRunningOut": {"threshold": 10, "requeues": 2},
    "AirflowTaskFailureWave": {"threshold": Decimal("0.2"), "minimum": 10, "window": 15 * MINUTE},
    "AirflowGhostTasks": {"threshold": 0},
    "AirflowOrphanedTasks": {"threshold": 0},
}
SCOPE = Scope(
    "prod",
    replicas={"scheduler": 1, "triggerer": 0, "dag_processor": 1},
    executor="CeleryExecutor",
    collectors=(
        "jobs",
        "dag_runs",
        "task_instances",
        "task_events",
        "stuck_tasks",
        "database",
        "broker",
        "workers",
        "starvation",
        "outcomes",
    ),
    sources=("database", "broker", "health"),
    horizon=40 * MINUTE,
)
LONG = 30 * MINUTE
"""How long the oldest queued task has been waiting at the end: longer than any threshold."""


@dataclass(frozen=True)
class Story:
    """What is told to one alert, and the value of its expression at the end (None: none, so that it cannot fire)."""

    alert: str
    series: Callable[[Scope], tuple[Series, ...]]
    value: Decimal | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def schedulers(at: Scope, alive: int) -> Series:
    return at.series(metrics.JOBS_ALIVE, alive, job_type="SchedulerJob")


def crashing(at: Scope) -> Series:
    """A scheduler that is alive for one minute in three."""
    series = schedulers(at, 1)
    for minute in range(1, at.horizon // MINUTE + 1):
        series = series.then(minute * MINUTE, int(minute % 3 == 0))
    return series


def overdue(at: Scope, *others: Series) -> tuple[Series, ...]:
    return (at.aged(metrics.NEXT_RUN_LEFT, LONG), *others)


def queued(at: Scope, *others: Series, waiting: int = 1) -> tuple[Series, ...]:
    """As many tasks as `waiting` have been in the queue etl for half an hour; another one has just come."""
    return (
        at.aged(metrics.TASK_INSTANCES_OLDEST, LONG, state="queued", queue="etl"),
        at.series(metrics.TASK_QUEUE_WAIT, 1, 0, "_bucket", queue="etl", le="300.0"),
        at.series(metrics.TASK_QUEUE_WAIT, 1, 0, "_bucket", queue="etl", le="1200.0"),
        at.series(metrics.TASK_QUEUE_WAIT, waiting + 1, 0, "_bucket", queue="etl", le="+Inf"),
        *others,
    )


def ghosts(at: Scope, count: int) -> Series:
    return at.series(metrics.GHOSTS, count, state="queued")


def worker(at: Scope, name: str, active: int) -> tuple[Series, ...]:
    return (
        at.series(metrics.WORKER_SUBSCRIBED, 1, worker=name, queue="etl"),
        at.series(metrics.WORKER_POOL_SIZE, 16, worker=name),
        at.series(metrics.WORKER_ACTIVE, active, worker=name),
    )


def unserved(at: Scope, messages: int) -> tuple[Series, ...]:
    """Sixteen tasks in a queue without a worker, and as many of their messages as nobody has taken."""
    return (
        at.series(metrics.QUEUE_WORKERS, 0, queue="etl"),
        at.series(metrics.BROKER_MESSAGES, messages, queue="etl"),
        at.series(metrics.BROKER_UNACKED, 16 - messages),
        at.series(metrics.CELERY_TASK_INSTANCES, 16, state="queued", queue="etl"),
    )


def saturated(at: Scope, started: int) -> tuple[Series, ...]:
    """Tasks wait for the only worker, whose slots are all taken; the last that it took started so many seconds ago."""
    return (
        waits(at, 500, "queued"),
        waits(at, 16, "running"),
        *queued(at),
        *worker(at, "a", 16),
        at.series(metrics.WORKER_PROCESSED, 100, worker="a"),
        at.series(metrics.BROKER_MESSAGES, 500, queue="etl"),
        at.aged(metrics.TASK_INSTANCES_STARTED, started),
    )


def scheduled(at: Scope, started: int) -> tuple[Series, ...]:
    """Tasks that nothing holds, and one that runs, since so many seconds."""
    return (
        waits(at, 500, "scheduled"),
        waits(at, 1, "running"),
        at.aged(metrics.TASK_INSTANCES_STARTED, started),
        at.series(metrics.SCHEDULED, 500, held_by="nothing"),
    )


def waits(at: Scope, count: int, state: str) -> Series:
    return at.series(metrics.TASK_INSTANCES, count, state=state, queue="etl", pool="default_pool")


def free(at: Scope) -> Series:
    """Scheduled tasks that nothing holds, since just before the threshold."""
    return at.series(metrics.SCHEDULED, 2, held_by="nothing").since(at.horizon - 6 * MINUTE)


def ended(at: Scope, state: str) -> tuple[Series, ...]:
    """The first that ended so, just now."""
    first = at.series(metrics.TASKS_FINISHED, 1, state=state, queue="etl").since(at.horizon - MINUTE)
    return first, at.series(metrics.BUILD_INFO, 1, version="1", python="3")


def failed(at: Scope, count: int) -> tuple[Series, ...]:
    """Every task of the last quarter of an hour failed."""
    return (at.series(metrics.TASKS_FINISHED, 0, Decimal(count) / (15 * MINUTE), state="failed", queue="etl"),)


def info(at: Scope, release: str) -> Series:
    return at.series(
        metrics.AIRFLOW_INFO, 1, alembic_head="x", release=release, database="postgresql", database_version="15"
    )


OVERDUE, NONE_STARTS, LONG_QUEUED = "AirflowSchedulesOverdue", "AirflowNoTaskStarts", "AirflowTasksQueuedLong"
WAITED = Decimal(LONG)
ETL = {"queue": "etl"}

STORIES = {
    "overdue: no scheduler is alive": Story(OVERDUE, lambda at: overdue(at, schedulers(at, 0))),
    "overdue: the only scheduler crashes again and again": Story(OVERDUE, lambda at: overdue(at, crashing(at)), WAITED),
    "overdue: nothing is known of schedulers": Story(OVERDUE, overdue, WAITED),
    "missing: the only scheduler crashes again and again": Story(
        "AirflowSchedulerMissing", lambda at: (crashing(at),), Decimal("0.333")
    ),
    "queued long: no scheduler is alive": Story(LONG_QUEUED, lambda at: queued(at, schedulers(at, 0))),
    "queued long: the broker is down": Story(
        LONG_QUEUED, lambda at: queued(at, at.series(metrics.SOURCE_UP, 0, source="broker"))
    ),
    "queued long: the queue has no worker": Story(LONG_QUEUED, lambda at: queued(at, *unserved(at, messages=16))),
    "queued long: workers took the tasks along as they died": Story(
        LONG_QUEUED, lambda at: queued(at, *unserved(at, messages=0)), WAITED, ETL
    ),
    "queued long: every worker is busy, which Airflow does not ask before it fails what waits": Story(
        LONG_QUEUED, lambda at: queued(at, *worker(at, "a", 16), *worker(at, "b", 16)), WAITED, ETL
    ),
    "queued long: workers of another queue are busy": Story(
        LONG_QUEUED,
        lambda at: queued(at, at.series(metrics.QUEUE_WORKERS, 0, queue="gpu"), *worker(at, "a", 0)),
        WAITED,
        ETL,
    ),
    "queued long: what waits is ghosts": Story(LONG_QUEUED, lambda at: queued(at, ghosts(at, 3), waiting=3)),
    "queued long: one beside the ghosts": Story(
        LONG_QUEUED, lambda at: queued(at, ghosts(at, 3), waiting=4), WAITED, ETL
    ),
    "queued long: there are no ghosts, and the distribution was dropped": Story(
        LONG_QUEUED, lambda at: (*queued(at)[:1], ghosts(at, 0)), WAITED, ETL
    ),
    "none starts: one waits in a small Airflow": Story(
        NONE_STARTS, lambda at: (*queued(at), waits(at, 1, "queued"), schedulers(at, 1)), Decimal(1)
    ),
    "none starts: it is known of the database alone": Story(
        NONE_STARTS, lambda at: (*queued(at)[:1], waits(at, 1, "queued")), Decimal(1)
    ),
    "none starts: others start": Story(
        NONE_STARTS, lambda at: (*queued(at), waits(at, 1, "queued"), at.aged(metrics.TASK_INSTANCES_STARTED, MINUTE))
    ),
    "none starts: others that run have long started": Story(
        NONE_STARTS,
        lambda at: (*queued(at), waits(at, 1, "queued"), at.aged(metrics.TASK_INSTANCES_STARTED, LONG)),
        Decimal(1),
    ),
    "none starts: others are too short to be seen": Story(
        NONE_STARTS, lambda at: (*queued(at), waits(at, 1, "queued"), *ended(at, "success"))
    ),
    "none starts: Airflow fails what nobody took": Story(
        NONE_STARTS, lambda at: (*queued(at), waits(at, 1, "queued"), *ended(at, "failed")), Decimal(1)
    ),
    "none starts: workers of the queue hang": Story(
        NONE_STARTS,
        lambda at: (
            *queued(at),
            waits(at, 1, "queued"),
            *worker(at, "a", 0),
            at.series(metrics.WORKER_PROCESSED, 7, worker="a"),
            at.series(metrics.BROKER_MESSAGES, 1, queue="etl"),
        ),
    ),
    "none starts: the message was lost": Story(
        NONE_STARTS,
        lambda at: (
            *queued(at),
            waits(at, 1, "queued"),
            *worker(at, "a", 0),
            at.series(metrics.WORKER_PROCESSED, 7, worker="a"),
            at.series(metrics.BROKER_MESSAGES, 0, queue="etl"),
        ),
        Decimal(1),
    ),
    "none starts: every worker is busy with long tasks": Story(
        NONE_STARTS, lambda at: saturated(at, started=20 * MINUTE)
    ),
    "none starts: every worker hangs in its tasks": Story(
        NONE_STARTS, lambda at: saturated(at, started=21 * MINUTE), Decimal(500)
    ),
    "none starts: every worker is busy with long tasks, and one that was short has ended": Story(
        NONE_STARTS,
        lambda at: (
            *saturated(at, started=21 * MINUTE),
            at.series(metrics.TASKS_FINISHED, 1, state="success", queue="etl").then(at.horizon - 10 * MINUTE, 2),
        ),
    ),
    "none starts: every worker is busy with long tasks, and nothing waited before": Story(
        NONE_STARTS,
        lambda at: (*saturated(at, started=LONG)[1:], waits(at, 500, "queued").since(at.horizon - 10 * MINUTE)),
    ),
    "none starts: workers took the tasks along as they died": Story(
        NONE_STARTS, lambda at: (*queued(at), waits(at, 16, "queued"), *unserved(at, messages=0)), Decimal(16)
    ),
    "none starts: the queue has no worker": Story(
        NONE_STARTS, lambda at: (*queued(at), waits(at, 16, "queued"), *unserved(at, messages=16))
    ),
    "none starts: a scheduler has just come back": Story(
        NONE_STARTS,
        lambda at: (*queued(at), waits(at, 1, "queued"), schedulers(at, 0).then(at.horizon - 2 * MINUTE, 1)),
    ),
    "none starts: nothing holds what is scheduled, and nothing runs": Story(
        NONE_STARTS, lambda at: (waits(at, 2, "scheduled"), free(at), schedulers(at, 1)), Decimal(2)
    ),
    "none starts: the executor may be full": Story(
        NONE_STARTS, lambda at: (waits(at, 2, "scheduled"), waits(at, 32, "running"), free(at), schedulers(at, 1))
    ),
    "none starts: one long task runs, and nothing holds what has been scheduled all the time": Story(
        NONE_STARTS, lambda at: scheduled(at, started=21 * MINUTE), Decimal(500)
    ),
    "none starts: a task that runs has started not long ago": Story(
        NONE_STARTS, lambda at: scheduled(at, started=20 * MINUTE)
    ),
    "none starts: one long task runs, and now and then all that is scheduled is held": Story(
        NONE_STARTS,
        lambda at: (
            *scheduled(at, started=LONG)[:3],
            at.series(metrics.SCHEDULED, 0, held_by="nothing").then(at.horizon - 19 * MINUTE, 500),
        ),
    ),
    "requeues: the broker is down": Story(
        "AirflowTaskRequeuesRunningOut",
        lambda at: (
            at.series(metrics.TASKS_REQUEUED, 99),
            at.series(metrics.TASK_REQUEUES_MAX, 2),
            at.series(metrics.SOURCE_UP, 0, source="broker"),
        ),
    ),
    "requeues: few tasks": Story(
        "AirflowTaskRequeuesRunningOut",
        lambda at: (at.series(metrics.TASKS_REQUEUED, 9), at.series(metrics.TASK_REQUEUES_MAX, 2)),
    ),
    "ghosts: no scheduler is alive": Story("AirflowGhostTasks", lambda at: (ghosts(at, 3), schedulers(at, 0))),
    "orphans: no scheduler is alive": Story(
        "AirflowOrphanedTasks",
        lambda at: (at.series(metrics.ORPHANS, 3, state="running"), schedulers(at, 0)),
    ),
    "failures: all of a few": Story("AirflowTaskFailureWave", lambda at: failed(at, 9)),
    "failures: all of enough": Story("AirflowTaskFailureWave", lambda at: failed(at, 11), Decimal(1)),
    "unhealthy: a component that the deployment does without": Story(
        "AirflowHealthUnhealthy", lambda at: (at.series(metrics.HEALTH_COMPONENT, 0, component="triggerer"),)
    ),
    "API server: a release that nobody knows yet": Story(
        "AirflowApiServerDown",
        lambda at: (at.series(metrics.SOURCE_UP, 0, source="health"), info(at, "unknown")),
        Decimal(0),
    ),
    "API server: the database says nothing": Story(
        "AirflowApiServerDown", lambda at: (at.series(metrics.SOURCE_UP, 0, source="health"),), Decimal(0)
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: Story, tmp_path: Path) -> None:
    at = replace(SCOPE, knobs={name: Decimal(value) for name, value in KNOBS.get(story.alert, {}).items()})
    labels = ",".join(f'{label}="{value}"' for label, value in {"airflow": "prod", **story.labels}.items())
    expected = [] if story.value is None else [{"labels": f"{{{labels}}}", "value": float(story.value)}]
    expr = f"round({BY_NAME[story.alert].expr(at).text}, 0.001)"
    test = {
        "interval": "1m",
        "input_series": [{"series": named(one), "values": values(one, at.horizon)} for one in story.series(at)],
        "promql_expr_test": [{"expr": expr, "eval_time": f"{at.horizon // MINUTE}m", "exp_samples": expected}],
    }
    # JSON is YAML, too.
    (tmp_path / "test.yaml").write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def named(series: Series) -> str:
    labels = ",".join(f'{label}="{value}"' for label, value in series.labels.items())
    return f"{series.name}{{{labels}}}"


def values(series: Series, horizon: int) -> str:
    """One value a minute, as promtool reads them."""
    written = []
    for now in range(0, horizon + 1, MINUTE):
        start, value, slope = [part for part in series.parts if part[0] <= now][-1]
        written.append("_" if value is None else str(value + slope * (now - start)))
    return " ".join(written)


@pytest.mark.parametrize(
    ("version", "server", "web"), [("3.1.0", True, False), ("2.11.2", False, True), ("auto", True, True)]
)
def test_the_server_is_called_what_it_is_in_that_release(version: str, server: bool, web: bool) -> None:
    at = replace(SCOPE, version=version)
    assert BY_NAME["AirflowApiServerDown"].when(at) is server
    assert BY_NAME["AirflowWebserverDown"].when(at) is web


def test_no_task_is_left_to_an_alert_on_workers_of_which_nobody_is_told() -> None:
    def left(*silent: str) -> bool:
        at = replace(SCOPE, knobs={"threshold": Decimal(LONG), "busy": Decimal(LONG)}, silent=frozenset(silent))
        return metrics.BROKER_MESSAGES in BY_NAME[NONE_STARTS].expr(at).families

    unserved_queue, stalled_queue = "AirflowQueueWithoutWorker", "AirflowQueueStalled"
    assert left(unserved_queue)
    assert left(stalled_queue)
    assert not left(unserved_queue, stalled_queue)


def test_without_their_collectors_no_cause_is_asked_for() -> None:
    at = replace(SCOPE, collectors=("task_instances",), sources=("database",), knobs={"threshold": Decimal(LONG)})
    assert {family.name for family in BY_NAME[LONG_QUEUED].expr(at).families} == {metrics.TASK_INSTANCES_OLDEST.name}
    assert {getattr(family, "collector", "") for family in BY_NAME[NONE_STARTS].expr(at).families} == {"task_instances"}
