"""Series that end, as OTLP says so: a point without a value, once."""

from __future__ import annotations

from itertools import chain
from math import inf

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from airflow_obs.exporter.ingest.otlp.decode import decode
from airflow_obs.exporter.ingest.otlp.points import Gauge
from airflow_obs.exporter.push.otlp import data
from airflow_obs.exporter.push.otlp.data import NO_VALUE, Requests
from airflow_obs.model import Quantiles, Reading
from tests.exporter.push.otlp_collector import MOMENT, Protocol, collecting, series_on, snapshot
from tests.exporter.push.test_otlp_data import COUNTER, GAUGE, HISTOGRAM, INFO, OF_NOW, SUMMARY, requests
from tests.exporter.push.test_otlp_sending import otlp, protocol

__all__ = ["protocol"]


def of_each_kind(place: str) -> list[Reading]:
    return [
        GAUGE.sample(1, place=place),
        COUNTER.sample(2, place=place),
        INFO.sample(1, colour=place),
        HISTOGRAM.distribution([1, 2, 3, 0], 4.5, place=place),
        OF_NOW.distribution([1, 2, 3], 4.5, place=place),
        Quantiles(SUMMARY, (("place", place),), ((0.5, 1.0), (1.0, inf)), 7, 9),
    ]


def metrics(made: Requests, minute: int, *readings: Reading) -> list[pb.Metric]:
    bodies = [*made.of(snapshot(*readings, after=60 * minute))]
    return [
        metric
        for body in bodies
        for metric in ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    ]


def points(metric: pb.Metric) -> list[pb.NumberDataPoint | pb.HistogramDataPoint]:
    return [*metric.gauge.data_points, *metric.sum.data_points, *metric.histogram.data_points]


def series(of: list[pb.Metric], *, ended: bool) -> set[tuple[str, str, tuple[tuple[str, str], ...]]]:
    """Name, kind and attributes of the points that say so, or do not."""
    return {
        (
            one.name,
            str(one.WhichOneof("data")),
            tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes)),
        )
        for one in of
        for point in points(one)
        if point.flags == (NO_VALUE if ended else 0)
    }


def test_series_of_every_kind_that_ended_is_said_to_have_once() -> None:
    made = requests()
    both = metrics(made, 0, *of_each_kind("here"), *of_each_kind("there"))
    assert not series(both, ended=True)
    left = metrics(made, 1, *of_each_kind("here"))
    assert series(left, ended=True) == series(both, ended=False) - series(left, ended=False) != set()
    ended = [point for one in left for point in points(one) if point.flags]
    assert {point.time_unix_nano for point in ended} == {round((MOMENT + 60) * 1e9)}
    (histogram,) = (p for one in left if one.name == HISTOGRAM.name for p in one.histogram.data_points if p.flags)
    assert list(histogram.explicit_bounds) == list(HISTOGRAM.buckets)  # each is a series of its own to Prometheus
    assert not series(metrics(made, 2, *of_each_kind("here")), ended=True)


def test_series_that_comes_again_is_as_any_other() -> None:
    made = requests()
    first = metrics(made, 0, *of_each_kind("here"))
    assert series(metrics(made, 1), ended=True) == series(first, ended=False)
    again = metrics(made, 2, *of_each_kind("here"))
    assert series(again, ended=False) == series(first, ended=False)
    assert not series(again, ended=True)


def test_only_series_of_the_newest_snapshot_are_remembered() -> None:
    made = requests()
    for minute in range(50):
        metrics(made, minute, GAUGE.sample(1, place=f"{minute}"))
    assert sum(len(known) for _, known in chain(made._present._now.values(), made._present._before.values())) == 1


def test_many_that_ended_are_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "POINTS", 7)
    made = requests()
    metrics(made, 0, *(GAUGE.sample(n, place=str(n)) for n in range(20)))
    bodies = [*made.of(snapshot(after=60))]
    assert [len(decode(body).points) for body in bodies] == [7, 7, 6]


def test_each_is_a_metric_of_its_own() -> None:
    """A Collector's Prometheus exporter leaves a metric at the first point without a value."""
    made = requests()
    metrics(made, 0, *(reading for n in range(5) for reading in of_each_kind(str(n))))
    ended = metrics(made, 1)
    assert len(ended) > 5
    assert {len(points(one)) for one in ended} == {1}


def test_receiver_that_reads_them_shows_them_no_more(protocol: Protocol) -> None:
    with collecting(protocol) as collector:
        sending = otlp(collector)
        sending.send(snapshot(GAUGE.sample(1, place="here"), GAUGE.sample(1, place="there")))
        now = snapshot(GAUGE.sample(2, place="here"), after=60)
        sending.send(now)
    kept: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for request in collector.requests:
        for point in request.points:
            key = point.name, frozenset(point.attributes)
            if isinstance(point.value, Gauge):
                kept[key] = point.value.value
            else:
                assert point.value is None
                del kept[key]
    assert kept == series_on(now.text.decode())
