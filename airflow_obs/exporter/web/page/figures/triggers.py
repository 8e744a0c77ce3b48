"""Figures of deferred tasks, their triggers, and callbacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import NO_STATE
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.wording import count, duration, legible


def triggers(seen: Seen) -> Iterator[Figure]:
    """How many wait, since when, and those that nobody will wake."""
    hosts = seen.by(metrics.TRIGGERS, "hostname")
    if hosts:
        held = {host: number for host, number in hosts.items() if host != NO_STATE}
        fullest = max(held, key=held.__getitem__, default="")
        text = count(sum(hosts.values())) + (f", most on {legible(fullest)}: {count(held[fullest])}" if held else "")
        yield seen.figure(
            "triggers", text, metrics.TRIGGERS,
            "AirflowTriggererFull",
        )  # fmt: skip
    if oldest := seen.oldest(metrics.TRIGGERS_OLDEST):
        yield seen.figure(
            "longest deferred", duration(oldest[0]), metrics.TRIGGERS_OLDEST,
            "AirflowDeferredTooLong",
        )  # fmt: skip
    if stranded := seen.oldest(metrics.TRIGGERS_STRANDED_OLDEST):
        text = f"{count(seen.total(metrics.TRIGGERS_STRANDED))}, the oldest made {duration(stranded[0])} ago"
        yield seen.figure(
            "triggers that nobody runs", text, metrics.TRIGGERS_STRANDED_OLDEST,
            "AirflowTriggersStranded",
        )  # fmt: skip
    if overdue := seen.total(metrics.DEFERRED_OVERDUE):
        yield seen.figure(
            "deferred past their timeout", count(overdue), metrics.DEFERRED_OVERDUE,
            "AirflowDeferredTasksOverdue",
        )  # fmt: skip
    if lost := seen.total(metrics.DEFERRED_LOST):
        yield seen.figure(
            "deferred without a trigger", count(lost), metrics.DEFERRED_LOST,
            "AirflowDeferredTasksLost",
        )  # fmt: skip
    waiting: Counter[str] = Counter()
    for labels, number in seen.series(metrics.CALLBACKS_WAITING):
        if labels["state"] != "running":
            waiting[labels["runner"]] += int(number)
    runner = max(waiting, key=waiting.__getitem__, default="")
    if waiting[runner]:
        yield seen.figure(
            "callbacks that wait", f"{count(waiting[runner])}, for the {runner}", metrics.CALLBACKS_WAITING,
            "AirflowCallbacksWaiting",
        )  # fmt: skip
