"""The fields of a mapping file, as statsd_exporter documents them, and what each may hold."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from airflow_obs.exporter import go_durations
from airflow_obs.policy.knobs import Count, Flag, Text, refused
from airflow_obs.policy.strict import Strict

_LABEL = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise refused("write a number")
    return float(value)


def _finite(value: float) -> float:
    if math.isinf(value):
        raise refused("write a finite number")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise refused("write a number from 0 to 1")
    return value


def _ascending(buckets: tuple[float, ...]) -> tuple[float, ...]:
    """The bounds without +Inf, which there always is."""
    finite = buckets[:-1] if buckets and buckets[-1] == math.inf else buckets
    if list(finite) != sorted(set(finite)) or not all(map(math.isfinite, finite)):
        raise refused("bounds of buckets must ascend: sort them, and remove what stands there twice")
    return finite


def _labels(value: object) -> object:
    if not isinstance(value, dict):
        raise refused('write a mapping of label names to texts, such as `dag_id: "$1"`')
    for name, text in value.items():
        if not _LABEL.fullmatch(name):
            raise refused(
                "a label's name has letters, digits and `_` only, and does not begin with a digit", ("labels", name)
            )
        if isinstance(text, bool | float) or not isinstance(text, str | int | None):
            raise refused("a label's value is a text: put it in quotes", ("labels", name))
    return {name: "" if text is None else str(text) for name, text in value.items()}


Seconds = Annotated[float, BeforeValidator(go_durations.seconds)]
Number = Annotated[float, BeforeValidator(_number), AfterValidator(_finite)]
Share = Annotated[Number, AfterValidator(_share)]
Bounds = Annotated[tuple[Annotated[float, BeforeValidator(_number)], ...], AfterValidator(_ascending)]
Observer = Annotated[Literal["histogram", "summary"], Text("", "histogram or summary", ("histogram", "summary"))]
MatchType = Annotated[Literal["glob", "regex"], Text("", "glob or regex", ("glob", "regex"))]
_TYPES = ("counter", "gauge", "observer", "timer")
MetricType = Annotated[
    Literal["counter", "gauge", "observer"],
    Text("", "counter, gauge or observer", _TYPES),
    AfterValidator(lambda word: "observer" if word == "timer" else word),
]
Words = Annotated[str, Text("(?s:.*)", "a text")]
Switch = Annotated[bool, Flag()]
_MANY = 2**32 - 1


class Quantile(Strict):
    """One quantile that a summary tells, and the error that its rank may have."""

    quantile: Share
    error: Share = 0.0


class SummaryOptions(Strict):
    """How quantiles are told; `buf_cap` is taken and changes nothing here."""

    quantiles: tuple[Quantile, ...] = ()
    max_age: Seconds = 0.0
    age_buckets: Annotated[int, Count(0, 100)] = 0
    buf_cap: Annotated[int, Count(0, _MANY)] = 0


class HistogramOptions(Strict):
    """Upper bounds of buckets."""

    buckets: Bounds = ()

    elsewhere = dict.fromkeys(
        frozenset({"native_histogram_bucket_factor", "native_histogram_max_buckets"}),
        "histograms have the buckets listed here, native ones are not made: remove it",
    )


class Options(Strict):
    """What a mapping and the defaults may both say; `timer_type`, `buckets` and `quantiles` are what files of before 0.31 say."""

    observer_type: Observer | None = None
    timer_type: Observer | None = None
    ttl: Seconds | None = None
    summary_options: SummaryOptions | None = None
    histogram_options: HistogramOptions | None = None
    buckets: Bounds = ()
    quantiles: tuple[Quantile, ...] = ()


class Defaults(Options):
    """What holds for mappings that do not say, and for lines that none is for."""

    match_type: MatchType = "glob"
    glob_disable_ordering: Switch = False


class Entry(Options):
    """One mapping: which lines it is for, and what they become."""

    match: Words
    name: Words
    match_type: MatchType | None = None
    match_metric_type: MetricType | None = None
    action: Annotated[Literal["map", "drop"], Text("", "map or drop", ("map", "drop"))] = "map"
    labels: Annotated[dict[str, str], BeforeValidator(_labels)] = Field(default_factory=dict)
    honor_labels: Switch = False
    help: Words | None = None
    scale: Number = 1.0


class MappingFile(Strict):
    """A whole file."""

    defaults: Defaults = Defaults()
    mappings: tuple[Entry, ...] = ()
