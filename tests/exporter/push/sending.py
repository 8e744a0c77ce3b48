"""Snapshots as a board makes them of collectors that do as they are told, and an agent that takes StatsD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from airflow_obs.errors import SourceError
from airflow_obs.exporter.board import Board, Snapshot
from airflow_obs.exporter.ingest.statsd.listener import Statsd as Listener
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.model import Distribution, Quantiles, Reading, Sample
from tests.exporter.fakes import FakeCollector, FakeSource, gives, policy, raises
from tests.exporter.ingest.ingesting import Ingesting

HERE = "127.0.0.1"
Series = tuple[str, frozenset[tuple[str, str]]]


class Scene:
    """A board with these collectors, none of which has been tried yet."""

    def __init__(self, *collectors: str, deployment: str = "prod") -> None:
        self._collectors = {name: FakeCollector(name, gives(), name) for name in collectors}
        self._jobs = {name: Job(one, policy(100_000), FakeSource(name)) for name, one in self._collectors.items()}
        self.board = Board(deployment, list(self._jobs.values()))

    def says(self, *readings: Reading) -> Snapshot:
        """Every collector has run, and yields those of the readings that are of its metrics from now on."""
        strangers = {reading.metric.collector for reading in readings} - self._collectors.keys()
        assert not strangers, f"collectors that the scene lacks: {strangers}"
        for name, collector in self._collectors.items():
            collector.answer = gives(*(one for one in readings if one.metric.collector == name))
            self.board.record(run(self._jobs[name]))
        return self.board.snapshot

    def fails(self, collector: str) -> Snapshot:
        """The collector fails from now on, and has run."""
        self._collectors[collector].answer = raises(SourceError("gone"))
        self.board.record(run(self._jobs[collector]))
        return self.board.snapshot


@dataclass
class Agent:
    """Our own listener as somebody's StatsD agent: it keeps every name as it comes."""

    ingesting: Ingesting
    listener: Listener

    @property
    def udp(self) -> str:
        """Where it takes datagrams."""
        return f"{HERE}:{self.listener.udp_port}"

    @property
    def tcp(self) -> str:
        """Where it takes connections."""
        return f"{HERE}:{self.listener.tcp_port}"

    def series(self) -> Mapping[Series, float]:
        """What it has taken."""
        return {
            (one.metric.name, frozenset(one.labels)): one.value
            for one in self.ingesting.readings()
            if isinstance(one, Sample)
        }

    def named(self, name: str) -> float | None:
        """The value of the one series of that name."""
        found = [value for (one, _), value in self.series().items() if one == name]
        return found[0] if len(found) == 1 else None


@contextmanager
def agent(style: Literal["none", "datadog"] = "none", tcp_port: int = 0) -> Iterator[Agent]:
    """One that takes StatsD on ports that are free, or on this one."""
    ingesting = Ingesting(max_series=1_000_000, style=style, keep_unmapped=True)
    listener = Listener((HERE, 0), (HERE, tcp_port), ingesting.mapper, ingesting.accounts)
    listener.start()
    try:
        yield Agent(ingesting, listener)
    finally:
        listener.stop()


def values(snapshot: Snapshot, deployment: str = "prod") -> dict[Series, float]:
    """The series of the page as `Agent.series` has them, by the names that each kind has in StatsD.

    The agent, an exporter of ours, keeps the label airflow to itself, and shows that of others as Prometheus does.
    """
    found: dict[Series, float] = {}
    for part in snapshot.readings:
        for reading in part:
            labels = frozenset(
                {("exported_airflow", deployment), *((label, value) for label, value in reading.labels if value)}
            )
            name = reading.metric.name
            match reading:
                case Sample(value=value):
                    found[name, labels] = value
                case Distribution(counts=counts, total=total):
                    now = "g" if reading.metric.kind == "gaugehistogram" else ""
                    found[f"{name}_{now}count", labels] = sum(counts)
                    found[f"{name}_{now}sum", labels] = total
                case Quantiles(values=quantiles, count=count, total=total):
                    for quantile, value in quantiles:
                        found[name, labels | {("quantile", str(quantile))}] = value
                    found[f"{name}_count", labels], found[f"{name}_sum", labels] = count, total
    return found
