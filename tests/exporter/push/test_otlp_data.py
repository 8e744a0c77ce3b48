"""Readings as OTLP: read back by our own ingest, they are what the page shows."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.sdk.resources import Resource

from airflow_obs.exporter.board import Board, Snapshot
from airflow_obs.exporter.ingest.otlp.decode import decode
from airflow_obs.exporter.push.otlp import data
from airflow_obs.exporter.push.otlp.data import Requests
from airflow_obs.exporter.scrape import Run
from airflow_obs.model import Distribution, Foreign, Kind, Metric, Quantiles, Reading, Sample
from airflow_obs.sources.discovery import AirflowSettings
from tests.airflow_database import Templates
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.collectors.collected import collector, everything
from tests.exporter.fakes import gives, job
from tests.exporter.push.otlp_collector import MOMENT, Series, series_of, series_on, snapshot
from tests.exporter.test_exposition import ODD, UNSENDABLE
from tests.exporter.test_foreign_exposition import ALL
from tests.exporter.test_foreign_exposition import COUNTER as FOREIGN_COUNTER
from tests.test_meta import A_BUSY_BROKER, A_FLEET, a_busy_airflow

GAUGE = Metric("airflow_obs_waiting_seconds", Kind.GAUGE, "How long.", "test", ("place",))
COUNTER = Metric("airflow_obs_read_bytes_total", Kind.COUNTER, "How much.", "test", ("place",))
INFO = Metric("airflow_obs_house_info", Kind.INFO, "What it is.", "test", ("colour",))
HISTOGRAM = Metric(
    "airflow_obs_took_seconds", Kind.HISTOGRAM, "How long.", "test", ("place",), buckets=(0.5, 1.0, 60.0)
)
OF_NOW = Metric("airflow_obs_age_seconds", Kind.GAUGE_HISTOGRAM, "How old.", "test", ("place",), buckets=(0.5, 1.0))
SUMMARY = Foreign("airflow_task_duration", Kind.SUMMARY, "Tasks.", quantiles=(0.5, 1.0))


def requests() -> Requests:
    return Requests(Resource({"service.name": "airflow-obs"}))


def read_back(of: Snapshot) -> Series:
    return series_of(point for body in requests().of(of) for point in decode(body).points)


def metrics(of: Snapshot, made: Requests | None = None) -> dict[str, pb.Metric]:
    """By name, each of which must be there once, but for those of series that have ended."""
    found = [
        metric
        for body in (made or requests()).of(of)
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if not (metric.gauge.data_points or metric.sum.data_points or metric.histogram.data_points)[0].flags
    ]
    named = {metric.name: metric for metric in found}
    assert len(named) == len(found)
    return named


def a_full_page(templates: Templates) -> Snapshot:
    """Of a busy Airflow with a broker and workers, as the exporter has it, with all that it says of itself."""
    with templates.database(POSTGRESQL_SCHEMAS[-1]) as db:
        a_busy_airflow(db)
        readings = list(everything(db, AirflowSettings("CeleryExecutor")).readings)
    readings += [*collector("broker").samples(A_BUSY_BROKER), *collector("workers").samples(A_FLEET)]
    by: dict[str, list[Reading]] = {}
    for reading in readings:
        by.setdefault(reading.metric.collector, []).append(reading)
    board = Board("blue", [job(name, gives()) for name in by])
    board.record(*(Run(name, "database", time.time(), 0.1, tuple(of)) for name, of in by.items()))
    return board.snapshot


def test_full_page_is_read_back(templates: Templates) -> None:
    page = a_full_page(templates)
    shown = series_on(page.text.decode())
    assert len(shown) > 500
    assert read_back(page) == shown


def test_every_kind_of_a_foreign_family_is_read_back() -> None:
    # NaN is equal to nothing, and whoever reads the page gives every counter a _total.
    readings = [one for one in ALL if not isinstance(one, Quantiles) and one.metric is not FOREIGN_COUNTER]
    page = snapshot(*readings, Quantiles(SUMMARY, (), ((0.5, 1.5), (1.0, 2.0)), 7, 9))
    assert read_back(page) == series_on(page.text.decode())
    assert metrics(snapshot(Sample(FOREIGN_COUNTER, (), 4.0)))[FOREIGN_COUNTER.name].sum.is_monotonic


TEXT = st.text(max_size=20)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(0, 2**52).map(float)


def of_each_kind(place: str) -> st.SearchStrategy[tuple[Reading, ...]]:
    """A reading of every kind, with this label."""
    labels = (("place", place),)
    return st.tuples(
        NUMBER.map(lambda value: Sample(GAUGE, labels, value)),
        COUNT.map(lambda value: Sample(COUNTER, labels, value)),
        st.just(INFO.sample(1, colour=place)),
        st.tuples(st.lists(COUNT, min_size=4, max_size=4), NUMBER).map(
            lambda given: Distribution(HISTOGRAM, labels, tuple(given[0]), given[1])
        ),
        st.tuples(st.lists(COUNT, min_size=3, max_size=3), NUMBER).map(
            lambda given: Distribution(OF_NOW, labels, tuple(given[0]), given[1])
        ),
        st.tuples(NUMBER, NUMBER, COUNT, COUNT).map(
            lambda given: Quantiles(SUMMARY, labels, ((0.5, given[0]), (1.0, given[1])), given[2], given[3])
        ),
    )


@given(st.lists(TEXT, unique=True, max_size=4).flatmap(lambda places: st.tuples(*map(of_each_kind, places))), TEXT)
def test_whatever_is_read_is_read_back(series: tuple[tuple[Reading, ...], ...], deployment: str) -> None:
    page = snapshot(*(reading for some in series for reading in some), deployment=deployment)
    assert read_back(page) == series_on(page.text.decode())


@pytest.mark.parametrize("text", [*ODD.values(), *(text for text, _ in UNSENDABLE.values())])
def test_odd_text_is_what_it_is_on_the_page(text: str) -> None:
    page = snapshot(GAUGE.sample(1, place=text), deployment=text)
    assert read_back(page) == series_on(page.text.decode())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_sent_as_such(value: float) -> None:
    sent = metrics(snapshot(GAUGE.sample(value, place="here"), COUNTER.sample(value, place="here")))
    assert sent[GAUGE.name].gauge.data_points[0].as_double == pytest.approx(value, nan_ok=True)
    assert sent[COUNTER.name].sum.data_points[0].as_double == pytest.approx(value, nan_ok=True)


def test_metric_says_what_it_is() -> None:
    sent = metrics(
        snapshot(
            GAUGE.sample(1, place="here"),
            COUNTER.sample(1, place="here"),
            INFO.sample(1, colour="red"),
            HISTOGRAM.distribution([0, 1, 2, 3], 9, place="here"),
            OF_NOW.distribution([0, 1, 2], 9, place="here"),
        )
    )
    assert {name: metric.unit for name, metric in sent.items()} == {
        GAUGE.name: "s", COUNTER.name: "By", INFO.name: "", HISTOGRAM.name: "s",
        f"{OF_NOW.name}_bucket": "", f"{OF_NOW.name}_gcount": "", f"{OF_NOW.name}_gsum": "s",
    }  # fmt: skip
    assert {metric.description for metric in sent.values()} == {
        "How long.", "How much.", "What it is.", "How old.",
    }  # fmt: skip
    assert sent[COUNTER.name].sum.is_monotonic
    cumulative = pb.AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert sent[COUNTER.name].sum.aggregation_temporality == cumulative
    assert sent[HISTOGRAM.name].histogram.aggregation_temporality == cumulative
    (point,) = sent[HISTOGRAM.name].histogram.data_points
    assert list(point.bucket_counts) == [0, 1, 2, 3]
    assert list(point.explicit_bounds) == [0.5, 1.0, 60.0]
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_parts_of_observations_are_rounded_so_that_their_sum_is_right() -> None:
    """A timer that StatsD sampled at 0.3 counts for 3.33 of them."""
    (sent,) = metrics(snapshot(HISTOGRAM.distribution([10 / 3, 10 / 3, 10 / 3, 0], 9, place="here"))).values()
    (point,) = sent.histogram.data_points
    assert list(point.bucket_counts) == [3, 4, 3, 0]
    assert point.count == 10


def test_large_page_is_several_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "POINTS", 7)
    page = snapshot(
        *(GAUGE.sample(n, place=str(n)) for n in range(20)), *(COUNTER.sample(n, place=str(n)) for n in range(8))
    )
    bodies = list(requests().of(page))
    assert [len(decode(body).points) for body in bodies] == [7, 7, 7, 7]
    assert series_of(point for body in bodies for point in decode(body).points) == series_on(page.text.decode())


def starts(made: Requests, after: float, **counted: float) -> dict[str, float]:
    """When each counter began, in seconds after the first snapshot, as the one of that moment says."""
    page = snapshot(*(COUNTER.sample(value, place=place) for place, value in counted.items()), after=after)
    points = metrics(page, made)[COUNTER.name].sum.data_points
    assert {point.time_unix_nano for point in points} <= {round((MOMENT + after) * 1e9)}
    return {point.attributes[1].value.string_value: point.start_time_unix_nano / 1e9 - MOMENT for point in points}


def test_what_we_see_first_counted_before_us() -> None:
    """Else a receiver would take all that the database ever counted for the growth of a minute."""
    made = requests()
    assert starts(made, 0, a=1e9) == {"a": 0}
    assert starts(made, 60, a=1e9 + 1) == {"a": 0}


def test_series_that_is_new_in_its_family_began_after_the_snapshot_before() -> None:
    made = requests()
    starts(made, 0, a=1)
    starts(made, 60, a=2)
    assert starts(made, 120, a=2, b=1) == {"a": 0, "b": 60}
    assert starts(made, 180, a=2, b=7) == {"a": 0, "b": 60}


def test_series_that_falls_began_after_the_snapshot_before() -> None:
    made = requests()
    starts(made, 0, a=5)
    starts(made, 60, a=7)
    assert starts(made, 120, a=6) == {"a": 60}
    assert starts(made, 180, a=6) == {"a": 60}


def test_series_that_goes_and_comes_again_is_a_new_one() -> None:
    made = requests()
    starts(made, 0, a=5, b=1)
    starts(made, 60, b=1)
    assert starts(made, 120, a=9, b=1) == {"a": 60, "b": 0}


def test_histogram_has_a_start_too() -> None:
    made = requests()
    for after, count, start in ((0, 5, 0), (60, 7, 0), (120, 6, 60)):
        page = snapshot(HISTOGRAM.distribution([count, 0, 0, 0], 1.0, place="here"), after=after)
        (point,) = metrics(page, made)[HISTOGRAM.name].histogram.data_points
        assert point.start_time_unix_nano / 1e9 - MOMENT == start


def test_no_series_begins_after_its_moment_though_the_clock_was_set_back() -> None:
    made = requests()
    starts(made, 0, a=5)
    assert starts(made, -60, a=6, b=1) == {"a": -60, "b": -60}


def test_only_series_that_exist_are_remembered() -> None:
    made = requests()
    for n in range(50):
        starts(made, n, **{f"a{n}": 1.0})
    assert len(made._starts._now) == 1
