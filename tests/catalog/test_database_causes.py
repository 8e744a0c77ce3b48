"""Of one cause in the database one alert tells: the others, which would come of it, or are its earlier stage, are silent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope, Series
from tests.catalog.stories import told

HOUR = 3600
API, LOCK_WAIT, HIGH = "AirflowApiServerDown", "AirflowDatabaseLockWait", "AirflowDatabaseConnectionsHigh"
OVERDUE, STANDSTILL = "AirflowSchedulesOverdue", "AirflowNoTaskStarts"
EXHAUSTED, WEB = "AirflowDatabaseConnectionsExhausted", "AirflowWebserverDown"
AGING, RUNNING_OUT = "AirflowTransactionIdsAging", "AirflowTransactionIdsRunningOut"
STALE = "AirflowDatabaseStale"
LEAKED, GONE = "AirflowExecutorSlotsLeaked", "AirflowExecutorSlotsGone"
THRESHOLDS = {
    LOCK_WAIT: Decimal(120), EXHAUSTED: Decimal(5), HIGH: Decimal("0.8"), AGING: Decimal(500), RUNNING_OUT: Decimal(1200),
    OVERDUE: Decimal(600), STANDSTILL: Decimal(300), LEAKED: Decimal("0.25"), GONE: Decimal("0.5"),
    STALE: Decimal(60),
}  # fmt: skip
SCOPE = Scope(
    "prod",
    thresholds=THRESHOLDS,
    collectors=("database", "locks", "jobs", "health", "task_instances"),
    sources=("database", "health"),
    horizon=2 * HOUR,
)


@dataclass(frozen=True)
class Story:
    """What is told to one alert, and the value of its expression at the end (None: it cannot fire)."""

    alert: str
    series: Callable[[Scope], tuple[Series, ...]]
    value: Decimal | int | None = None
    without: frozenset[str] = field(default_factory=frozenset)
    """Alerts that the policy has switched off."""
    silent: frozenset[str] = field(default_factory=frozenset)
    """Alerts that tell nobody, or less loudly."""
    replica: bool = False
    """A replica is read."""


def unanswered(at: Scope, *others: Series) -> tuple[Series, ...]:
    return (at.series(metrics.SOURCE_UP, 0, source="health"), *others)


def database(at: Scope, up: int) -> Series:
    return at.series(metrics.SOURCE_UP, up, source="database")


def waiting(at: Scope, seconds: int) -> Series:
    return at.aged(metrics.DB_LOCK_WAIT_OLDEST, seconds)


def connections(at: Scope, limit: str, most: int, free: int) -> tuple[Series, ...]:
    return (
        at.series(metrics.DB_CONNECTIONS_MAX, most, limit=limit),
        at.series(metrics.DB_CONNECTIONS_FREE, free, limit=limit),
    )


def info(at: Scope, release: str) -> Series:
    labels: Mapping[str, str] = {**dict.fromkeys(metrics.AIRFLOW_INFO.labels, "x"), "release": release}
    return at.series(metrics.AIRFLOW_INFO, 1, 0, "", **labels)


def schedulers(at: Scope, stopped: int) -> Series:
    """One, which was stopped so many seconds before the end."""
    return at.series(metrics.JOBS_ALIVE, 1, job_type="SchedulerJob").then(at.horizon - stopped, 0)


def slots(at: Scope, free: int) -> tuple[Series, ...]:
    """100 that are taken, of which 20 by tasks that there are."""
    return (
        at.series(metrics.EXECUTOR_RUNNING, 100, executor="KubernetesExecutor"),
        at.series(metrics.EXECUTOR_OPEN, free, executor="KubernetesExecutor"),
        at.series(metrics.TASK_INSTANCES, 20, state="running", queue="default", pool="default_pool"),
    )


def due(at: Scope, seconds: int) -> Series:
    """A run that has been left for so long."""
    return at.aged(metrics.NEXT_RUN_LEFT, seconds)


def queued(at: Scope) -> tuple[Series, ...]:
    """Three tasks, for an hour, and a scheduler that works."""
    return (
        at.series(metrics.TASK_INSTANCES, 3, state="queued", queue="default", pool="default_pool", executor="x"),
        at.aged(metrics.TASK_INSTANCES_OLDEST, HOUR, state="queued", queue="default"),
        at.series(metrics.JOBS_ALIVE, 1, job_type="SchedulerJob"),
    )


def read(at: Scope, success: int) -> Series:
    return at.series(metrics.COLLECTOR_SUCCESS, success, collector="task_instances")


def standby(at: Scope, lag: int, shown: int | None) -> tuple[Series, ...]:
    """So far behind, by what it receives, and what it shows is so old; None where it does not tell."""
    told_of = () if shown is None else (at.aged(metrics.DB_REPLAYED, shown),)
    return (at.series(metrics.DB_REPLAY_LAG, lag), *told_of)


STORIES = {
    "a standby whose primary writes": Story(STALE, lambda at: standby(at, 0, 60)),
    "a standby whose primary hangs": Story(STALE, lambda at: standby(at, 0, 61), 61),
    "a replica of MySQL": Story(STALE, lambda at: standby(at, 60, None)),
    "a replica of MySQL that is behind": Story(STALE, lambda at: standby(at, 61, None), 61),
    "the API server alone": Story(API, lambda at: unanswered(at, database(at, 1), info(at, "3.1.0+")), 0),
    "the API server, as the database is down": Story(API, lambda at: unanswered(at, database(at, 0))),
    "the API server, as all wait for a lock": Story(API, lambda at: unanswered(at, waiting(at, 121))),
    "the API server, while one waits for a moment": Story(API, lambda at: unanswered(at, waiting(at, 120)), 0),
    "the API server, while nobody would tell of the lock": Story(
        API, lambda at: unanswered(at, waiting(at, 121)), 0, without=frozenset({LOCK_WAIT})
    ),
    "the API server, as the database is down, of which nobody is told": Story(
        API, lambda at: unanswered(at, database(at, 0)), 0, silent=frozenset({"AirflowDatabaseDown"})
    ),
    "the API server, as all wait for a lock, of which nobody is told as loudly": Story(
        API, lambda at: unanswered(at, waiting(at, 121)), 0, silent=frozenset({LOCK_WAIT})
    ),
    "no run is created for want of schedulers, of which nobody is told": Story(
        OVERDUE, lambda at: (schedulers(at, HOUR), due(at, 700)), 700, silent=frozenset({"AirflowSchedulerDown"})
    ),
    "no run is created for want of schedulers": Story(OVERDUE, lambda at: (schedulers(at, HOUR), due(at, 700))),
    "the API server, as no connection is left": Story(
        API, lambda at: unanswered(at, *connections(at, "role", 50, 4), *connections(at, "server", 500, 90))
    ),
    "the API server, as a replica is down that it does not need": Story(
        API, lambda at: unanswered(at, database(at, 0)), 0, replica=True
    ),
    "the API server, as all of a replica's readers wait for a lock": Story(
        API, lambda at: unanswered(at, waiting(at, 121)), 0, replica=True
    ),
    "the API server, as a replica has no connection left": Story(
        API, lambda at: unanswered(at, *connections(at, "role", 50, 4)), 0, replica=True
    ),
    "the webserver, as the database is down": Story(WEB, lambda at: unanswered(at, database(at, 0), info(at, "2.10.3+"))),
    "the webserver, while the database says no more which release it is": Story(
        WEB, lambda at: unanswered(at, info(at, "2.10.3+").then(HOUR, None)), 0
    ),
    "no API server where a webserver was before the database went away": Story(
        API, lambda at: unanswered(at, info(at, "2.10.3+").then(HOUR, None))
    ),
    "the API server after an upgrade from 2.x": Story(
        API, lambda at: unanswered(at, info(at, "2.10.3+").then(HOUR, None), info(at, "3.1.0+").since(HOUR)), 0
    ),
    "no connection left": Story(EXHAUSTED, lambda at: connections(at, "database", 50, 4), 4),
    "no connection left, since sessions pile up behind a lock": Story(
        EXHAUSTED, lambda at: (*connections(at, "database", 50, 4), waiting(at, 121))
    ),
    "many connections": Story(HIGH, lambda at: connections(at, "database", 50, 6), Decimal("0.88")),
    "many connections, until too few are left": Story(HIGH, lambda at: connections(at, "database", 50, 4)),
    "many connections of a server beside a small limit of the database": Story(
        HIGH, lambda at: (*connections(at, "database", 50, 40), *connections(at, "server", 1000, 600))
    ),
    "transactions age": Story(AGING, lambda at: (at.series(metrics.DB_XID_AGE, 1200),), 1200),
    "transactions run out": Story(AGING, lambda at: (at.series(metrics.DB_XID_AGE, 1201),)),
    "transactions run out, of which nobody would tell": Story(
        AGING, lambda at: (at.series(metrics.DB_XID_AGE, 1201),), 1201, without=frozenset({RUNNING_OUT})
    ),
    "a lock, while schedulers work": Story(LOCK_WAIT, lambda at: (waiting(at, 300), schedulers(at, 0)), 300),
    "a lock that stopped the schedulers": Story(LOCK_WAIT, lambda at: (waiting(at, 3600), schedulers(at, 3600)), 3600),
    "no run is created": Story(OVERDUE, lambda at: (schedulers(at, 0), due(at, 700)), 700),
    "no run is created, as the scheduler waits for a lock": Story(
        OVERDUE, lambda at: (schedulers(at, 0), due(at, 700), waiting(at, 121))
    ),
    "no task starts": Story(STANDSTILL, lambda at: queued(at), 3),
    "no task starts, as all wait for a lock": Story(
        STANDSTILL, lambda at: (*queued(at), waiting(at, 121))
    ),
    "slots leak": Story(LEAKED, lambda at: (*slots(at, 10), read(at, 1)), Decimal("0.8")),
    "slots are gone": Story(GONE, lambda at: (*slots(at, 0), read(at, 1)), Decimal("0.8")),
    "slots are gone, which another says": Story(LEAKED, lambda at: (*slots(at, 0), read(at, 1))),
    "slots, while nobody knows which tasks there are": Story(GONE, lambda at: (*slots(at, 0)[:2], read(at, 0))),
    "slots, while there are no tasks": Story(GONE, lambda at: (*slots(at, 0)[:2], read(at, 1)), 1),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_story(story: Story, tmp_path: Path) -> None:
    at = replace(
        SCOPE,
        silent=story.silent,
        replica=story.replica,
        thresholds={name: value for name, value in THRESHOLDS.items() if name not in story.without},
        knobs={"threshold": THRESHOLDS[story.alert]} if story.alert in THRESHOLDS else {},
    )
    value = None if story.value is None else Decimal(story.value)
    told(BY_NAME[story.alert].expr(at), story.series(at), value, at, tmp_path)
