"""A mapper with its store and accounts, and what they say after lines were taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts
from airflow_obs.exporter.ingest.foreign.mapping import Mapping
from airflow_obs.exporter.ingest.statsd.mapper import Mapper
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Distribution, Metric, Reading, Sample
from airflow_obs.policy.dags import DagsPolicy
from tests.exporter.ingest.clock import Clock


class Ingesting:
    """Arguments as those of `Store` and `Mapper`; both clocks stand still."""

    def __init__(
        self,
        *,
        max_series: int = 10_000,
        ttl: float = 0,
        prefix: str = "airflow",
        style: Literal["auto", "none", "influxdb", "datadog"] = "auto",
        release: Callable[[], tuple[int, int] | None] = lambda: None,
        dags: DagsPolicy | None = None,
        mapping: Mapping | None = None,
        keep_unmapped: bool = False,
    ) -> None:
        self.clock, self.wall = Clock(), Clock()
        self.accounts = Accounts(self.wall)
        self.store = Store(max_series, 100_000, ttl, self.clock)
        self.mapper = Mapper(
            self.store, self.accounts, prefix=prefix, style=style, release=release, dags=dags,
            mapping=mapping, keep_unmapped=keep_unmapped, clock=self.clock, wall=self.wall,
        )  # fmt: skip

    def take(self, *lines: bytes) -> None:
        """Each in a packet of its own."""
        self.mapper.take(lines)

    def readings(self) -> list[Reading]:
        """All that is kept."""
        return self.store.readings()

    def named(self, name: str) -> dict[tuple[str, ...], float]:
        """Values of the samples of a family, by the values of their labels."""
        return {
            tuple(value for _, value in reading.labels): reading.value
            for reading in self.readings()
            if isinstance(reading, Sample) and reading.metric.name == name
        }

    def values(self, metric: Metric) -> dict[tuple[str, ...], float]:
        """As `named`."""
        return self.named(metric.name)

    def total(self, metric: Metric) -> float:
        """The sum of all that was observed."""
        return sum(r.total for r in self.readings() if isinstance(r, Distribution) and r.metric is metric)

    def outcomes(self) -> dict[str, float]:
        """Samples by outcome, as far as there are any."""
        return {
            dict(reading.labels)["outcome"]: reading.value
            for reading in self.accounts.readings()
            if isinstance(reading, Sample) and reading.metric is metrics.INGEST_SAMPLES and reading.value
        }

    def refused(self) -> dict[str, float]:
        """Samples by reason."""
        return {
            dict(reading.labels)["reason"]: reading.value
            for reading in self.accounts.readings()
            if isinstance(reading, Sample) and reading.metric is metrics.INGEST_REFUSED
        }
