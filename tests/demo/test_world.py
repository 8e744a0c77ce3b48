"""The simulated Airflow: the same for the same seed, busy, and true to Airflow's own rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_obs.demo.company import DAGS, POOLS, SCHEDULERS
from airflow_obs.demo.postgres import Server
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.world import World
from tests.demo.conftest import NewDatabase
from tests.demo.sick_worlds import PATIENCE

NOON = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)

TASKS = (
    "SELECT id::text, dag_id, task_id, run_id, map_index, state, try_number, start_date, end_date FROM task_instance"
)


class Simulated:
    """A world on a clock of its own, and questions to its database."""

    def __init__(self, server: Server, database: str, redis: Redis, seed: int = 1) -> None:
        self._session = server.connect("tests", database=database)
        self._session.autocommit = True
        self.world = World(
            lambda application: server.connect(application, database=database), redis, NOON, seed, patience=PATIENCE
        )

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def live(self, seconds: int) -> Iterator[datetime]:
        """Live on for so many seconds, one step each."""
        begun = self.world.now
        for second in range(1, seconds + 1):
            self.world.step(begun + timedelta(seconds=second))
            yield self.world.now

    def close(self) -> None:
        self.world.close()
        self._session.close()


@contextmanager
def simulated(server: Server, database: str, redis: Redis, seed: int = 1) -> Iterator[Simulated]:
    world = Simulated(server, database, redis, seed)
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def lived(demo_server: Server, new_demo_database: NewDatabase, redis: Redis) -> Iterator[Simulated]:
    with simulated(demo_server, new_demo_database(), redis) as world:
        yield world


def test_a_seed_decides_every_row(demo_server: Server, new_demo_database: NewDatabase, redis: Redis) -> None:
    outcomes = []
    for seed in (7, 7, 8):
        with simulated(demo_server, new_demo_database(), redis, seed) as world:
            list(world.live(60))
            outcomes.append(sorted(world.rows(TASKS), key=str))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != outcomes[2]


def test_the_past_is_that_of_a_company(lived: Simulated) -> None:
    [(runs, tasks, dags)] = lived.rows(
        "SELECT (SELECT count(*) FROM dag_run WHERE end_date IS NOT NULL), "
        "(SELECT count(*) FROM task_instance WHERE end_date IS NOT NULL), (SELECT count(*) FROM dag)"
    )
    assert runs > 300
    assert tasks > 1500
    assert dags == len(DAGS) > 12
    assert lived.rows("SELECT count(*) FROM dag_run WHERE end_date < start_date") == [(0,)]
    assert lived.rows("SELECT count(*) FROM import_error") == [(0,)]


def test_statistics_exist_from_the_start(lived: Simulated) -> None:
    for table in ("task_instance", "dag_run", "log", "xcom"):
        [(estimate, exact)] = lived.rows(
            f"SELECT reltuples, (SELECT count(*) FROM {table}) FROM pg_class WHERE oid = 'public.{table}'::regclass"
        )
        assert estimate == exact
    assert lived.rows("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'task_instance'") == [(True,)]


def test_work_goes_through_every_state_and_respects_the_pools(lived: Simulated) -> None:
    seen: set[str | None] = set()
    slots = {pool: size for pool, size, _ in POOLS}
    for _ in lived.live(400):
        for state, pool, count in lived.rows(
            "SELECT state, pool, count(*) FROM task_instance WHERE state IS NULL OR state <> 'success' GROUP BY 1, 2"
        ):
            seen.add(state)
            assert state not in {"running", "queued"} or count <= slots[pool]
    assert seen >= {None, "scheduled", "queued", "running", "deferred", "up_for_retry"}
    assert lived.rows("SELECT count(*) FROM task_instance_history") > [(0,)]
    assert lived.rows("SELECT count(*) FROM task_instance WHERE state = 'running' AND last_heartbeat_at IS NULL") == [
        (0,)
    ]
    assert lived.rows("SELECT count(*) FROM trigger t WHERE NOT EXISTS "
                      "(SELECT FROM task_instance WHERE trigger_id = t.id AND state = 'deferred')") == [(0,)]  # fmt: skip


def test_every_component_beats_and_every_file_is_parsed(lived: Simulated) -> None:
    list(lived.live(30))
    beats = lived.rows("SELECT job_type, hostname, latest_heartbeat FROM job WHERE state = 'running'")
    assert len(beats) == len(SCHEDULERS) + 2
    assert all(lived.world.now - moment <= timedelta(seconds=6) for _, _, moment in beats)
    [(oldest, newest)] = lived.rows("SELECT min(last_parsed_time), max(last_parsed_time) FROM dag WHERE NOT is_stale")
    assert lived.world.now - oldest < timedelta(seconds=20)
    assert lived.world.now - newest < timedelta(seconds=5)


def test_runs_are_created_when_they_are_due(lived: Simulated) -> None:
    for now in lived.live(130):
        assert lived.rows(
            "SELECT count(*) FROM dag WHERE NOT is_stale AND NOT is_paused "
            f"AND next_dagrun_create_after < '{(now - timedelta(seconds=1)).isoformat()}'"
        ) == [(0,)]
    hourly = lived.rows("SELECT count(*) FROM dag_run WHERE dag_id = 'sales_orders_ingest' AND run_type = 'scheduled'")
    assert hourly > [(20,)]
