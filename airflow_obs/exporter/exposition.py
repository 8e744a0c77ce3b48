"""Readings as text in the two formats that Prometheus reads."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain

from prometheus_client.utils import floatToGoString

from airflow_obs.exporter.foreign_exposition import foreign_pages, header, number, open_header, quoted
from airflow_obs.model import Distribution, Kind, Metric, Reading, Sample

_END = b"# EOF\n"
_NEVER_OPEN = {Kind.COUNTER: "_total", Kind.INFO: "_info"}
"""What OpenMetrics leaves away from the name of a family, though not from those of its samples."""


@dataclass(frozen=True)
class Page:
    """The same families in the Prometheus text format and in OpenMetrics (without its closing `# EOF`)."""

    text: bytes = b""
    openmetrics: bytes = b""

    @classmethod
    def joined(cls, pages: Iterable[Page]) -> Page:
        """Pages one after the other; each family must be in one page only. The OpenMetrics part is closed."""
        pages = list(pages)
        return cls(b"".join(page.text for page in pages), b"".join(page.openmetrics for page in pages) + _END)


def render(readings: Iterable[Reading], deployment: str) -> Page:
    """One page of readings, each with the label airflow=`deployment`.

    Readings are written here, and each line once for both formats: prometheus_client takes twenty times as long (bench/).
    """
    families: dict[str, tuple[Metric, list[Reading]]] = {}
    foreign: list[Reading] = []
    for reading in readings:
        if isinstance(reading.metric, Metric):
            families.setdefault(reading.metric.name, (reading.metric, []))[1].append(reading)
        else:
            foreign.append(reading)
    text: list[bytes] = []
    open_text: list[bytes] = []
    for metric, of_metric in families.values():
        for page, part in zip((text, open_text), _family(metric, of_metric, deployment), strict=True):
            page.append(part)
    for page, part in zip((text, open_text), foreign_pages(foreign, deployment), strict=True):
        page.append(part)
    return Page(b"".join(text), b"".join(open_text))


def _family(metric: Metric, readings: Sequence[Reading], deployment: str) -> tuple[bytes, bytes]:
    """A family in both formats: its head differs, and where count and sum of what exists now stand."""
    series = _series(metric, readings, deployment)
    lines = "".join(chain.from_iterable(series)).encode()
    name, kind = metric.name, metric.kind
    open_head = open_header(name.removesuffix(_NEVER_OPEN.get(kind, "")), kind.value, metric.help).encode()
    if kind is not Kind.GAUGE_HISTOGRAM:
        head = header(name, "gauge" if kind is Kind.INFO else kind.value, metric.help).encode()
        return head + lines, open_head + lines
    # The text format has no such kind, so that they are families of their own; the buckets of no type, since to histograms
    # without a count node_exporter adds one of 0, and a gauge has no `le` for promtool.
    kinds = {"_bucket": "untyped", "_gcount": "gauge", "_gsum": "gauge"}
    parts = ("".join(part) for part in zip(*series, strict=True))
    text = (header(name + suffix, kinds[suffix], metric.help) + part for suffix, part in zip(kinds, parts, strict=True))
    return "".join(text).encode(), open_head + lines


def _series(metric: Metric, readings: Sequence[Reading], deployment: str) -> list[tuple[str, str, str]]:
    """Of each series the line of its value, or those of its buckets; of its count; and of its sum."""
    deployed = f'{{airflow="{quoted(deployment)}"'
    bounds = [f',le="{floatToGoString(bound)}"}} ' for bound in (*metric.buckets, math.inf)]
    of_now = "g" if metric.kind is Kind.GAUGE_HISTOGRAM else ""
    found = []
    for reading in readings:
        labels = deployed + "".join([f',{label}="{quoted(value)}"' for label, value in reading.labels])
        if isinstance(reading, Sample):
            found.append((f"{metric.name}{labels}}} {number(reading.value)}\n", "", ""))
        elif isinstance(reading, Distribution):
            bucket, running = f"{metric.name}_bucket{labels}", [*accumulate(reading.counts)]
            found.append(
                (
                    "".join([f"{bucket}{le}{number(count)}\n" for le, count in zip(bounds, running, strict=True)]),
                    f"{metric.name}_{of_now}count{labels}}} {number(running[-1])}\n",
                    f"{metric.name}_{of_now}sum{labels}}} {number(reading.total)}\n",
                )
            )
    return found
