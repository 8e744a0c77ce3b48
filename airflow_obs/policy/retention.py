"""How long a site keeps the rows of Airflow's tables."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from airflow_obs.policy.knobs import Count
from airflow_obs.policy.strict import Strict


class TableRetention(Strict):
    """How long the rows of one table are kept."""

    days: Annotated[int, Count(1, 36_500)] | None = Field(
        None, description="Days that its rows are kept; null is as long as those of other tables."
    )


class TableRetentions(Strict):
    """The tables that a clean-up empties of all that is old."""

    asset_event: TableRetention = Field(TableRetention(), description="Updates of assets.")
    callback_request: TableRetention = Field(TableRetention(), description="Callbacks for the dag processor.")
    celery_taskmeta: TableRetention = Field(
        TableRetention(), description="Celery's results, where they are kept in this database."
    )
    celery_tasksetmeta: TableRetention = Field(TableRetention(), description="Celery's results of groups of tasks.")
    dataset_event: TableRetention = Field(
        TableRetention(), description="Updates of datasets, as assets are called in 2.x."
    )
    deadline: TableRetention = Field(TableRetention(), description="Deadlines.")
    job: TableRetention = Field(TableRetention(), description="Jobs: in 2.x one for each try of a task.")
    log: TableRetention = Field(TableRetention(), description="The audit log.")
    sla_miss: TableRetention = Field(TableRetention(), description="SLA misses.")
    task_fail: TableRetention = Field(TableRetention(), description="Failed tries, in 2.x.")
    task_instance: TableRetention = Field(TableRetention(), description="Task instances.")
    task_instance_history: TableRetention = Field(TableRetention(), description="Earlier tries.")
    task_reschedule: TableRetention = Field(TableRetention(), description="When sensors looked.")
    xcom: TableRetention = Field(TableRetention(), description="What tasks pass on.")

    elsewhere = dict.fromkeys(
        frozenset({"dag_run", "dag_version"}),
        (
            "`airflow db clean` keeps the last run and the used versions of each DAG however old they are, so this table is never "
            "judged by its oldest row: remove it; `retention.days` says when dag runs that never started count as left behind"
        ),
    )


class Retention(Strict):
    """How long Airflow's rows should be kept: what is older, `airflow db clean` should have deleted."""

    days: Annotated[int, Count(1, 36_500)] = Field(90, description="Days that rows are kept.")
    tables: TableRetentions = Field(TableRetentions(), description="Tables whose rows are kept for another time.")

    def days_of(self, table: str) -> int:
        """The days that the rows of this table are kept; 3.4 keeps those of xcom in xcom_v1 and xcom_v2."""
        own: TableRetention | None = getattr(self.tables, re.sub("_v[12]$", "", table), None)
        return self.days if own is None or own.days is None else own.days
