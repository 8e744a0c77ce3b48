"""The board: what stays on the page, and what is said, as collectors fail, are late and recover."""

from __future__ import annotations

import gzip
import logging

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.model import PREFIX, Kind, Metric
from tests.exporter.fakes import Clock, FakeCollector, FakeSource, gives, policy, raises
from tests.exporter.pages import Page

SLOTS = [metrics.POOL_SLOTS.sample(number, pool=f"pool-{number}") for number in range(5)]
WAIT = metrics.TASK_QUEUE_WAIT.distribution([1] * (len(metrics.TASK_QUEUE_WAIT.buckets) + 1), 9, queue="default")


class Exporter:
    """A board with the collectors `pools`, `task_instances` and `database` of one source, and `health` of another."""

    def __init__(self, max_series: int = 100) -> None:
        self.clock = Clock()
        self.sources = {"database": FakeSource("database"), "health": FakeSource("health")}
        self.collectors = {
            "pools": FakeCollector("pools", gives(*SLOTS)),
            "task_instances": FakeCollector("task_instances", gives(WAIT)),
            "database": FakeCollector("database", gives(metrics.DB_SIZE.sample(1))),
            "health": FakeCollector("health", gives(), "health"),
        }
        self.jobs = {
            name: Job(collector, policy(max_series), self.sources[collector.source])
            for name, collector in self.collectors.items()
        }
        self.board = Board("prod", list(self.jobs.values()), self.clock)

    def run(self, *names: str) -> None:
        """Run these collectors (all of them, for none)."""
        for name in names or self.jobs:
            self.board.record(run(self.jobs[name]))

    def fail(self, name: str, error: Exception) -> None:
        """Let the collector fail from now on, and run it."""
        self.collectors[name].answer = raises(error)
        self.run(name)

    @property
    def page(self) -> Page:
        return Page(self.board.snapshot.text.decode())


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


def test_board_is_ready_when_every_collector_was_attempted_whatever_came_of_it(exporter: Exporter) -> None:
    assert not exporter.board.snapshot.ready
    exporter.run("pools", "task_instances", "database")
    assert not exporter.board.snapshot.ready
    exporter.fail("health", SourceUnreachable("gone"))
    assert exporter.board.snapshot.ready


def test_page_before_the_first_run_says_that_nothing_succeeded(exporter: Exporter) -> None:
    for name in exporter.jobs:
        assert exporter.page.value(metrics.COLLECTOR_SUCCESS.name, collector=name) == 0
        assert exporter.page.value(metrics.COLLECTOR_LAST_SUCCESS.name, collector=name) == 0
    assert exporter.page.values(metrics.SOURCE_UP.name) == []


def test_failed_collector_loses_its_samples_and_nobody_else_does(exporter: Exporter) -> None:
    exporter.run()
    exporter.fail("pools", SourceError("denied"))
    page = exporter.page
    assert metrics.POOL_SLOTS.name not in page.names
    assert page.value(metrics.DB_SIZE.name) == 1
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 0
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="database") == 1
    assert page.value(metrics.SOURCE_UP.name, source="database") == 1


def test_failure_leaves_the_moment_of_the_last_success_and_counts(exporter: Exporter) -> None:
    exporter.run()
    before = exporter.page.value(metrics.COLLECTOR_LAST_SUCCESS.name, collector="pools")
    assert before > 0
    exporter.fail("pools", SourceError("denied"))
    exporter.run("pools")
    assert exporter.page.value(metrics.COLLECTOR_LAST_SUCCESS.name, collector="pools") == before
    assert exporter.page.value(metrics.COLLECTOR_FAILURES.name, collector="pools") == 2


def test_counters_of_a_failed_collector_stay() -> None:
    exporter = Exporter(max_series=3)
    exporter.run("pools", "pools")
    dropped = {"family": metrics.POOL_SLOTS.name}
    assert exporter.page.value(metrics.SERIES_DROPPED.name, **dropped) == 4
    assert len(exporter.page.values(metrics.POOL_SLOTS.name)) == 3
    exporter.fail("pools", SourceError("denied"))
    assert exporter.page.value(metrics.SERIES_DROPPED.name, **dropped) == 4


def test_what_has_happened_still_stands_when_its_collector_fails(exporter: Exporter) -> None:
    ended = Metric(PREFIX + "ended_total", Kind.COUNTER, "Help.", "pools")
    took = Metric(PREFIX + "took_seconds", Kind.HISTOGRAM, "Help.", "pools", (), (), (1.0,))
    exporter.collectors["pools"].answer = gives(*SLOTS, ended.sample(7), took.distribution([2, 5], 60))
    exporter.run()
    for _ in range(2):
        exporter.fail("pools", SourceError("denied"))
        page = exporter.page
        assert metrics.POOL_SLOTS.name not in page.names
        assert page.value(ended.name) == page.value(took.name + "_count") == 7
        assert page.value(took.name + "_bucket", le="1.0") == 2
    exporter.collectors["pools"].answer = gives(ended.sample(8))
    exporter.run("pools")
    assert exporter.page.value(ended.name) == 8


def test_collector_recovers(exporter: Exporter) -> None:
    exporter.run()
    exporter.fail("pools", SourceError("denied"))
    exporter.collectors["pools"].answer = gives(*SLOTS)
    exporter.run("pools")
    assert len(exporter.page.values(metrics.POOL_SLOTS.name)) == len(SLOTS)
    assert exporter.page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 1


def test_source_that_does_not_answer_is_down_until_it_does(exporter: Exporter) -> None:
    exporter.fail("pools", SourceUnreachable("gone"))
    assert exporter.page.value(metrics.SOURCE_UP.name, source="database") == 0
    exporter.run("database")
    assert exporter.page.value(metrics.SOURCE_UP.name, source="database") == 1


