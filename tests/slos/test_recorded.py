"""What is recorded of objectives is what a calculation by hand gives, to the last digit, whatever exporters and scrapes do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.objective import Objective
from airflow_obs.catalog.recording import TIERS
from airflow_obs.generate.lint import Placed, Terms, findings
from airflow_obs.generate.objectives import groups
from tests.slos.recorded import DEADLINE, FRESH, QUEUE, RUNS, SCHEDULER, STARTS, WAITING, judge, of, scope

EVERY = (STARTS, QUEUE, WAITING, RUNS, FRESH, DEADLINE, SCHEDULER)


def exporter(instance: str, **more: str) -> str:
    """The labels of what one exporter tells."""
    return ",".join(
        f'{name}="{value}"' for name, value in {"airflow": "a", "job": "obs", "instance": instance, **more}.items()
    )


def there(values: str, instance: str = "x") -> dict[str, str]:
    return {f"{metrics.BUILD_INFO.name}{{{exporter(instance)}}}": values}


def starts(every: str, good: str, instance: str = "x") -> dict[str, str]:
    """Runs that started, and those of them that started in time."""
    name, labels = metrics.RUN_START_DELAY.name, {"run_type": "scheduled"}
    return {
        f"{name}_count{{{exporter(instance, **labels)}}}": every,
        f"{name}_bucket{{{exporter(instance, **labels, le='60.0')}}}": good,
        f"{name}_bucket{{{exporter(instance, **labels, le='+Inf')}}}": every,
        # of another type, and so no matter of the objective
        f"{name}_count{{{exporter(instance, run_type='manual')}}}": "0+1000x200",
    }


@dataclass(frozen=True)
class Story:
    """What exporters tell from one scrape to the next (`axN` are N + 1 samples), and what that makes of the events of an hour."""

    what: str
    series: Mapping[str, str]
    events: float
    bad: float
    interval: str = "1m"


STORIES = (
    Story("twenty a minute, a tenth of them late", there("1x60") | starts("0+20x60", "0+18x60"), 1200, 120),
    Story("scraped twice a minute", there("1x120") | starts("0+10x120", "0+9x120"), 1200, 120, interval="30s"),
    Story("the exporter begins anew in the middle", there("1x60") | starts("0+20x30 0+20x29", "0+18x30 0+18x29"), 1180, 118),
    Story(
        "its pod is replaced, and the new one begins at 0",
        there("1x30 stale") | there("_x30 1x30", "y")
        | starts("0+20x30 stale", "0+18x30 stale") | starts("_x30 0+20x30", "_x30 0+18x30", "y"),
        1200, 120,
    ),
    Story(
        "two exporters count the same",
        there("1x60") | there("1x60", "y") | starts("0+20x60", "0+18x60") | starts("0+20x60", "0+18x60", "y"),
        1200, 120,
    ),
    Story(
        "two exporters count the same, one of them three minutes later",
        there("1x60") | there("1x60", "y")
        | starts("0+20x40 800x19", "0+18x40 720x19") | starts("0x3 0+20x40 800x15", "0x3 0+18x40 720x15", "y"),
        800, 80,
    ),
    Story(
        "a second exporter comes, which counts from when it began",
        there("1x60") | there("_x30 1x30", "y") | starts("0+20x60", "0+18x60") | starts("_x30 0+20x30", "_x30 0+18x30", "y"),
        1200, 120,
    ),
    Story(
        "the exporter is not scraped for twenty minutes, and counts on",
        there("1x20 stale _x19 1x20") | starts("0+20x20 stale _x19 820+20x19", "0+18x20 stale _x19 738+18x19"), 1200, 120,
    ),
    Story(
        "Prometheus is away for twenty minutes",
        there("1x20 _x20 1x20") | starts("0+20x20 _x20 820+20x19", "0+18x20 _x20 738+18x19"), 1200, 120,
    ),
    Story("the first event makes the series", there("1x60") | starts("_x20 5+0x40", "_x20 3+0x40"), 5, 2),
    Story("Prometheus is new to an old exporter", there("_x5 1x55") | starts("_x5 7000x55", "_x5 5x55"), 0, 0),
    Story("nothing happens", there("1x60") | starts("7x60", "5x60"), 0, 0),
)  # fmt: skip


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.what)
def test_events_are_counted_once(story: Story, tmp_path: Path) -> None:
    """And their ratios are those of the counts; the window of a month holds no more than the hour."""
    ratio = story.bad / story.events if story.events else None
    judge(
        [STARTS], story.series,
        {
            of("events:1h", "starts"): story.events,
            of("events:window", "starts"): story.events,
            'sum(sum_over_time(airflow_obs:slo_bad:minute{slo="starts"}[2h]))': story.bad,
            of("errors:ratio", "starts"): ratio,
            of("error_budget_spent:1h", "starts"): None if ratio is None else ratio * 3600 / 12960,
            of("error_budget_remaining:ratio", "starts"): None if ratio is None else 1 - ratio / 0.005,
        },
        tmp_path, at="60m", interval=story.interval,
    )  # fmt: skip


PUBLISHED = {3600: (14.4, 0.02), 6 * 3600: (6, 0.05), 86400: (3, 0.1), 3 * 86400: (1, 0.1)}
"""Long window, burn rate and part of the budget of 30 days: https://sre.google/workbook/alerting-on-slos/, tables 5-6 and 5-8."""


