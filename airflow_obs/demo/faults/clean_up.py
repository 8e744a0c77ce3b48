"""Faults of clean-up."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_obs.catalog import metrics
from airflow_obs.demo.company import SCHEDULERS
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.records import insert, uuid7
from airflow_obs.demo.runs import LOG_TEMPLATE, task_columns
from airflow_obs.demo.state import LiveDag
from airflow_obs.demo.world import World

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


class CleanUpOverdue(Fault):
    """Rows that a year's runs leave where nobody calls `airflow db clean`."""

    name = "clean-up-overdue"
    sick = "nobody has cleaned up for a year: log, task_instance and job hold rows that should have gone after 90 days"
    shows = (metrics.CLEAN_UP_DUE, metrics.TABLE_OLDEST_ROW, metrics.TABLE_SIZE)

    _DAG = "airflow_housekeeping"
    _DAYS = range(400, 30, -1)
    """How long ago; what is nearer is there."""
    _EVENTS = 60
    """Rows of the table log for a day."""
    _RESTARTS = 14
    """Days from one deployment to the next."""

    def begin(self, world: World) -> None:
        """Write the rows, and let the planner look at them."""
        session = world.connect("airflow scheduler")
        try:
            with session, session.cursor() as cur:
                self._runs(cur, world.state.dags[self._DAG], world)
                self._events(cur, world.now)
                self._jobs(cur, world.now)
                cur.execute("ANALYZE task_instance, log, dag_run, job")
        finally:
            session.close()

    def _runs(self, cur: cursor, dag: LiveDag, world: World) -> None:
        rng = world.state.rng(self.name)
        for moment in self._moments(world.now):
            end = moment + timedelta(minutes=1)
            run_id = f"scheduled__{moment.isoformat()}"
            insert(
                cur, "dag_run", dag_id=dag.spec.dag_id, run_id=run_id, run_type="scheduled", state="success",
                queued_at=moment, start_date=moment, end_date=end, logical_date=moment, data_interval_start=moment,
                data_interval_end=moment, run_after=moment, created_at=moment, updated_at=end,
                last_scheduling_decision=end, log_template_id=LOG_TEMPLATE, created_dag_version_id=dag.version,
                triggered_by="timetable", conf="{}",
            )  # fmt: skip
            for spec in dag.spec.tasks:
                insert(
                    cur, "task_instance", **task_columns(dag, spec), id=uuid7(moment, rng), run_id=run_id, map_index=-1,
                    try_number=1, state="success", start_date=moment, end_date=end, updated_at=end, duration=60.0,
                    hostname="",
                )  # fmt: skip

    def _events(self, cur: cursor, now: datetime) -> None:
        every = timedelta(days=1) / self._EVENTS
        cur.execute(
            "INSERT INTO log (dttm, event, owner, extra) SELECT moment, 'success', 'airflow', repeat('x', 200) "
            "FROM generate_series(%s::timestamptz, %s, %s) AS moment",
            [now - timedelta(days=self._DAYS[0]), now - timedelta(days=self._DAYS[-1]), every],
        )

    def _jobs(self, cur: cursor, now: datetime) -> None:
        for moment in self._moments(now)[:: self._RESTARTS]:
            end = moment + timedelta(days=self._RESTARTS)
            for host in SCHEDULERS:
                insert(cur, "job", job_type="SchedulerJob", hostname=host, unixname="airflow", state="success",
                       start_date=moment, latest_heartbeat=end, end_date=end)  # fmt: skip

    def _moments(self, now: datetime) -> list[datetime]:
        return [now - timedelta(days=days) for days in self._DAYS]


class UndatedRows(Fault):
    """`airflow db clean` judges by start_date, and deletes no row that has none: it succeeds every week, and leaves these."""

    name = "undated-rows"
    sick = "runs that were marked as failed before they began have no start_date: `airflow db clean` never deletes them"
    shows = (metrics.CLEAN_UP_UNDATED,)

    _DAG = "airflow_housekeeping"
    _DAYS = range(400, 100, -3)
    """How long ago."""

    def begin(self, world: World) -> None:
        """Write the rows."""
        dag, rng = world.state.dags[self._DAG], world.state.rng(self.name)
        session = world.connect("airflow scheduler")
        try:
            with session, session.cursor() as cur:
                for days in self._DAYS:
                    moment = world.now - timedelta(days=days)
                    run_id = f"manual__{moment.isoformat()}"
                    insert(
                        cur, "dag_run", dag_id=self._DAG, run_id=run_id, run_type="manual", state="failed",
                        queued_at=moment, end_date=moment, logical_date=moment, run_after=moment, created_at=moment,
                        updated_at=moment, log_template_id=LOG_TEMPLATE, created_dag_version_id=dag.version,
                        triggered_by="ui", conf="{}",
                    )  # fmt: skip
                    for spec in dag.spec.tasks:
                        insert(
                            cur, "task_instance", **task_columns(dag, spec), id=uuid7(moment, rng), run_id=run_id,
                            map_index=-1, try_number=0, state="skipped", updated_at=moment, hostname="",
                        )  # fmt: skip
        finally:
            session.close()
