"""Readings as text in the two formats that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import Metric as Family
from prometheus_client import exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.utils import floatToGoString

from airflow_obs.model import Distribution, Kind, Metric, Reading, Sample

_SUFFIX = {Kind.COUNTER: "_total", Kind.INFO: "_info"}
_END = b"# EOF\n"


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


@dataclass(frozen=True)
class _Families:
    """What prometheus_client renders: anything with a collect()."""

    families: Sequence[Family]

    def collect(self) -> Sequence[Family]:
        return self.families


def render(readings: Iterable[Reading], deployment: str, others: Iterable[Family] = ()) -> Page:
    """One page of readings, each with the label airflow=`deployment`, and of `others` (which get it too)."""
    families: dict[str, Family] = {}
    for reading in readings:
        family = families.get(reading.metric.name)
        if family is None:
            family = families[reading.metric.name] = _family(reading.metric)
        for suffix, extra, value in _lines(reading):
            family.add_sample(
                reading.metric.name.removesuffix(_SUFFIX.get(reading.metric.kind, "")) + suffix,
                {"airflow": deployment, **{name: _sendable(text) for name, text in reading.labels}, **extra},
                value,
            )
    collected = _Families([*families.values(), *(_labelled(other, deployment) for other in others)])
    # Our names need no escaping, and looking for what to escape would take most of the time (bench/).
    return Page(
        exposition.generate_latest(collected, openmetrics.ALLOWUTF8),
        openmetrics.generate_latest(collected, openmetrics.ALLOWUTF8).removesuffix(_END),
    )


def _family(metric: Metric) -> Family:
    return Family(metric.name.removesuffix(_SUFFIX.get(metric.kind, "")), metric.help, metric.kind.value)


def _lines(reading: Reading) -> Iterator[tuple[str, dict[str, str], float]]:
    """(suffix of the name, more labels, value) of each line that shows a reading."""
    match reading:
        case Sample(metric=metric, value=value):
            yield _SUFFIX.get(metric.kind, ""), {}, value
        case Distribution():
            pairs = reading.cumulative()
            for bound, count in pairs:
                yield "_bucket", {"le": floatToGoString(bound)}, count
            of_now = "g" if reading.metric.kind is Kind.GAUGE_HISTOGRAM else ""
            yield f"_{of_now}count", {}, pairs[-1][1]
            yield f"_{of_now}sum", {}, reading.total


def _sendable(text: str) -> str:
    """A label value that every reader takes: no lone surrogate (not UTF-8), no NUL (ends the page for Prometheus)."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def _labelled(family: Family, deployment: str) -> Family:
    copy = Family(family.name, family.documentation, family.type, family.unit)
    for sample in family.samples:
        copy.add_sample(sample.name, {"airflow": deployment, **sample.labels}, sample.value)
    return copy
