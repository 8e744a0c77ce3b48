"""Names and labels of lines that are not ours: fit for Prometheus, and never in the way of what is."""

from __future__ import annotations

import pytest
from prometheus_client import ProcessCollector

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.foreign.families import escaped, labelled, lines_of, taken
from airflow_obs.exporter.ingest.foreign.summary import Objectives, Window
from airflow_obs.exporter.ingest.store import Store
from airflow_obs.model import Foreign, Kind
from tests.exporter.ingest.clock import Clock

NAMES = {
    "clean": "clean",
    "0starts_with_digit": "_0starts_with_digit",
    "with--two": "with_two",
    "with---three-dashes": "with_three_dashes",
    "with.-.dots": "with___dots",
    "with😱emoji": "with_emoji",
    "ü": "_",
    "٣": "_",
    "": "",
}
"""As statsd_exporter makes them."""


@pytest.mark.parametrize(("name", "made"), NAMES.items())
def test_escaped(name: str, made: str) -> None:
    assert escaped(name) == made


@pytest.mark.parametrize(
    ("kind", "labels", "made"),
    [
        (Kind.GAUGE, {"b": "1", "a": "2"}, (("a", "2"), ("b", "1"))),
        (
            Kind.GAUGE,
            {"airflow": "x", "le": "1", "quantile": "2"},
            (("exported_airflow", "x"), ("le", "1"), ("quantile", "2")),
        ),
        (Kind.HISTOGRAM, {"le": "1", "quantile": "2"}, (("exported_le", "1"), ("quantile", "2"))),
        (Kind.SUMMARY, {"le": "1", "quantile": "2"}, (("exported_quantile", "2"), ("le", "1"))),
        (Kind.COUNTER, {"__name__": "up"}, (("exported___name__", "up"),)),
        (
            Kind.COUNTER,
            {"airflow": "1", "exported_airflow": "2"},
            (("exported_airflow", "2"), ("exported_exported_airflow", "1")),
        ),
    ],
)
def test_labels_that_mean_something_else_are_exported(
    kind: Kind, labels: dict[str, str], made: tuple[tuple[str, str], ...]
) -> None:
    assert labelled(labels, kind) == made


def test_all_names_of_the_exporter_are_taken() -> None:
    own = {metric.name for metric in metrics.ALL}
    families = list(ProcessCollector(registry=None).collect())
    own |= {family.name for family in families} | {sample.name for family in families for sample in family.samples}
    assert [name for name in own if not taken(name)] == []
    assert not taken("airflow_pool_open_slots")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Foreign("x", Kind.SUMMARY, ""), Foreign("x_count", Kind.COUNTER, "")),
        (Foreign("x_sum", Kind.GAUGE, ""), Foreign("x", Kind.SUMMARY, "")),
        (Foreign("x", Kind.HISTOGRAM, "", buckets=(1.0,)), Foreign("x_bucket", Kind.COUNTER, "")),
        (Foreign("x_bucket", Kind.COUNTER, ""), Foreign("x", Kind.HISTOGRAM, "", buckets=(1.0,))),
        (Foreign("x", Kind.GAUGE, ""), Foreign("x", Kind.COUNTER, "")),
    ],
)
def test_families_whose_lines_would_have_one_name_do_not_stand_together(first: Foreign, second: Foreign) -> None:
    store = Store(max_series=100, max_total=100, ttl=1)

    def held(family: Foreign) -> bool:
        if family.kind is Kind.COUNTER:
            return store.counter(family, ()) is not None
        if family.kind is Kind.GAUGE:
            return store.gauge(family, ()) is not None
        if family.kind is Kind.HISTOGRAM:
            return store.histogram(family, ()) is not None
        return store.summary(family, (), lambda: Window(Objectives())) is not None

    assert held(first)
    assert not held(second)
    assert held(first)


def test_name_is_free_again_when_its_family_has_expired() -> None:
    clock = Clock()
    store = Store(max_series=100, max_total=100, ttl=10, clock=clock)
    assert store.gauge(Foreign("x_count", Kind.GAUGE, ""), ())
    clash = Foreign("x", Kind.HISTOGRAM, "", buckets=(1.0,))
    assert store.histogram(clash, ()) is None
    store.expire()
    clock.now += 11
    store.expire()
    store.expire()  # nobody holds the expired series any more
    assert store.histogram(clash, ())


def test_lines_of_a_family() -> None:
    assert lines_of(Foreign("x", Kind.GAUGE, "")) == ("x",)
    assert lines_of(Foreign("x", Kind.HISTOGRAM, "", buckets=(1.0,))) == ("x_bucket", "x_count", "x_sum")
