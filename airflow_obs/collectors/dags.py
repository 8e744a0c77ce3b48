"""DAGs one by one: whose they are, how their last run ended, what runs now and when the next one is due."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import UNFINISHED_RUN_STATES, UNFINISHED_STATES
from airflow_obs.collectors.dag_patterns import Patterns
from airflow_obs.collectors.dag_versions import made_last_day
from airflow_obs.collectors.last_runs import FinishedRun, LastRuns, OpenRun
from airflow_obs.collectors.live import active_dags, current_tries
from airflow_obs.collectors.run_outcomes import seconds
from airflow_obs.model import Reading
from airflow_obs.policy.dags import DagsPolicy
from airflow_obs.sources.database import Session

LABEL_LENGTH = 250
"""Characters of all owners or of all tags that a label keeps: Airflow lets a DAG have 2,000."""
MORE = "…"
"""Stands after the owners or tags that a label keeps, for those that it does not."""


@dataclass(frozen=True)
class Dag:
    """A DAG that has series of its own; `next_run` is when the scheduler should create one, None while it should not.

    `last` is the newest run that has ended. `team` and `bundle` are None where this release or site has none; `versions`, those
    made in the last 24 hours, in Airflow 2.
    """

    dag_id: str
    owner: str
    tags: tuple[str, ...]
    bundle: str | None
    team: str | None
    paused: bool
    next_run: datetime | None
    unfinished: Counter[str]
    oldest_start: datetime | None
    last: FinishedRun | None
    last_success: datetime | None
    versions: int | None


@dataclass(frozen=True)
class TaskGroup:
    """Unfinished instances of one task in one state."""

    dag_id: str
    task_id: str
    state: str
    count: int


@dataclass(frozen=True)
class DagsSeen:
    """What one run of the collector saw: the DAGs that the policy chooses, and how many it had to leave out."""

    dags: list[Dag]
    left_out: int
    tasks: list[TaskGroup]


class Dags:
    """Reads DAGs that are still in a file; their runs are followed, so that the cost is that of the live work."""

    name = "dags"
    source = "database"

    def __init__(self, policy: DagsPolicy) -> None:
        self._policy = policy
        self._patterns = Patterns(policy)
        self._runs = LastRuns()
        self._shown: frozenset[str] = frozenset()

    def read(self, db: Session) -> DagsSeen:
        """Nothing is read of runs when the policy wants no DAG."""
        every = _dags(db)
        if self._policy.top:
            self._patterns.unmatched.look_for_mistakes([row.dag_id for row in every])
        rows = [row for row in every if self._patterns.wanted(row.dag_id)]
        if not rows or not self._policy.top:
            return DagsSeen([], len(rows), [])
        open_runs = self._runs.follow(db, {row.dag_id for row in rows})
        chosen = self._chosen(rows)
        self._shown = frozenset(row.dag_id for row in chosen)
        self._runs.look_up(db, sorted(self._shown))
        tasks = _tasks(db, self._shown) if self._policy.task_level else []
        return DagsSeen(list(self._described(db, chosen, open_runs)), len(rows) - len(chosen), tasks)

    def samples(self, seen: DagsSeen) -> Iterator[Reading]:
        yield metrics.DAGS_LEFT_OUT.sample(seen.left_out)
        for dag in seen.dags:
            yield from _samples_of(dag)
        for task in sorted(seen.tasks, key=lambda task: task.count, reverse=True):
            yield metrics.DAG_TASK_INSTANCES.sample(
                task.count, dag_id=task.dag_id, task_id=task.task_id, state=task.state
            )

    def _chosen(self, rows: Sequence[Any]) -> list[Any]:
        """Those that the policy names, then the most active; one outside needs twice the runs of one inside.

        Else two that are alike would take turns. A busy DAG stays when it is paused, until its runs are of long ago; a pause only
        decides between DAGs without any run.
        """

        def rank(row: Any) -> tuple[bool, float, bool, str]:
            runs = self._runs.activity.get(row.dag_id, 0.0) * (2 if row.dag_id in self._shown else 1)
            return not self._patterns.named(row.dag_id), -runs, bool(row.is_paused), row.dag_id

        return sorted(rows, key=rank)[: self._policy.top]

    def _described(self, db: Session, rows: Sequence[Any], open_runs: Sequence[OpenRun]) -> Iterator[Dag]:
        succeeded = self._runs.last_success
        tags, teams, versions = _tags(db, self._shown), _teams(db), _versions(db)
        unfinished: defaultdict[str, Counter[str]] = defaultdict(Counter)
        oldest: dict[str, datetime] = {}
        for run in open_runs:
            unfinished[run.dag_id][run.state] += 1
            if run.state == "running" and run.started is not None:
                oldest[run.dag_id] = min(run.started, oldest.get(run.dag_id, run.started))
        for row in rows:
            waits = row.is_paused or row.exceeds_max_non_backfill
            yield Dag(
                row.dag_id, _owner(row.owners), tags.get(row.dag_id, ()), row.bundle_name or None,
                teams.get(row.bundle_name), bool(row.is_paused), None if waits else row.next_dagrun_create_after,
                unfinished[row.dag_id], oldest.get(row.dag_id),
                self._runs.last.get(row.dag_id), succeeded[row.dag_id].ended if row.dag_id in succeeded else None,
                versions if versions is None else versions.get(row.dag_id, 0),
            )  # fmt: skip


def _samples_of(dag: Dag) -> Iterator[Reading]:
    dag_id = dag.dag_id
    tags = _joined(dag.tags, ",")
    yield metrics.DAG_INFO.sample(
        1, dag_id=dag_id, owner=dag.owner, tags=f",{tags}," if tags else "", bundle=dag.bundle, team=dag.team
    )
    yield metrics.DAG_PAUSED.sample(dag.paused, dag_id=dag_id)
    for state in UNFINISHED_RUN_STATES:
        yield metrics.DAG_UNFINISHED_RUNS.sample(dag.unfinished[state], dag_id=dag_id, state=state)
    if dag.versions is not None:
        yield metrics.DAG_NEW_VERSIONS.sample(dag.versions, dag_id=dag_id)
    moments = {
        metrics.DAG_NEXT_RUN: dag.next_run,
        metrics.DAG_OLDEST_RUN: dag.oldest_start,
        metrics.DAG_LAST_SUCCESS: dag.last_success,
        metrics.DAG_LAST_RUN_END: dag.last.ended if dag.last else None,
    }
    for metric, moment in moments.items():
        if moment is not None:
            yield metric.sample(moment.timestamp(), dag_id=dag_id)
    if dag.last is not None:
        yield metrics.DAG_LAST_RUN_SUCCESS.sample(dag.last.success, dag_id=dag_id)
        if (duration := seconds(dag.last.started, dag.last.ended)) is not None:
            yield metrics.DAG_LAST_RUN_DURATION.sample(duration, dag_id=dag_id)


def _dags(db: Session) -> Sequence[Any]:
    dag = db.schema.table("dag")
    names = ("owners", "bundle_name", "next_dagrun_create_after", "exceeds_max_non_backfill")
    extra = (dag.optional(name).label(name) for name in names)
    return db.rows(sa.select(dag.c.dag_id, dag.c.is_paused, *extra).where(active_dags(db.schema, dag)))


def _owner(owners: str | None) -> str:
    """Airflow joins the owners of the DAG's tasks in any order, which may change with every parse."""
    return _joined(sorted({owner.strip() for owner in (owners or "").split(",")} - {""}), ", ")


