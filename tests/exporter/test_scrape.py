"""One run of a collector: whatever goes wrong in it ends there, and says so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceConflict, SourceError, SourceNotConfigured, SourceUnreachable
from airflow_obs.exporter import scrape
from airflow_obs.exporter.scrape import Job, Run, Worker, run, run_all
from airflow_obs.model import Reading
from tests.exporter.fakes import Clock, FakeCollector, FakeSource, Read, gives, job, policy, raises

SLOTS = [metrics.POOL_SLOTS.sample(number, pool=f"pool-{number}") for number in range(5)]


def test_run_keeps_what_the_collector_gave_and_asks_within_its_timeout() -> None:
    source = FakeSource()
    outcome = run(job("pools", gives(*SLOTS), source))
    assert outcome.readings == tuple(SLOTS)
    assert (outcome.error, outcome.source_up, outcome.dropped) == (None, True, {})
    assert source.budgets == [5.0]


def test_nothing_to_report_is_success() -> None:
    assert run(job("pools", gives())).succeeded


@pytest.mark.parametrize(
    ("error", "source_up"),
    [(SourceError("no"), True), (SourceUnreachable("no"), False), (SourceNotConfigured("no"), False)],
)
def test_failing_source_fails_the_run_and_is_up_if_it_answered(error: SourceError, source_up: bool) -> None:
    outcome = run(job("pools", raises(error)))
    assert (outcome.error, outcome.source_up, outcome.readings) == ("no", source_up, ())


def test_source_that_nobody_told_us_of_is_neither_up_nor_down() -> None:
    source = FakeSource(known=False)
    assert run(job("pools", gives(), source)).source_up is None
    assert run(job("pools", raises(SourceUnreachable("no")), source)).source_up is None


def test_broken_collector_fails_alone_and_shows_no_password() -> None:
    outcome = run(job("pools", raises(KeyError("postgresql://airflow:hunter2@db/airflow"))))
    assert outcome.error == "KeyError: 'postgresql://airflow:***@db/airflow'"
    assert outcome.source_up
    assert outcome.bug is not None
    assert "KeyError" in outcome.bug


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([metrics.DAGS_OVERDUE.sample(1)], f"gave {metrics.DAGS_OVERDUE.name}, which belongs to dag_runs"),
        ([SLOTS[0], SLOTS[1], SLOTS[0]], f"gave {metrics.POOL_SLOTS.name}{{'pool': 'pool-0'}} twice"),
    ],
    ids=["foreign family", "duplicate series"],
)
def test_what_would_spoil_the_page_fails_its_collector(readings: list[Reading], said: str) -> None:
    outcome = run(job("pools", gives(*readings)))
    assert outcome.error is not None
    assert said in outcome.error
    assert outcome.readings == ()


def test_each_family_is_cut_at_max_series_and_the_rest_counted() -> None:
    few = [metrics.POOL_OPEN.sample(1, pool="only")]
    outcome = run(job("pools", gives(*SLOTS, *few), max_series=3))
    assert outcome.succeeded
    assert outcome.readings == (*SLOTS[:3], *few)
    assert outcome.dropped == {metrics.POOL_SLOTS.name: 2}


def test_distribution_counts_as_the_series_it_is() -> None:
    counts = [0] * (len(metrics.WAIT_BUCKETS) + 1)
    waits = [metrics.TASK_QUEUE_WAIT.distribution(counts, 0, queue=queue) for queue in ("a", "b", "c")]
    series = len(counts) + 2  # a line for each bucket, the count and the sum
    outcome = run(job("task_instances", gives(*waits), max_series=2 * series))
    assert outcome.readings == tuple(waits[:2])
    assert outcome.dropped == {metrics.TASK_QUEUE_WAIT.name: series}


def test_failure_untried_says_why_and_asks_nothing() -> None:
    source = FakeSource()
    outcome = run(job("pools", gives(*SLOTS), source), "database: gone")
    assert (outcome.error, outcome.source_up, source.budgets) == ("database: gone", False, [])


def test_unreachable_source_fails_its_other_collectors_untried_and_no_others() -> None:
    down, up = FakeSource("database"), FakeSource("health")
    first = job("jobs", raises(SourceUnreachable("database: gone")), down)
    second, other = job("pools", gives(*SLOTS), down), job("health", gives(), up)
    runs = run_all([first, second, other])
    assert [outcome.error for outcome in runs] == ["database: gone", "database: gone", None]
    assert len(down.budgets) == 1
    assert (down.closed, up.closed) == (1, 1)


def test_source_that_only_says_no_is_asked_by_every_collector() -> None:
    source = FakeSource()
    runs = run_all([job("jobs", raises(SourceError("denied")), source), job("pools", gives(*SLOTS), source)])
    assert [outcome.error for outcome in runs] == ["denied", None]


@pytest.mark.parametrize(
    ("seconds", "budgets"), [(1.5, [5.0, 3.5, 2.0]), (3.0, [5.0, 2.0]), (5.0, [5.0]), (7.0, [5.0])]
)
def test_what_a_conflict_ended_is_read_again_in_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, seconds: float, budgets: list[float]
) -> None:
    clock, source = Clock(), FakeSource()
    monkeypatch.setattr(scrape, "time", SimpleNamespace(time=clock, monotonic=clock))

    def ended() -> list[Reading]:
        clock.now += seconds
        raise SourceConflict("ended by what the standby replays")

    outcome = run(job("pools", ended, source))
    assert (outcome.error, outcome.source_up) == ("ended by what the standby replays", True)
    assert source.budgets == budgets


class Reports:
    """Takes runs as the board would; sets `stop` after so many."""

    def __init__(self, wanted: int, stop: threading.Event) -> None:
        self.runs: list[Run] = []
        self._wanted, self._stop = wanted, stop

    def __call__(self, outcome: Run) -> None:
        self.runs.append(outcome)
        if len(self.runs) >= self._wanted:
            self._stop.set()


def _worked(answers: list[Read], wanted: int) -> tuple[list[Run], FakeSource]:
    source, stop = FakeSource(), threading.Event()
    reports = Reports(wanted, stop)
    names = ["jobs", "pools", "dag_runs"]
    worker = Worker([job(name, answer, source) for name, answer in zip(names, answers, strict=False)], reports, stop)
    worker.start()
    worker.join(30)
    assert not worker.is_alive()
    return reports.runs, source


def test_worker_runs_collectors_in_turn_and_closes_its_source() -> None:
    runs, source = _worked([gives(), gives(*SLOTS)], wanted=2)
    assert [outcome.collector for outcome in runs] == ["jobs", "pools"]
    assert source.closed == 1


def test_worker_asks_an_unreachable_source_once_a_round() -> None:
    runs, source = _worked([raises(SourceUnreachable("gone")), gives(), gives()], wanted=3)
    assert [outcome.error for outcome in runs] == ["gone"] * 3
    assert len(source.budgets) == 1


def test_worker_makes_up_for_what_a_source_failed_as_soon_as_it_is_back() -> None:
    source, stop = FakeSource(), threading.Event()
    reports = Reports(4, stop)
    down = iter([True])
    often = Job(FakeCollector("jobs", lambda: _gone_first(down)), policy(interval="1s", timeout="1s"), source)
    seldom = Job(FakeCollector("tables", gives()), policy(interval="1h"), source)
    worker = Worker([often, seldom], reports, stop)
    worker.start()
    worker.join(30)
    assert not worker.is_alive()
    assert [(outcome.collector, outcome.succeeded) for outcome in reports.runs] == [
        ("jobs", False), ("tables", False), ("jobs", True), ("tables", True),
    ]  # fmt: skip


def _gone_first(down: Iterator[bool]) -> list[Reading]:
    if next(down, False):
        raise SourceUnreachable("gone")
    return []


def test_worker_that_is_stopped_in_mid_run_blames_nobody() -> None:
    source, stop = FakeSource(), threading.Event()
    reports = Reports(99, stop)

    def interrupted() -> list[Reading]:
        stop.set()
        raise SourceUnreachable("the exporter is stopping")

    worker = Worker([job("jobs", interrupted, source)], reports, stop)
    worker.start()
    worker.join(30)
    assert reports.runs == []
    assert source.closed == 1


def test_broken_collector_is_run_again() -> None:
    collector = FakeCollector("pools", raises(ZeroDivisionError()))
    broken = job("pools", gives())
    assert not run(type(broken)(collector, broken.policy, broken.source)).succeeded
    collector.answer = gives(*SLOTS)
    assert run(type(broken)(collector, broken.policy, broken.source)).succeeded
