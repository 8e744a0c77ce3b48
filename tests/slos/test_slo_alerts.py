"""Who is told of an objective, and when: at each tier, of few events, of young data, and when nothing is known any more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.burning import BURN_FAST, BURN_SLOW, BURNED_BY
from airflow_obs.catalog.objective import Objective
from tests.catalog.stories import selector
from tests.slos.recorded import DEADLINE, FRESH, QUEUE, RUNS, SCHEDULER, STARTS, WAITING, ever, firing, judge, of
from tests.slos.test_recorded import ALIVE, GOOD, gauge, starts, there

EXHAUSTED, UNJUDGED, LATE = "AirflowErrorBudgetExhausted", "AirflowSloUnjudged", "AirflowDagDeadlinePassed"


def spent(slo: str = "starts", bad: str = "1x90", days: int = 30, **parts: str) -> dict[str, str]:
    """What is recorded of an objective; events enough unless it says how many, of which so many are `bad` each minute."""
    events = {f"slo_events:{over}": "10x90" for over in ("1h", "6h", "1d", "3d")}
    families = {f"slo_error_budget_spent:{name.removeprefix('of_')}": f"{value}x90" for name, value in parts.items()}
    own = f'airflow="a",slo="{slo}",team="platform"'
    known = {"slo_min_events:count": "10x90", "slo_window:seconds": f"{days * 86400}x90", "slo_bad:minute": bad}
    whole = events | families | known
    return {f"airflow_obs:{family}{{{own}}}": values for family, values in whole.items()}


TIERS: tuple[tuple[str, str, Mapping[str, str], int | None], ...] = (
    ("2% in an hour, and still", BURN_FAST, spent(of_1h="0.0201", of_5m="0.0017"), 1),
    ("no more than 2% in an hour", BURN_FAST, spent(of_1h="0.02", of_5m="0.0017"), None),
    ("2% in an hour, but it is over", BURN_FAST, spent(of_1h="0.0201", of_5m="0.0016"), None),
    ("5% in six hours, and still", BURN_FAST, spent(of_1h="0.02", of_5m="0.0016", of_6h="0.0501", of_30m="0.0042"), 1),
    ("no more than 5% in six hours", BURN_FAST, spent(of_6h="0.05", of_30m="0.0042"), None),
    ("5% in six hours, but it is over", BURN_FAST, spent(of_6h="0.0501", of_30m="0.0041"), None),
    ("10% in a day, and still", BURN_SLOW, spent(of_1d="0.1001", of_2h="0.0084"), 1),
    ("no more than 10% in a day", BURN_SLOW, spent(of_1d="0.1", of_2h="0.0084"), None),
    ("10% in a day, but it is over", BURN_SLOW, spent(of_1d="0.1001", of_2h="0.0083"), None),
    ("10% in three days, and still", BURN_SLOW, spent(of_3d="0.1001", of_6h="0.0084"), 1),
    ("no more than 10% in three days", BURN_SLOW, spent(of_3d="0.1", of_6h="0.0084"), None),
    ("10% in three days, but it is over", BURN_SLOW, spent(of_3d="0.1001", of_6h="0.0083"), None),
    ("of nine events an hour", BURN_FAST,
     spent(of_1h="0.5", of_5m="0.5") | {'airflow_obs:slo_events:1h{airflow="a",slo="starts",team="platform"}': "9x60"}, None),
    ("of nine events in three days", BURN_SLOW,
     spent(of_3d="0.5", of_6h="0.5") | {'airflow_obs:slo_events:3d{airflow="a",slo="starts",team="platform"}': "9x60"}, None),
    ("a week's budget, 1.01 times too fast for three days", BURN_SLOW, spent(days=7, of_3d="0.433", of_6h="0.0361"), 1),
    ("a week's budget, 0.98 times too fast for three days", BURN_SLOW, spent(days=7, of_3d="0.42", of_6h="0.0361"), None),
    ("a week's budget, 0.98 times too fast at the end", BURN_SLOW, spent(days=7, of_3d="0.433", of_6h="0.035"), None),
)  # fmt: skip


@pytest.mark.parametrize(("alert", "series", "fires"), [case[1:] for case in TIERS], ids=[case[0] for case in TIERS])
def test_each_tier_by_itself(alert: str, series: Mapping[str, str], fires: int | None, tmp_path: Path) -> None:
    judge([STARTS], series, {firing(alert, "starts"): fires}, tmp_path, at="40m", alerts=[alert], recording=False)


@pytest.mark.parametrize(
    ("alert", "parts"),
    [(BURN_FAST, {"of_1h": "0.5", "of_5m": "0.5"}), (BURN_SLOW, {"of_3d": "0.5", "of_6h": "0.5"})],
    ids=["page", "ticket"],
)
def test_one_bad_event_tells_nobody(alert: str, parts: Mapping[str, str], tmp_path: Path) -> None:
    """However few there were; but one bad minute does, and two events."""
    for number, (bad, events) in enumerate((("0x9 1 0x50", None), ("0x9 1 0x9 1 0x40", 1))):
        series = {
            name: values
            for slo in ("starts", "scheduler")
            for name, values in spent(slo, bad, **parts).items()  # type: ignore[arg-type]  # the others are given
        }
        folder = tmp_path / str(number)
        folder.mkdir()
        expected = {firing(alert, "starts"): events, firing(alert, "scheduler"): 1}
        judge([STARTS, SCHEDULER], series, expected, folder, at="40m", alerts=[alert], recording=False)


@pytest.mark.parametrize(("bad", "fires"), [("0.0248x90", None), ("0.0252x90", 1)], ids=["1.49", "1.51"])
def test_bad_events_of_an_hour_are_those_of_60_minutes(bad: str, fires: int | None, tmp_path: Path) -> None:
    """The minute at the hour's other end is none of it, here as in what is recorded: of 61 either were too many."""
    series = spent(bad=bad, of_1h="0.5", of_5m="0.5")
    judge(
        [STARTS], series, {firing(BURN_FAST, "starts"): fires}, tmp_path, at="80m", alerts=[BURN_FAST], recording=False
    )


