"""Short ways to say what becomes of a signal: each label of its family is taken from where Airflow usually has it.

`name` and `legacy` are Airflow's spellings, `since` and `until` its first and last release with it, as in `Signal`. `constants`
are labels that the name itself says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from airflow_obs.model import Emission, Metric, Signal, Unit

SOURCES: Mapping[str, tuple[str, ...]] = {
    "bundle": ("bundle_name",),
    "dag_file": ("file_path", "file_name"),
    "exception": ("exception_class",),
    "executor": ("executor_class_name", "executor", "name"),
    "job_class": ("job_name",),
    "operator": ("operator_name", "operator", "task_type"),
    "pool": ("pool_name",),
    "team": ("team_name",),
    "transport": ("transport_type",),
    "worker": ("worker_name",),
}
"""The tags and placeholders that say a label, in the order in which they are believed; any other label has a tag of its name."""


def counted(
    name: str,
    to: Metric,
    *legacy: str,
    since: str | None = None,
    until: str | None = None,
    falls: Metric | None = None,
    **constants: str,
) -> Signal:
    """A counter; its decrements go to `falls`."""
    return Signal(
        name, Emission.COUNTER, to, _labels(to, constants), tuple(constants.items()), legacy,
        since=since, until=until, falls=falls,
    )  # fmt: skip


def gauged(
    name: str,
    to: Metric,
    *legacy: str,
    since: str | None = None,
    until: str | None = None,
    ago: bool = False,
    factor: float = 1.0,
    parts: Literal["newest", "sum"] = "newest",
    **constants: str,
) -> Signal:
    """A gauge; `ago`, `factor` and `parts` as in `Signal`."""
    return Signal(
        name, Emission.GAUGE, to, _labels(to, constants), tuple(constants.items()), legacy,
        since=since, until=until, ago=ago, factor=factor, parts=parts,
    )  # fmt: skip


def timed(
    name: str,
    to: Metric,
    *legacy: str,
    unit: Unit = Unit.TIMING,
    since: str | None = None,
    until: str | None = None,
    **constants: str,
) -> Signal:
    """A timer, sent in `unit`."""
    return Signal(
        name, Emission.TIMER, to, _labels(to, constants), tuple(constants.items()), legacy,
        unit=unit, since=since, until=until,
    )  # fmt: skip


def refused(
    name: str, kind: Emission, reason: str, *legacy: str, since: str | None = None, until: str | None = None
) -> Signal:
    """A signal of which nothing becomes, and why."""
    return Signal(name, kind, legacy=legacy, refused=reason, since=since, until=until)


def _labels(to: Metric, constants: Mapping[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(
        (label, SOURCES.get(label, (label,))) for label in (*to.labels, *to.optional) if label not in constants
    )
