"""Readings as the metrics of OpenTelemetry's SDK, and these as the requests of OTLP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import cast

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import DataPointFlags
from opentelemetry.sdk.metrics.export import (
    Gauge,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.utils import floatToGoString

from airflow_obs import __version__
from airflow_obs.exporter.board import Snapshot
from airflow_obs.exporter.foreign_exposition import as_go, sendable
from airflow_obs.exporter.push.otlp.series import Points, Present, Stream, cumulative_histogram, cumulative_sum
from airflow_obs.exporter.push.otlp.starts import Starts
from airflow_obs.model import Distribution, Kind, Quantiles, Reading, Sample

POINTS = 2_000
"""Of a request. A Collector takes 4 MiB over gRPC, and a point with five labels of 250 characters takes 1.5 kB."""
NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
"""Says of a point that its series has ended, which the SDK's points cannot."""
SCOPE = InstrumentationScope("airflow_obs", __version__)
_UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}
"""By what the name ends with, in UCUM. Of other names none is said: to a Collector, a gauge of unit 1 is a ratio."""

Labels = tuple[tuple[str, str], ...]
Attributes = dict[str, str]


class Requests:
    """Makes the requests of one snapshot after the other; it remembers since when each series counts, and which there were."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._starts = Starts()
        self._present = Present()

    def of(self, snapshot: Snapshot) -> Iterator[bytes]:
        """The snapshot as serialized requests of at most POINTS points each; to be gone through to the end."""
        moment = round(snapshot.made * 1e9)
        self._starts.next(moment)
        self._present.next()
        streams = _Conversion(snapshot.deployment, moment, self._starts).streams(snapshot.readings)
        for batch in _batches(map(self._present.seen, streams)):
            yield self._request(batch).SerializeToString()
        for batch in _batches(self._present.ended(moment)):
            request = self._request(batch)
            for metric in request.resource_metrics[0].scope_metrics[0].metrics:
                for point in getattr(metric, metric.WhichOneof("data") or "").data_points:
                    point.flags = NO_VALUE
            yield request.SerializeToString()

    def _request(self, metrics: Sequence[Metric]) -> ExportMetricsServiceRequest:
        scope = ScopeMetrics(SCOPE, metrics, schema_url="")
        return encode_metrics(MetricsData([ResourceMetrics(self._resource, [scope], schema_url="")]))


def _batches(streams: Iterable[tuple[Stream, Points]]) -> Iterator[Sequence[Metric]]:
    """Metrics of at most POINTS points together."""
    batch: list[Metric] = []
    room = POINTS
    for stream, points in streams:
        while points:
            batch.append(Metric(stream.name, stream.about, stream.unit, stream.data(points[:room])))
            points, room = points[room:], room - len(points[:room])
            if not room:
                yield batch
                batch, room = [], POINTS
    if batch:
        yield batch


class _Conversion:
    """Of one snapshot. `moment` in Unix nanoseconds."""

    def __init__(self, deployment: str, moment: int, starts: Starts) -> None:
        self._deployment = sendable(deployment)
        self._moment = moment
        self._starts = starts

    def streams(self, parts: Iterable[Sequence[Reading]]) -> Iterator[tuple[Stream, Points]]:
        """Every metric once, with its points: families are known by their names and kinds."""
        families: dict[tuple[str, Kind], list[Reading]] = {}
        for part in parts:
            for reading in part:
                families.setdefault((reading.metric.name, reading.metric.kind), []).append(reading)
        for (name, kind), readings in families.items():
            about = readings[0].metric.help
            samples = [one for one in readings if isinstance(one, Sample)]
            distributions = [one for one in readings if isinstance(one, Distribution)]
            quantiles = [one for one in readings if isinstance(one, Quantiles)]
            match kind:
                case Kind.GAUGE | Kind.INFO:
                    yield _gauges(name, about), [self._gauge(one, one.value) for one in samples]
                case Kind.COUNTER:
                    yield _sums(name, about), [self._count(name, one, one.value) for one in samples]
                case Kind.HISTOGRAM:
                    stream = Stream(name, about, cumulative_histogram, _unit(name), readings[0].metric.buckets)
                    yield stream, [self._histogram(one) for one in distributions]
                case Kind.GAUGE_HISTOGRAM:
                    yield from self._of_now(name, about, distributions)
                case Kind.SUMMARY:
                    yield from self._of_summary(name, about, quantiles)

    def _of_now(self, name: str, about: str, readings: Sequence[Distribution]) -> Iterator[tuple[Stream, Points]]:
        """A distribution that falls as well as it rises, which OTLP does not have: as in the Prometheus text format."""
        buckets = [
            self._gauge(one, count, le=floatToGoString(bound)) for one in readings for bound, count in one.cumulative()
        ]
        yield _gauges(f"{name}_bucket", about, ""), buckets
        yield _gauges(f"{name}_gcount", about, ""), [self._gauge(one, one.cumulative()[-1][1]) for one in readings]
        yield _gauges(f"{name}_gsum", about, _unit(name)), [self._gauge(one, one.total) for one in readings]

    def _of_summary(self, name: str, about: str, readings: Sequence[Quantiles]) -> Iterator[tuple[Stream, Points]]:
        """As in the Prometheus text format, since the SDK has no summaries."""
        values = [
            self._gauge(one, value, quantile=as_go(quantile)) for one in readings for quantile, value in one.values
        ]
        yield _gauges(name, about), values
        count, total = f"{name}_count", f"{name}_sum"
        yield _sums(count, about, ""), [self._count(count, one, one.count) for one in readings]
        yield _sums(total, about, _unit(name)), [self._count(total, one, one.total) for one in readings]

    def _gauge(self, reading: Reading, value: float, **more: str) -> NumberDataPoint:
        return NumberDataPoint(self._attributes(reading.labels) | more, self._moment, self._moment, value)

    def _count(self, name: str, reading: Reading, value: float) -> NumberDataPoint:
        start = self._starts.of(name, reading.labels, value)
        return NumberDataPoint(self._attributes(reading.labels), start, self._moment, value)

    def _histogram(self, reading: Distribution) -> HistogramDataPoint:
        # OTLP has whole numbers only, and a sampled timer of StatsD counts for a part: the running totals are what is rounded.
        running = [round(count) for count in accumulate(reading.counts)]
        counts = [upper - lower for lower, upper in pairwise([0, *running])]
        start = self._starts.of(reading.metric.name, reading.labels, running[-1])
        # The encoder leaves out what is None, though the type does not say so: the least and the greatest are not known.
        unknown = cast("float", None)
        return HistogramDataPoint(
            self._attributes(reading.labels), start, self._moment, running[-1], reading.total, counts,
            reading.metric.buckets, min=unknown, max=unknown,
        )  # fmt: skip

    def _attributes(self, labels: Labels) -> Attributes:
        return {"airflow": self._deployment} | {name: sendable(value) for name, value in labels}


def _unit(name: str) -> str:
    return _UNITS.get(name.removesuffix("_total").rpartition("_")[2], "")


def _gauges(name: str, about: str, unit: str | None = None) -> Stream:
    return Stream(name, about, Gauge, _unit(name) if unit is None else unit)


def _sums(name: str, about: str, unit: str | None = None) -> Stream:
    return Stream(name, about, cumulative_sum, _unit(name) if unit is None else unit)
