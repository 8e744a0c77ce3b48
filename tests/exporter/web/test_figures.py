"""The status page's figures: each marked exactly when the alert that judges it would say so, by the alert's own cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Series
from airflow_obs.exporter.web.page import figures
from airflow_obs.exporter.web.page.figures import topics
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.judgement import Judgement, judgement
from airflow_obs.generate.rule import Emitted
from airflow_obs.generate.scopes import emitted
from airflow_obs.model import Reading
from tests.generate.fleet import one, policy

METRICS = {metric.name: metric for metric in metrics.ALL}
NAMED = sorted(
    {
        name
        for file in Path(figures.__file__).parent.glob("*.py")
        for name in re.findall(r"\b(Airflow[A-Z]\w+)\b[=\"]", file.read_text())
    }
)
"""The alerts by which figures are judged."""
NOW = 1_700_000_000.0


SITE = policy(one())
EMITTED = {of.alert.name: of for of in emitted(SITE, SITE.deployments[0])}


def readings(series: Iterable[Series], horizon: int, instance: str = "a") -> list[Reading]:
    """What one exporter's page has of these at the moment that is judged."""
    found: list[Reading] = []
    for of in series:
        if of.name not in METRICS or of.labels.get("instance", instance) != instance:
            continue
        start, value, slope = [part for part in of.parts if part[0] <= horizon][-1]
        labels = {name: text for name, text in of.labels.items() if name not in ("airflow", "instance")}
        if value is not None:
            found.append(METRICS[of.name].sample(float(value + slope * (horizon - start)), **labels))
    return found


def shown(found: Sequence[Reading], judged: Judgement, now: float = NOW) -> list[Figure]:
    """The figures of a page with these readings."""
    return [figure for topic in topics(Seen([found], judged, now)) for figure in topic.figures]


def wrong(of: Emitted, series: Iterable[Series], instance: str = "a") -> set[str]:
    """The alerts by which something is marked."""
    judged = judgement(SITE, SITE.deployments[0])
    figures = shown(readings(series, of.at.horizon, instance), judged, of.at.horizon)
    return {figure.wrong.alert.name for figure in figures if figure.wrong}


@pytest.mark.parametrize("name", NAMED)
def test_figure_is_marked_where_the_alert_fires_and_not_where_it_is_quiet(name: str) -> None:
    of = EMITTED[name]
    cases = of.alert.cases(of.at)
    assert name in wrong(of, cases.fires)
    # Where two exporters differ, it is quiet by what one of them says.
    assert any(name not in wrong(of, cases.quiet, instance) for instance in "ab")


def test_alert_that_is_switched_off_or_in_shadow_marks_nothing() -> None:
    down = [metrics.JOBS_ALIVE.sample(0, job_type="SchedulerJob")]
    for chosen in ({"enabled": False}, {"shadow": True}):
        quiet = policy(one(), alerts={"AirflowSchedulerDown": chosen})
        [schedulers, *_] = shown(down, judgement(quiet, quiet.deployments[0]))
        assert schedulers.wrong is None
        assert "AirflowSchedulerDown" not in [judged.alert.name for judged in schedulers.judging]
    [schedulers, *_] = shown(down, judgement(SITE, SITE.deployments[0]))
    assert schedulers.wrong is not None
    assert schedulers.wrong.alert is BY_NAME["AirflowSchedulerDown"]


def test_threshold_is_the_one_that_the_site_chose() -> None:
    waiting = [metrics.TASK_INSTANCES_OLDEST.sample(NOW - 60, state="queued", queue="default")]
    strict = policy(one(), alerts={"AirflowTasksQueuedLong": {"threshold": "59s"}})
    [oldest] = shown(waiting, judgement(strict, strict.deployments[0]))
    assert (oldest.text, oldest.wrong is not None) == ("1 min, in queue default", True)
    [oldest] = shown(waiting, judgement(SITE, SITE.deployments[0]))
    assert oldest.wrong is None


def test_figure_without_series_is_not_there() -> None:
    assert shown([], judgement(SITE, SITE.deployments[0])) == []


def test_what_nobody_judges_is_shown_all_the_same() -> None:
    [errors] = shown([metrics.IMPORT_ERRORS.sample(3)], Judgement())
    assert (errors.name, errors.text, errors.judging, errors.wrong) == ("files that fail to import", "3", (), None)


def test_of_many_the_worst_are_named_and_the_others_counted() -> None:
    found: list[Reading] = []
    for number in range(10):
        labels = {"pool": f"p{number}"}
        found += [metrics.POOL_OPEN.sample(0, **labels), metrics.POOL_SCHEDULED.sample(number, **labels)]
    full, waited = shown(found, judgement(SITE, SITE.deployments[0]))
    assert full.text == "10 of 10: p9, p8, p7 and 7 more"
    assert (waited.text, waited.wrong is not None) == ("9, of pool p9", True)


def test_of_several_alerts_the_worst_is_named() -> None:
    seen = [
        metrics.DB_CONNECTIONS_FREE.sample(1, limit="server"),
        metrics.DB_CONNECTIONS_MAX.sample(100, limit="server"),
    ]
    [connections] = shown(seen, judgement(SITE, SITE.deployments[0]))
    assert connections.text == "99 of 100, the limit of the server"
    assert connections.wrong is not None
    assert connections.wrong.alert.name == "AirflowDatabaseConnectionsExhausted"


def test_members_are_counted_and_the_oldest_heartbeats_shown() -> None:
    found: list[Reading] = [metrics.JOBS_ALIVE.sample(6, job_type="SchedulerJob")]
    found += [
        metrics.JOB_HEARTBEAT.sample(NOW - number, job_type="SchedulerJob", hostname=f"s-{number}")
        for number in range(1, 7)
    ]
    [schedulers, *_] = shown(found, Judgement())
    assert schedulers.text == (
        "6 alive; heartbeat s-6 6 s ago, s-5 5 s ago, s-4 4 s ago, s-3 3 s ago, 2 more are younger"
    )