def told(**changed: str) -> dict[str, str]:
    """A page, as Prometheus has it."""
    labels = {
        "airflow": "a", "alertname": "AirflowSchedulerDown", "alertstate": "firing", "severity": "critical", "team": "platform",
    } | changed  # fmt: skip
    return {selector("ALERTS", labels): "1x60"}


@pytest.mark.parametrize(
    ("changed", "known"),
    [
        ({}, 1), ({"alertname": "AirflowDatabaseDown"}, 1), ({"alertname": "AirflowVolumeFull"}, None),
        ({"alertname": BURN_FAST}, None), ({"alertstate": "pending"}, None), ({"severity": "warning"}, None),
        ({"shadow": "true"}, None), ({"team": "sales"}, None), ({"airflow": "b"}, None),
    ],
    ids=str,
)  # fmt: skip
def test_a_cause_is_what_the_same_team_was_told_of(
    changed: Mapping[str, str], known: int | None, tmp_path: Path
) -> None:
    judge([STARTS], told(**changed), {of("cause:firing", "starts"): known}, tmp_path, at="20m")


OF_EACH_KIND = (STARTS, QUEUE, WAITING, RUNS, FRESH, SCHEDULER)


@pytest.mark.parametrize(
    ("cause", "burnt"),
    [
        ("AirflowDatabaseDown", {*OF_EACH_KIND}),
        ("AirflowSchedulerDown", {*OF_EACH_KIND}),
        *((name, {*OF_EACH_KIND} - {SCHEDULER}) for name in ("AirflowBrokerDown", "AirflowApiServerDown", "AirflowNoTaskStarts")),
        *((name, {*OF_EACH_KIND}) for name in ("AirflowDatabaseLockWait", "AirflowDatabaseConnectionsExhausted")),
        ("AirflowSchedulesOverdue", {STARTS, FRESH}),
        *((name, {QUEUE, WAITING, FRESH}) for name in ("AirflowQueueWithoutWorker", "AirflowQueueStalled", "AirflowBrokerFull")),
        ("AirflowBrokerEvicting", {QUEUE, WAITING, FRESH, RUNS}),
        *((name, {FRESH}) for name in ("AirflowTriggererDown", "AirflowTriggererStalled", "AirflowDagsVanished")),
        ("AirflowVolumeFull", set()),
    ],
)  # fmt: skip
def test_a_cause_is_one_of_objectives_of_some_kinds(cause: str, burnt: set[Objective], tmp_path: Path) -> None:
    known = {of("cause:firing", slo.name): 1 if slo in burnt else None for slo in OF_EACH_KIND}
    judge(OF_EACH_KIND, told(alertname=cause), known, tmp_path, at="20m")


