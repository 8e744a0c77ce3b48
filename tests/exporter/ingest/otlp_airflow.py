"""Processes of an Airflow that send over OTLP, and what is shown of them."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.otlp.mapper import OtlpMapper
from airflow_obs.exporter.ingest.otlp.streams import Streams
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Distribution, Metric, Sample
from airflow_obs.policy.dags import DagsPolicy
from tests.exporter.ingest.clock import Clock
from tests.exporter.ingest.otlp_requests import SCOPE_3, points


class Airflow:
    """A mapper, at minute 2 of an exporter, to which processes send."""

    def __init__(
        self, release: tuple[int, int] | None = None, dags: DagsPolicy | None = None, most: int = 1_000
    ) -> None:
        self.clock = Clock(0.0)
        self.store = Store(max_series=most, max_total=10_000, ttl=600, clock=self.clock)
        streams = Streams(clock=self.clock)
        self.mapper = OtlpMapper(
            self.store, prefix="airflow", release=lambda: release, dags=dags or DagsPolicy(), streams=streams, clock=self.clock,
        )  # fmt: skip
        self.clock.now = 120.0

    def sends(self, *metrics: pb.Metric, scope: str = SCOPE_3, **resource: str) -> dict[Reason | None, int]:
        """What became of the points of one process's request."""
        return dict(self.mapper.take(points(*metrics, scope=scope, resource=resource)))

    def shows(self, metric: Metric) -> dict[Mapping[str, str] | str, float]:
        """The family's values by their labels, joined by spaces; of a distribution, the sum."""
        return {
            " ".join(value for _, value in one.labels): one.value if isinstance(one, Sample) else one.total
            for one in self.store.readings()
            if one.metric == metric and isinstance(one, Sample | Distribution)
        }

    def observed(self, metric: Metric) -> dict[float, float]:
        """Observations by the upper bound of their bucket, of the family's only series; without the empty ones."""
        (one,) = (one for one in self.store.readings() if one.metric == metric)
        assert isinstance(one, Distribution)
        bounds = (*metric.buckets, float("inf"))
        return {bound: count for bound, count in zip(bounds, one.counts, strict=True) if count}
