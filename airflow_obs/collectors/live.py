"""What counts as live, on every schema: predicates that several collectors share."""

from __future__ import annotations

import sqlalchemy as sa

from airflow_obs.sources.schema import Schema, Table


def current_tries(schema: Schema, ti: Table) -> sa.ColumnElement[bool]:
    """Task instances that run or will run: 3.4 keeps archived tries in task_instance, with working_set NULL."""
    return ti.c.working_set.is_(sa.true()) if schema.has("task_instance", "working_set") else sa.true()


def active_dags(schema: Schema, dag: Table) -> sa.ColumnElement[bool]:
    """DAGs that are still in a file: 3.0 turned is_active round into is_stale."""
    return dag.c.is_stale.is_(sa.false()) if schema.has("dag", "is_stale") else dag.c.is_active.is_(sa.true())
