"""The dag processor: it parses every file again and again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.company import BROKEN_FILE, BROKEN_TRACE, BUNDLE
from airflow_obs.demo.jobs import Job
from airflow_obs.demo.records import insert, update
from airflow_obs.demo.state import State
from airflow_obs.demo.versions import change

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

INTERVAL = 10.0
"""Seconds from one parse of a file to the next ([dag_processor] min_file_process_interval; 30 by default)."""


class DagProcessor:
    """The one dag processor. `parsing = False`: its parsing processes hang while its own heartbeat goes on.

    `refreshing = False`: it parses what it has, and nothing newer comes. `changing = True`: no two parses of a file give the
    same DAGs. `gone`: folders of the bundle that it finds no files in. `broken = True`: there is a new file that fails to import.
    """

    def __init__(self, state: State, job: Job, now: datetime) -> None:
        self.job = job
        self.parsing = self.refreshing = True
        self.changing = self.broken = False
        self.gone: tuple[str, ...] = ()
        self._state = state
        self._missed: set[str] = set()
        self._rng = state.rng("processor")
        self._files = {dag.spec.file: dag.spec.parse_seconds for dag in state.dags.values() if not dag.spec.stale}
        self._next = {file: now + timedelta(seconds=self._rng.uniform(0, INTERVAL)) for file in self._files}

    def step(self, cur: cursor, now: datetime) -> None:
        """Write down every parse that has ended by now."""
        if not (self.job.alive and self.parsing):
            return
        self._miss(cur)
        if self.broken and BROKEN_FILE not in self._files:
            self._files[BROKEN_FILE], self._next[BROKEN_FILE] = 0.1, now
            insert(cur, "import_error", filename=BROKEN_FILE, bundle_name=BUNDLE, stacktrace=BROKEN_TRACE)
        for file, due in self._next.items():
            if now < due or file.startswith(self.gone):
                continue
            took = self._files[file] * self._rng.lognormvariate(0, 0.15)
            self._next[file] = now + timedelta(seconds=INTERVAL + took)
            if file == BROKEN_FILE:
                update(cur, "import_error", "filename", file, timestamp=now)
            else:
                update(cur, "dag", "relative_fileloc", file, last_parsed_time=now, last_parse_duration=took)
            if self.changing:
                for dag in self._state.dags.values():
                    if dag.spec.file == file:
                        change(cur, dag, now, self._rng)
        if self.refreshing:
            update(cur, "dag_bundle", "name", BUNDLE, last_refreshed=now)

    def _miss(self, cur: cursor) -> None:
        """DAGs whose files are gone go stale, and no run of them is created any more."""
        for dag in self._state.dags.values():
            if dag.spec.file.startswith(self.gone) and dag.spec.dag_id not in self._missed:
                self._missed.add(dag.spec.dag_id)
                dag.next_due = None
                update(cur, "dag", "dag_id", dag.spec.dag_id, is_stale=True)
