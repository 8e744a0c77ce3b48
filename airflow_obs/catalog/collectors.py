"""Which source feeds each collector's metrics, for rooms that must not import the collectors."""

from __future__ import annotations

_ELSEWHERE = {"exporter": "exporter", "health": "health", "broker": "broker", "workers": "workers", "ingest": "ingest"}


def source_of(collector: str) -> str:
    """The source that a metric's `collector` reads: "database" unless it is one of the few that do not."""
    return _ELSEWHERE.get(collector, "database")
