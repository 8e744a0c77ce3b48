"""What stands still is told from what is idle, slow by choice, or was never there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope, Series
from airflow_obs.generate.scopes import emitted
from airflow_obs.model import Metric
from airflow_obs.policy import load, loads
from tests.catalog.stories import told

MINUTE, HOUR = 60, 3600
SCOPE = Scope(
    "prod", collectors=("jobs", "triggers", "dag_processing"), sources=("database",), step=5 * MINUTE, horizon=48 * HOUR
)
LATE = SCOPE.horizon - HOUR
"""Since then something stands still."""
HOST = "triggerer-0"
ONE = Decimal(1) / MINUTE
KNOBS: dict[str, dict[str, int]] = {
    "AirflowTriggererStalled": {"threshold": 20, "window": 30 * MINUTE, "usual": 3, "usual_window": 24 * HOUR},
    "AirflowPoolExhausted": {"threshold": 0, "window": HOUR},
    "AirflowCleanUpLeftovers": {"threshold": 0, "window": 24 * HOUR},
    "AirflowTriggererMissing": {},
    "AirflowDagProcessorMissing": {},
    "AirflowDagProcessorStalled": {"threshold": 10 * MINUTE},
    "AirflowDagParsingBehind": {"threshold": 30 * MINUTE},
    "AirflowDagBundleStale": {"threshold": 15 * MINUTE},
}


@dataclass(frozen=True)
class Story:
    """What is told to an alert, by name, and the value of its expression at the end (None: none, so that it cannot fire)."""

    what: str
    alert: str
    series: Callable[[Scope], tuple[Series, ...]]
    value: Decimal | None = None


def waiting(at: Scope, *others: Series, count: int = 20) -> tuple[Series, ...]:
    return (
        at.series(metrics.TRIGGERS, count, hostname=HOST),
        at.aged(metrics.TRIGGERS_OLDEST, 72 * HOUR, hostname=HOST),
        *others,
    )


def ending(at: Scope, until: int, since: int = 0, hostname: str = HOST) -> Series:
    """A trigger a minute between these moments."""
    series = at.series(metrics.TRIGGERS_ENDED, 0, 0, hostname=hostname)
    if since:
        series = series.then(since, 0, Decimal(1) / MINUTE)
    else:
        series = at.series(metrics.TRIGGERS_ENDED, 0, Decimal(1) / MINUTE, hostname=hostname)
    return series.then(until, Decimal(until - since) / MINUTE)


def four(at: Scope, *until: int) -> tuple[Series, ...]:
    """Four triggerers with twenty triggers each; on each two end in half an hour, until then."""
    slow = Decimal(2) / (30 * MINUTE)
    return tuple(
        series
        for number, end in enumerate(until)
        for series in (
            at.series(metrics.TRIGGERS, 20, hostname=f"triggerer-{number}"),
            at.aged(metrics.TRIGGERS_OLDEST, 72 * HOUR, hostname=f"triggerer-{number}"),
            at.series(metrics.TRIGGERS_ENDED, 0, slow, hostname=f"triggerer-{number}").then(end, slow * end),
        )
    )


def ended_since(at: Scope, seconds: int) -> Series:
    """A host that is watched for so long, where nothing has ended yet."""
    return at.series(metrics.TRIGGERS_ENDED, 0, hostname=HOST).since(at.horizon - seconds)


def pool(at: Scope, since: int) -> tuple[Series, ...]:
    """One that is first seen then, full and waited for."""
    return (
        at.series(metrics.POOL_SCHEDULED, 3, pool="p").since(since),
        at.series(metrics.POOL_OPEN, 0, pool="p").since(since),
    )


def replaced(at: Scope, since: int) -> Series:
    """What another exporter says of one copy since then."""
    return at.series(metrics.ARCHIVE_TABLES, 1, 0, "", job="another").since(since)


def every(at: Scope, moments: Metric, seconds: int, until: int, **labels: str) -> Series:
    """Something that is done once in so many seconds."""
    series = at.series(moments, 0, 0, "", **labels)
    for moment in range(seconds, until + 1, seconds):
        series = series.then(moment, moment)
    return series


def alive(at: Scope, job_type: str, count: int) -> Series:
    return at.series(metrics.JOBS_ALIVE, count, job_type=job_type)


STORIES = (
    Story("no trigger ends any more", "AirflowTriggererStalled", lambda at: waiting(at, ending(at, LATE)), Decimal(20)),
    Story("none has ended for twelve hours", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, at.horizon - 12 * HOUR)), Decimal(20)),
    Story("few wait", "AirflowTriggererStalled", lambda at: waiting(at, ending(at, LATE), count=19)),
    Story("one ended just now", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, LATE).then(at.horizon - 5 * MINUTE, 99999))),
    Story("nothing ends at any time but the night", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, since=24 * HOUR, until=30 * HOUR))),
    Story("all have just come", "AirflowTriggererStalled",
          lambda at: (waiting(at)[0], at.aged(metrics.TRIGGERS_OLDEST, 20 * MINUTE, hostname=HOST), ending(at, LATE))),
    Story("the other triggerer works", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, LATE), ending(at, at.horizon, hostname="triggerer-1")), Decimal(20)),
    Story("one hour of the day before was quiet, too", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, at.horizon - 20 * HOUR).then(at.horizon - 19 * HOUR, 5000, ONE)
                             .then(LATE, 9999)), Decimal(20)),
    Story("so it is at this time of every day", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, LATE - 24 * HOUR).then(at.horizon - 24 * HOUR, 5000, ONE).then(LATE, 9999))),
    Story("few end on each of four, and none ends on any", "AirflowTriggererStalled",
          lambda at: four(at, LATE, LATE, LATE, LATE), Decimal(80)),
    Story("few end on each of four, and just now none ends on one", "AirflowTriggererStalled",
          lambda at: four(at, LATE, at.horizon, at.horizon, at.horizon)),
    Story("the pod is new, and took the triggers of the old one", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, at.horizon - 20 * MINUTE, hostname="triggerer-old"),
                             at.series(metrics.TRIGGERS_ENDED, 0, hostname=HOST).since(at.horizon - 20 * MINUTE))),
    Story("the exporter is new", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, at.horizon, hostname="triggerer-1"),
                             at.series(metrics.TRIGGERS_ENDED, 0, hostname=HOST).since(at.horizon - 20 * MINUTE))),
    Story("of the day before nothing is known, and most wait for hours", "AirflowTriggererStalled",
          lambda at: waiting(at, ended_since(at, 3 * HOUR), count=80), Decimal(80)),
    Story("of the day before nothing is known, and many wait for hours", "AirflowTriggererStalled",
          lambda at: waiting(at, ended_since(at, 3 * HOUR), count=79)),
    Story("of the day before nothing is known, and most wait for an hour", "AirflowTriggererStalled",
          lambda at: waiting(at, ended_since(at, HOUR), count=80)),
    Story("its triggerer is dead, which another alert says", "AirflowTriggererStalled",
          lambda at: waiting(at, ending(at, LATE), at.series(metrics.TRIGGERS_STRANDED, 20, reason="dead"))),
    Story("it is full since the first sight of it", "AirflowPoolExhausted",
          lambda at: pool(at, at.horizon - 7 * MINUTE)),
    Story("it is full for an hour, and a little before", "AirflowPoolExhausted",
          lambda at: pool(at, LATE - 5 * MINUTE), Decimal(3)),
    Story("the exporter was replaced, and the copy is new", "AirflowCleanUpLeftovers",
          lambda at: (at.series(metrics.ARCHIVE_TABLES, 0).then(LATE, 1).then(LATE + 10 * MINUTE, None),
                      replaced(at, LATE + 10 * MINUTE))),
    Story("the exporter was replaced, and the copy is old", "AirflowCleanUpLeftovers",
          lambda at: (at.series(metrics.ARCHIVE_TABLES, 1).then(LATE, None), replaced(at, LATE)), Decimal(1)),
    Story("copies since the first sight of them", "AirflowCleanUpLeftovers", lambda at: (replaced(at, LATE),)),
    Story("there never was one", "AirflowTriggererMissing", lambda at: (alive(at, "TriggererJob", 0),)),
    Story("it is gone", "AirflowTriggererMissing", lambda at: (alive(at, "TriggererJob", 1).then(LATE, 0),), Decimal(0)),
    Story("it is gone, and triggers wait, which another alert says", "AirflowTriggererMissing",
          lambda at: (alive(at, "TriggererJob", 1).then(LATE, 0), at.series(metrics.TRIGGERS_STRANDED, 1, reason="dead"))),
    Story("one of several is left", "AirflowTriggererMissing", lambda at: (alive(at, "TriggererJob", 3).then(LATE, 1),)),
    Story("it was removed days ago", "AirflowTriggererMissing",
          lambda at: (alive(at, "TriggererJob", 1).then(12 * HOUR, 0),)),
    Story("schedulers parse for themselves", "AirflowDagProcessorMissing", lambda at: (alive(at, "DagProcessorJob", 0),)),
    Story("it is gone", "AirflowDagProcessorMissing",
          lambda at: (alive(at, "DagProcessorJob", 1).then(LATE, 0),), Decimal(0)),
    Story("nothing is parsed any more", "AirflowDagProcessorStalled",
          lambda at: (every(at, metrics.NEWEST_PARSE, 5 * MINUTE, LATE),), Decimal(HOUR)),
    Story("it is gone, which another alert says", "AirflowDagProcessorStalled",
          lambda at: (every(at, metrics.NEWEST_PARSE, 5 * MINUTE, LATE), alive(at, "DagProcessorJob", 1).then(LATE, 0))),
    Story("files are parsed once in two hours", "AirflowDagProcessorStalled",
          lambda at: (every(at, metrics.NEWEST_PARSE, 2 * HOUR, LATE),)),
    Story("files are parsed once in ten minutes, and one outage was yesterday", "AirflowDagProcessorStalled",
          lambda at: (every(at, metrics.NEWEST_PARSE, 10 * MINUTE, 24 * HOUR).then(25 * HOUR, LATE),), Decimal(HOUR)),
    Story("files are parsed once in two hours", "AirflowDagParsingBehind",
          lambda at: (every(at, metrics.OLDEST_PARSE, 2 * HOUR, LATE), at.aged(metrics.NEWEST_PARSE, 0))),
    Story("a file is not parsed any more", "AirflowDagParsingBehind",
          lambda at: (every(at, metrics.OLDEST_PARSE, 5 * MINUTE, LATE), at.aged(metrics.NEWEST_PARSE, 0)), Decimal(HOUR)),
    Story("it is refreshed once in two hours", "AirflowDagBundleStale",
          lambda at: (every(at, metrics.BUNDLE_REFRESHED, 2 * HOUR, LATE, bundle="b"), bundle(at))),
    Story("it is not refreshed any more", "AirflowDagBundleStale",
          lambda at: (every(at, metrics.BUNDLE_REFRESHED, 5 * MINUTE, LATE, bundle="b"), bundle(at)), Decimal(HOUR)),
    Story("nothing is parsed, which another alert says", "AirflowDagBundleStale",
          lambda at: (every(at, metrics.BUNDLE_REFRESHED, 5 * MINUTE, LATE, bundle="b"), bundle(at),
                      every(at, metrics.NEWEST_PARSE, 5 * MINUTE, LATE))),
)  # fmt: skip


def bundle(at: Scope) -> Series:
    return at.series(metrics.BUNDLE_ACTIVE, 1, bundle="b")


@pytest.mark.parametrize("story", STORIES, ids=lambda story: f"{story.alert}: {story.what}")
def test_story(story: Story, tmp_path: Path) -> None:
    at = replace(SCOPE, knobs={name: Decimal(value) for name, value in KNOBS[story.alert].items()})
    told(BY_NAME[story.alert].expr(at), story.series(at), story.value, at, tmp_path)


MISSING = ("AirflowSchedulerMissing", "AirflowTriggererMissing", "AirflowDagProcessorMissing")


@pytest.mark.parametrize("name", [*MISSING, "AirflowSchedulerDown"])
def test_the_default_policy_misses_nothing_of_a_plain_airflow_2(name: str, tmp_path: Path) -> None:
    """One scheduler, which parses DAGs itself, and no triggerer."""
    policy = load()
    [one] = [each for each in emitted(policy, policy.deployments[0]) if each.alert.name == name]
    plain = (alive(one.at, "SchedulerJob", 1), alive(one.at, "TriggererJob", 0), alive(one.at, "DagProcessorJob", 0))
    told(one.expr, plain, None, one.at, tmp_path)


@pytest.mark.parametrize("name", MISSING)
def test_what_the_policy_expects_is_missed_though_it_never_was_there(name: str, tmp_path: Path) -> None:
    policy = loads("deployments: [{replicas: {scheduler: 3, triggerer: 2, dag_processor: 2}}]", "policy.yaml")
    [one] = [each for each in emitted(policy, policy.deployments[0]) if each.alert.name == name]
    jobs = (alive(one.at, job, 1) for job in ("SchedulerJob", "TriggererJob", "DagProcessorJob"))
    told(one.expr, jobs, Decimal(1), one.at, tmp_path)
