"""The past of the simulated Airflow: pools, DAGs, and weeks of finished runs with their task instances."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.demo.company import BUNDLE, DAGS, FOLDER, HOSTS, POOLS, SCHEDULERS
from airflow_obs.demo.records import Value, copy, insert, log_extra, uuid7
from airflow_obs.demo.runs import LOG_TEMPLATE, task_columns
from airflow_obs.demo.state import LiveDag, State, last_due, next_due
from airflow_obs.demo.versions import write_version

if TYPE_CHECKING:
    from psycopg2.extensions import connection, cursor

RUNS = 24
"""Finished runs per DAG."""

DEPLOYED = timedelta(days=14)
"""How long ago the components were started."""

RUN_COLUMNS = (
    "id", "dag_id", "run_id", "run_type", "state", "queued_at", "start_date", "end_date", "logical_date",
    "data_interval_start", "data_interval_end", "run_after", "created_at", "updated_at", "last_scheduling_decision",
    "log_template_id", "created_dag_version_id", "triggered_by", "conf",
)  # fmt: skip
LOG_COLUMNS = ("dttm", "dag_id", "task_id", "map_index", "event", "run_id", "owner", "try_number", "extra")
XCOM_COLUMNS = ("dag_run_id", "dag_id", "run_id", "task_id", "map_index", "key", "value", "timestamp")

Row = dict[str, Value]


def fill(cur: cursor, now: datetime, seed: int) -> State:
    """Write everything that had happened by `now`, and give the state to go on from: nothing is unfinished in it."""
    _site(cur, now)
    state = State(seed, {})
    rng = state.rng("history")
    for spec in DAGS:
        state.dags[spec.dag_id] = LiveDag(spec, uuid7(now - timedelta(days=40), rng), next_due(spec, now))
    for dag in state.dags.values():
        _dag(cur, dag, now, rng)
    past = _Past(rng)
    for dag in state.dags.values():
        if dag.spec.every is not None:
            past.live_through(dag, now)
    past.write(cur)
    return state


def analyze(session: connection) -> None:
    """Collect the planner's statistics, as autovacuum has done on any database that is not new."""
    session.autocommit = True
    with session.cursor() as cur:
        cur.execute(
            "VACUUM (ANALYZE) task_instance, dag_run, log, xcom, job, dag, slot_pool, import_error, serialized_dag"
        )
    session.autocommit = False


def _site(cur: cursor, now: datetime) -> None:
    cur.execute("SELECT pool FROM slot_pool")
    present = {name for (name,) in cur.fetchall()}
    for pool, slots, description in POOLS:
        if pool in present:
            continue
        insert(cur, "slot_pool", pool=pool, slots=slots, description=description, include_deferred=False)
    insert(cur, "dag_bundle", name=BUNDLE, active=True, last_refreshed=now)
    # The deployment before this one left its schedulers' rows behind in good order.
    ended = now - DEPLOYED - timedelta(minutes=1)
    for host in SCHEDULERS:
        insert(cur, "job", job_type="SchedulerJob", hostname=host, unixname="airflow", state="success",
               start_date=ended - timedelta(days=30), latest_heartbeat=ended, end_date=ended)  # fmt: skip


def _dag(cur: cursor, dag: LiveDag, now: datetime, rng: random.Random) -> None:
    spec = dag.spec
    interval = timedelta(seconds=spec.every or 0)
    parsed = now - timedelta(days=40) if spec.stale else now - timedelta(seconds=rng.uniform(0, 10))
    born = now - timedelta(days=40)
    kind = "airflow.timetables.simple.NullTimetable"
    if spec.every is not None:
        kind = "airflow.timetables.interval.DeltaDataIntervalTimetable"
    insert(
        cur, "dag", dag_id=spec.dag_id, dag_display_name=spec.dag_id, is_paused=spec.paused, is_stale=spec.stale,
        last_parsed_time=parsed, last_parse_duration=spec.parse_seconds, fileloc=f"{FOLDER}/{spec.file}",
        relative_fileloc=spec.file, bundle_name=BUNDLE, owners=spec.owner, description=spec.description,
        timetable_type=kind, timetable_summary=str(interval) if spec.every else None, partition_mapper_info="{}",
        max_active_tasks=16, max_active_runs=4, max_consecutive_failed_dag_runs=0, has_task_concurrency_limits=False,
        next_dagrun=dag.next_due and dag.next_due - interval, next_dagrun_create_after=dag.next_due,
        next_dagrun_data_interval_start=dag.next_due and dag.next_due - interval,
        next_dagrun_data_interval_end=dag.next_due,
    )  # fmt: skip
    write_version(cur, dag, 1, born, rng)


