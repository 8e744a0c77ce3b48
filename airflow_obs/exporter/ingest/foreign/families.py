"""What a StatsD line becomes under a name that is not ours: a foreign family, and labels that a page can hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.series import Labels, Window
from airflow_obs.model import PREFIX, Foreign, Kind

StatsdType = Literal["counter", "gauge", "observer"]
"""What statsd_exporter calls the types of lines: `c`; `g`; and `ms`, `h` and `d` alike."""

_OURS = frozenset({
    "process_cpu_seconds", "process_cpu_seconds_total", "process_max_fds", "process_open_fds", "process_resident_memory_bytes",
    "process_start_time_seconds", "process_virtual_memory_bytes",
})  # fmt: skip
"""What the exporter says of its own process (prometheus_client's ProcessCollector), families and their lines."""

_OF_THE_KIND = {Kind.HISTOGRAM: "le", Kind.SUMMARY: "quantile"}
_SUFFIXES = {Kind.HISTOGRAM: ("_bucket", "_count", "_sum"), Kind.SUMMARY: ("", "_count", "_sum")}


@dataclass(frozen=True, slots=True)
class Target:
    """The series that a line goes to.

    `window` makes what a summary remembers with; `ttl` is in seconds, 0 for never, None where the mapping leaves it to the store;
    `scale` is what every value of the line is multiplied by. The values of timers (`ms`) are seconds before that, divided by 1,000,
    as in statsd_exporter; those of `h` and `d` are taken as they are.
    """

    family: Foreign
    labels: Labels
    window: Callable[[], Window]
    ttl: float | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Drop:
    """The line is not kept, and why."""

    reason: Reason


def escaped(name: str) -> str:
    """`name` as statsd_exporter makes it a name that Prometheus takes: `airflow.pool-1` becomes `airflow_pool_1`."""
    name = re.sub("-+|[^a-zA-Z0-9_]", "_", name)
    return f"_{name}" if name[:1].isdigit() else name


def taken(name: str) -> bool:
    """Whether a name belongs to the exporter itself, so that nothing foreign may use it."""
    return name.startswith(PREFIX) or name in _OURS


def lines_of(family: Foreign) -> tuple[str, ...]:
    """The names that a family's lines have on the page."""
    return tuple(family.name + suffix for suffix in _SUFFIXES.get(family.kind, ("",)))


def labelled(labels: Mapping[str, str], kind: Kind) -> Labels:
    """`labels` in the order of their names, none of them one that the page itself gives a meaning to.

    Those become exported_airflow and so on, as Prometheus itself does it.
    """
    reserved = {"airflow", _OF_THE_KIND.get(kind, "airflow")}
    found = {}
    for name, value in labels.items():
        kept = name
        while kept in reserved or kept.startswith("__") or (kept != name and kept in labels):
            kept = f"exported_{kept}"
        found[kept] = value
    return tuple(sorted(found.items()))
