"""What Airflow says about itself through its own REST API, in the same words for 2.x and 3.x."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

UNFINISHED_RUNS = frozenset({"queued", "running"})
FINISHED_TASKS = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
PATIENCE = 120
"""Seconds for one answer; a busy machine takes its time when every component starts at once."""


@dataclass(frozen=True)
class PoolSlots:
    """The slots of one pool, as Airflow counts them."""

    slots: float
    open: float
    used: float
    running: float
    queued: float
    deferred: float
    scheduled: float


class AirflowApi:
    """The REST API of one Airflow; every method asks anew. Raises requests.RequestException."""

    def __init__(self, url: str, major: int) -> None:
        self._major = major
        self._root = f"{url}/api/v{1 if major == 2 else 2}"
        self._health = f"{url}/health" if major == 2 else f"{self._root}/monitor/health"
        self._session = requests.Session()
        self._session.trust_env = False
        if major > 2:
            token = self._session.get(f"{url}/auth/token", timeout=PATIENCE).json()["access_token"]
            self._session.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def create_pool(self, name: str, slots: int, *, include_deferred: bool) -> None:
        """Create a pool."""
        self._send("POST", "pools", {"name": name, "slots": slots, "include_deferred": include_deferred})

    def trigger(self, dag_id: str) -> None:
        """Ask for one more run of a DAG."""
        self._send("POST", f"dags/{dag_id}/dagRuns", {} if self._major == 2 else {"logical_date": None})

    def pause(self, dag_id: str) -> None:
        """Pause a DAG."""
        self._send("PATCH", f"dags/{dag_id}", {"is_paused": True})

    def pools(self) -> dict[str, PoolSlots]:
        """Every pool by name."""
        return {
            pool["name"]: PoolSlots(
                pool["slots"],
                pool["open_slots"],
                pool["occupied_slots"],
                pool["running_slots"],
                pool["queued_slots"],
                pool["deferred_slots"],
                pool["scheduled_slots"],
            )
            for pool in self._get("pools")["pools"]
        }

    def dags(self) -> list[dict[str, Any]]:
        """Every DAG, stale ones too."""
        everything = "only_active=false" if self._major == 2 else "exclude_stale=false"
        dags: list[dict[str, Any]] = self._get(f"dags?limit=100&{everything}")["dags"]
        return dags

    def dag_states(self) -> dict[str, int]:
        """How many DAGs are active, paused, stale."""
        counts = {"active": 0, "paused": 0, "stale": 0}
        for dag in self.dags():
            stale = not dag["is_active"] if self._major == 2 else dag["is_stale"]
            counts["stale" if stale else "paused" if dag["is_paused"] else "active"] += 1
        return counts

    def next_run_due(self) -> float | None:
        """Unix seconds at which the next run of any unpaused DAG is due."""
        key = "next_dagrun_create_after" if self._major == 2 else "next_dagrun_run_after"
        due = [dag[key] for dag in self.dags() if dag[key] and not dag["is_paused"]]
        return min((datetime.fromisoformat(moment).timestamp() for moment in due), default=None)

    def parse_durations(self) -> dict[str, float]:
        """Seconds of the newest parse by relative path of the file; empty before Airflow 3.1."""
        durations: dict[str, float] = {}
        for dag in self.dags():
            if (seconds := self._get(f"dags/{dag['dag_id']}/details").get("last_parse_duration")) is not None:
                path = dag["relative_fileloc"]
                durations[path] = max(seconds, durations.get(path, 0.0))
        return durations

    def import_errors(self) -> int:
        """How many files cannot be imported."""
        return int(self._get("importErrors")["total_entries"])

    def unfinished_runs(self) -> dict[tuple[str, str], int]:
        """How many dag runs are not finished, by state and kind."""
        runs = self._get("dags/~/dagRuns?limit=100")["dag_runs"]
        return dict(Counter((run["state"], run["run_type"]) for run in runs if run["state"] in UNFINISHED_RUNS))

    def run_states(self, dag_id: str) -> set[str]:
        """The states of all runs of a DAG."""
        runs = self._get("dags/~/dagRuns?limit=100")["dag_runs"]
        return {run["state"] for run in runs if run["dag_id"] == dag_id}

    def unfinished_tasks(self) -> dict[tuple[str, str, str], int]:
        """How many task instances are not finished, by state (`none` where there is none), queue and pool."""
        tasks = self._get("dags/~/dagRuns/~/taskInstances?limit=100")["task_instances"]
        return dict(
            Counter(
                (task["state"] or "none", task["queue"], task["pool"])
                for task in tasks
                if task["state"] not in FINISHED_TASKS
            )
        )

    def begun_tasks(self) -> int:
        """How many task instances have been begun, whatever became of them."""
        tasks = self._get("dags/~/dagRuns/~/taskInstances?limit=100")["task_instances"]
        return sum(task["start_date"] is not None for task in tasks)

    def health(self) -> dict[str, bool]:
        """Whether each component is healthy; a component that was never seen is left out."""
        report = self._session.get(self._health, timeout=PATIENCE).json()
        return {
            name: component["status"] == "healthy"
            for name, component in report.items()
            if component.get("status") is not None
        }

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._session.get(f"{self._root}/{path}", timeout=PATIENCE)
        answer.raise_for_status()
        body: dict[str, Any] = answer.json()
        return body

    def _send(self, method: str, path: str, body: dict[str, object]) -> None:
        answer = self._session.request(method, f"{self._root}/{path}", json=body, timeout=PATIENCE)
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text[:500]}", response=answer)
