"""Reads an OTLP metrics request, protobuf or JSON, into points; what a point cannot be used for, it says."""

from __future__ import annotations

import json
import math
import zlib
from array import array
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Literal

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from airflow_obs.exporter.ingest.accounts import Reason, Refusal
from airflow_obs.exporter.ingest.otlp.distributions import Explicit, Exponential, exponential
from airflow_obs.exporter.ingest.otlp.points import Attributes, Gauge, Observations, Origin, Point, Sum, Value

MAX_BYTES = 8 * 1024 * 1024
"""Of a request, unpacked. A scheduler with 10,000 series sends about half of that."""
MAX_RATIO = 200
"""How many times as large as it is sent a body may be. Of what the SDKs send, gzip makes a tenth to a fiftieth."""
LEAST_UNPACKED = 65_536
"""Bytes that any body may be, unpacked."""
MAX_JSON_BYTES = 2 * 1024 * 1024
MAX_JSON_PARTS = 50_000
"""Objects, lists and commas: reading one takes microseconds, all the while nothing else can run. Airflow sends protobuf."""
MAX_POINTS = 100_000
"""Of a request, and likewise of metrics, scopes and resources: empty ones take 2 bytes each on the wire, and some hundred here."""
MAX_ALL_ATTRIBUTES = 500_000
"""Of all that is in a request."""
MAX_NAME = 1_000
MAX_ATTRIBUTES = 8_192
"""Characters of a name, and of all attributes of a point or a resource."""
MAX_BUCKETS = 1_000
"""Of a distribution; the SDKs make up to 160."""
MIN_SCALE, MAX_SCALE = -10, 20
MAX_WHY = 160
"""Characters of what somebody else's parser says."""

Body = Literal["protobuf", "json"]
_NO_VALUE = DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
_DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA

DataPoint = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class RequestRefused(Exception):
    """A request that cannot be read at all; the text is fit for its sender."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        self.refusal = refusal
        super().__init__(text)


@dataclass(frozen=True, slots=True)
class Request:
    """The points of a request, and how it was written, which is how the answer is to be."""

    points: Sequence[Point]
    body: Body


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body without its Content-Encoding: gzip, deflate, or none. Raises RequestRefused."""
    match encoding.strip().lower():
        case "" | "identity":
            unzipped = body
        case "gzip" | "deflate":
            unzipped = _inflated(body)
        case other:
            raise RequestRefused(Refusal.UNSUPPORTED, f"content encoding {other[:40]!r}: send gzip, deflate or none")
    if len(unzipped) > MAX_BYTES:
        raise _too_large(f"{MAX_BYTES} bytes")
    return unzipped


def decode(body: bytes) -> Request:
    """The points of a request; raises RequestRefused.

    The body itself shows how it is written, since some senders say one thing and send another: JSON begins with a brace, protobuf
    with the tag of its only field, which JSON would take for a line feed.
    """
    is_json = body[:1] != b"\n" and _is_brace(body)
    try:
        message = _of_json(body) if is_json else ExportMetricsServiceRequest.FromString(body)
    except DecodeError as error:
        if not _is_brace(body):
            raise RequestRefused(Refusal.MALFORMED, "no OTLP metrics request") from error
        message, is_json = _of_json(body), True
    _limit(message)
    return Request(list(_points(message)), "json" if is_json else "protobuf")


def _too_large(than: str) -> RequestRefused:
    return RequestRefused(Refusal.TOO_LARGE, f"more than {than}: send fewer metrics at a time")


def _is_brace(body: bytes) -> bool:
    return body.removeprefix(BOM_UTF8).lstrip()[:1] == b"{"


def _inflated(body: bytes) -> bytes:
    limit = min(MAX_BYTES, max(LEAST_UNPACKED, MAX_RATIO * len(body)))
    try:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as its head says
        unzipped = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise RequestRefused(Refusal.MALFORMED, "the body is not what its content encoding says") from error
    if len(unzipped) > limit:
        raise _too_large(f"{limit} bytes, unpacked")
    if not stream.eof or stream.unused_data:
        raise RequestRefused(Refusal.MALFORMED, "the compressed body is cut short, or has something behind it")
    return unzipped