def _joined(names: Sequence[str], separator: str) -> str:
    """As many of the names as a label keeps, each of them whole."""
    text = separator.join(names)
    while len(text) > LABEL_LENGTH:
        names = names[:-1]
        text = separator.join([*names, MORE])
    return text


def _tags(db: Session, dag_ids: frozenset[str]) -> dict[str, tuple[str, ...]]:
    if not (db.schema.has("dag_tag", "dag_id") and db.schema.has("dag_tag", "name")):
        return {}
    tag = db.schema.table("dag_tag")
    found: defaultdict[str, set[str]] = defaultdict(set)
    for dag_id, name in db.rows(sa.select(tag.c.dag_id, tag.c.name)):
        if dag_id in dag_ids:
            found[dag_id].add(name.replace(",", " "))
    return {dag_id: tuple(sorted(names)) for dag_id, names in found.items()}


def _teams(db: Session) -> dict[str, str]:
    """The team of each bundle; 3.1 knew teams by a number only."""
    if not (db.schema.has("dag_bundle_team", "team_name") and db.schema.has("dag_bundle_team", "dag_bundle_name")):
        return {}
    team = db.schema.table("dag_bundle_team")
    return dict(map(tuple, db.rows(sa.select(team.c.dag_bundle_name, team.c.team_name))))


def _versions(db: Session) -> dict[str, int] | None:
    statement = made_last_day(db)
    return None if statement is None else dict(map(tuple, db.rows(statement)))


def _tasks(db: Session, dag_ids: frozenset[str]) -> list[TaskGroup]:
    ti = db.schema.table("task_instance")
    statement = (
        sa.select(ti.c.dag_id, ti.c.task_id, ti.c.state, sa.func.count())
        .where(ti.c.state.in_(UNFINISHED_STATES), current_tries(db.schema, ti))
        .group_by(ti.c.dag_id, ti.c.task_id, ti.c.state)
    )
    return [TaskGroup(*row) for row in db.rows(statement) if row.dag_id in dag_ids]
