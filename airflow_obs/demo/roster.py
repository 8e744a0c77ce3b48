"""What the workers would say of themselves, written down for the process that speaks Celery's control protocol for them."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_obs.demo.workers import Workers

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

FILE = "workers.json"


class Roster:
    """The file in the keeper's folder: full node name → queues, slots, active, processed, started (Unix seconds)."""

    def __init__(self, folder: Path, workers: Workers) -> None:
        self._file = folder / FILE
        self._workers = workers
        self._written = ""

    def step(self, _cur: cursor, _now: datetime) -> None:
        """Write it anew when something has changed; a reader sees it whole."""
        active = self._workers.active()
        text = json.dumps({
            worker.spec.name: {
                "queues": worker.queues, "slots": worker.spec.slots, "active": active[worker.spec.name],
                "processed": worker.processed, "started": worker.started.timestamp(),
            }
            for worker in self._workers.fleet
        })  # fmt: skip
        if text != self._written:
            fresh = self._file.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(self._file)
            self._written = text