def _of_json(body: bytes) -> ExportMetricsServiceRequest:
    if len(body) > MAX_JSON_BYTES or sum(map(body.count, (b"{", b"[", b","))) > MAX_JSON_PARTS:
        raise _too_large(f"{MAX_JSON_BYTES} bytes or {MAX_JSON_PARTS} values in JSON")
    body = body.removeprefix(BOM_UTF8)
    try:
        # Exemplars go: nobody reads them, and their ids are in hex, which protobuf's JSON is not.
        found = json.loads(body, object_hook=lambda fields: {k: v for k, v in fields.items() if k != "exemplars"})
        # Half a character, which only JSON can write, raises a SystemError there; here it is no UTF-8, and raises ValueError.
        json.dumps(found, ensure_ascii=False).encode()
        return json_format.ParseDict(found, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
    # What is not as protobuf has it shows in many ways, of which ParseError is one.
    except (json_format.ParseError, ValueError, TypeError, AttributeError, RecursionError) as error:
        why = str(error) or type(error).__name__
        raise RequestRefused(Refusal.MALFORMED, f"no OTLP metrics request in JSON: {_shortened(why)}") from error


def _shortened(why: str) -> str:
    """Such as fits a line: both ends, since one says where and the other what."""
    why = " ".join(why.encode(errors="replace").decode().split())
    return why if len(why) <= MAX_WHY else f"{why[: MAX_WHY // 2]} ... {why[-MAX_WHY // 2 :]}"


def _limit(message: ExportMetricsServiceRequest) -> None:
    """Raises RequestRefused if there is too much in it. Lists are counted before they are gone through."""
    resources = message.resource_metrics
    _at_most(MAX_POINTS, (resources,), "resources")
    _at_most(MAX_POINTS, (of.scope_metrics for of in resources), "scopes")
    scopes = [scope for of in resources for scope in of.scope_metrics]
    _at_most(MAX_POINTS, (scope.metrics for scope in scopes), "metrics")
    data = [_data(metric)[0] for scope in scopes for metric in scope.metrics]
    _at_most(MAX_POINTS, data, "data points")
    tagged = chain((of.resource for of in resources), chain.from_iterable(data))
    _at_most(MAX_ALL_ATTRIBUTES, (one.attributes for one in tagged), "attributes")


def _at_most(most: int, lists: Iterable[Sequence[object]], what: str) -> None:
    count = 0
    for one in lists:
        count += len(one)
        if count > most:
            raise _too_large(f"{most} {what}")


def _data(metric: Metric) -> tuple[Sequence[DataPoint], int | None, bool]:
    """The points of a metric, their temporality (None where there is none to say), and whether their sum only rises."""
    match metric.WhichOneof("data"):
        case "gauge":
            return metric.gauge.data_points, None, False
        case "sum":
            return metric.sum.data_points, metric.sum.aggregation_temporality, metric.sum.is_monotonic
        case "histogram":
            return metric.histogram.data_points, metric.histogram.aggregation_temporality, True
        case "exponential_histogram":
            of = metric.exponential_histogram
            return of.data_points, of.aggregation_temporality, True
        case "summary":
            return metric.summary.data_points, None, False
        case _:
            return (), None, False


def _points(message: ExportMetricsServiceRequest) -> Iterator[Point]:
    for of in message.resource_metrics:
        resource = _attributes(of.resource.attributes)
        for scope in of.scope_metrics:
            origin = Origin(resource or (), scope.scope.name[:MAX_NAME])
            for metric in scope.metrics:
                yield from _of_metric(origin, metric, None if resource is not None else Reason.TOO_LONG)


def _of_metric(origin: Origin, metric: Metric, wrong: Reason | None) -> Iterator[Point]:
    if len(metric.name) > MAX_NAME or len(metric.unit) > MAX_NAME:
        wrong = Reason.TOO_LONG
    elif not metric.name:
        wrong = Reason.EMPTY_NAME
    name, unit = metric.name[:MAX_NAME], metric.unit[:MAX_NAME]
    points, temporality, monotonic = _data(metric)
    for point in points:
        attributes = _attributes(point.attributes)
        yield Point(
            origin, name, unit, attributes or (), point.start_time_unix_nano, point.time_unix_nano,
            wrong or (Reason.TOO_LONG if attributes is None else _value(point, temporality, monotonic)),
        )  # fmt: skip


def _value(point: DataPoint, temporality: int | None, monotonic: bool) -> Value | Reason | None:
    if point.flags & _NO_VALUE:
        return None
    if isinstance(point, SummaryDataPoint):
        return Reason.SUMMARY
    if not point.time_unix_nano:
        return Reason.NO_TIME
    if isinstance(point, NumberDataPoint):
        return _number(point, temporality, monotonic)
    if temporality not in (_CUMULATIVE, _DELTA):
        return Reason.BAD_TEMPORALITY
    distribution = _explicit(point) if isinstance(point, HistogramDataPoint) else _exponential(point)
    return distribution if isinstance(distribution, Reason) else Observations(distribution, temporality == _DELTA)


def _number(point: NumberDataPoint, temporality: int | None, monotonic: bool) -> Value | Reason:
    kind = point.WhichOneof("value")
    number = float(point.as_int) if kind == "as_int" else point.as_double
    if kind is None or not math.isfinite(number):
        return Reason.NO_NUMBER
    if temporality is None:
        return Gauge(number)
    if temporality not in (_CUMULATIVE, _DELTA):
        return Reason.BAD_TEMPORALITY
    return Reason.NEGATIVE_COUNT if monotonic and number < 0 else Sum(number, monotonic, temporality == _DELTA)


def _explicit(point: HistogramDataPoint) -> Explicit | Reason:
    if len(point.bucket_counts) > MAX_BUCKETS or len(point.explicit_bounds) > MAX_BUCKETS:
        return Reason.BAD_BUCKETS
    bounds, counts = tuple(point.explicit_bounds), array("d", point.bucket_counts)
    if not bounds and not counts:
        counts.append(point.count)
    if (
        len(counts) != len(bounds) + 1
        or not all(map(math.isfinite, bounds))
        or any(lower >= upper for lower, upper in pairwise(bounds))
        or sum(point.bucket_counts or (point.count,)) != point.count
    ):
        return Reason.BAD_BUCKETS
    total = point.sum if point.HasField("sum") else None
    return Explicit(bounds, counts, total) if total is None or math.isfinite(total) else Reason.NO_NUMBER


def _exponential(point: ExponentialHistogramDataPoint) -> Exponential | Reason:
    if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > MAX_BUCKETS:
        return Reason.BAD_BUCKETS
    # Lists, since going through the message again for each count would take most of the time.
    positive, negative = list(point.positive.bucket_counts), list(point.negative.bucket_counts)
    low = point.zero_count + sum(negative)
    if not MIN_SCALE <= point.scale <= MAX_SCALE or low + sum(positive) != point.count:
        return Reason.BAD_BUCKETS
    total = point.sum if point.HasField("sum") else None
    if total is not None and not math.isfinite(total):
        return Reason.NO_NUMBER
    return exponential(point.scale, low, enumerate(positive, point.positive.offset), total)


def _attributes(given: Iterable[KeyValue]) -> Attributes | None:
    """The attributes as text, of one name the last; None if they are too long."""
    found = {one.key: _text(one.value) for one in given}
    return tuple(sorted(found.items())) if sum(len(k) + len(v) for k, v in found.items()) <= MAX_ATTRIBUTES else None


def _text(value: AnyValue) -> str:
    match value.WhichOneof("value"):
        case "string_value":
            return str(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return repr(value.double_value)
        case None:
            return ""
        case _:
            # A list, or what else has parts: nobody reads it, it only tells streams apart, and as text it would take seconds.
            return value.SerializeToString(deterministic=True).hex()
