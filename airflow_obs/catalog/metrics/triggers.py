"""Triggers and the deferred task instances that wait for them."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge

TRIGGERS = gauge(
    "triggers", "triggers",
    "Triggers by the host of the triggerer that they are assigned to; `none`: to nobody, or to one without a row in `job`.",
    ("hostname",), shows=("R3", "R1"),
)  # fmt: skip
TRIGGERS_OLDEST = gauge(
    "triggers", "triggers_oldest_timestamp_seconds",
    "When the oldest trigger that a deferred task instance waits for was made, by host.", ("hostname",),
    shows=("R2",),
)  # fmt: skip
TRIGGERS_ENDED = counter(
    "triggers", "triggers_ended_total",
    "Triggers of deferred task instances that were on this host and ended before their timeout, as one read after another shows.",
    ("hostname",), shows=("R2",),
)  # fmt: skip
TRIGGERS_STRANDED = gauge(
    "triggers", "triggers_stranded",
    "Triggers that nobody runs: not assigned to a triggerer, or to one that is dead.", ("reason",),
    shows=("R1", "R3"),
    always=True,
)  # fmt: skip
TRIGGERS_STRANDED_OLDEST = gauge(
    "triggers", "triggers_stranded_oldest_timestamp_seconds", "When the oldest of them was made.", ("reason",),
    shows=("R1", "R3"),
)  # fmt: skip
DEFERRED_OVERDUE = gauge(
    "triggers", "deferred_task_instances_overdue",
    "Deferred task instances whose trigger_timeout passed longer ago than overdue_after; the scheduler should have failed them.",
    shows=("R2",),
    always=True,
)  # fmt: skip
DEFERRED_TIMEOUT = gauge(
    "triggers", "deferred_task_instances_timeout_timestamp_seconds",
    "Earliest trigger_timeout of a deferred task instance; in the past when nobody acts on it.",
    shows=("R2",),
)  # fmt: skip
DEFERRED_LOST = gauge(
    "triggers", "deferred_task_instances_without_trigger", "Deferred task instances that no trigger will ever wake.",
    shows=("R2",),
    always=True,
)  # fmt: skip
