"""Many rows at once, in the statements that a busy hour needs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from tests.airflow_database import AirflowDatabase
from tests.states.dag_runs import a_finished_dag_run, a_running_dag_run
from tests.states.dags import version_of
from tests.states.rows import as_airflow_writes, exists, numbers, time_ordered_id


def many_task_instances(
    db: AirflowDatabase,
    count: int,
    *,
    run_id: str,
    state: str | None,
    start: datetime | None = None,
    ended: datetime | None = None,
    run_state: str = "running",
    dag_id: str = "sales",
) -> None:
    """So many of one run, alike but for their task; the run is made in `run_state` when it is not there."""
    moment = start or datetime.now(UTC)
    if not exists(db, "dag_run", dag_id=dag_id, run_id=run_id):
        if run_state == "running":
            a_running_dag_run(db, dag_id, run_id, started=moment)
        else:
            end = ended or moment + timedelta(minutes=1)
            a_finished_dag_run(db, dag_id, run_id, started=moment, ended=end, state=run_state)
    table = db.tables["task_instance"]
    version = version_of(db, dag_id, moment)
    alike = {
        "dag_id": dag_id,
        "run_id": run_id,
        "map_index": -1,
        "state": state,
        "try_number": 1 if state else 0,
        "max_tries": 2,
        "pool": "default_pool",
        "pool_slots": 1,
        "queue": "default",
        "start_date": start,
        "end_date": ended,
        "working_set": True,
        "dag_version_id": version,
    }

    def written(row: Mapping[str, Any]) -> dict[str, Any]:
        there = {name: value for name, value in row.items() if name in table.columns}
        return {name: as_airflow_writes(db, table.columns[name], value) for name, value in there.items()}

    same = written(alike)
    rows = [
        {**same, **written({"id": time_ordered_id(moment), "task_id": f"task_{next(numbers)}"})} for _ in range(count)
    ]
    with db.engine.begin() as connection:
        connection.execute(sa.insert(table), rows)


def copies_of(db: AirflowDatabase, table: str, original: str, numbers: str, **own: str) -> None:
    """Copy the rows where `original` holds, once for each n of the SQL `numbers`, with `own` SQL for columns that are there.

    PostgreSQL only.
    """
    columns = {column.name: own.get(column.name, f'"{column.name}"') for column in db.tables[table].columns}
    db.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
        f" FROM {table}, {numbers} AS n WHERE {original}"
    )
