"""Where a failure is played: a database, the collectors that watch it, and what they say of some metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_obs.catalog import metrics
from airflow_obs.collectors.collector import AnyCollector
from airflow_obs.collectors.database import DatabaseServer
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.model import Metric
from airflow_obs.sources.discovery import AirflowSettings
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import Kind
from tests.collectors.collected import every_collector, read, source
from tests.embedded_postgres import EmbeddedPostgres
from tests.exporter import fakes
from tests.exporter.pages import Page

Series = tuple[str, ...]
Seen = Mapping[Metric, Mapping[Series, float]]
Ago = Callable[..., datetime]
Acts = Generator[None, None, None]
"""Yields twice: when all is well, and when it has failed; at its end it is cured."""
Story = Callable[["Scene"], Acts]

OWN = "database"
"""The collector that is run when the exporter is asked about itself."""


@dataclass
class Scene:
    """An Airflow under Celery, and one exporter that watches it; `ago` is as in the tests of the collectors.

    `clock_ahead` (seconds) sets the exporter's clock wrong; `max_series` is the most that it keeps of a family.
    """

    db: AirflowDatabase
    server: EmbeddedPostgres
    ago: Ago
    clock_ahead: float = 0.0
    max_series: int = 10_000
    _collectors: dict[str, AnyCollector] = field(init=False)
    _board: Board = field(init=False)

    def __post_init__(self) -> None:
        every = every_collector(AirflowSettings("CeleryExecutor"))
        server = DatabaseServer(clock=lambda: time.time() + self.clock_ahead)
        self._collectors = {one.name: one for one in (*every, server)}
        with closing(source(self.db.exporter_url)) as database:
            self._board = Board("test", [Job(server, fakes.policy(), database)])

    def now(self) -> datetime:
        """By the clock: for signs of life, which are late in a test that is slow."""
        return datetime.now(UTC)

    def grant(self) -> None:
        """Run grants.sql again."""
        vars(self.db).pop("exporter_url", None)
        assert self.db.exporter_url

    def look(self, *wanted: Metric) -> Seen:
        """What is said of these metrics now, each collector being run once."""
        names = {metric.collector for metric in wanted} - {"exporter"}
        said = {name: read(self.db, self._collectors[name]) for name in names}
        own = self._look_at_ourselves(wanted) if any(metric.collector == "exporter" for metric in wanted) else {}
        return own | {metric: said[metric.collector].all(metric) for metric in wanted if metric.collector in said}

    def _look_at_ourselves(self, wanted: tuple[Metric, ...]) -> dict[Metric, dict[Series, float]]:
        with closing(source(self.db.exporter_url)) as database:
            self._board.record(run(Job(self._collectors[OWN], fakes.policy(self.max_series), database)))
        page = Page(self._board.snapshot.text.decode())
        return {
            metric: {
                tuple(sample.labels[label] for label in metric.labels): sample.value
                for sample in page.samples
                if sample.name == metric.name
            }
            for metric in wanted
            if metric.collector == "exporter"
        }


@dataclass(frozen=True)
class Case:
    """One way in which a failure comes about, on this release and server, and metrics that show it.

    Of those that have the labels of `about`, these series alone.
    """

    story: Story
    moves: tuple[Metric, ...]
    release: str = "3.3.2"
    kind: Kind = Kind.POSTGRESQL
    about: Mapping[str, str] = field(default_factory=dict)

    def look(self, scene: Scene) -> Seen:
        """What is said of its metrics, where it is about this."""
        return {
            metric: {series: value for series, value in said.items() if self._is_about(metric, series)}
            for metric, said in scene.look(*self.moves).items()
        }

    def _is_about(self, metric: Metric, series: Series) -> bool:
        places = {label: place for place, label in enumerate(metric.labels)}
        return all(series[places[label]] == value for label, value in self.about.items() if label in places)


NOT_SHARP = {metrics.DB_CLOCK_OFFSET: 30.0}
"""What is well within such a distance: two looks never say quite the same."""
