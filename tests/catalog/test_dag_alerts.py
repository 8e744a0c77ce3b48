"""Alerts on DAGs, bundles and pools where a series is missing because of the failure, or for a healthy reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope, Series
from tests.catalog.stories import told

HOUR = 3600
KNOBS = {
    "AirflowDagWithoutSuccess": {"threshold": Decimal(2 * HOUR)},
    "AirflowDagBundleStale": {"threshold": Decimal(HOUR)},
    "AirflowDagRunFailed": {},
    "AirflowDagRunTooLong": {"threshold": Decimal(HOUR)},
    "AirflowDagPausedAfterFailure": {"window": Decimal(HOUR)},
    "AirflowDagsVanished": {"threshold": Decimal("0.2"), "fewest": Decimal(3), "window": Decimal(HOUR)},
    "AirflowDagImportErrors": {"threshold": Decimal(0)},
    "AirflowDagWedged": {"threshold": Decimal(HOUR)},
    "AirflowPoolExhausted": {"threshold": Decimal(0), "window": Decimal(HOUR)},
}
SCOPE = Scope("prod", thresholds={"AirflowDagWithoutSuccess": Decimal(8 * HOUR)}, step=60, horizon=3 * HOUR)
LATE = SCOPE.horizon - 600
"""Ten minutes before the end."""


@dataclass(frozen=True)
class Story:
    """What is told to an alert, by name, and the value of its expression at the end (None: none, so that it cannot fire)."""

    what: str
    alert: str
    series: Callable[[Scope], tuple[Series, ...]]
    value: Decimal | None = None


def dag(at: Scope, *others: Series, failed: int = 1, paused: int = 0, since: int = 0) -> tuple[Series, ...]:
    """A DAG whose newest run ended an hour before the end; nothing is known of it before `since`."""
    every = (
        at.series(metrics.DAG_PAUSED, paused, dag_id="d"),
        at.series(metrics.DAG_LAST_RUN_SUCCESS, 1 - failed, dag_id="d"),
        at.aged(metrics.DAG_LAST_RUN_END, HOUR, dag_id="d"),
    )
    return (*(one.since(since) if since else one for one in every), *others)


def dags(at: Scope, active: int, paused: int, then: tuple[int, int]) -> tuple[Series, ...]:
    return (
        at.series(metrics.DAGS, active, state="active").then(LATE, then[0]),
        at.series(metrics.DAGS, paused, state="paused").then(LATE, then[1]),
        at.series(metrics.DAGS, 900, state="stale"),
    )


def pool(at: Scope, open_slots: Series) -> tuple[Series, ...]:
    return (at.series(metrics.POOL_SCHEDULED, 4, pool="p"), open_slots)


def wedged(at: Scope, last: int) -> tuple[Series, ...]:
    """A run of four hours, others behind it, and one before it that took so long."""
    return (
        at.series(metrics.DAG_PAUSED, 0, dag_id="d"),
        at.aged(metrics.DAG_OLDEST_RUN, 4 * HOUR, dag_id="d"),
        at.series(metrics.DAG_UNFINISHED_RUNS, 2, dag_id="d", state="queued"),
        at.series(metrics.DAG_LAST_RUN_DURATION, last, dag_id="d"),
    )


def bundle(at: Scope, since: int = 0) -> Series:
    series = at.series(metrics.BUNDLE_ACTIVE, 1, bundle="b")
    return series.since(since) if since else series


def flapping(at: Scope) -> Series:
    """A slot is open in one minute of three."""
    series = at.series(metrics.POOL_OPEN, 0, pool="p")
    for minute in range(1, at.horizon // 60 + 1):
        series = series.then(minute * 60, int(minute % 3 == 0))
    return series


STORIES = (
    Story("its last success is too far back to be found", "AirflowDagWithoutSuccess", dag, Decimal(2 * HOUR)),
    Story("a new DAG failed just now", "AirflowDagWithoutSuccess", lambda at: dag(at, since=LATE)),
    Story("it has not run for long, and succeeded then", "AirflowDagWithoutSuccess",
          lambda at: dag(at, at.aged(metrics.DAG_LAST_SUCCESS, 9 * HOUR, dag_id="d"), failed=0)),
    Story("somebody paused what fails", "AirflowDagWithoutSuccess", lambda at: dag(at, paused=1)),
    Story("somebody paused what fails", "AirflowDagRunFailed", lambda at: dag(at, paused=1)),
    Story("a paused DAG's run cannot end", "AirflowDagRunTooLong",
          lambda at: dag(at, at.aged(metrics.DAG_OLDEST_RUN, 2 * HOUR, dag_id="d"), paused=1)),
    Story("what works was paused", "AirflowDagPausedAfterFailure",
          lambda at: (*dag(at, failed=0)[1:], at.series(metrics.DAG_PAUSED, 0, dag_id="d").then(LATE, 1))),
    Story("it was never refreshed", "AirflowDagBundleStale", lambda at: (bundle(at),), Decimal(HOUR)),
    Story("it is new and not refreshed yet", "AirflowDagBundleStale", lambda at: (bundle(at, LATE),)),
    Story("most DAGs were paused", "AirflowDagsVanished", lambda at: dags(at, 100, 0, (10, 90))),
    Story("two of four are gone", "AirflowDagsVanished", lambda at: dags(at, 4, 0, (2, 0))),
    Story("a quarter is gone, paused ones among them", "AirflowDagsVanished",
          lambda at: dags(at, 80, 20, (70, 5)), Decimal("0.25")),
    Story("a file has been broken for long", "AirflowDagImportErrors",
          lambda at: (at.series(metrics.IMPORT_ERRORS, 3),), Decimal(3)),
    Story("it has had no success for long, which another alert says", "AirflowDagRunFailed",
          lambda at: dag(at, at.aged(metrics.DAG_LAST_SUCCESS, 9 * HOUR, dag_id="d"))),
    Story("it had a success not long ago", "AirflowDagRunFailed",
          lambda at: dag(at, at.aged(metrics.DAG_LAST_SUCCESS, 2 * HOUR, dag_id="d")), Decimal(HOUR)),
    Story("its runs always take that long", "AirflowDagWedged", lambda at: wedged(at, 3 * HOUR)),
    Story("its last run was short", "AirflowDagWedged", lambda at: wedged(at, HOUR), Decimal(4 * HOUR)),
    Story("somebody has taken all its slots", "AirflowPoolExhausted",
          lambda at: (*pool(at, at.series(metrics.POOL_OPEN, 0, pool="p")), at.series(metrics.POOL_SLOTS, 0, pool="p"))),
    Story("its tasks are short", "AirflowPoolExhausted", lambda at: pool(at, flapping(at)), Decimal(4)),
    Story("it has room", "AirflowPoolExhausted", lambda at: pool(at, at.series(metrics.POOL_OPEN, 2, pool="p"))),
)  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.alert}: {story.what}")
def test_story(story: Story, tmp_path: Path) -> None:
    at = replace(SCOPE, knobs=KNOBS[story.alert])
    told(BY_NAME[story.alert].expr(at), story.series(at), story.value, at, tmp_path)
