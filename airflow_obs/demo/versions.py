"""Versions of DAGs: each is what a parse of the DAG's file gave, as long as it differs from the one before."""

from __future__ import annotations

import json
import random
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_obs.demo.company import BUNDLE
from airflow_obs.demo.records import insert, update, uuid7
from airflow_obs.demo.state import LiveDag

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


def write_version(cur: cursor, dag: LiveDag, number: int, made: datetime, rng: random.Random) -> None:
    """Write the version that the DAG now has, with the DAG as it was parsed."""
    spec = dag.spec
    insert(cur, "dag_version", id=dag.version, version_number=number, dag_id=spec.dag_id, bundle_name=BUNDLE,
           created_at=made, last_updated=made)  # fmt: skip
    data = {"dag": {"dag_id": spec.dag_id, "tasks": [task.task_id for task in spec.tasks]}}
    insert(cur, "serialized_dag", id=uuid7(made, rng), dag_id=spec.dag_id, data=json.dumps(data), created_at=made,
           last_updated=made, dag_hash=_hash(rng), dag_version_id=dag.version)  # fmt: skip


def change(cur: cursor, dag: LiveDag, now: datetime, rng: random.Random) -> None:
    """A parse gave something else: as in Airflow a version that task instances have gets a successor, any other is rewritten."""
    cur.execute(
        "SELECT version_number, EXISTS (SELECT FROM task_instance WHERE dag_version_id = dag_version.id) "
        "FROM dag_version WHERE id = %s",
        [str(dag.version)],
    )
    row = cur.fetchone()
    assert row is not None  # noqa: S101 (the version of a live DAG is there)
    number, used = row
    if used:
        dag.version = uuid7(now, rng)
        write_version(cur, dag, number + 1, now, rng)
    else:
        update(cur, "dag_version", "id", dag.version, last_updated=now)
        update(cur, "serialized_dag", "dag_version_id", dag.version, last_updated=now, dag_hash=_hash(rng))


def _hash(rng: random.Random) -> str:
    return f"{rng.getrandbits(128):032x}"