def test_every_kind_that_burns_says_what_burns_it() -> None:
    assert {slo.kind for slo in OF_EACH_KIND} == set(BURNED_BY)
    assert all(slo.burns for slo in OF_EACH_KIND)


def failing() -> dict[str, str]:
    """Ten runs a minute, and as many tasks: all fail, or were queued for too long."""
    runs, tasks = metrics.SLO_DAG_RUNS.name, {"queue": "gpu", "dag_id": "a", "task_id": "t"}
    return (
        there("1x60")
        | gauge(runs, "0+10x60", slo="runs", outcome="failed")
        | gauge(f"{metrics.TRY_QUEUED.name}_count", "0+10x60", **tasks)
        | gauge(f"{metrics.TRY_QUEUED.name}_bucket", "0x60", **tasks, le="300.0")
    )


@pytest.mark.parametrize(
    ("cause", "runs", "queue"), [("AirflowQueueWithoutWorker", 1, None), ("AirflowVolumeFull", 1, 1)]
)
def test_a_queue_without_a_worker_is_no_reason_for_runs_to_fail(
    cause: str, runs: int | None, queue: int | None, tmp_path: Path
) -> None:
    """Of one queue no worker is left, which its team is told; of what it does not explain the team is told as well."""
    expected = {
        firing(BURN_FAST, "runs"): runs, firing(BURN_FAST, "queue"): queue,
        firing(BURN_SLOW, "runs"): 1, firing(BURN_SLOW, "queue"): 1,
    }  # fmt: skip
    series = failing() | told(alertname=cause)
    judge([RUNS, QUEUE], series, expected, tmp_path, at="55m", alerts=[BURN_FAST, BURN_SLOW])


OUTAGE = "AirflowSchedulerDown"
LATE_RUNS = starts("0+10x60 600x19 800+80x2 970+10x160", "0+10x60 600x19 600x2 610+10x160")
"""Ten runs a minute for an hour, none for twenty minutes, and then all that are late within three."""


@pytest.mark.parametrize(("scheduler", "fires"), [("1x60 0x19 1x165", None), ("1x245", 1)], ids=["down", "there"])
def test_what_is_made_up_for_after_an_outage_pages_nobody_again(
    scheduler: str, fires: int | None, tmp_path: Path
) -> None:
    """The same without an outage pages: nobody was told why."""
    series = there("1x245") | LATE_RUNS | gauge(ALIVE, scheduler, job_type="SchedulerJob")
    expected = {ever(BURN_FAST, "starts"): fires, ever(OUTAGE): None if fires else 1}
    judge([STARTS], series, expected, tmp_path, at="4h", alerts=[OUTAGE, BURN_FAST])


def test_what_goes_on_after_an_outage_pages(tmp_path: Path) -> None:
    """The cause has been over for more than half an hour, and still half of the runs are late."""
    series = there("1x245") | starts("0+10x60 600x19 610+10x160", "0+10x60 600x19 605+5x160")
    judge(
        [STARTS], series | gauge(ALIVE, "1x60 0x19 1x165", job_type="SchedulerJob"),
        {ever(OUTAGE): 1, firing(BURN_FAST, "starts"): 1}, tmp_path, at="120m", alerts=[OUTAGE, BURN_FAST],
    )  # fmt: skip


RAW: tuple[tuple[str, Objective, str, Mapping[str, str], str, int | None], ...] = (
    ("few runs an hour, and all are late", STARTS, BURN_FAST, there("1x60") | starts("0x50 9x10", "0x60"), "1h", None),
    ("one more, and all are late", STARTS, BURN_FAST, there("1x60") | starts("0x50 10x10", "0x60"), "56m", 1),
    ("four minutes of the first ten are bad", SCHEDULER, BURN_FAST, gauge(ALIVE, "1x5 0x3", job_type="SchedulerJob"), "10m", None),
    ("no scheduler for ten minutes", SCHEDULER, BURN_FAST, gauge(ALIVE, "1x49 0x9", job_type="SchedulerJob"), "59m", 1),
    ("more than the whole budget is spent", STARTS, EXHAUSTED, there("1x60") | starts("0+200x60", "0+198x60"), "30m", 1),
    ("less than the whole budget is spent", STARTS, EXHAUSTED, there("1x60") | starts("0+1000x60", "0+996x60"), "30m", None),
    ("an objective on days", DEADLINE, BURN_FAST, gauge(GOOD, "0x60", slo="by-seven", dag_id="d"), "1h", None),
)  # fmt: skip


