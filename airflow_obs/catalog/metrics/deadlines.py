"""Deadlines, SLAs and the callbacks that they and failures ask for."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge

SLA_MISSES = counter(
    "deadlines", "sla_misses_total",
    "SLA misses that Airflow 2 recorded since the exporter started, by the rows that the database says were inserted: those of"
    " failed transactions count, too, and a physical standby counts none.",
    until="2.11", shows=("X4",),
)  # fmt: skip
DEADLINES_OVERDUE = gauge(
    "deadlines",
    "deadlines_overdue",
    "Deadlines that have passed and that the scheduler has not handled (3.1 and later).",
    since="3.1",
    shows=("X4",),
    always=True,
)
DEADLINES_OVERDUE_OLDEST = gauge(
    "deadlines",
    "deadline_overdue_oldest_timestamp_seconds",
    "When the oldest of them passed; absent when there is none.",
    since="3.1",
    shows=("X4",),
)
DEADLINES_MISSED = counter(
    "deadlines", "deadlines_missed_total",
    "Deadlines that the scheduler recorded as missed since the exporter started (3.1 and later).",
    since="3.1", shows=("X4",),
    always=True,
)  # fmt: skip
CALLBACKS_WAITING = gauge(
    "deadlines", "callbacks_waiting",
    "Callbacks that are not done, by who runs them (dag_processor, triggerer, executor) and state (`none`: not looked at)."
    " Of more than 10,000: up to 3.1 the oldest, from 3.2 on, where those that are done count among them, the newest.",
    ("runner", "state"),
    shows=("X4",),
    always=True,
)  # fmt: skip
CALLBACKS_OLDEST = gauge(
    "deadlines", "callback_oldest_timestamp_seconds",
    "When the oldest of them was asked for, or, for that of a deadline, made with its dag run; in 3.1 when its deadline passed.",
    ("runner", "state"),
    shows=("X4",),
)  # fmt: skip
