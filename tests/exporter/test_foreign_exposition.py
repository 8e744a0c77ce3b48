"""Foreign families as text: both formats are read back as what was written, whatever the names and labels are like."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.exporter.exposition import Page as Rendered
from airflow_obs.exporter.exposition import render
from airflow_obs.model import Distribution, Foreign, Kind, Metric, Quantiles, Reading, Sample
from tests.exporter.pages import Page
from tests.exporter.test_exposition import ODD, UNSENDABLE, Parse, _openmetrics, parse
from tests.tools import tool

__all__ = ["parse"]

GAUGE = Foreign("airflow_pool_open_slots", Kind.GAUGE, "Slots; a back\\slash and\na new line.")
COUNTER = Foreign("airflow_ti_failures", Kind.COUNTER, "Failures.")
TOTAL = Foreign("airflow_seen_total", Kind.COUNTER, "Seen.")
HISTOGRAM = Foreign("airflow_loop", Kind.HISTOGRAM, "Loops.", buckets=(0.5, 1.0, 1e6))
SUMMARY = Foreign("airflow_task_duration", Kind.SUMMARY, "Tasks.", quantiles=(0.5, 1.0))
OURS = Metric("airflow_obs_temperature", Kind.GAUGE, "How warm.", "test")

ALL: Sequence[Reading] = (
    Sample(GAUGE, (("pool", "a"),), 3.0),
    Sample(COUNTER, (), 4.0),
    Sample(TOTAL, (), 5.0),
    Distribution(HISTOGRAM, (), (1.0, 2.0, 0.0, 4.0), 33.5),
    Quantiles(SUMMARY, (("dag_id", "d"),), ((0.5, 1.5), (1.0, float("nan"))), 7.0, 9.25),
    OURS.sample(20),
)


def test_every_kind_is_read_back(parse: Parse) -> None:
    page = parse(render(ALL, "prod"))
    assert page.value("airflow_pool_open_slots", pool="a", airflow="prod") == 3
    assert page.value("airflow_seen_total", airflow="prod") == 5
    assert page.value("airflow_loop_count") == 7
    assert page.value("airflow_loop_sum") == 33.5
    assert page.value("airflow_loop_bucket", le="1e+06") == 3
    assert page.value("airflow_task_duration", quantile="0.5", dag_id="d") == 1.5
    assert page.value("airflow_task_duration_count", dag_id="d") == 7
    assert page.value("airflow_task_duration_sum", dag_id="d") == 9.25
    assert page.value("airflow_obs_temperature") == 20
    assert {sample.labels["airflow"] for sample in page.samples} == {"prod"}
    assert {family.name: family.documentation for family in page.families}["airflow_pool_open_slots"] == GAUGE.help


def test_counter_keeps_its_name() -> None:
    page = render([Sample(COUNTER, (), 4.0), Sample(TOTAL, (), 5.0)], "a")
    assert b'# TYPE airflow_ti_failures counter\nairflow_ti_failures{airflow="a"} 4.0\n' in page.text
    assert b'# TYPE airflow_seen_total counter\nairflow_seen_total{airflow="a"} 5.0\n' in page.text
    assert b'# TYPE airflow_ti_failures unknown\nairflow_ti_failures{airflow="a"} 4.0\n' in page.openmetrics
    assert b'# TYPE airflow_seen counter\nairflow_seen_total{airflow="a"} 5.0\n' in page.openmetrics


def test_bounds_are_written_as_statsd_exporter_writes_them() -> None:
    """In OpenMetrics they must have a point."""
    page = render(ALL, "a")
    assert [b'le="%s"' % bound in page.text for bound in (b"0.5", b"1", b"1e+06", b"+Inf")] == [True] * 4
    assert b'quantile="1"' in page.text
    assert b'le="1.0"' in page.openmetrics
    assert b'quantile="1.0"' in page.openmetrics


def test_series_of_one_family_need_not_have_the_same_labels(parse: Parse) -> None:
    readings = [Sample(GAUGE, (), 1.0), Sample(COUNTER, (), 1.0), Sample(GAUGE, (("pool", "a"), ("x", "y")), 2.0)]
    page = parse(render(readings, "a"))
    assert page.values("airflow_pool_open_slots") == [1, 2]
    assert len(page.families) == 2


@pytest.mark.parametrize(
    "names", [("x_total", "x"), ("x", "x_total"), ("x_created", "x_total"), ("x_total", "x_created")]
)
def test_names_that_openmetrics_does_not_tell_apart_are_shown_all_the_same(names: tuple[str, str]) -> None:
    kinds = {"x_total": Kind.COUNTER}
    page = render([Sample(Foreign(name, kinds.get(name, Kind.GAUGE), ""), (), 1.0) for name in names], "a")
    assert {line.split(b"{")[0].decode() for line in page.text.splitlines() if b"{" in line} == set(names)
    assert _openmetrics(page).names == set(names)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_label_value_is_read_back(parse: Parse, text: str) -> None:
    assert parse(render([Sample(GAUGE, (("pool", text),), 1.0)], "a")).value(GAUGE.name, pool=text) == 1


@pytest.mark.parametrize(("text", "shown"), UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_no_page_can_hold_is_spelled_out(parse: Parse, text: str, shown: str) -> None:
    assert parse(render([Sample(GAUGE, (("pool", text),), 1.0)], "a")).value(GAUGE.name, pool=shown) == 1


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.floats(allow_nan=False))
def test_any_label_value_and_number_is_read_back(text: str, value: float) -> None:
    assert _openmetrics(render([Sample(GAUGE, (("pool", text),), value)], "a")).value(GAUGE.name, pool=text) == value


def test_prometheus_takes_the_page() -> None:
    promtool = tool("promtool")
    odd = [
        Sample(GAUGE, (("pool", text),), 1.0) for text in (*ODD.values(), *(text for text, _ in UNSENDABLE.values()))
    ]
    page = render([*ALL, *odd], "a").text
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    # It also has advice on names, which are not ours to choose.
    assert b"error while linting" not in checked.stderr, checked.stderr.decode()
    assert checked.returncode in (0, 3), checked.stderr.decode()


def test_joined_pages_are_one() -> None:
    joined = Rendered.joined([render(ALL[:2], "a"), render(ALL[2:], "a")])
    assert joined.openmetrics.count(b"# EOF") == 1
    assert {"airflow_ti_failures", "airflow_loop_count"} <= Page(joined.openmetrics.decode(), openmetrics=True).names
