"""The life of dag runs and task instances, written as the scheduler and the workers of each release write it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.states.dag_runs import a_queued_dag_run
from tests.states.rows import as_airflow_writes, time_ordered_id
from tests.states.task_instances import TaskKey, a_task_instance, an_archived_try

TriesCounted = Literal["at start", "at schedule", "from the first"]


@dataclass
class Task:
    """One task instance: where it stands, and how many tries it may have before it is finally failed."""

    key: TaskKey
    queue: str
    state: str | None = None
    number: int = 0
    max_tries: int = 2
    started: datetime | None = None
    ended: datetime | None = None


@dataclass
class Run:
    """One dag run."""

    dag_id: str
    run_id: str
    run_type: str
    state: str = "queued"
    tasks: list[Task] = field(default_factory=list)


@dataclass
class Truth:
    """What happened since the last `forget`, counted by who did it."""

    tasks: Counter[tuple[str, str]] = field(default_factory=Counter)
    retries: Counter[tuple[str, ...]] = field(default_factory=Counter)
    runs: Counter[tuple[str, str]] = field(default_factory=Counter)


class Lives:
    """Moves runs and tasks of one database from state to state; `truth` counts what came of it."""

    def __init__(self, db: AirflowDatabase) -> None:
        self.db = db
        self.truth = Truth()
        columns = db.tables["task_instance"].columns
        self._tries: TriesCounted = "at start"
        if "working_set" in columns:
            self._tries = "from the first"
        elif "task_instance_history" in db.tables:
            self._tries = "at schedule"

    @property
    def archives(self) -> bool:
        """Whether this release keeps earlier tries with their outcome."""
        return self._tries != "at start"

    def forget(self) -> Truth:
        """Count anew; returns what was counted."""
        counted, self.truth = self.truth, Truth()
        return counted

    # -- dag runs ------------------------------------------------------------------------------------------------------

    def create(self, now: datetime, dag_id: str = "sales", run_type: str = "scheduled", tasks: int = 0) -> Run:
        """A queued run with tasks that have no state yet."""
        run_id = a_queued_dag_run(self.db, dag_id, queued=now, run_type=run_type)
        run = Run(dag_id, run_id, run_type)
        for _ in range(tasks):
            self.add(run, now)
        return run

    def start(self, run: Run, now: datetime) -> None:
        """The scheduler takes it up."""
        run.state = "running"
        self._write_run(run, start_date=now)

    def finish(self, run: Run, now: datetime, state: str = "success") -> None:
        """All is done."""
        run.state = state
        self._write_run(run, end_date=now)
        self.truth.runs[state, run.run_type] += 1

    def delete(self, run: Run) -> None:
        """Somebody deletes it, and with it go its tasks."""
        for name in ("task_instance", "dag_run"):
            table = self.db.tables[name]
            gone = sa.delete(table).where(table.c.dag_id == run.dag_id, table.c.run_id == run.run_id)
            with self.db.engine.begin() as connection:
                connection.execute(gone)

    # -- task instances ------------------------------------------------------------------------------------------------

    def add(self, run: Run, now: datetime, *, queue: str = "default", **columns: Any) -> Task:
        """One more task in a run."""
        key = a_task_instance(
            self.db, None, now, dag_id=run.dag_id, run_id=run.run_id, queue=queue, try_number=0, **columns
        )
        task = Task(key, queue)
        run.tasks.append(task)
        return task

    def schedule(self, task: Task) -> None:
        """Its turn has come."""
        again = task.state in {"up_for_reschedule", "deferred"}
        number = task.number
        if (self._tries == "at schedule" and not again) or (self._tries == "from the first" and number == 0):
            number += 1
        self._write(task, state="scheduled", try_number=number)

    def queue(self, task: Task, now: datetime) -> None:
        """It was handed to the executor."""
        self._write(task, state="queued", queued_dttm=now)

    def run(self, task: Task, now: datetime) -> None:
        """A worker has begun."""
        task.started = now
        number = task.number + (self._tries == "at start")
        self._write(task, state="running", try_number=number, start_date=now, last_heartbeat_at=now)

    def wait(self, task: Task, state: Literal["deferred", "up_for_reschedule"], now: datetime) -> None:
        """It gives back its slot, and goes on in the same try."""
        self._write(task, state=state, try_number=task.number - (self._tries == "at start"), end_date=now)

    def retry(self, task: Task, now: datetime) -> None:
        """Its try failed, and there will be another."""
        before = replace(task)
        number = task.number + (self._tries == "from the first")
        self._write(task, state="up_for_retry", try_number=number, end_date=now, id=time_ordered_id(now))
        self._archive(before, "failed", now)
        self.truth.retries[(task.queue,)] += 1

    def end(self, task: Task, now: datetime, state: str = "success") -> None:
        """It ends, for good if nobody clears it; the scheduler ends what has not begun, and keeps moments of a former end."""
        moments = {"end_date": now} if task.started else {} if task.ended else {"start_date": now, "end_date": now}
        task.ended = moments.get("end_date", task.ended)
        self._write(task, state=state, **moments)
        self.truth.tasks[state, task.queue] += 1

    def write_again(self, task: Task, now: datetime | None, state: str) -> None:
        """Somebody else writes how the same try ended: one outcome still."""
        self._write(task, state=state, end_date=now)

    def through(self, task: Task, now: datetime, state: str = "success", retries: int = 0) -> None:
        """All of its life, with so many failed tries on the way."""
        for left in range(retries, -1, -1):
            self.schedule(task)
            self.queue(task, now)
            self.run(task, now)
            if left:
                self.retry(task, now)
        self.end(task, now, state)

    def clear(self, run: Run, task: Task, now: datetime) -> None:
        """Somebody wants a finished one to run again."""
        before = replace(task)
        task.max_tries = task.number + 2
        number = task.number + (self._tries == "from the first")
        self._write(task, state=None, try_number=number, max_tries=task.max_tries, id=time_ordered_id(now))
        self._archive(before, str(before.state), before.ended or now)
        task.started = None
        if run.state in {"success", "failed"}:
            run.state = "queued"
            self._write_run(run, start_date=None)

    def expand(self, run: Run, task: Task, now: datetime, length: int) -> list[Task]:
        """A mapped task learns how many it is: its row becomes the first of them."""
        index = "region_index" if "region_index" in self.db.tables["task_instance"].columns else "map_index"
        self._write(task, **{index: 0})
        task.key = task.key._replace(map_index=0)
        more = range(1, length)
        return [task, *(self.add(run, now, queue=task.queue, task_id=task.key.task_id, map_index=n) for n in more)]

    # -- rows ----------------------------------------------------------------------------------------------------------

    def _archive(self, task: Task, state: str, now: datetime) -> None:
        if self.archives:
            began = task.started or now
            an_archived_try(
                self.db,
                task.key,
                started=began,
                ended=now,
                try_number=task.number,
                state=state,
                max_tries=task.max_tries,
            )

    def _write(self, task: Task, **values: Any) -> None:
        table = self.db.tables["task_instance"]
        index = table.c.region_index if "region_index" in table.c else table.c.map_index
        dag_id, task_id, run_id, map_index = task.key
        wanted = [table.c.dag_id == dag_id, table.c.task_id == task_id, table.c.run_id == run_id, index == map_index]
        if "working_set" in table.c:
            wanted.append(table.c.working_set.is_(True))
        task.state = values.get("state", task.state)
        task.number = values.get("try_number", task.number)
        self._update(table, wanted, values)

    def _write_run(self, run: Run, **values: Any) -> None:
        table = self.db.tables["dag_run"]
        self._update(
            table, [table.c.dag_id == run.dag_id, table.c.run_id == run.run_id], {"state": run.state, **values}
        )

    def _update(self, table: sa.Table, wanted: list[sa.ColumnElement[bool]], values: dict[str, Any]) -> None:
        row = {
            name: as_airflow_writes(self.db, table.columns[name], value)
            for name, value in values.items()
            if name in table.columns
        }
        with self.db.engine.begin() as connection:
            changed = connection.execute(sa.update(table).where(*wanted).values(row))
        if changed.rowcount != 1:
            raise LookupError(f"{self.db.schema}: {changed.rowcount} rows of {table.name} where one should be")
