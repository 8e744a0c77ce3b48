"""Updates of assets (datasets in 2.x) that wait to start a DAG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.collectors.live import active_dags, of_each_dag
from airflow_obs.model import Reading
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Moment, Schema, Table

TABLES = ("asset_dag_run_queue", "dataset_dag_run_queue")
STATES = ("active", "paused", "stale")
PER_DAG = 1_000
"""Updates counted of one DAG, the oldest: up to 3.3 there is one per asset, but in 3.4 a paused DAG collects every one."""


@dataclass(frozen=True)
class Queued:
    """What waits for DAGs in one state, and since when the first of it."""

    state: str
    count: int
    oldest: datetime | None


class Assets:
    """The queue holds what has not started a run yet: Airflow removes its rows when it creates the run."""

    name = "assets"
    source = "database"

    def read(self, db: Session) -> list[Queued] | None:
        """None where there is no such table, or none that says how the DAGs are."""
        name = next((table for table in TABLES if db.schema.has(table, "target_dag_id")), None)
        if name is None or not _tells_states(db.schema):
            return None
        queue, dag = db.schema.table(name), db.schema.table("dag")
        state = sa.case(
            (active_dags(db.schema, dag) & dag.c.is_paused.is_(sa.false()), "active"),
            (active_dags(db.schema, dag), "paused"),
            else_="stale",
        ).label("state")
        every_update = db.schema.has(name, "asset_event_id")
        if every_update and db.kind == "mysql":
            return _spelled_out(db, queue, dict(map(tuple, db.rows(sa.select(dag.c.dag_id, state)))))
        waiting = _of_each_dag(queue, dag) if every_update else _of_all(queue, dag)
        statement = waiting.add_columns(state).group_by(sa.text("3")).subquery()
        rows = db.rows(sa.select(statement.c.state, statement.c.count_, statement.c.oldest))
        return [Queued(state, int(count), oldest) for state, count, oldest in rows if count]

    def samples(self, queued: list[Queued] | None) -> Iterator[Reading]:
        if queued is None:
            return
        counts = {one.state: one.count for one in queued}
        for state in STATES:
            yield metrics.ASSETS_QUEUED.sample(counts.get(state, 0), dag_state=state)
        for one in queued:
            if one.oldest is not None:
                yield metrics.ASSETS_QUEUED_OLDEST.sample(one.oldest.timestamp(), dag_state=one.state)


def _of_all(queue: Table, dag: Table) -> sa.Select[*tuple[Any, ...]]:
    """One row per asset and DAG that it starts: no more than the DAGs' own files say, so that all are read."""
    oldest = sa.func.min(queue.optional("created_at"), type_=Moment()).label("oldest")
    return sa.select(sa.func.count().label("count_"), oldest).where(dag.c.dag_id == queue.c.target_dag_id)


def _of_each_dag(queue: Table, dag: Table) -> sa.Select[*tuple[Any, ...]]:
    """One row per update and DAG: of each DAG the first by the key, which is in the order in which the updates came."""
    first = _first(queue, dag.c.dag_id)
    count = sa.select(sa.func.count()).select_from(first).scalar_subquery()
    oldest = sa.select(sa.func.min(first.c.since, type_=Moment())).scalar_subquery()
    return sa.select(sa.func.sum(count).label("count_"), sa.func.min(oldest, type_=Moment()).label("oldest"))


def _spelled_out(db: Session, queue: Table, states: Mapping[str, str]) -> list[Queued]:
    """The same where no subquery in FROM knows the enclosing query; MySQL finds the DAGs that have any by skipping in the key."""
    waiting = [row.target_dag_id for row in db.rows(sa.select(queue.c.target_dag_id).distinct())]

    def ask(dag_id: sa.ColumnElement[str]) -> sa.Select[*tuple[Any, ...]]:
        first = _first(queue, dag_id)
        return sa.select(sa.func.count(), sa.func.min(first.c.since, type_=Moment())).select_from(first)

    found: dict[str, Queued] = {}
    for count, oldest, dag_id in of_each_dag(db, [one for one in waiting if one in states], ask):
        state = states[dag_id]
        before = found.get(state, Queued(state, 0, None))
        moments = [moment for moment in (before.oldest, oldest) if moment is not None]
        found[state] = Queued(state, before.count + count, min(moments, default=None))
    return list(found.values())


def _first(queue: Table, dag_id: sa.ColumnElement[str]) -> sa.Subquery:
    return (
        sa.select(queue.optional("created_at").label("since"))
        .where(queue.c.target_dag_id == dag_id)
        .order_by(queue.c.asset_event_id)
        .limit(PER_DAG)
        .correlate_except(queue.clause)
        .subquery()
    )


def _tells_states(schema: Schema) -> bool:
    return any(schema.has("dag", "dag_id", "is_paused", column) for column in ("is_stale", "is_active"))