def test_source_that_nobody_told_us_of_has_no_series(exporter: Exporter) -> None:
    exporter.sources["health"].known = False
    exporter.run()
    assert exporter.page.values(metrics.SOURCE_UP.name, source="health") == []
    assert exporter.page.value(metrics.COLLECTOR_SUCCESS.name, collector="health") == 1


def test_late_collector_loses_its_samples_and_gets_them_back(
    exporter: Exporter, said: pytest.LogCaptureFixture
) -> None:
    exporter.run()
    # Its interval and, since the collectors of a source take turns, the timeouts of all three with a second each.
    exporter.clock.now += 15 + 3 * 6
    exporter.board.look_for_late()
    assert "collector pools" not in said.text
    exporter.clock.now += 1
    exporter.run("database")
    exporter.board.look_for_late()
    exporter.board.look_for_late()
    page = exporter.page
    assert metrics.POOL_SLOTS.name not in page.names
    assert page.value(metrics.DB_SIZE.name) == 1
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 0
    assert said.messages.count("collector pools: late: no run has finished for 34s") == 1

    exporter.run("pools")
    assert exporter.page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 1
    assert metrics.POOL_SLOTS.name in exporter.page.names
    assert said.messages[-1] == "collector pools: recovered"


def test_source_of_late_collectors_is_not_up(exporter: Exporter) -> None:
    exporter.run()
    exporter.clock.now += 100
    exporter.board.look_for_late()
    assert exporter.page.value(metrics.SOURCE_UP.name, source="database") == 0


def test_collector_that_never_finished_is_late_too(exporter: Exporter) -> None:
    exporter.clock.now += 100
    exporter.board.look_for_late()
    assert [status.late for status in exporter.board.snapshot.statuses] == [True] * 4
    assert not exporter.board.snapshot.ready


def test_failure_is_said_once_until_it_changes(exporter: Exporter, said: pytest.LogCaptureFixture) -> None:
    exporter.run()
    exporter.fail("pools", SourceError("denied"))
    exporter.run()
    exporter.fail("pools", SourceError("locked"))
    exporter.collectors["pools"].answer = gives()
    exporter.run()
    assert said.messages == [
        "collector pools: failed: denied",
        "collector pools: failed: locked",
        "collector pools: recovered",
    ]


def test_traceback_of_a_bug_is_said_once_and_without_passwords(
    exporter: Exporter, said: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        exporter.fail("pools", KeyError("postgresql://airflow:hunter2@db/airflow"))
    assert said.text.count("this is a bug of the exporter") == 1
    assert "Traceback" in said.text
    assert "hunter2" not in said.text


def test_source_that_is_down_is_said_once_for_all_its_collectors(
    exporter: Exporter, said: pytest.LogCaptureFixture
) -> None:
    for name in ("pools", "task_instances", "database", "pools"):
        exporter.fail(name, SourceUnreachable("gone"))
    exporter.collectors["task_instances"].answer = gives()
    exporter.run("task_instances")
    assert said.messages == ["source database: failed: gone", "source database: recovered"]


def test_collector_called_like_its_source_is_told_apart(exporter: Exporter, said: pytest.LogCaptureFixture) -> None:
    exporter.fail("database", SourceError("denied"))
    exporter.run()
    exporter.run()
    assert said.messages == ["collector database: failed: denied"]


def test_source_that_answers_no_has_recovered(exporter: Exporter, said: pytest.LogCaptureFixture) -> None:
    exporter.fail("pools", SourceUnreachable("gone"))
    exporter.fail("pools", SourceError("denied"))
    exporter.fail("pools", SourceUnreachable("gone"))
    assert said.messages == [
        "source database: failed: gone",
        "collector pools: failed: denied",
        "source database: recovered",
        "source database: failed: gone",
    ]


def test_dropped_series_are_said_once(said: pytest.LogCaptureFixture) -> None:
    exporter = Exporter(max_series=3)
    exporter.run("pools", "pools")
    assert said.messages == [f"collector pools: 2 series of {metrics.POOL_SLOTS.name} dropped: more than max_series"]


def test_every_series_says_whose_it_is(exporter: Exporter) -> None:
    exporter.run()
    assert {sample.labels.get("airflow") for sample in exporter.page.samples} == {"prod"}


def test_both_formats_and_their_zipped_twins_say_the_same(exporter: Exporter) -> None:
    exporter.run()
    snapshot = exporter.board.snapshot
    assert gzip.decompress(snapshot.text_gzip) == snapshot.text
    assert gzip.decompress(snapshot.openmetrics_gzip) == snapshot.openmetrics
    openmetrics = Page(snapshot.openmetrics.decode(), openmetrics=True)
    assert {(s.name, *s.labels.items(), s.value) for s in openmetrics.samples} == {
        (s.name, *s.labels.items(), s.value) for s in exporter.page.samples
    }


def test_odd_label_value_does_not_spoil_the_board(exporter: Exporter) -> None:
    odd = metrics.HEALTH_COMPONENT.sample(1, component="\ud800\0")
    exporter.collectors["health"].answer = gives(odd)
    exporter.run()
    assert exporter.page.value(metrics.HEALTH_COMPONENT.name, component=r"\ud800\x00") == 1


def test_failure_that_was_said_of_another_recovers_as_silently(
    exporter: Exporter, said: pytest.LogCaptureFixture
) -> None:
    for name in ("pools", "task_instances"):
        exporter.fail(name, SourceError("this is no Airflow"))
    for name in ("pools", "task_instances"):
        exporter.collectors[name].answer = gives()
    exporter.run()
    assert said.messages == ["collector pools: failed: this is no Airflow", "collector pools: recovered"]
