"""Each deadline counts as much as any other, a few prove nothing, and an objective whose DAGs are gone is told of."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.objective import Objective
from tests.slos.recorded import DEADLINE, FRESH, RUNS, STARTS, firing, judge, of
from tests.slos.test_recorded import gauge

EXHAUSTED, UNJUDGED, MISSING = "AirflowErrorBudgetExhausted", "AirflowSloUnjudged", "AirflowSloDagMissing"
READ = metrics.COLLECTOR_SUCCESS.name
GOOD, PASSED, DAGS = metrics.SLO_DAG_GOOD.name, metrics.SLO_DEADLINE.name, metrics.SLO_DAGS.name
DAY = 86400


def days(*values: int) -> str:
    """A sample each hour, of so many days."""
    return " ".join(f"{value}x23" for value in values)


def newest(week: tuple[int, ...], weeks: int) -> list[int]:
    """Of each day the one whose deadline was the last: at midnight of these days of each week, 0 being the first."""
    every = [7 * number + day for number in range(weeks) for day in week]
    return [max(day for day in every if day <= today) for today in range(7 * weeks)]


def deadlines(week: tuple[int, ...], weeks: int) -> dict[str, str]:
    return gauge(PASSED, days(*(day * DAY for day in newest(week, weeks))), slo="by-seven")


@pytest.mark.parametrize(
    ("missed", "bad"),
    [((), 0), ((3,), 1), ((4,), 1), ((4, 11), 2)],
    ids=["none", "a Thursday", "a Friday", "two Fridays"],
)
def test_the_budget_is_a_share_of_the_deadlines(missed: tuple[int, ...], bad: int, tmp_path: Path) -> None:
    """Monday to Friday, for two weeks. The verdict of a Friday stands until Monday."""
    week, ratio = (0, 1, 2, 3, 4), bad / 10
    verdicts = (int(day not in missed) for day in newest(week, 2))
    judge(
        [DEADLINE],
        deadlines(week, 2) | gauge(GOOD, days(*verdicts), slo="by-seven", dag_id="a"),
        {
            of("events:window", "by-seven"): 240,
            of("errors:ratio", "by-seven"): ratio,
            of("error_budget_remaining:ratio", "by-seven"): 1 - ratio / 0.05,
        },
        tmp_path, at="335h", interval="1h",
    )  # fmt: skip


def test_half_of_two_dags_are_half_a_deadline(tmp_path: Path) -> None:
    series = deadlines(tuple(range(7)), 1)
    for dag, good in (("a", 0), ("b", 1)):
        series |= gauge(GOOD, days(*[good] * 7), slo="by-seven", dag_id=dag)
    judge([DEADLINE], series, {of("errors:ratio", "by-seven"): 0.5}, tmp_path, at="167h", interval="1h")


@pytest.mark.parametrize(
    ("window", "week", "minutes"),
    [(30, 7, 7 * 1440), (30, 5, 7 * 1440), (7, 7, 5040), (7, 5, 3600), (28, 1, 2 * 1440), (90, 1, 9257)],
)
def test_a_week_of_deadlines_proves_something_or_half_of_those_that_the_window_has(
    window: int, week: int, minutes: int
) -> None:
    assert replace(DEADLINE, window=Decimal(window * DAY), days=week).enough == minutes
    assert replace(FRESH, window=Decimal(window * DAY)).enough == 1


@pytest.mark.parametrize(("judged", "fires"), [(10079, None), (10080, 1)])
def test_the_budget_is_not_exhausted_by_the_first_deadline(judged: int, fires: int | None, tmp_path: Path) -> None:
    own = '{airflow="a",slo="by-seven",team="platform"}'
    series = {
        f"airflow_obs:slo_error_budget_remaining:ratio{own}": "-1x60",
        f"airflow_obs:slo_events:window{own}": f"{judged}x60",
        f"airflow_obs:slo_min_events:count{own}": f"{DEADLINE.enough}x60",
    }
    judge(
        [DEADLINE],
        series,
        {firing(EXHAUSTED, "by-seven"): fires},
        tmp_path,
        at="40m",
        alerts=[EXHAUSTED],
        recording=False,
    )


@pytest.mark.parametrize("at", ["75h", "167h", "330h"])
def test_a_deadline_once_a_week_is_judged(at: str, tmp_path: Path) -> None:
    """Though for six days of seven no minute counts."""
    series = deadlines((0,), 2) | gauge(GOOD, days(*[1] * 14), slo="by-seven", dag_id="a")
    judge([DEADLINE], series, {firing(UNJUDGED, "by-seven"): None}, tmp_path, at=at, alerts=[UNJUDGED], interval="1h")


def test_a_deadline_of_which_nobody_knows_any_more_is_not_judged(tmp_path: Path) -> None:
    series = deadlines(tuple(range(7)), 2) | gauge(GOOD, f"{days(1, 1)} stale", slo="by-seven", dag_id="a")
    for at, fires in (("118h", None), ("122h", 1)):
        judge(
            [DEADLINE], series, {firing(UNJUDGED, "by-seven"): fires}, tmp_path, at=at, alerts=[UNJUDGED], interval="1h"
        )


LOOKED = gauge(READ, "1x60", collector="slos")
MISSES: tuple[tuple[str, Objective, dict[str, str], str, int | None], ...] = (
    ("none for a quarter of an hour", FRESH, LOOKED | gauge(DAGS, "0x60", slo="fresh"), "16m", 1),
    ("none for less than that", FRESH, LOOKED | gauge(DAGS, "0x60", slo="fresh"), "14m", None),
    ("one is left", FRESH, LOOKED | gauge(DAGS, "1x60", slo="fresh"), "60m", None),
    ("they vanish, as two exporters see", DEADLINE,
     LOOKED | gauge(DAGS, "3x30 0x30", slo="by-seven") | gauge(DAGS, "3x31 0x30", "y", slo="by-seven"), "50m", 1),
    ("one of two exporters has not looked yet", DEADLINE,
     LOOKED | gauge(DAGS, "0x60", slo="by-seven") | gauge(DAGS, "2x60", "y", slo="by-seven"), "50m", None),
    ("nobody says anything", FRESH, {}, "60m", None),
    ("the exporter knows of another objective alone", FRESH, LOOKED | gauge(DAGS, "2x60", slo="others"), "16m", 1),
    ("the exporter has no objective at all", FRESH, LOOKED, "16m", 1),
    ("the exporter cannot look", FRESH, gauge(READ, "0x60", collector="slos"), "60m", None),
    ("its other collectors succeed", FRESH, gauge(READ, "1x60", collector="outcomes"), "60m", None),
    ("of two exporters one has another policy", FRESH,
     LOOKED | gauge(READ, "1x60", "y", collector="slos") | gauge(DAGS, "2x60", "y", slo="fresh"), "60m", None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("slo", "series", "at", "fires"), [case[1:] for case in MISSES], ids=[case[0] for case in MISSES]
)
def test_an_objective_without_dags_is_told_of_to_its_team(
    slo: Objective, series: dict[str, str], at: str, fires: int | None, tmp_path: Path
) -> None:
    of_team = f'sum(ALERTS{{alertname="{MISSING}",alertstate="firing",slo="{slo.name}",team="platform"}})'
    judge([slo], series, {firing(MISSING, slo.name): fires, of_team: fires}, tmp_path, at=at, alerts=[MISSING])


def test_of_an_objective_that_names_no_dag_none_is_missing(tmp_path: Path) -> None:
    judge(
        [STARTS, RUNS], LOOKED, {firing(MISSING, "starts"): None, firing(MISSING, "runs"): 1},
        tmp_path, at="60m", alerts=[MISSING],
    )  # fmt: skip
