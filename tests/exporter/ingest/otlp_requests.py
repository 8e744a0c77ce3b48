"""OTLP requests as Airflow's processes send them, written by hand or by the real SDK."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import Meter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource as SdkResource

from airflow_obs.exporter.ingest.otlp.decode import decode
from airflow_obs.exporter.ingest.otlp.points import Point

SCOPE_2 = "airflow.metrics.otel_logger"
"""Of 2.6 to 3.1."""
SCOPE_3 = "airflow._shared.observability.metrics.otel_logger"
"""Of 3.2 and later."""
CUMULATIVE = pb.AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = pb.AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
SECOND = 1_000_000_000
EPOCH = 1_790_000_000
"""Unix seconds at which the clock of a test's senders stands when ours is at 0."""


def moment(seconds: float) -> int:
    """Unix nanoseconds of the senders, `seconds` after the test began."""
    return round((EPOCH + seconds) * SECOND)


def attributes(given: Mapping[str, str]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in given.items()]


def total(
    name: str, value: float, time: float, start: float | None = 0.0, *, monotonic: bool = True, temporality: int = CUMULATIVE,
    **tags: str,
) -> pb.Metric:  # fmt: skip
    """A counter (of which `start` may be unknown)."""
    point = pb.NumberDataPoint(
        attributes=attributes(tags),
        start_time_unix_nano=0 if start is None else moment(start),
        time_unix_nano=moment(time),
        as_double=value,
    )
    of = pb.Sum(
        data_points=[point],
        is_monotonic=monotonic,
        aggregation_temporality=pb.AggregationTemporality.ValueType(temporality),
    )
    return pb.Metric(name=f"airflow.{name}", sum=of)


def gauge(name: str, value: float, time: float = 0.0, **tags: str) -> pb.Metric:
    point = pb.NumberDataPoint(attributes=attributes(tags), time_unix_nano=moment(time), as_double=value)
    return pb.Metric(name=f"airflow.{name}", gauge=pb.Gauge(data_points=[point]))


def exponential(
    name: str, buckets: Mapping[int, int], total: float, time: float, *, scale: int = 0, unit: str = "ms", **tags: str
) -> pb.Metric:
    """A cumulative histogram that started at 0."""
    first, last = min(buckets), max(buckets)
    point = pb.ExponentialHistogramDataPoint(
        attributes=attributes(tags), start_time_unix_nano=moment(0), time_unix_nano=moment(time),
        scale=scale, count=sum(buckets.values()), sum=total,
        positive=pb.ExponentialHistogramDataPoint.Buckets(
            offset=first, bucket_counts=[buckets.get(index, 0) for index in range(first, last + 1)]
        ),
    )  # fmt: skip
    of = pb.ExponentialHistogram(data_points=[point], aggregation_temporality=CUMULATIVE)
    return pb.Metric(name=f"airflow.{name}", unit=unit, exponential_histogram=of)


def tagged(metric: pb.Metric, tags: Mapping[str, str]) -> pb.Metric:
    """The metric with these attributes more, whatever they are called."""
    for of in (metric.sum, metric.gauge, metric.exponential_histogram):
        for point in of.data_points:
            point.attributes.extend(attributes(tags))
    return metric


def request(
    *metrics: pb.Metric, scope: str = SCOPE_3, resource: Mapping[str, str] | None = None
) -> ExportMetricsServiceRequest:
    """What one process sends; those of 3.2 and later have a resource of their own, those before share one on a host."""
    given = {"service.name": "airflow"} if resource is None else resource
    scoped = pb.ScopeMetrics(scope=InstrumentationScope(name=scope), metrics=metrics)
    of = pb.ResourceMetrics(resource=Resource(attributes=attributes(given)), scope_metrics=[scoped])
    return ExportMetricsServiceRequest(resource_metrics=[of])


def points(*metrics: pb.Metric, scope: str = SCOPE_3, resource: Mapping[str, str] | None = None) -> Sequence[Point]:
    return decode(request(*metrics, scope=scope, resource=resource).SerializeToString()).points


class Sender:
    """A process with the real SDK, whose timers are exponential histograms as in 3.3; `collected` is what it would send now."""

    def __init__(self, reader: InMemoryMetricReader, meter: Meter) -> None:
        self._reader = reader
        self.meter = meter

    def collected(self) -> ExportMetricsServiceRequest:
        data = self._reader.get_metrics_data()
        return encode_metrics(data) if data else ExportMetricsServiceRequest()


@contextmanager
def sender(scope: str = SCOPE_3, **resource: str) -> Iterator[Sender]:
    reader = InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})
    provider = MeterProvider([reader], SdkResource(resource), shutdown_on_exit=False)
    try:
        yield Sender(reader, provider.get_meter(scope))
    finally:
        provider.shutdown()
