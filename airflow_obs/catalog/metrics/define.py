"""Short ways to define a metric of this toolkit: the prefix and the kind are filled in.

`since`, `until` and `shows` are as in `Metric`: the first and the last Airflow that has it, and the ids of the failure modes that
it shows. `also` is the collector that feeds it where `collector` does not. `always`: it has series whenever its collector succeeds.
"""

from __future__ import annotations

from airflow_obs.model import PREFIX, Kind, Metric


def gauge(
    collector: str,
    name: str,
    text: str,
    labels: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    shows: tuple[str, ...] = (),
    also: str | None = None,
    always: bool = False,
) -> Metric:
    """A gauge fed by `collector`; `name` is without the prefix."""
    return Metric(
        PREFIX + name, Kind.GAUGE, text, collector, labels, optional,
        since=since, until=until, shows=shows, also=also, always=always,
    )  # fmt: skip


def counter(
    collector: str,
    name: str,
    text: str,
    labels: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    shows: tuple[str, ...] = (),
    also: str | None = None,
    always: bool = False,
) -> Metric:
    """A counter fed by `collector`; `name` is without the prefix, and ends in _total."""
    return Metric(
        PREFIX + name, Kind.COUNTER, text, collector, labels, optional,
        since=since, until=until, shows=shows, also=also, always=always,
    )  # fmt: skip


def info(
    collector: str,
    name: str,
    text: str,
    labels: tuple[str, ...],
    optional: tuple[str, ...] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    shows: tuple[str, ...] = (),
    also: str | None = None,
    always: bool = False,
) -> Metric:
    """A metric whose labels are the news and whose value is 1; `name` is without the prefix, and ends in _info."""
    return Metric(
        PREFIX + name, Kind.INFO, text, collector, labels, optional,
        since=since, until=until, shows=shows, also=also, always=always,
    )  # fmt: skip


def histogram(
    collector: str,
    name: str,
    text: str,
    buckets: tuple[float, ...],
    labels: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    shows: tuple[str, ...] = (),
    also: str | None = None,
    gap: tuple[str, str] | None = None,
) -> Metric:
    """A distribution of what has happened since the exporter started; `name` is without the prefix."""
    return Metric(
        PREFIX + name,
        Kind.HISTOGRAM,
        text,
        collector,
        labels,
        optional,
        buckets,
        since=since,
        until=until,
        shows=shows,
        also=also,
        gap=gap,
    )


def gauge_histogram(
    collector: str,
    name: str,
    text: str,
    buckets: tuple[float, ...],
    labels: tuple[str, ...] = (),
    *,
    since: str | None = None,
    until: str | None = None,
    shows: tuple[str, ...] = (),
    also: str | None = None,
) -> Metric:
    """A distribution of what exists now; `name` is without the prefix."""
    return Metric(
        PREFIX + name,
        Kind.GAUGE_HISTOGRAM,
        text,
        collector,
        labels,
        (),
        buckets,
        since=since,
        until=until,
        shows=shows,
        also=also,
    )
