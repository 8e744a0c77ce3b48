"""Moves dag runs and task instances of a filled database as schedulers and workers do, many rows in a statement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import FINISHED_RUN_STATES, FINISHED_STATES
from airflow_obs.model import Metric, Reading, Sample
from bench.history import DAGS, TASKS_PER_RUN, Filled
from tests.airflow_database import engine_for
from tests.airflow_schemas import Kind

_CREATE = (
    """
INSERT INTO dag_run (dag_id, run_id, state, run_type, queued_at, start_date, data_interval_start, data_interval_end{run_columns})
SELECT %(dag_id)s, run_id, 'running', 'scheduled', %(at)s, %(at)s, %(at)s, %(at)s{run_values} FROM {every_run}
""",
    """
INSERT INTO task_instance (dag_id, run_id, task_id, map_index, try_number, max_tries, pool, pool_slots, queue, updated_at{columns})
SELECT %(dag_id)s, run_id, task_id, -1, 0, 2, 'default_pool', 1, 'default', %(at)s{values} FROM {every_run}, {every_task}
""",
)
_THESE = "dag_id = %(dag_id)s AND run_id IN %(runs)s AND task_id IN %(tasks)s"
_BEGIN = (
    f"UPDATE task_instance SET state = 'running', try_number = try_number + 1, start_date = %(at)s{{beats}} WHERE {_THESE}",
)
_END = (
    f"""
UPDATE task_instance SET state = %(state)s, try_number = greatest(try_number, 1), start_date = coalesce(start_date, %(at)s),
                         end_date = %(at)s{{beats}} WHERE {_THESE}
""",
)
_FAIL_A_TRY = (
    f"""
INSERT INTO task_instance_history ({{key}}dag_id, run_id, task_id, map_index, try_number, max_tries, state, start_date, end_date,
                                   pool, pool_slots, queue)
SELECT {{key_value}}dag_id, run_id, task_id, map_index, try_number, max_tries, 'failed', start_date, %(at)s, pool, pool_slots, queue
FROM task_instance WHERE {_THESE}
""",
    f"UPDATE task_instance SET state = 'up_for_retry', end_date = %(at)s{{new_key}} WHERE {_THESE}",
)
_END_RUNS = (
    "UPDATE dag_run SET state = %(state)s, end_date = %(at)s WHERE dag_id = %(dag_id)s AND run_id IN %(runs)s",
)
_REST = (
    "UPDATE job SET latest_heartbeat = %(at)s WHERE id <= 4",
    """