def test_thresholds_are_those_of_the_published_table(tmp_path: Path) -> None:
    """A thousand runs a minute, of which as many are late as the burn rate has it: that is the part of the budget, each time."""
    assert {seconds: seconds // 12 for seconds in PUBLISHED} == TIERS
    called = {3600: "1h", 6 * 3600: "6h", 86400: "1d", 3 * 86400: "3d"}
    for number, (seconds, (rate, part)) in enumerate(PUBLISHED.items()):
        late = round(rate * 5)
        folder = tmp_path / str(number)
        folder.mkdir()
        judge(
            [STARTS], there("1x60") | starts("0+1000x60", f"0+{1000 - late}x60"),
            {f"round({of(f'error_budget_spent:{called[seconds]}', 'starts')}, 1e-12)": part}, folder, at="60m",
        )  # fmt: skip


def gauge(name: str, values: str, instance: str = "x", **labels: str) -> dict[str, str]:
    return {f"{name}{{{exporter(instance, **labels)}}}": values}


READ, OLDEST = metrics.COLLECTOR_SUCCESS.name, metrics.TASK_INSTANCES_OLDEST.name
ALIVE, UP, GOOD = metrics.JOBS_ALIVE.name, metrics.SOURCE_UP.name, metrics.SLO_DAG_GOOD.name
MINUTES = (
    ("a scheduler is alive", SCHEDULER, gauge(ALIVE, "1x60", job_type="SchedulerJob"), 0, 60),
    ("none is alive for ten minutes", SCHEDULER, gauge(ALIVE, "2x49 0x9", job_type="SchedulerJob"), 10, 60),
    ("only a triggerer is alive", SCHEDULER,
     gauge(ALIVE, "1x60", job_type="TriggererJob") | gauge(ALIVE, "0x60", job_type="SchedulerJob"), 60, 60),
    ("the database does not answer for ten minutes", SCHEDULER,
     gauge(ALIVE, "1x49 stale", job_type="SchedulerJob") | gauge(UP, "1x49 0x9", source="database"), 10, 60),
    ("one of two exporters is cut off from the database", SCHEDULER,
     gauge(ALIVE, "1x60", job_type="SchedulerJob") | gauge(UP, "0x60", source="database")
     | gauge(UP, "1x60", "y", source="database"), 0, 60),
    ("ten minutes are known, and all are bad", SCHEDULER, gauge(ALIVE, "_x50 0x9", job_type="SchedulerJob"), 10, 10),
    ("nothing is known any more", SCHEDULER, gauge(ALIVE, "0x19 stale", job_type="SchedulerJob"), 20, 20),
    ("one DAG of four is too old", FRESH,
     {name: values for dag, good in (("a", 1), ("b", 1), ("c", 0), ("d", 1))
      for name, values in gauge(GOOD, f"{good}x60", slo="fresh", dag_id=dag).items()}, 15, 60),
    ("two exporters, of which one has read it already", FRESH,
     gauge(GOOD, "0x49 1x9", slo="fresh", dag_id="a") | gauge(GOOD, "0x39 1x19", "y", slo="fresh", dag_id="a"), 40, 60),
    ("no task waits", WAITING, gauge(READ, "1x60", collector="task_instances"), 0, 60),
    ("of two queues a task of one waits from the start", WAITING,
     gauge(READ, "1x60", collector="task_instances") | gauge(OLDEST, "0x60", state="queued", queue="gpu")
     | gauge(OLDEST, "0+60x60", state="queued", queue="default") | gauge(OLDEST, "-9000x60", state="running", queue="gpu"), 54, 60),
    ("nobody can look any more", WAITING,
     gauge(READ, "1x19 0x39", collector="task_instances") | gauge(READ, "0x60", "y", collector="task_instances"), 0, 20),
)  # fmt: skip


@pytest.mark.parametrize(
    ("slo", "series", "bad", "known"), [case[1:] for case in MINUTES], ids=[case[0] for case in MINUTES]
)
def test_minutes_are_a_part_of_the_whole_time(
    slo: Objective, series: Mapping[str, str], bad: float, known: float, tmp_path: Path
) -> None:
    """What nobody knows is not bad: of 60 minutes and of a month, however little is known of them. An hour is 0 to 59."""
    spent = {of("error_budget_spent:1h", slo.name): bad * 60 / float(slo.budget)}
    ratio = bad * 60 / 2592000
    judge(
        [slo], series,
        {
            of("events:1h", slo.name): known,
            of("errors:ratio", slo.name): ratio,
            of("error_budget_remaining:ratio", slo.name): 1 - ratio / float(1 - slo.target),
            **spent,
        },
        tmp_path, at="59m",
    )  # fmt: skip


def test_a_time_has_as_many_minutes_as_it_is_called(tmp_path: Path) -> None:
    """Neither one more, at its other end, nor one less: of hours in which all is bad."""
    minutes = {"5m": 5, "30m": 30, "1h": 60, "2h": 120}
    judge(
        [SCHEDULER], gauge(ALIVE, "0x200", job_type="SchedulerJob"),
        {
            **{of(f"error_budget_spent:{name}", "scheduler"): count * 60 / 12960 for name, count in minutes.items()},
            of("events:1h", "scheduler"): 60,
        },
        tmp_path, at="190m",
    )  # fmt: skip


def test_while_a_replica_of_the_database_does_not_answer_nothing_is_known(tmp_path: Path) -> None:
    judge(
        [SCHEDULER],
        gauge(ALIVE, "1x49 stale", job_type="SchedulerJob") | gauge(UP, "1x49 0x9", source="database"),
        {of("error_budget_spent:1h", "scheduler"): 0, of("events:1h", "scheduler"): 50},
        tmp_path, at="59m", replica=True,
    )  # fmt: skip


def test_runs_that_failed_are_bad(tmp_path: Path) -> None:
    runs = metrics.SLO_DAG_RUNS.name
    judge(
        [RUNS],
        there("1x30")
        | gauge(runs, "0+9x30", slo="runs", outcome="success")
        | gauge(runs, "0+1x30", slo="runs", outcome="failed")
        | gauge(runs, "0+50x30", slo="others", outcome="failed"),
        {of("events:1h", "runs"): 300, of("errors:ratio", "runs"): 0.1, of("objective:ratio", "runs"): 0.99},
        tmp_path, at="30m",
    )  # fmt: skip


def test_the_waits_of_all_queues_and_tasks_are_added_up(tmp_path: Path) -> None:
    name = metrics.TRY_QUEUED.name
    series: dict[str, str] = {}
    for queue, dag, late in (("default", "a", 1), ("default", "b", 0), ("gpu", "a", 3)):
        labels = {"queue": queue, "dag_id": dag, "task_id": "t"}
        series |= gauge(f"{name}_count", "0+10x30", **labels)
        series |= gauge(f"{name}_bucket", f"0+{10 - late}x30", **labels, le="300.0")
    judge(
        [QUEUE], there("1x30") | series,
        {of("events:1h", "queue"): 900, of("errors:ratio", "queue"): 120 / 900}, tmp_path, at="30m",
    )  # fmt: skip


@pytest.mark.parametrize("slo", EVERY, ids=lambda slo: slo.kind)
def test_events_of_a_time_are_added_up_once(slo: Objective) -> None:
    """Those of three days, or of the window, are thousands of samples: what is recorded of them is read."""
    [group] = groups(scope(slo))
    assert isinstance(group, dict)
    assert isinstance(group["rules"], list)
    sums = [found for rule in group["rules"] for found in re.findall(r"slo_events:minute\{.*?\}\[\w+\]", rule["expr"])]
    assert len(sums) >= len(TIERS)
    assert len(sums) == len(set(sums))


def test_a_group_has_no_more_rules_than_mimir_takes_and_lint_finds_nothing() -> None:
    for group in groups(scope(*EVERY)):
        assert isinstance(group, dict)
        rules = group["rules"]
        assert isinstance(rules, list)
        assert group["interval"] == "1m"
        assert len(rules) <= 20
        placed = [Placed("f", 1, rule["expr"], record=rule["record"], labels=rule["labels"]) for rule in rules]
        assert list(map(str, findings(placed, Terms(75, generated=True)))) == []
        assert all(set(rule["labels"]) == {"airflow", "slo", "team"} for rule in rules)
