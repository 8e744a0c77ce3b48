"""OTLP requests are read whatever they are: as points, as points that say what is wrong with them, or not at all."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from contextlib import suppress

import pytest
from google.protobuf import json_format
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from airflow_obs.exporter.ingest.accounts import Reason, Refusal
from airflow_obs.exporter.ingest.otlp.decode import (
    LEAST_UNPACKED,
    MAX_ALL_ATTRIBUTES,
    MAX_ATTRIBUTES,
    MAX_BUCKETS,
    MAX_BYTES,
    MAX_JSON_BYTES,
    MAX_JSON_PARTS,
    MAX_NAME,
    MAX_POINTS,
    MAX_RATIO,
    MAX_WHY,
    RequestRefused,
    decode,
    unpacked,
)
from airflow_obs.exporter.ingest.otlp.points import Gauge, Observations, Point, Sum
from tests.exporter.ingest.otlp_requests import (
    CUMULATIVE,
    DELTA,
    EPOCH,
    SCOPE_3,
    SECOND,
    exponential,
    gauge,
    points,
    request,
    sender,
    total,
)


def only(metric: pb.Metric) -> Point:
    (point,) = points(metric)
    return point


def test_points_say_who_says_what_and_when() -> None:
    point = only(total("ti.start", 3, 60, start=5, temporality=DELTA, task_id="t", dag_id="d"))
    assert (point.name, point.unit) == ("airflow.ti.start", "")
    assert point.attributes == (("dag_id", "d"), ("task_id", "t"))
    assert (point.start, point.time) == ((EPOCH + 5) * SECOND, (EPOCH + 60) * SECOND)
    assert point.value == Sum(3.0, monotonic=True, delta=True)
    assert (point.origin.resource, point.origin.scope) == ((("service.name", "airflow"),), SCOPE_3)


def test_json_says_the_same_as_protobuf() -> None:
    with sender(**{"service.name": "airflow"}) as airflow:
        airflow.meter.create_counter("airflow.a").add(3, {"n": 2, "yes": True, "ratio": 0.5, "list": ("a", "b")})
        airflow.meter.create_gauge("airflow.b").set(1.5)
        airflow.meter.create_histogram("airflow.c", unit="ms").record(0.0)
        sent = airflow.collected()
    of_protobuf = decode(sent.SerializeToString())
    written = json_format.MessageToDict(sent)
    for body in (
        json.dumps(written),
        "\n " + json.dumps(written),
        json_format.MessageToJson(sent, use_integers_for_enums=True),
    ):
        of_json = decode(body.encode())
        assert of_json.body == "json"
        assert of_json.points == of_protobuf.points
    assert of_protobuf.body == "protobuf"
    assert dict(of_protobuf.points[0].attributes) == {
        "list": AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=one) for one in "ab"]))
        .SerializeToString()
        .hex(),
        "n": "2",
        "ratio": "0.5",
        "yes": "true",
    }


def test_json_may_have_hexadecimal_ids_and_fields_unheard_of() -> None:
    body = {
        "resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "a", "novelty": 1, "sum": {
            "aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [{
                "timeUnixNano": "5", "asInt": "7",
                "exemplars": [{"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}],
            }],
        }}]}]}],
    }  # fmt: skip
    (point,) = decode(json.dumps(body).encode()).points
    assert point.value == Sum(7.0, monotonic=True, delta=False)


def test_empty_request_is_one() -> None:
    assert decode(b"").points == decode(b"{}").points == []


@pytest.mark.parametrize(
    "body", [b"\xff", b"\n\xff", b"{", b"{]", b'{"resourceMetrics": 3}', b'{"resourceMetrics": [null]}', b"[" * 9, b"{" * 10_000,
             b'{"a":' * 10_000, b"[]", b'\n{"resourceMetrics": [{"scopeMetrics": 1}]}']
)  # fmt: skip
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefused) as caught:
        decode(body)
    assert caught.value.refusal is Refusal.MALFORMED


NAN, INF = math.nan, math.inf


def histogram(
    bounds: list[float],
    counts: list[int],
    count: int,
    total: float = 1.0,
    temporality: int = CUMULATIVE,
) -> pb.Metric:
    point = pb.HistogramDataPoint(
        explicit_bounds=bounds, bucket_counts=counts, count=count, sum=total, time_unix_nano=1
    )
    return pb.Metric(
        name="x",
        histogram=pb.Histogram(
            data_points=[point], aggregation_temporality=pb.AggregationTemporality.ValueType(temporality)
        ),
    )


def broken(metric: pb.Metric, **changes: int) -> pb.Metric:
    for name, value in changes.items():
        setattr(metric.exponential_histogram.data_points[0], name, value)
    return metric


def timeless(metric: pb.Metric) -> pb.Metric:
    metric.gauge.data_points[0].time_unix_nano = 0
    return metric


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (gauge("x", NAN), Reason.NO_NUMBER),
        (gauge("x", -INF), Reason.NO_NUMBER),
        (pb.Metric(name="x", gauge=pb.Gauge(data_points=[pb.NumberDataPoint(time_unix_nano=1)])), Reason.NO_NUMBER),
        (timeless(gauge("x", 1)), Reason.NO_TIME),
        (total("x", -1, 5), Reason.NEGATIVE_COUNT),
        (total("x", 1, 5, temporality=0), Reason.BAD_TEMPORALITY),
        (total("x", 1, 5, temporality=77), Reason.BAD_TEMPORALITY),
        (histogram([1.0], [1, 1], 2, temporality=0), Reason.BAD_TEMPORALITY),
        (histogram([1.0], [1], 1), Reason.BAD_BUCKETS),
        (histogram([1.0], [1, 1], 3), Reason.BAD_BUCKETS),
        (histogram([2.0, 1.0], [1, 1, 1], 3), Reason.BAD_BUCKETS),
        (histogram([1.0, 1.0], [1, 1, 1], 3), Reason.BAD_BUCKETS),
        (histogram([NAN], [1, 1], 2), Reason.BAD_BUCKETS),
        (histogram([1.0], [1, 1], 2, NAN), Reason.NO_NUMBER),
        (histogram([float(n) for n in range(MAX_BUCKETS)], [0] * (MAX_BUCKETS + 1), 0), Reason.BAD_BUCKETS),
        (broken(exponential("x", {0: 1}, 1.0, 5), count=2), Reason.BAD_BUCKETS),
        (broken(exponential("x", {0: 1}, 1.0, 5), scale=21), Reason.BAD_BUCKETS),
        (broken(exponential("x", {0: 1}, 1.0, 5), scale=-(2**31)), Reason.BAD_BUCKETS),
        (exponential("x", {0: 1, MAX_BUCKETS: 1}, 1.0, 5), Reason.BAD_BUCKETS),
        (exponential("x", {0: 1}, INF, 5), Reason.NO_NUMBER),
        (pb.Metric(name="x", summary=pb.Summary(data_points=[pb.SummaryDataPoint(time_unix_nano=1)])), Reason.SUMMARY),
        (pb.Metric(gauge=gauge("", 1).gauge), Reason.EMPTY_NAME),
        (gauge("x" * MAX_NAME, 1), Reason.TOO_LONG),
        (pb.Metric(name="x", unit="x" * (MAX_NAME + 1), gauge=gauge("", 1).gauge), Reason.TOO_LONG),
        (gauge("x", 1, tag="x" * MAX_ATTRIBUTES), Reason.TOO_LONG),
    ],
)
def test_point_that_cannot_be_used_says_why(metric: pb.Metric, reason: Reason) -> None:
    assert only(metric).value is reason


def test_resource_that_is_too_long_spoils_its_points() -> None:
    (point,) = points(gauge("x", 1), resource={"service.name": "x" * MAX_ATTRIBUTES})
    assert point.value is Reason.TOO_LONG


def test_point_without_value_has_ended() -> None:
    metric = gauge("x", 1)
    metric.gauge.data_points[0].flags = 1
    assert only(metric).value is None


def test_negative_observations_are_among_the_low() -> None:
    metric = exponential("x", {3: 2}, 5.0, 5)
    of = metric.exponential_histogram.data_points[0]
    of.negative.bucket_counts.extend([1, 2])
    of.zero_count, of.count = 4, 9
    value = only(metric).value
    assert isinstance(value, Observations)
    assert list(value.distribution.values()) == [(0.0, 7), (pytest.approx(2**3.5), 2)]


def test_nested_attributes_have_an_end() -> None:
    value = AnyValue(string_value="x")
    for _ in range(45):
        value = AnyValue(array_value=ArrayValue(values=[value]))
    deep = gauge("x", 1)
    deep.gauge.data_points[0].attributes.append(KeyValue(key="deep", value=value))
    assert only(deep).value == Gauge(1.0)
    deeper: object = {"stringValue": "x"}
    for _ in range(60):
        deeper = {"arrayValue": {"values": [deeper]}}
    body = {"resourceMetrics": [{"resource": {"attributes": [{"key": "deeper", "value": deeper}]}}]}
    with pytest.raises(RequestRefused):
        decode(json.dumps(body).encode())


@pytest.mark.parametrize("packed", [gzip.compress(b"body", mtime=0), zlib.compress(b"body")])
def test_compressed_bodies_are_unpacked(packed: bytes) -> None:
    assert unpacked(packed, "gzip") == unpacked(packed, " Deflate ") == b"body"
    assert unpacked(b"body", "identity") == unpacked(b"body", "") == b"body"


@pytest.mark.parametrize(
    ("body", "encoding", "refusal"),
    [
        (gzip.compress(bytes(MAX_BYTES + 1)), "gzip", Refusal.TOO_LARGE),
        (gzip.compress(b"body", mtime=0), "br", Refusal.UNSUPPORTED),
        (bytes(MAX_BYTES + 1), "", Refusal.TOO_LARGE),
        (gzip.compress(b"body", mtime=0)[:-1], "gzip", Refusal.MALFORMED),
        (gzip.compress(b"body", mtime=0) + b"more", "gzip", Refusal.MALFORMED),
        (b"body", "gzip", Refusal.MALFORMED),
        (b"", "gzip", Refusal.MALFORMED),
    ],
)
def test_bodies_that_cannot_be_unpacked_are_refused(body: bytes, encoding: str, refusal: Refusal) -> None:
    with pytest.raises(RequestRefused) as caught:
        unpacked(body, encoding)
    assert caught.value.refusal is refusal


def holding(field: int, inner: bytes) -> bytes:
    """A protobuf message with this field of bytes."""
    size, written = len(inner), b""
    while size > 127:
        size, written = size >> 7, written + bytes([size & 127 | 128])
    return bytes([field << 3 | 2]) + written + bytes([size]) + inner


MANY = b"\n\0" * (MAX_POINTS + 1)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (MANY, "resources"),
        (holding(1, MANY.replace(b"\n", b"\x12")), "scopes"),
        (holding(1, holding(2, MANY.replace(b"\n", b"\x12"))), "metrics"),
        (holding(1, holding(1, b"\n\0" * (MAX_ALL_ATTRIBUTES + 1))), "attributes"),
        (holding(1, holding(2, holding(2, holding(5, holding(1, holding(7, b"") * 1_000) * 501)))), "attributes"),
        (b'{"x": [' + b"[]," * MAX_JSON_PARTS + b"[]]}", "in JSON"),
        (b'{"resourceMetrics": [' + b"{}," * MAX_JSON_PARTS + b"{}]}", "in JSON"),
        (b'\xef\xbb\xbf{"x": "' + b" " * MAX_JSON_BYTES + b'"}', "in JSON"),
    ],
)
def test_more_parts_than_can_be_read_in_no_time_are_refused_unread(body: bytes, what: str) -> None:
    """Of each as many as the limit on bytes lets through would take the better part of a minute."""
    assert len(body) < MAX_BYTES
    with pytest.raises(RequestRefused, match=what) as caught:
        decode(body)
    assert caught.value.refusal is Refusal.TOO_LARGE


def test_body_that_unpacks_to_far_more_than_was_sent_is_refused() -> None:
    packed = gzip.compress(MANY)
    assert len(MANY) > MAX_RATIO * len(packed)
    with pytest.raises(RequestRefused, match="unpacked") as caught:
        unpacked(packed, "gzip")
    assert caught.value.refusal is Refusal.TOO_LARGE
    little = bytes(LEAST_UNPACKED)
    assert unpacked(gzip.compress(little), "gzip") == little


def test_json_may_begin_with_a_mark() -> None:
    assert decode(b"\xef\xbb\xbf" + json_format.MessageToJson(request(gauge("x", 1))).encode()).body == "json"


def test_what_is_wrong_in_json_is_said_in_a_line() -> None:
    with pytest.raises(RequestRefused, match=r"in JSON: .*resourceMetrics") as caught:
        decode(b'{"resourceMetrics": 3}')
    assert "\n" not in str(caught.value)
    with pytest.raises(RequestRefused, match=r"line 1 column 16") as caught:
        decode(b'{"a": 1, "b": 2')
    with pytest.raises(RequestRefused) as caught:
        decode(json.dumps({"resourceMetrics": "x" * 10_000}).encode())
    assert len(str(caught.value)) < MAX_WHY + 50


def test_points_beyond_number_are_refused() -> None:
    metric = pb.Metric(name="x", gauge=pb.Gauge(data_points=[pb.NumberDataPoint()] * (MAX_POINTS + 1)))
    with pytest.raises(RequestRefused, match="data points") as caught:
        points(metric)
    assert caught.value.refusal is Refusal.TOO_LARGE


@settings(max_examples=250)
@given(st.binary(max_size=300))
@example(request(gauge("x", 1)).SerializeToString())
def test_any_bytes_are_points_or_refused(body: bytes) -> None:
    with suppress(RequestRefused):
        decode(unpacked(body, ""))


@settings(max_examples=200)
@given(st.data())
def test_request_with_flipped_bytes_is_points_or_refused(data: st.DataObject) -> None:
    sent = request(
        total("a", 1, 5, dag_id="d"), exponential("b", {3: 1, 9: 4}, 50.0, 5), gauge("c", 2.5, pool_name="p")
    )
    body = bytearray(sent.SerializeToString() if data.draw(st.booleans()) else json_format.MessageToJson(sent).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(body))
    except RequestRefused:
        return
    assert all(
        point.value is None or isinstance(point.value, Reason | Gauge | Sum | Observations) for point in found.points
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["NaN", "1", "-1", "AGGREGATION_TEMPORALITY_DELTA", "18446744073709551616", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["resourceMetrics", "scopeMetrics", "metrics", "resource", "scope", "attributes", "key", "value", "stringValue",
             "name", "unit", "gauge", "sum", "histogram", "exponentialHistogram", "summary", "dataPoints", "asInt", "asDouble",
             "timeUnixNano", "startTimeUnixNano", "aggregationTemporality", "isMonotonic", "positive", "bucketCounts", "scale",
             "exemplars", "bytesValue", "kvlistValue"]
        ),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=250)
@given(JSON, JSON)
def test_any_json_is_points_or_refused(of_metric: object, of_point: object) -> None:
    whole = {
        "resourceMetrics": [
            {"scopeMetrics": [{"metrics": [of_metric, {"name": "x", "gauge": {"dataPoints": [of_point]}}]}]}
        ]
    }
    for body in (of_metric, whole):
        try:
            assert decode(json.dumps(body).encode()).body in {"json", "protobuf"}
        except RequestRefused:
            continue
