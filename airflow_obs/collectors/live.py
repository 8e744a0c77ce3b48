"""What counts as live, on every schema: predicates and small queries that several collectors share."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from airflow_obs.collectors.run_outcomes import batched
from airflow_obs.errors import SourceLacks
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Schema, Table

Rows = TypeVar("Rows")
_DAGS_AT_ONCE = 25
"""DAGs that one statement spells out, where it must."""


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


def exact(db: Session, text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A name to group by: on MySQL the most of them stand in columns that tell no capital from a small letter."""
    if db.kind != "mysql":
        return text
    return sa.collate(sa.cast(text, mysql.CHAR(charset="utf8mb4")), "utf8mb4_bin")


def of_each_dag(
    db: Session, dag_ids: Collection[str], ask: Callable[[sa.ColumnElement[str]], sa.Select[*tuple[Any, ...]]]
) -> Iterator[Any]:
    """What `ask` selects, one row, of each of these DAGs, whose id it is given; then that id.

    What it selects from may be the first rows of a DAG, so that LATERAL is needed, which neither MariaDB nor SQLite has: there each
    DAG is spelled out.
    """
    if not dag_ids:
        return
    if db.kind == "postgresql":
        dag = db.schema.table("dag")
        told = ask(dag.c.dag_id).lateral("told")
        every = sa.select(*told.c, dag.c.dag_id).select_from(dag.clause.join(told, sa.true()))
        yield from db.rows(every.where(dag.c.dag_id.in_(dag_ids)))
        return
    names = [f"dag_{number}" for number in range(min(len(dag_ids), _DAGS_AT_ONCE))]
    spelled = [sa.bindparam(name, type_=sa.String()) for name in names]
    # Made once, since that takes longer than to run it: where the last batch is shorter, the DAGs without an id are none.
    statement = sa.union_all(*(ask(dag_id).add_columns(dag_id) for dag_id in spelled))
    for batch in batched(dag_ids, _DAGS_AT_ONCE):
        found = db.rows(statement, dict(zip_longest(names, batch)))
        yield from (row for row in found if row[-1] is not None)


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
        # Of an expression nothing is looked up.
        return by_run(sa.select(*columns).where(*of_run, (ti.c.state + "").is_(None)), ti)
    found = sa.select(ti.c.state.label("now_in"), *columns).where(*of_run).offset(0).lateral("found")
    now_in, *wanted = found.c
    return sa.select(*wanted).select_from(runs.join(found, sa.true())).where(now_in.is_(None))


def by_run(statement: sa.Select[*tuple[Any, ...]], ti: Table) -> sa.Select[*tuple[Any, ...]]:
    """The statement, which looks up instances by dag_id and run_id, kept from the key.

    In 2.x that begins with the DAG, and MariaDB, which has the rows in its order, would rather read all that the DAG ever did.
    """
    return statement.with_hint(ti.clause, "IGNORE INDEX (PRIMARY)", "mysql")


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
