"""Readings as text: both formats are read back as what was written, whatever stands in the labels."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_obs.exporter.exposition import Page as Rendered
from airflow_obs.exporter.exposition import render
from airflow_obs.model import Foreign, Kind, Metric, Reading, Sample
from tests.exporter.pages import Page
from tests.tools import tool

GAUGE = Metric("airflow_obs_temperature", Kind.GAUGE, "How warm; a back\\slash and\na new line.", "test", ("place",))
COUNTER = Metric("airflow_obs_visits_total", Kind.COUNTER, "How many came.", "test", ("place",))
INFO = Metric("airflow_obs_house_info", Kind.INFO, "What it is.", "test", ("colour",))
HISTOGRAM = Metric(
    "airflow_obs_wait_seconds", Kind.GAUGE_HISTOGRAM, "How long they wait.", "test", ("place",), buckets=(0.5, 1.0, 2.5)
)
ODD = {
    "quotes": 'say "hello"',
    "newline": "one\ntwo\r\nthree",
    "backslash": "C:\\new\\",
    "backslash and n": "\\n",
    "unicode": "größe 東京 🚀",
    "braces and commas": "{a=\"b\",c='d'} 1",
    "empty": "",
    "spaces": "  ",
    "control": "\t\x01\x7f\x85\u2028",
}
UNSENDABLE = {"nul": ("a\0b", r"a\x00b"), "lone surrogate": ("a\ud800\udc80b", r"a\ud800\udc80b")}

Parse = Callable[[Rendered], Page]


def _text(page: Rendered) -> Page:
    return Page(Rendered.joined([page]).text.decode())


def _openmetrics(page: Rendered) -> Page:
    return Page(Rendered.joined([page]).openmetrics.decode(), openmetrics=True)


@pytest.fixture(params=[_text, _openmetrics], ids=["text", "openmetrics"])
def parse(request: pytest.FixtureRequest) -> Parse:
    chosen: Parse = request.param
    return chosen


@pytest.mark.parametrize("value", [0, -1.5, 1e300, 1763712000.123456, math.inf, -math.inf])
def test_gauge(parse: Parse, value: float) -> None:
    assert parse(render([GAUGE.sample(value, place="here")], "a")).value(GAUGE.name, place="here") == value


def test_gauge_that_is_not_a_number(parse: Parse) -> None:
    assert math.isnan(parse(render([GAUGE.sample(math.nan, place="here")], "a")).value(GAUGE.name))


def test_counter(parse: Parse) -> None:
    page = parse(render([COUNTER.sample(3, place="here")], "a"))
    assert page.value("airflow_obs_visits_total", place="here") == 3
    assert page.families[0].type == "counter"


def test_info(parse: Parse) -> None:
    assert parse(render([INFO.sample(1, colour="red")], "a")).value("airflow_obs_house_info", colour="red") == 1


def test_distribution(parse: Parse) -> None:
    page = parse(render([HISTOGRAM.distribution([1, 2, 0, 4], 33.5, place="here")], "a"))
    buckets = {s.labels["le"]: s.value for s in page.samples if s.name == "airflow_obs_wait_seconds_bucket"}
    assert buckets == {"0.5": 1, "1.0": 3, "2.5": 3, "+Inf": 7}
    assert page.value("airflow_obs_wait_seconds_gcount", place="here") == 7
    assert page.value("airflow_obs_wait_seconds_gsum", place="here") == 33.5


def test_kinds_and_help(parse: Parse) -> None:
    readings: list[Reading] = [GAUGE.sample(1, place="x"), HISTOGRAM.distribution([0, 0, 0, 0], 0, place="x")]
    families = {family.name: family for family in parse(render(readings, "a")).families}
    assert families["airflow_obs_temperature"].type == "gauge"
    assert families["airflow_obs_temperature"].documentation == GAUGE.help
    kinds = {name: family.type for name, family in families.items() if name.startswith(HISTOGRAM.name)}
    if parse is _openmetrics:
        assert kinds == {HISTOGRAM.name: "gaugehistogram"}
    else:
        parts = {"_bucket": "unknown", "_gcount": "gauge", "_gsum": "gauge"}
        assert kinds == {HISTOGRAM.name + suffix: kind for suffix, kind in parts.items()}


def test_series_of_a_family_stay_together_however_they_come(parse: Parse) -> None:
    readings = [GAUGE.sample(1, place="a"), COUNTER.sample(1, place="a"), GAUGE.sample(2, place="b")]
    assert [family.name.removesuffix("_total") for family in parse(render(readings, "a")).families] == [
        "airflow_obs_temperature",
        "airflow_obs_visits",
    ]


def test_every_series_has_the_deployment_foreign_ones_too(parse: Parse) -> None:
    threads = Foreign("process_threads", Kind.GAUGE, "Threads.")
    readings: list[Reading] = [
        Sample(threads, (("kind", "any"),), 7),
        GAUGE.sample(1, place="x"), COUNTER.sample(1, place="x"), INFO.sample(1, colour="x"),
        HISTOGRAM.distribution([0, 0, 0, 1], 3, place="x"),
    ]  # fmt: skip
    page = parse(render(readings, "prod"))
    assert {sample.labels.get("airflow") for sample in page.samples} == {"prod"}
    assert page.value("process_threads", kind="any") == 7


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_label_value_is_read_back(parse: Parse, text: str) -> None:
    assert parse(render([GAUGE.sample(1, place=text)], "a")).value(GAUGE.name, place=text) == 1


@pytest.mark.parametrize(("text", "shown"), UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_no_page_can_hold_is_spelled_out(parse: Parse, text: str, shown: str) -> None:
    assert parse(render([GAUGE.sample(1, place=text)], "a")).value(GAUGE.name, place=shown) == 1


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_label_value_is_read_back_from_openmetrics(text: str) -> None:
    assert _openmetrics(render([GAUGE.sample(1, place=text)], "a")).value(GAUGE.name, place=text) == 1


def test_joined_pages_are_one() -> None:
    pages = [render([GAUGE.sample(1, place="x")], "a"), Rendered(), render([COUNTER.sample(1, place="x")], "a")]
    joined = Rendered.joined(pages)
    assert joined.openmetrics.count(b"# EOF") == 1
    assert joined.openmetrics.endswith(b"# EOF\n")
    assert b"# EOF" not in joined.text
    assert Page(joined.text.decode()).names == {"airflow_obs_temperature", "airflow_obs_visits_total"}


def test_prometheus_takes_the_page_with_everything_odd_in_it() -> None:
    promtool = tool("promtool")
    odd = [*ODD.values(), *(text for text, _ in UNSENDABLE.values())]
    readings: list[Reading] = [GAUGE.sample(1, place=text) for text in odd]
    page = render([*readings, HISTOGRAM.distribution([1, 2, 0, 4], 33.5, place="here")], "a").text
    checked = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