@pytest.mark.parametrize(
    ("slo", "alert", "series", "at", "fires"), [case[1:] for case in RAW], ids=[case[0] for case in RAW]
)
def test_from_raw_series(
    slo: Objective, alert: str, series: Mapping[str, str], at: str, fires: int | None, tmp_path: Path
) -> None:
    judge([slo], series, {firing(alert, slo.name): fires}, tmp_path, at=at, alerts=[alert])


def test_what_vanishes_is_no_longer_told_of_and_then_that_it_is_not_judged(tmp_path: Path) -> None:
    """Burning for an hour, which spends what pages and makes tickets; then the exporter is gone."""
    both = there("1x60 stale") | starts("0+10x60 stale", "0x60 stale")
    alerts = [BURN_FAST, BURN_SLOW]
    judge([STARTS], both, {firing(name, "starts"): 1 for name in alerts}, tmp_path, at="1h", alerts=alerts)
    judge([STARTS], both, {firing(BURN_FAST, "starts"): None}, tmp_path, at="92m", alerts=alerts)
    hourly = gauge(GOOD, "1x80 stale", slo="fresh", dag_id="d")
    for at, fires in (("150h", None), ("230h", 1)):
        judge([FRESH], hourly, {firing(UNJUDGED, "fresh"): fires}, tmp_path, at=at, alerts=[UNJUDGED], interval="1h")


def test_a_new_site_has_three_days(tmp_path: Path) -> None:
    """And what nobody ever told of is told of by its name, for each objective."""
    for at, fires in (("71h", None), ("73h", 1)):
        expected = {firing(UNJUDGED, slo.name): fires for slo in (STARTS, RUNS, FRESH, DEADLINE, SCHEDULER)}
        judge(
            [STARTS, RUNS, FRESH, DEADLINE, SCHEDULER], {}, expected, tmp_path, at=at, alerts=[UNJUDGED], interval="1h"
        )


@pytest.mark.parametrize(("events", "fires"), [("9x90", 1), ("10x90", None), (None, 1)], ids=["few", "enough", "none"])
def test_too_few_events_in_three_days_are_told_of(events: str | None, fires: int | None, tmp_path: Path) -> None:
    own = 'airflow="a",slo="starts",team="platform"'
    series = {
        f"airflow_obs:slo_objective:ratio{{{own}}}": "0.995x90",
        f"airflow_obs:slo_min_events:count{{{own}}}": "10x90",
    }
    known = {f"airflow_obs:slo_events:3d{{{own}}}": events} if events else {}
    judge(
        [STARTS], series | known, {firing(UNJUDGED, "starts"): fires}, tmp_path,
        at="75h", alerts=[UNJUDGED], interval="1h", recording=False,
    )  # fmt: skip


def test_a_budget_is_not_spent_by_a_few_events(tmp_path: Path) -> None:
    """Nine runs since the site began, all of them late."""
    series = there("1x60") | starts("0x9 9x50", "0x60")
    judge([STARTS], series, {firing(EXHAUSTED, "starts"): None}, tmp_path, at="1h", alerts=[EXHAUSTED])


def test_each_dag_that_is_late_is_told_of_with_the_team_of_the_objective(tmp_path: Path) -> None:
    overdue, passed = metrics.SLO_DAG_OVERDUE.name, metrics.SLO_DEADLINE.name
    series: dict[str, str] = {}
    for instance in "xy":
        for dag, late in (("a", 1), ("b", 0), ("c", 1)):
            series |= gauge(overdue, f"{late}x60", instance, slo="by-seven", dag_id=dag)
        series |= gauge(passed, "600x60", instance, slo="by-seven")
    expr = f'sum by (alertname) (ALERTS{{alertname="{LATE}",alertstate="firing",airflow="a",team="platform",dag_id=~"a|c"}})'
    judge([DEADLINE], series, {f"max({expr})": 2, firing(LATE, "by-seven"): 2}, tmp_path, at="30m", alerts=[LATE])
