"""The grammar of StatsD lines, with the tags of DogStatsD, InfluxDB and Librato, read as statsd_exporter reads them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.units import Style

Type = Literal["c", "g", "ms", "h", "d"]
"""Counter, gauge, timer, histogram and distribution; the last three are all observations."""

LONGEST = 4_096
"""Bytes of a line. Airflow's ids have at most 250 characters."""
NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
"""What a gauge may be as well: a pool without a limit has that many slots."""
SMALLEST_RATE = 1e-6
"""Below this one sample would stand for more than a million, which nobody means."""

_TYPES = {b"c", b"g", b"ms", b"h", b"d"}
_SEVERAL_VALUES = {b"ms", b"h", b"d"}
_NAME_TAGS = re.compile(rb"[,#]")
_UNESCAPED_COMMA = re.compile(r"(?<!\\),")
_UNESCAPED_EQUALS = re.compile(r"(?<!\\)=")
_ESCAPED = re.compile(r"\\([,= \\])")
_COLON_IN_FIELD = re.compile(rb"[^|:]*\|[^|:]*\|(?:[^|:]*\|)*(?:c|e|card):")
"""Without tags, a colon elsewhere than in such a field begins the next sample."""
_TIME_OR_ORIGIN = re.compile(rb"T\d+|c:.+|e:.+|card:.+")
"""Fields of DogStatsD that say nothing to us: a time stamp, who the sender is, how many tags it wants."""


@dataclass(frozen=True, slots=True)
class Value:
    """One sample of a line. `style` is how its tags came, None without tags."""

    name: str
    type: Type
    value: float
    tags: Mapping[str, str]
    style: Style | None
    relative: bool = False
    """Signed: a gauge changes by it."""
    times: float = 1
    """How many events it stands for: the reciprocal of its sample rate."""


def parse(line: bytes) -> list[Value | Reason]:
    """The samples of a line (without its line end), and for each that cannot be read the reason; at least one of either."""
    if len(line) > LONGEST:
        return [Reason.TOO_LONG]
    if line.startswith(b"_e{"):
        return [Reason.EVENTS]
    if line.startswith(b"_sc|"):
        return [Reason.SERVICE_CHECKS]
    bar, colon = line.find(b"|"), line.find(b":")
    if colon < 0 or bar < colon:
        return [Reason.MALFORMED]
    if _NAME_TAGS.search(line, 0, colon):
        # The value of a tag in the name may have colons, as moments do: the sample is what follows the last one.
        colon = line.rfind(b":", 0, bar)
    try:
        name, tags = _name_and_tags(line[:colon].decode())
        line.decode()
    except UnicodeDecodeError:
        return [Reason.NOT_UTF8]
    if not name:
        return [Reason.EMPTY_NAME]
    return list(_samples(name, tags, line[colon + 1 :]))


def _samples(name: str, tags: dict[str, str], rest: bytes) -> Iterator[Value | Reason]:
    values, _, tail = rest.partition(b"|")
    if b":" in values:
        if tail.partition(b"|")[0] not in _SEVERAL_VALUES:
            yield Reason.MALFORMED
            return
        samples = [(value, tail) for value in values.split(b":")]
    elif b"|#" in rest or _COLON_IN_FIELD.match(rest):
        if tags and b"|#" in rest:
            yield Reason.MALFORMED  # two styles in one
            return
        samples = [(values, tail)]
    else:
        samples = [(value, tail) for value, _, tail in (sample.partition(b"|") for sample in rest.split(b":"))]
    for value, tail in samples:
        yield _sample(name, tags, value, tail)


def _sample(name: str, tags: dict[str, str], number: bytes, tail: bytes) -> Value | Reason:
    kind, *fields = tail.split(b"|")
    if kind not in _TYPES:
        return Reason.SETS if kind == b"s" else Reason.UNKNOWN_TYPE if kind else Reason.MALFORMED
    value = _finite(number)
    if value is None and kind == b"g" and _INFINITE.fullmatch(number):
        value = float(number)
    if value is None:
        return Reason.NO_NUMBER
    style = Style.INFLUXDB if tags else None
    times = 1.0
    for field in fields:
        if field.startswith(b"@"):
            rate = _finite(field[1:])
            if rate is None or not (rate == 0 or SMALLEST_RATE <= rate <= 1):
                return Reason.BAD_RATE
            times = 1 / (rate or 1)
        elif field.startswith(b"#"):
            tags = tags | _tags(field[1:].decode())
            style = Style.DATADOG if tags else None
        elif not _TIME_OR_ORIGIN.fullmatch(field):
            return Reason.MALFORMED
    # Checked above to be one of the types.
    return Value(name, cast("Type", kind.decode()), value, tags, style, number[:1] in (b"+", b"-"), times)


def _finite(text: bytes) -> float | None:
    number = float(text) if NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def _name_and_tags(head: str) -> tuple[str, dict[str, str]]:
    """InfluxDB's `name,key=value,…`, with backslashes before what is meant as it stands, and Librato's `name#key=value,…`."""
    if "," not in head and "#" not in head:
        return head, {}
    name, *pairs = _UNESCAPED_COMMA.split(head)
    name, librato, first = name.partition("#")
    tags = {}
    for pair in [first, *pairs] if librato else pairs:
        key, *value = _UNESCAPED_EQUALS.split(pair, maxsplit=1)
        # As statsd_exporter does it: a tag without key or value is left out, and its line still counts.
        if key and value and value[0]:
            tags[_ESCAPED.sub(r"\1", key)] = _ESCAPED.sub(r"\1", value[0])
    return _ESCAPED.sub(r"\1", name), tags


def _tags(text: str) -> dict[str, str]:
    """DogStatsD's `key:value,…`."""
    pairs = (tag.removeprefix("#").partition(":") for tag in text.split(","))
    return {key: value for key, _, value in pairs if key and value}
