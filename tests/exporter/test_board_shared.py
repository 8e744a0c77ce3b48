"""The board: a family that two collectors could feed has one source, and the page says which."""

from __future__ import annotations

import threading

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.errors import SourceError
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.model import Reading
from tests.exporter.fakes import Clock, FakeCollector, FakeSource, gives, policy, raises
from tests.exporter.pages import Page

READ = metrics.POOL_OPEN.sample(7, pool="default_pool")
SENT = metrics.POOL_OPEN.sample(3, pool="default_pool")
NOT_READ = metrics.IMPORT_ERRORS.sample(2)


class Exporter:
    """A board with the collector `pools` of the database, and `ingest`, which feeds its open slots and the import errors too."""

    def __init__(self) -> None:
        self.pools = FakeCollector("pools", gives(READ))
        self.ingest = FakeCollector("ingest", gives(SENT, NOT_READ), "ingest")
        self.clock = Clock()
        self._jobs = {
            "pools": Job(self.pools, policy(100), FakeSource("database")),
            "ingest": Job(self.ingest, policy(100), FakeSource("ingest")),
        }
        self.board = Board("prod", list(self._jobs.values()), self.clock)

    def run(self, name: str) -> Page:
        self.board.record(run(self._jobs[name]))
        return self.page

    @property
    def page(self) -> Page:
        return Page(self.board.snapshot.text.decode())


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


def feeding(page: Page, family: str) -> list[str]:
    return [
        sample.labels["source"]
        for sample in page.samples
        if sample.name == metrics.FAMILY_SOURCE.name and sample.labels["family"] == family
    ]


def test_what_is_sent_is_shown_until_it_is_read(exporter: Exporter) -> None:
    page = exporter.run("ingest")
    assert page.values(metrics.POOL_OPEN.name) == [3]
    assert feeding(page, metrics.POOL_OPEN.name) == ["ingest"]
    page = exporter.run("pools")
    assert page.values(metrics.POOL_OPEN.name) == [7]
    assert feeding(page, metrics.POOL_OPEN.name) == ["database"]


def test_what_is_read_is_not_replaced_by_what_is_sent(exporter: Exporter) -> None:
    exporter.run("pools")
    page = exporter.run("ingest")
    assert page.values(metrics.POOL_OPEN.name) == [7]
    assert page.values(metrics.IMPORT_ERRORS.name) == [2]
    assert feeding(page, metrics.POOL_OPEN.name) == ["database"]
    assert feeding(page, metrics.IMPORT_ERRORS.name) == ["ingest"]


def test_a_family_that_was_read_once_stays_the_databases_while_that_is_down(exporter: Exporter) -> None:
    exporter.run("pools")
    exporter.pools.answer = raises(SourceError("gone"))
    exporter.run("pools")
    page = exporter.run("ingest")
    assert page.values(metrics.POOL_OPEN.name) == []
    assert feeding(page, metrics.POOL_OPEN.name) == []
    exporter.pools.answer = gives(READ)
    assert exporter.run("pools").values(metrics.POOL_OPEN.name) == [7]


def test_a_database_that_reads_none_of_it_leaves_it_to_what_is_sent(exporter: Exporter) -> None:
    exporter.pools.answer = gives()
    exporter.run("pools")
    page = exporter.run("ingest")
    assert page.values(metrics.POOL_OPEN.name) == [3]


def test_a_family_of_another_is_dropped_from_a_late_collector_too(exporter: Exporter) -> None:
    exporter.run("ingest")
    exporter.clock.now += 1_000_000
    exporter.board.look_for_late()
    assert exporter.page.values(metrics.POOL_OPEN.name) == []
    assert exporter.run("pools").values(metrics.POOL_OPEN.name) == [7]


def test_both_at_once_never_show_a_family_twice(exporter: Exporter) -> None:
    """Whoever renders last knows what the other has made its own meanwhile."""
    many: list[Reading] = [metrics.POOL_OPEN.sample(1, pool=f"pool-{number}") for number in range(90)]
    exporter.ingest.answer = gives(*many)
    threads = [threading.Thread(target=exporter.run, args=(name,)) for name in ("ingest", "pools") * 20]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exporter.page.values(metrics.POOL_OPEN.name) == [7]
