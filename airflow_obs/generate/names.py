"""The reference of Airflow's own names, made from the catalogue: what becomes of each, or why nothing does."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog.airflow import OLDEST_RELEASE
from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.generate.tree import MARKER, Tree
from airflow_obs.model import Metric, Signal

NAMES_PAGE = "exporters/airflow-names.md"

_HEAD = f"""<!-- {MARKER} -->

# Airflow's own names

What Airflow sends over StatsD and OpenTelemetry, by its name without the prefix (`[metrics] statsd_prefix`, `otel_prefix`), and
the metric of [ours](metrics.md) that it feeds. Since 2.7 Airflow sends most of what has ids in its name twice: under its *name*,
with the ids as tags, and in its *legacy* spelling. Only one of them counts: the name where tags arrive, the legacy spelling where
plain StatsD loses them. *Since* and *until* are the first and the last Airflow that sends it; what a provider sends comes with the
provider. OpenTelemetry up to 3.2 cuts names at 63 characters; of a legacy name cut so nothing becomes, its twin is whole.

Any other name is counted as unmapped, and kept or dropped as the policy says.

| name | legacy spellings | type | feeds | since | until |
|---|---|---|---|---|---|
"""
_REFUSED = """
## Refused

Of these nothing becomes. They are counted as dropped.

| name | type | why | since | until |
|---|---|---|---|---|
"""


def names() -> Tree:
    """The page of Airflow's names."""
    return {NAMES_PAGE: _HEAD + "".join(_fed()) + _REFUSED + "".join(_refused())}


def _fed() -> Iterator[str]:
    for signal in SIGNALS:
        if signal.to:
            legacy = ", ".join(f"`{spelling}`" for spelling in signal.legacy)
            feeds = f"{_feeds(signal, signal.to)}{_decrements(signal)}"
            yield f"| `{signal.name}` | {legacy} | {signal.kind} | {feeds} | {_releases(signal)} |\n"


def _refused() -> Iterator[str]:
    for signal in SIGNALS:
        if signal.refused:
            yield f"| `{signal.name}` | {signal.kind} | {signal.refused} | {_releases(signal)} |\n"


def _feeds(signal: Signal, to: Metric) -> str:
    constants = ",".join(f'{label}="{value}"' for label, value in signal.constants)
    return f"`{to.name}{{{constants}}}`" if constants else f"`{to.name}`"


def _decrements(signal: Signal) -> str:
    return f", its decrements `{signal.falls.name}`" if signal.falls else ""


def _releases(signal: Signal) -> str:
    return f"{signal.since or OLDEST_RELEASE} | {signal.until or ''}"
