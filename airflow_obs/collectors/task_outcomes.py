"""Reads task instances for their outcomes: the unfinished, single ones, and those of single runs, always by an index."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from airflow_obs.catalog.airflow import NO_STATE, UNFINISHED_STATES
from airflow_obs.collectors.live import by_run, current_tries, runs_in, without_state
from airflow_obs.collectors.run_outcomes import RunKey, batched, seconds
from airflow_obs.sources.database import Session
from airflow_obs.sources.schema import Schema, Table

UNMAPPED = -1
"""Index of an instance that is not mapped, or not yet: a mapped task is one such row until it is expanded."""
_BATCH = 500
_BATCH_ON_MYSQL = 100
"""Keys, which take it four times as long to plan for when they are twice as many."""
Names = TypeVar("Names", bound=tuple[Any, ...])
Shared = dict[str | bytes, Any]
"""Names as they were first read: they come again with every row, and each is kept once."""


class TaskKey(NamedTuple):
    """What names a task instance through all its tries (its `id` is new with each of them since 3.0).

    3.4 calls map_index region_index; `region` is only there since then, as the driver has it: a text, or MySQL's bytes.
    """

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    region: str | bytes | None = None

    @property
    def run(self) -> RunKey:
        return RunKey(self.dag_id, self.run_id)


class Instance(NamedTuple):
    """One task instance as it is now."""

    key: TaskKey
    state: str | None
    queue: str
    try_number: int
    start: datetime | None
    end: datetime | None

    @property
    def unfinished(self) -> bool:
        return self.state is None or self.state in UNFINISHED_STATES

    @property
    def duration(self) -> float | None:
        """Seconds from start to end."""
        return seconds(self.start, self.end)

    def ended_tries(self, uncounted: Collection[str | None] = ()) -> int:
        """How many tries came before the present or last one; in the states `uncounted` its number is not yet given."""
        return max(self.try_number - (self.state not in uncounted), 0)


class Archived(NamedTuple):
    """An earlier try; no retries were left at `max_tries` or above."""

    instance: Instance
    max_tries: int | None

    @property
    def retried(self) -> bool:
        """Whether it failed with tries left: without, it was the last until somebody cleared the task."""
        return self.instance.state == "failed" and (
            self.max_tries is None or self.instance.try_number <= self.max_tries
        )


def unfinished(db: Session, without: Iterable[RunKey], limit: int) -> list[Instance]:
    """The unfinished instances of all but these runs, any `limit` of them; those without state of running runs only.

    Without state is what waits for others in a running run, everything in a queued one (where nothing moves before it
    starts), and what was left behind in runs that ended.
    """
    ti = db.schema.table("task_instance")
    columns = [column for column in _columns(db.schema, ti) if not str(column.name).endswith("_date_")]
    statement = sa.union_all(*_unfinished(db, ti, columns, list(without)))
    names: Shared = {}
    return [_instance((*row[:3], None, None, *row[3:]), names) for row in db.rows(statement.limit(limit))]


def sizes(db: Session) -> dict[RunKey, int]:
    """How many `unfinished` instances each run has."""
    ti = db.schema.table("task_instance")
    every = sa.union_all(*_unfinished(db, ti, [ti.c.dag_id, ti.c.run_id], [])).subquery()
    counts = sa.select(*every.c, sa.func.count()).group_by(*every.c)
    return {RunKey(dag_id, run_id): count for dag_id, run_id, count in db.rows(counts)}


def by_key(db: Session, keys: Iterable[TaskKey]) -> dict[TaskKey, Instance]:
    """Those of these instances that are there, in whatever state."""
    ti = db.schema.table("task_instance")
    columns, key, wanted = _columns(db.schema, ti), _key(db.schema, ti), [current_tries(db.schema, ti)]
    return {
        instance.key: instance
        for batch in _batches(db, keys)
        for instance in _instances(db, _of_runs(db, columns, key, batch, wanted))
    }


def of_tasks(db: Session, tasks: Iterable[tuple[str, ...]]) -> list[Instance]:
    """Every instance of these tasks (dag_id, task_id, run_id), in whatever state."""
    ti = db.schema.table("task_instance")
    columns, key, wanted = _columns(db.schema, ti), _key(db.schema, ti)[:3], [current_tries(db.schema, ti)]
    return [
        instance
        for batch in _batches(db, tasks)
        for instance in _instances(db, _of_runs(db, columns, key, batch, wanted))
    ]


def finished_of(db: Session, runs: Collection[RunKey], since: datetime | None) -> list[Instance]:
    """The finished instances of these runs; with `since`, those that ended no earlier."""
    ti = db.schema.table("task_instance")
    wanted = _finished(db.schema, ti, since)
    statement = _each(db, _columns(db.schema, ti), [ti.c.dag_id, ti.c.run_id], runs, wanted)
    return list(_instances(db, by_run(statement, ti)))


def finished_beating(db: Session, beat: datetime, since: datetime) -> list[Instance]:
    """Those that ended no earlier than `since`, among those with a heartbeat after `beat`; none before 3.0."""
    if not db.schema.has("task_instance", "last_heartbeat_at"):
        return []
    ti = db.schema.table("task_instance")
    wanted = [ti.c.last_heartbeat_at >= beat, *_finished(db.schema, ti, since)]
    return list(_instances(db, sa.select(*_columns(db.schema, ti)).where(*wanted)))


def archived(db: Session, keys: Iterable[TaskKey]) -> dict[tuple[TaskKey, int], Archived]:
    """The earlier tries of these instances by number, where this release keeps them: from 2.10 on."""
    name = _archive(db.schema)
    if name is None:
        return {}
    tries = db.schema.table(name)
    columns = [*_columns(db.schema, tries), tries.optional("max_tries").label("max_tries_")]
    wanted = [tries.c.working_set.is_(None)] if db.schema.has(name, "working_set") else []
    # 2.10 and 2.11 have no index by run there, only the unique one by key and try.
    look_up = _each if name == "task_instance_history" and db.schema.has(name, "id") else _of_runs
    found = {}
    names: Shared = {}
    for batch in _batches(db, keys):
        for *row, max_tries in db.rows(look_up(db, columns, _key(db.schema, tries), batch, wanted)):
            instance = _instance(row, names)
            found[instance.key, instance.try_number] = Archived(instance, max_tries)
    return found


def uncounted_states(schema: Schema) -> frozenset[str | None]:
    """The unfinished states in which `try_number` is that of the try before.

    It counts a try when it is scheduled since 2.10, and when it starts before (a reschedule or deferral takes that back). In
    3.4 a retry has the next number from the first.
    """
    if schema.has("task_instance", "working_set"):
        return frozenset()
    if _archive(schema):
        return frozenset({None, "up_for_retry"})
    return frozenset({None, *UNFINISHED_STATES}) - {"running", "restarting", "shutdown"}


def _archive(schema: Schema) -> str | None:
    if schema.has("task_instance", "working_set"):
        return "task_instance"
    return "task_instance_history" if schema.has("task_instance_history") else None


def _unfinished(
    db: Session, ti: Table, columns: Sequence[sa.ColumnElement[Any]], without: Collection[RunKey]
) -> Iterator[sa.Select[*tuple[Any, ...]]]:
    with_state = sa.select(*columns).where(ti.c.state.in_(UNFINISHED_STATES), current_tries(db.schema, ti))
    runs = runs_in(db.schema, ["running"], "dag_id", "run_id").subquery("running")
    if without:
        with_state = with_state.where(sa.not_(_among(db, (ti.c.dag_id, ti.c.run_id), without)))
        runs = sa.select(runs).where(sa.not_(_among(db, tuple(runs.c), without))).subquery("others")
    yield with_state
    yield without_state(db, ti, columns, runs)


def _finished(schema: Schema, ti: Table, since: datetime | None) -> list[sa.ColumnElement[bool]]:
    wanted = [ti.c.state.not_in(UNFINISHED_STATES), current_tries(schema, ti)]
    return wanted if since is None else [*wanted, ti.c.end_date >= since]


def _each(
    db: Session,
    columns: Sequence[sa.ColumnElement[Any]],
    key: Sequence[sa.ColumnElement[Any]],
    keys: Collection[tuple[Any, ...]],
    wanted: Sequence[sa.ColumnElement[bool]],
) -> sa.Select[Any]:
    """The rows with these keys, one index lookup for each.

    PostgreSQL would check every row that it finds for a list of keys against every key of the list, and for a join it may
    read the table instead. A LATERAL subquery that cannot be flattened (hence the OFFSET) leaves it no choice.
    """
    if db.kind != "postgresql":
        return sa.select(*columns).where(_among(db, key, keys), *wanted)
    looked_up = _unnested("looked_up", key, keys)
    same = [column == value for column, value in zip(key, looked_up.c, strict=True)]
    found = sa.select(*columns).where(*same, *wanted).offset(0).lateral("found")
    return sa.select(*found.c).select_from(looked_up.join(found, sa.true()))


def _of_runs(
    db: Session,
    columns: Sequence[sa.ColumnElement[Any]],
    key: Sequence[sa.ColumnElement[Any]],
    keys: Collection[tuple[Any, ...]],
    wanted: Sequence[sa.ColumnElement[bool]],
) -> sa.Select[Any]:
    """The rows with these keys (dag_id, task_id, run_id, …), one index lookup for each of their runs.

    Looking up each key, PostgreSQL may well read the whole run for it, as the index of the runs is the smaller one. MySQL looks up
    each key: of two lists it would first think through every pair.
    """
    if db.kind == "mysql":
        return _each(db, columns, key, keys, wanted)
    runs = list(dict.fromkeys((dag_id, run_id) for dag_id, _, run_id, *_ in keys))
    return _each(db, columns, [key[0], key[2]], runs, [*wanted, _among(db, key, keys)])


def _batches(db: Session, keys: Iterable[Names]) -> Iterator[Sequence[Names]]:
    """The keys (dag_id, task_id, run_id, …) in an order in which a batch of them is of few runs."""
    in_order = sorted(keys, key=lambda key: (key[0], key[2]))
    return batched(in_order, _BATCH_ON_MYSQL if db.kind == "mysql" else _BATCH)


def _among(
    db: Session, key: Sequence[sa.ColumnElement[Any]], keys: Collection[tuple[Any, ...]]
) -> sa.ColumnElement[bool]:
    """A filter, which PostgreSQL makes a hash table of; a plain list it would go through for every row."""
    cut = [one[: len(key)] for one in keys]
    if db.kind != "postgresql":
        return sa.tuple_(*key).in_(cut)
    return sa.tuple_(*key).in_(sa.select(*_unnested("among", key, cut).c)).is_(sa.true())


def _unnested(name: str, key: Sequence[sa.ColumnElement[Any]], keys: Collection[tuple[Any, ...]]) -> sa.Subquery:
    """Keys as rows, each column with the type of its column of the key."""
    kinds = {"map_index": sa.Integer, "region_index": sa.Integer, "region_id": sa.Uuid}
    arrays: list[sa.ColumnElement[Any]] = [
        sa.cast([one[n] for one in keys], ARRAY(kinds.get(str(column.name), sa.Text))) for n, column in enumerate(key)
    ]
    names = [f"key_{n}" for n in range(len(key))]
    values = sa.func.unnest(*arrays).table_valued(*names).render_derived(name=f"{name}_keys")
    return sa.select(*values.c).subquery(name)


def _key(schema: Schema, table: Table) -> list[sa.ColumnElement[Any]]:
    index = "region_index" if schema.has(table.name, "region_index") else "map_index"
    region = [table.c.region_id] if schema.has(table.name, "region_id") else []
    return [table.c.dag_id, table.c.task_id, table.c.run_id, table.c[index], *region]


def _columns(schema: Schema, table: Table) -> list[sa.ColumnElement[Any]]:
    columns: list[sa.ColumnElement[Any]] = [
        table.c.state,
        *(table.optional(name).label(f"{name}_") for name in ("queue", "try_number", "start_date", "end_date")),
    ]
    return [*columns, *_key(schema, table)]


def _instances(db: Session, statement: sa.Executable) -> Iterator[Instance]:
    names: Shared = {}
    return (_instance(row, names) for row in db.rows(statement))


def _instance(row: Sequence[Any], names: Shared) -> Instance:
    state, queue, try_number, start, end, dag_id, task_id, run_id, index, *region = row
    region = [each if isinstance(each, bytes) else str(each) for each in region]
    dag_id, task_id, run_id, *region = (names.setdefault(each, each) for each in (dag_id, task_id, run_id, *region))
    key = TaskKey(dag_id, task_id, run_id, index, *region)
    return Instance(key, state, queue or NO_STATE, try_number or 0, start, end)
