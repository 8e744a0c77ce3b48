"""What series are called in StatsD, which knows names alone, and with DogStatsD's tags."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterable, Mapping
from itertools import cycle, filterfalse

from airflow_obs.policy.push import PLACEHOLDERS, StatsdPush

log = logging.getLogger(__name__)

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A metric, and the labels of one of its series."""

TAGS = "|#"
"""What DogStatsD has between a line and its tags."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
"""What may not be in a segment of a name: a dot ends it, and the rest are StatsD's own marks, or unknown to some agent."""
_NO_TAG = re.compile("[\0-\x1f\x7f,|#]")
"""What may not be in the value of a tag: it would end the tag, or the line."""


class Names:
    """Names by the policy's template. Two series never share one: who has a name keeps it for as long as the series exists."""

    def __init__(self, policy: StatsdPush, deployment: str) -> None:
        self._parts = _PLACEHOLDER.split(policy.template)
        self._named = frozenset(self._parts[1::2]) - {*PLACEHOLDERS}
        self._deployment = deployment
        self._tagged = policy.tags == "datadog"
        self._known: dict[Series, str] = {}
        self._said: set[str] = set()

    def of(self, present: Iterable[Series]) -> Mapping[Series, str]:
        """The names of the series that exist now, each with its tags behind `|#` where there are such; others are forgotten."""
        series = dict.fromkeys(present)
        names = {one: self._known[one] for one in series if one in self._known}
        taken = {name: one for one, name in names.items()}
        for one in filterfalse(names.__contains__, series):
            name = self._name(one)
            if name in taken:
                self._say(name, taken[name], one)
                name = _told_apart(name, one)
            names[one], taken[name] = name, one
        self._known = names
        return names

    def _name(self, series: Series) -> str:
        metric, labels = series
        values = {**dict(labels), "airflow": self._deployment, "deployment": self._deployment, "metric": metric}
        rest = [] if self._tagged else [value for label, value in labels if label not in self._named]
        segments = {label: _segment(value) for label, value in values.items()} | {
            "labels": ".".join(map(_segment, rest))
        }
        filled = "".join(
            segments.get(part, "") if is_placeholder else part
            for part, is_placeholder in zip(self._parts, cycle((False, True)), strict=False)
        )
        name = ".".join(filter(None, filled.split(".")))
        if not self._tagged:
            return name
        tags = (f"{label}:{_tag(value)}" for label, value in (("airflow", self._deployment), *labels) if value)
        return f"{name}{TAGS}{','.join(tags)}"

    def _say(self, name: str, first: Series, second: Series) -> None:
        if second[0] not in self._said:
            self._said.add(second[0])
            log.warning(
                "push: statsd: %s: both %s and %s would be called that; from the second on, such names get a checksum of the "
                "labels; with `tags: datadog` they need none", name, _shown(first), _shown(second),
            )  # fmt: skip


def _segment(value: str) -> str:
    return _NO_NAME.sub("_", value)


def _tag(value: str) -> str:
    return _NO_TAG.sub("_", value)


def _told_apart(name: str, series: Series) -> str:
    """A name of its own: StatsD would take two series of one name for one."""
    bare, mark, tags = name.partition(TAGS)
    return f"{bare}_{zlib.crc32(repr(series).encode('utf-8', 'backslashreplace')):08x}{mark}{tags}"


def _shown(series: Series) -> str:
    metric, labels = series
    return f"{metric}{{{', '.join(f'{label}={value!r}' for label, value in labels)}}}"
