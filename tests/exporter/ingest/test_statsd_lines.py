"""The grammar of StatsD lines: what statsd_exporter takes is taken, and each line that is not says why."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.statsd.lines import LONGEST, Value, parse
from airflow_obs.exporter.ingest.units import Style

INFLUXDB, DATADOG = Style.INFLUXDB, Style.DATADOG


def one(line: bytes) -> Value:
    """The only sample of a line, which can be read."""
    (sample,) = parse(line)
    assert isinstance(sample, Value), sample
    return sample


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"airflow.job_start:1|c", Value("airflow.job_start", "c", 1, {}, None)),
        (b"a:6|g", Value("a", "g", 6, {}, None)),
        (b"a:2.0|g", Value("a", "g", 2, {}, None)),
        (b"a:+3|g", Value("a", "g", 3, {}, None, relative=True)),
        (b"a:-3.5|g", Value("a", "g", -3.5, {}, None, relative=True)),
        (b"a:-1|c", Value("a", "c", -1, {}, None, relative=True)),
        (b"a:inf|g", Value("a", "g", math.inf, {}, None)),
        (b"a:-Infinity|g", Value("a", "g", -math.inf, {}, None, relative=True)),
        (b"a:13.060125|ms", Value("a", "ms", 13.060125, {}, None)),
        (b"a:5e-05|ms", Value("a", "ms", 0.00005, {}, None)),
        (b"a:.5|h", Value("a", "h", 0.5, {}, None)),
        (b"a:1.|d", Value("a", "d", 1, {}, None)),
        (b"a:1|c|@0.1", Value("a", "c", 1, {}, None, times=10)),
        (b"a:7|g|@0.5", Value("a", "g", 7, {}, None, times=2)),
        (b"a:1|c|@0", Value("a", "c", 1, {}, None)),
        (b"a,b=c:1|c", Value("a", "c", 1, {"b": "c"}, INFLUXDB)),
        (b"a,b=c,d=e:1|c", Value("a", "c", 1, {"b": "c", "d": "e"}, INFLUXDB)),
        (b"a,b=2026-11-21T10:00:00+00:00:1|c", Value("a", "c", 1, {"b": "2026-11-21T10:00:00+00:00"}, INFLUXDB)),
        (rb"a\,x,b\=1=c\ d\,e:1|c", Value("a,x", "c", 1, {"b=1": "c d,e"}, INFLUXDB)),
        (b"a,b=c=d:1|c", Value("a", "c", 1, {"b": "c=d"}, INFLUXDB)),
        (b"a,b,=c,d=:1|c", Value("a", "c", 1, {}, None)),
        (b"a#b=c,d=e:1|c", Value("a", "c", 1, {"b": "c", "d": "e"}, INFLUXDB)),
        (b"a:1|c|#b:c", Value("a", "c", 1, {"b": "c"}, DATADOG)),
        (b"a:1|c|#b:c,d:e:f,#g:h", Value("a", "c", 1, {"b": "c", "d": "e:f", "g": "h"}, DATADOG)),
        (b"a:1|c|#b,:c,d:", Value("a", "c", 1, {}, None)),
        (b"a:1|c|#", Value("a", "c", 1, {}, None)),
        (b"a:1|ms|@0.5|#b:c", Value("a", "ms", 1, {"b": "c"}, DATADOG, times=2)),
        (b"a:1|c|#b:c|c:83c0a99c0a54c0c187f461c7980e9b57f3f6a8b0|T1656581400",
         Value("a", "c", 1, {"b": "c"}, DATADOG)),
        (b"a:1|c|c:ci-1|e:it-false,cn-name|card:low", Value("a", "c", 1, {}, None)),
        ("aé,b=ü:1|c".encode(), Value("aé", "c", 1, {"b": "ü"}, INFLUXDB)),
    ],
)  # fmt: skip
def test_line(line: bytes, value: Value) -> None:
    assert one(line) == value


def test_several_samples_of_one_name() -> None:
    assert parse(b"a:1|c:2|g|@0.5:x|c:4|ms") == [
        Value("a", "c", 1, {}, None),
        Value("a", "g", 2, {}, None, times=2),
        Reason.NO_NUMBER,
        Value("a", "ms", 4, {}, None),
    ]


def test_several_values_of_one_sample() -> None:
    assert parse(b"a:1:2.5:x|d|#b:c") == [
        Value("a", "d", 1, {"b": "c"}, DATADOG),
        Value("a", "d", 2.5, {"b": "c"}, DATADOG),
        Reason.NO_NUMBER,
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a", Reason.MALFORMED),
        (b"a:1", Reason.MALFORMED),
        (b"a|c", Reason.MALFORMED),
        (b"a|c:1", Reason.MALFORMED),
        (b"a:1|", Reason.MALFORMED),
        (b"a:1|c|", Reason.MALFORMED),
        (b"a:1|c|x", Reason.MALFORMED),
        (b"a:1:2|c", Reason.MALFORMED),
        (b"a,b=c:1|c|#d:e", Reason.MALFORMED),
        (b":1|c", Reason.EMPTY_NAME),
        (b",b=c:1|c", Reason.EMPTY_NAME),
        (b"a:1|s", Reason.SETS),
        (b"a:1|x", Reason.UNKNOWN_TYPE),
        (b"a:1|C", Reason.UNKNOWN_TYPE),
        (b"a:|c", Reason.NO_NUMBER),
        (b"a:x|c", Reason.NO_NUMBER),
        (b"a: 1|c", Reason.NO_NUMBER),
        (b"a:1_0|c", Reason.NO_NUMBER),
        (b"a:nan|g", Reason.NO_NUMBER),
        (b"a:inf|c", Reason.NO_NUMBER),
        (b"a:-Infinity|ms", Reason.NO_NUMBER),
        (b"a:infinit|g", Reason.NO_NUMBER),
        (b"a:1e999|g", Reason.NO_NUMBER),
        ("a:\N{ARABIC-INDIC DIGIT ONE}|c".encode(), Reason.NO_NUMBER),
        (b"a:1|c|@", Reason.BAD_RATE),
        (b"a:1|c|@x", Reason.BAD_RATE),
        (b"a:1|c|@2", Reason.BAD_RATE),
        (b"a:1|c|@-0.5", Reason.BAD_RATE),
        (b"a:1|c|@1e-300", Reason.BAD_RATE),
        (b"a\xff:1|c", Reason.NOT_UTF8),
        (b"a:1|c|#b:\xff", Reason.NOT_UTF8),
        (b"a" * LONGEST + b":1|c", Reason.TOO_LONG),
        (b"_e{5,4}:title|text", Reason.EVENTS),
        (b"_sc|redis|2|#env:dev", Reason.SERVICE_CHECKS),
    ],
)
def test_what_cannot_be_read_says_why(line: bytes, reason: Reason) -> None:
    assert parse(line) == [reason]


@given(
    st.one_of(
        st.binary(max_size=200), st.text("airflow.x:|#,=@+-0123456789cgmsdhT_e{}\\ü", max_size=60).map(str.encode)
    )
)
@example(b"")
@example(b":|")
@example(b"a:1|ms|#\\")
def test_whatever_comes_is_read_or_refused(line: bytes) -> None:
    samples = parse(line)
    assert samples
    for sample in samples:
        if isinstance(sample, Value):
            assert sample.name
            assert math.isfinite(sample.value) or (sample.type == "g" and math.isinf(sample.value))
            assert 1 <= sample.times <= 1e6
            assert all(sample.tags)
            assert all(sample.tags.values())
            assert (sample.style is None) == (not sample.tags)
        else:
            assert sample in Reason


_WORD = st.text("abcdefghijklmnopqrstuvwxyz_-./0123456789é", min_size=1, max_size=30)
_TAGS = st.dictionaries(_WORD, _WORD, max_size=4)
_NUMBER = st.one_of(st.integers(0, 10**9), st.floats(0, 1e15, allow_nan=False))


@given(_WORD, _TAGS, _NUMBER, st.sampled_from(["c", "g", "ms", "h", "d"]))
def test_what_was_written_is_read(name: str, tags: dict[str, str], number: float, kind: str) -> None:
    influxdb = "".join(f",{key}={value}" for key, value in tags.items())
    datadog = "|#" + ",".join(f"{key}:{value}" for key, value in tags.items()) if tags else ""
    for line, style in (
        (f"{name}{influxdb}:{number!r}|{kind}", INFLUXDB),
        (f"{name}:{number!r}|{kind}{datadog}", DATADOG),
    ):
        assert one(line.encode()) == Value(name, kind, number, tags, style if tags else None)  # type: ignore[arg-type]  # drawn from the types
