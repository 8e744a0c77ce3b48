"""What counts as live, on every schema: predicates and small queries that several collectors share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from airflow_obs.errors import SourceLacks
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Schema, Table

Rows = TypeVar("Rows")


def known(db: Session, ask: Callable[[Session], Rows]) -> Rows | None:
    """What `ask` finds, or None where this database lacks a table or column that it needs."""
    try:
        return ask(db)
    except SourceLacks:
        return None


def current_tries(schema: Schema, ti: Table) -> sa.ColumnElement[bool]:
    """Task instances that run or will run: 3.4 keeps archived tries in task_instance, with working_set NULL."""
    return ti.c.working_set.is_(sa.true()) if schema.has("task_instance", "working_set") else sa.true()


def active_dags(schema: Schema, dag: Table) -> sa.ColumnElement[bool]:
    """DAGs that are still in a file: 3.0 turned is_active round into is_stale."""
    return dag.c.is_stale.is_(sa.false()) if schema.has("dag", "is_stale") else dag.c.is_active.is_(sa.true())


def runs_in(schema: Schema, states: Iterable[str], *columns: str) -> sa.CompoundSelect[*tuple[Any, ...]]:
    """These columns of the dag runs in each of these states; those of the partial indexes are `queued` and `running`."""
    run = schema.table("dag_run")
    # Spelled into the SQL: a partial index only serves a condition that the planner can see.
    return sa.union_all(
        *(
            sa.select(*(run.c[column] for column in columns)).where(
                run.c.state == sa.literal(state, literal_execute=True)
            )
            for state in states
        )
    )


def without_state(
    db: Session, ti: Table, columns: Sequence[sa.ColumnElement[Any]], runs: sa.Subquery
) -> sa.Select[*tuple[Any, ...]]:
    """These columns of the instances without a state of these runs (dag_id, run_id).

    What runs left without a state when they ended stays for ever, and the index of states leads to all of it. So PostgreSQL gets
    to see the condition only when the OFFSET has kept it out of the choice of an index, whatever the statistics say.
    """
    of_run = [ti.c.dag_id == runs.c.dag_id, ti.c.run_id == runs.c.run_id, current_tries(db.schema, ti)]
    if db.kind != "postgresql":
        # Of an expression SQLite looks up nothing.
        return sa.select(*columns).where(*of_run, (ti.c.state + "").is_(None))
    found = sa.select(ti.c.state.label("now_in"), *columns).where(*of_run).offset(0).lateral("found")
    now_in, *wanted = found.c
    return sa.select(*wanted).select_from(runs.join(found, sa.true())).where(now_in.is_(None))


@dataclass(frozen=True)
class Owner:
    """A job that other rows belong to; `alive` is what Airflow's own is_alive() would say."""

    hostname: str
    alive: bool


def owners(db: Session, ids: Collection[int | None], alive_within: timedelta) -> dict[int | None, Owner]:
    """Those of these few jobs that are there, found by their keys."""
    wanted = sorted(one for one in ids if one is not None)
    if not wanted:
        return {}
    job = db.schema.table("job")
    statement = sa.select(job.c.id, job.c.hostname, job.c.state, job.c.latest_heartbeat).where(job.c.id.in_(wanted))
    return {
        row.id: Owner(
            row.hostname or "unknown",
            row.state == "running"
            and row.latest_heartbeat is not None
            and row.latest_heartbeat >= db.now - alive_within,
        )
        for row in db.rows(statement)
    }