INSERT INTO log (dttm, dag_id, task_id, map_index, event, run_id, owner, try_number)
SELECT %(at)s, %(dag_id)s, task_id, -1, event, 'manual', 'airflow', 1
FROM {every_task}, (SELECT 'running' AS event UNION ALL SELECT 'success' UNION ALL SELECT 'heartbeat timeout') AS happened
WHERE event <> 'heartbeat timeout' OR task_id = 'step_0'
""",
)
_WORDS = {
    Kind.POSTGRESQL: {
        "every_run": "unnest(%(run_list)s) WITH ORDINALITY AS new_run (run_id, number)",
        "every_task": "unnest(%(task_list)s) AS new_task (task_id)",
        "dated": "%(at)s + number * interval '1 microsecond'",
        "new_id": "uuidv7()",
    },
    Kind.MARIADB: {
        "every_run": "JSON_TABLE(%(run_list)s, '$[*]' COLUMNS (number FOR ORDINALITY, run_id varchar(250) PATH '$')) AS new_run",
        "every_task": "JSON_TABLE(%(task_list)s, '$[*]' COLUMNS (task_id varchar(250) PATH '$')) AS new_task",
        "dated": "%(at)s + INTERVAL number MICROSECOND",
        "new_id": "uuidv7(%(at)s)",
    },
}
"""How a kind of server says it."""
_LIST: Mapping[Kind, Callable[[Sequence[str]], Any]] = {Kind.POSTGRESQL: list, Kind.MARIADB: json.dumps}
"""What the drivers make rows of; of a tuple both make the list of an IN."""


@dataclass
class Outcomes:
    """How task instances, tries and dag runs ended: by (state, queue), (queue) and (state, run type)."""

    tasks: Counter[tuple[str, ...]] = field(default_factory=Counter)
    retries: Counter[tuple[str, ...]] = field(default_factory=Counter)
    runs: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def since(self, before: Outcomes) -> Outcomes:
        """What came on top of `before`."""
        return Outcomes(self.tasks - before.tasks, self.retries - before.retries, self.runs - before.runs)

    def kinds(self) -> Mapping[str, Counter[tuple[str, ...]]]:
        """Each counter under a name for people."""
        return {"task instances": self.tasks, "retries": self.retries, "dag runs": self.runs}


def counted(readings: Sequence[Reading]) -> Outcomes:
    """What the collector of outcomes says, in these readings of its."""

    def of(metric: Metric) -> Counter[tuple[str, ...]]:
        return Counter(
            {
                tuple(value for _, value in reading.labels): int(reading.value)
                for reading in readings
                if isinstance(reading, Sample) and reading.metric is metric
            }
        )

    return Outcomes(of(metrics.TASKS_FINISHED), of(metrics.TRIES_RETRIED), of(metrics.RUNS_FINISHED))


class Work:
    """One connection of Airflow's; every call is a transaction. Moments are `at`, or the clock's."""

    def __init__(self, filled: Filled) -> None:
        self._kind = filled.kind
        self._engine = engine_for(filled.owner_url)
        self._connection = self._engine.raw_connection()
        in_3 = not filled.release.startswith("2.")
        words = _WORDS[self._kind]
        new_id, dated = words["new_id"], words["dated"]
        parts = {
            **words,
            "run_columns": ", run_after" if in_3 else ", execution_date",
            "run_values": f", {dated}",
            "columns": ", id" if in_3 else "",
            "values": f", {new_id}" if in_3 else "",
            "beats": ", last_heartbeat_at = %(at)s" if in_3 else "",
            "key": "task_instance_id, " if in_3 else "",
            "key_value": "id, " if in_3 else "",
            "new_key": f", id = {new_id}" if in_3 else "",
        }
        self._create, self._begin, self._end, self._fail_a_try, self._end_runs, self._rest = (
            [sql.format(**parts) for sql in each] for each in (_CREATE, _BEGIN, _END, _FAIL_A_TRY, _END_RUNS, _REST)
        )
        self.at: datetime | None = None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._engine.dispose()

    def create(self, dag_id: str, runs: Sequence[str], tasks: Sequence[str]) -> None:
        """Running dag runs, each with these tasks, which have no state yet."""
        self._run(self._create, dag_id, runs, tasks)

    def begin(self, dag_id: str, runs: Sequence[str], tasks: Sequence[str]) -> None:
        """A worker starts them."""
        self._run(self._begin, dag_id, runs, tasks)

    def end(self, dag_id: str, runs: Sequence[str], tasks: Sequence[str], state: str = "success") -> None:
        """They end, for good."""
        self._run(self._end, dag_id, runs, tasks, state)

    def fail_a_try(self, dag_id: str, runs: Sequence[str], tasks: Sequence[str]) -> None:
        """They fail, with tries left."""
        self._run(self._fail_a_try, dag_id, runs, tasks)

    def end_runs(self, dag_id: str, runs: Sequence[str], state: str = "success") -> None:
        """All is done in them."""
        self._run(self._end_runs, dag_id, runs, (), state)

    def step(self, number: int) -> None:
        """As much as happens between two cycles: a run is created, one goes to work, one ends, and one does all of that.

        Of the TASKS_PER_RUN tasks of each run one fails once and is retried, and one in a hundred runs fails.
        """
        tasks = [f"step_{n}" for n in range(TASKS_PER_RUN)]
        self.create(*_run_of(number), tasks)
        if number >= 1:
            self.begin(*_run_of(number - 1), tasks)
            self.fail_a_try(*_run_of(number - 1), tasks[:1])
        if number >= 2:
            self.begin(*_run_of(number - 2), tasks[:1])
            self.end(*_run_of(number - 2), tasks, "failed" if number % 100 == 0 else "success")
            self.end_runs(*_run_of(number - 2), "failed" if number % 100 == 0 else "success")
        unseen = _run_of(number, "unseen")
        self.create(*unseen, tasks[:1])
        self.end(*unseen, tasks[:1])
        self.end_runs(*unseen)
        self._run(self._rest, unseen[0], (), tasks)

    def ended(self) -> Outcomes:
        """Everything that has ended in this database, counted by reading it all."""
        return Outcomes(
            self._count("SELECT state, queue, count(*) FROM task_instance WHERE state IN %s GROUP BY 1, 2", FINISHED_STATES),
            self._count("SELECT queue, count(*) FROM task_instance_history WHERE state IN %s GROUP BY 1", ["failed"]),
            self._count("SELECT state, run_type, count(*) FROM dag_run WHERE state IN %s GROUP BY 1, 2", FINISHED_RUN_STATES),
        )  # fmt: skip

    def _count(self, sql: str, states: Sequence[str]) -> Counter[tuple[str, ...]]:
        with self._cursor() as cursor:
            cursor.execute(sql, [tuple(states)])
            return Counter({tuple(names): count for *names, count in cursor.fetchall()})

    def _run(
        self, statements: Sequence[str], dag_id: str, runs: Sequence[str], tasks: Sequence[str], state: str = ""
    ) -> None:
        as_list = _LIST[self._kind]
        values: dict[str, Any] = {"dag_id": dag_id, "runs": tuple(runs), "tasks": tuple(tasks), "state": state}
        values |= {"run_list": as_list(runs), "task_list": as_list(tasks), "at": self.at or datetime.now(UTC)}
        with self._cursor() as cursor:
            for sql in statements:
                cursor.execute(sql, values)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        """A transaction's."""
        try:
            with closing(self._connection.cursor()) as cursor:
                yield cursor
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise


def dag(number: int) -> str:
    """The id of one of the filled DAGs."""
    number %= DAGS
    return f"team_{number // 50}.pipeline_{number}"


def _run_of(number: int, kind: str = "step") -> tuple[str, list[str]]:
    return dag(number), [f"{kind}_{number}"]
