"""What surrounds the work: pools, the audit log, and tables that `airflow db clean` left behind."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.airflow_database import AirflowDatabase
from tests.states.rows import exists, insert


def a_pool(db: AirflowDatabase, name: str, slots: int, *, include_deferred: bool = False, **columns: Any) -> None:
    """A pool; `include_deferred` (do deferred tasks hold a slot?) is kept where the schema has it, from 2.7."""
    values = {"pool": name, "slots": slots, "description": "", "include_deferred": include_deferred}
    insert(db, "slot_pool", values, columns)


def pool_there(db: AirflowDatabase, name: str, slots: int, *, include_deferred: bool = False) -> None:
    """Make the pool, unless it is there."""
    if not exists(db, "slot_pool", pool=name):
        a_pool(db, name, slots, include_deferred=include_deferred)


def a_log_row(
    db: AirflowDatabase, event: str = "success", *, dttm: datetime, dag_id: str = "sales", **columns: Any
) -> int:
    """A row of the audit log. Returns its id."""
    values = {"event": event, "dttm": dttm, "dag_id": dag_id, "owner": "airflow"}
    return int(insert(db, "log", values, columns))


def an_archive_table(db: AirflowDatabase, name: str = "_airflow_deleted__log__20260101000000") -> str:
    """What `airflow db clean` leaves without --skip-archive: a copy of the rows it deleted. Returns its name."""
    db.execute(f"CREATE TABLE {name} AS SELECT * FROM log")
    return name
