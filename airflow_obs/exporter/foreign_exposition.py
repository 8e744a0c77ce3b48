"""Readings of foreign families as text: their names need not follow the rules that Prometheus' own client insists on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.utils import floatToGoString

from airflow_obs.model import Distribution, Foreign, Kind, Quantiles, Reading, Sample

_RESERVED = {
    Kind.COUNTER: ("", "_total", "_created"),
    Kind.HISTOGRAM: ("", "_bucket", "_count", "_sum", "_created"),
    Kind.SUMMARY: ("", "_count", "_sum", "_created"),
}
"""What a family's name stands before in OpenMetrics, where no other family may have a name that is one of these."""

_Families = dict[str, tuple[Foreign, list[Reading]]]


_ODD = re.compile('[\\0\\\\\n"\ud800-\udfff]').search


def sendable(text: str) -> str:
    """A text as every reader takes it: no lone surrogate (not UTF-8), no NUL (ends the page for Prometheus)."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode() if _ODD(text) else text


def quoted(text: str) -> str:
    """A label value between the quotes of a page."""
    if not _ODD(text):
        return text
    return sendable(text).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: float) -> str:
    """A value as Go writes it, which differs from Python's way only for what is large, or no number."""
    text: str = repr(value) if -1e6 < value < 1e6 else floatToGoString(value)
    return text


def header(name: str, kind: str, about: str) -> str:
    """What stands before the lines of a family, in the Prometheus text format."""
    about = about.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def open_header(name: str, kind: str, about: str) -> str:
    """The same in OpenMetrics, which wants quotes escaped, too."""
    about = about.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f"# HELP {name} {about}\n# TYPE {name} {kind}\n"


def foreign_pages(readings: Iterable[Reading], deployment: str) -> tuple[bytes, bytes]:
    """Readings of foreign families in the Prometheus text format, as statsd_exporter has it, and in OpenMetrics without its end.

    Each has the label airflow=`deployment`. The first family of a name says kind and help for all of that name.
    """
    families: _Families = {}
    for reading in readings:
        if isinstance(reading.metric, Foreign):
            families.setdefault(reading.metric.name, (reading.metric, []))[1].append(reading)
    text = "".join(_text(families, deployment))
    return text.encode(), "".join(_openmetrics(families, deployment)).encode()


def _text(families: _Families, deployment: str) -> Iterator[str]:
    for family, readings in families.values():
        yield header(family.name, family.kind.value, family.help)
        for reading in readings:
            yield from _lines(reading, deployment, as_go)


def _openmetrics(families: _Families, deployment: str) -> Iterator[str]:
    """There the name of a counter ends in _total, and that of its family does not; one of another name is of unknown type.

    So is one whose family would have another's name. What not even its own name is left to is not shown.
    """
    reserved: set[str] = set()
    for family, readings in sorted(families.values(), key=lambda item: _is_total(item[0])):
        kind = family.kind.value
        name = family.name.removesuffix("_total") if _is_total(family) else family.name
        names = {name + suffix for suffix in _RESERVED.get(family.kind, ("",))}
        if family.kind is Kind.COUNTER and (name == family.name or names & reserved):
            name, names, kind = family.name, {family.name}, "unknown"
        if names & reserved:
            continue
        reserved |= names
        yield open_header(name, kind, family.help)
        for reading in readings:
            yield from _lines(reading, deployment, floatToGoString)


def _is_total(family: Foreign) -> bool:
    return family.kind is Kind.COUNTER and family.name.endswith("_total")


def _lines(reading: Reading, deployment: str, bound_of: Callable[[float], str]) -> Iterator[str]:
    name = reading.metric.name
    labels = ",".join(f'{label}="{quoted(value)}"' for label, value in (("airflow", deployment), *reading.labels))
    match reading:
        case Sample(value=value):
            yield f"{name}{{{labels}}} {number(value)}\n"
        case Distribution():
            pairs = reading.cumulative()
            for bound, count in pairs:
                yield f'{name}_bucket{{{labels},le="{bound_of(bound)}"}} {number(count)}\n'
            yield f"{name}_sum{{{labels}}} {number(reading.total)}\n"
            yield f"{name}_count{{{labels}}} {number(pairs[-1][1])}\n"
        case Quantiles():
            for quantile, value in reading.values:
                yield f'{name}{{{labels},quantile="{bound_of(quantile)}"}} {number(value)}\n'
            yield f"{name}_sum{{{labels}}} {number(reading.total)}\n"
            yield f"{name}_count{{{labels}}} {number(reading.count)}\n"


def as_go(value: float) -> str:
    """A bound as Go writes it: `le="1"`, which is another series than `le="1.0"` to a Prometheus of before 3.0."""
    text: str = floatToGoString(value)
    return text.removesuffix(".0")
