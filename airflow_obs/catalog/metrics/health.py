"""Airflow's health endpoint."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import gauge

HEALTH_COMPONENT = gauge(
    "health", "health_component_healthy",
    "1 if the endpoint calls the component healthy; absent for one never seen. Only the newest job of each kind is judged.",
    ("component",),
    shows=("S1", "G3", "R1"),
)  # fmt: skip
HEALTH_LATENCY = gauge(
    "health", "health_latency_seconds", "Time that the health endpoint took to answer.", shows=("A1",)
)