class _Past:
    """Collects the rows of finished runs, to be written at once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._runs: list[Row] = []
        self._tasks: list[Row] = []
        self._log: list[Row] = []
        self._xcom: list[Row] = []

    def live_through(self, dag: LiveDag, now: datetime) -> None:
        """The newest finished runs of a DAG, one after each time it was due; the runs of a stale one are old."""
        every = timedelta(seconds=dag.spec.every or 0)
        newest = last_due(dag.spec, now - timedelta(days=40) if dag.spec.stale else now)
        for back in range(RUNS, 0, -1):
            self._run(dag, newest - back * every, now)

    def write(self, cur: cursor) -> None:
        """Write the rows, and move the sequence past the ids that were given here."""
        copy(cur, "dag_run", RUN_COLUMNS, ([row[name] for name in RUN_COLUMNS] for row in self._runs))
        cur.execute("SELECT setval('dag_run_id_seq', %s)", [len(self._runs)])
        # Else the checks of foreign keys below plan for empty tables, and read them whole for every row.
        cur.execute("ANALYZE dag_run")
        columns = tuple(self._tasks[0])
        copy(cur, "task_instance", columns, (list(row.values()) for row in self._tasks))
        cur.execute("ANALYZE task_instance")
        self._log.sort(key=lambda row: str(row["dttm"]))
        copy(cur, "log", LOG_COLUMNS, ([row[name] for name in LOG_COLUMNS] for row in self._log))
        copy(cur, "xcom", XCOM_COLUMNS, ([row[name] for name in XCOM_COLUMNS] for row in self._xcom))

    def _run(self, dag: LiveDag, due: datetime, now: datetime) -> None:
        spec = dag.spec
        every = timedelta(seconds=spec.every or 0)
        run_id = f"scheduled__{due.isoformat()}"
        number = len(self._runs) + 1
        begun = due + timedelta(seconds=self._rng.uniform(1, 3))
        moment, lost = begun, False
        for stage in sorted({task.stage for task in spec.tasks}):
            ends = [moment]
            for row in self._stage(dag, stage, run_id, number, moment, lost=lost):
                lost = lost or row["state"] != "success"
                if isinstance(end := row["end_date"], datetime):
                    ends.append(end)
            moment = max(ends)
        # A run that would end in the future of a short schedule is cut to have ended just now.
        ended = min(moment + timedelta(seconds=1), now)
        self._runs.append({
            "id": number, "dag_id": spec.dag_id, "run_id": run_id, "run_type": "scheduled",
            "state": "failed" if lost else "success", "queued_at": due + timedelta(seconds=0.6), "start_date": begun,
            "end_date": ended, "logical_date": due - every, "data_interval_start": due - every,
            "data_interval_end": due, "run_after": due, "created_at": begun, "updated_at": ended,
            "last_scheduling_decision": ended, "log_template_id": LOG_TEMPLATE, "created_dag_version_id": dag.version,
            "triggered_by": "timetable", "conf": "{}",
        })  # fmt: skip

    def _stage(
        self, dag: LiveDag, stage: int, run_id: str, number: int, moment: datetime, *, lost: bool
    ) -> Iterator[Row]:
        for spec in dag.spec.tasks:
            for index in spec.map_indexes if spec.stage == stage else ():
                scheduled = moment + timedelta(seconds=self._rng.uniform(0.2, 1))
                queued = scheduled + timedelta(seconds=self._rng.uniform(0.2, 1))
                started = queued + timedelta(seconds=self._rng.uniform(0.8, 3))
                seconds = spec.seconds * self._rng.lognormvariate(0, 0.35)
                failed = self._rng.random() < spec.fails / 3
                ended = started + timedelta(seconds=seconds)
                row: Row = dict(task_columns(dag, spec))
                row |= {
                    "id": uuid7(moment, self._rng), "run_id": run_id, "map_index": index, "updated_at": ended,
                    "try_number": 0 if lost else 1, "scheduled_dttm": None if lost else scheduled,
                    "queued_dttm": None if lost else queued, "start_date": moment if lost else started,
                    "end_date": moment if lost else ended, "duration": 0.0 if lost else seconds,
                    "state": "upstream_failed" if lost else "failed" if failed else "success",
                    "last_heartbeat_at": None if lost else ended,
                    "hostname": "" if lost else self._rng.choice(HOSTS[spec.queue]),
                }  # fmt: skip
                self._tasks.append(row)
                if not lost:
                    self._note(dag, row, number, started, ended)
                yield row

    def _note(self, dag: LiveDag, row: Row, number: int, started: datetime, ended: datetime) -> None:
        """What a try leaves besides its own row."""
        state = str(row["state"])
        names = ("dag_id", "task_id", "run_id", "map_index")
        shared = {name: row[name] for name in names}
        command = f"airflow tasks run {row['dag_id']} {row['task_id']} {row['run_id']}"
        extra = log_extra(str(row["hostname"]), command)
        for moment, event in ((started, "running"), (ended, state)):
            self._log.append(
                shared | {"dttm": moment, "event": event, "owner": dag.spec.owner, "try_number": 1, "extra": extra}
            )
        if state == "success":
            value = json.dumps({"rows": self._rng.randrange(200, 90000), "bytes": self._rng.randrange(10**5, 10**8)})
            self._xcom.append(
                shared | {"dag_run_id": number, "key": "return_value", "value": value, "timestamp": ended}
            )
