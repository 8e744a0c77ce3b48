"""A read replica of MariaDB, read as the exporter's account: how far behind it is, and what of its replication works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.replication import Replication, _own_of_channels, refuses_writes
from airflow_obs.exporter.scrape import Job, run
from airflow_obs.sources.database import Database
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, engine_for
from tests.airflow_schemas import DEMO_VERSION, MARIADB_SCHEMAS
from tests.collectors.collected import Collected, collect, every_collector, source
from tests.embedded_postgres import memory_folder
from tests.eventually import eventually
from tests.exporter import fakes
from tests.mariadb_server import MariaDBServer, mariadb_server
from tests.redis_server import free_port
from tests.states import a_pool

[SCHEMA] = [schema for schema in MARIADB_SCHEMAS if schema.release.version == DEMO_VERSION]
PASSWORD = "replication's"
NAME = "airflow"


@dataclass
class Pair:
    """A server with Airflow's tables, to which `db` writes, and its `replica`."""

    db: AirflowDatabase
    replica: MariaDBServer

    def catch_up(self) -> None:
        """Wait until the replica has applied all that was written so far."""
        [(position,)] = self.db.execute("SELECT @@gtid_binlog_pos")
        waits = f"SELECT MASTER_GTID_WAIT('{position}', 30)"
        assert self.replica.execute(waits) == [(0,)]

    def grant(self, *privileges: str) -> None:
        """What an administrator grants once; it replicates."""
        for privilege in privileges:
            self.db.execute(f"GRANT {privilege} ON *.* TO {EXPORTER_ROLE}@'%'")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with ExitStack() as stack:
        port = free_port()
        primary = stack.enter_context(mariadb_server(memory_folder(), port, ("--log-bin=binlog", "--server-id=1")))
        replica = stack.enter_context(
            mariadb_server(memory_folder(), options=("--server-id=2", "--read-only=1", "--skip-slave-start"))
        )
        primary.execute(
            f"CREATE USER replicator@'%' IDENTIFIED BY \"{PASSWORD}\"; GRANT REPLICATION SLAVE ON *.* TO replicator@'%'"
        )
        replica.execute(
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='replicator', "
            f'MASTER_PASSWORD="{PASSWORD}", MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE'
        )
        primary.execute(f"CREATE DATABASE {NAME}; USE {NAME}; {SCHEMA.file.read_text()}")
        engine = engine_for(primary.url(NAME))
        stack.callback(engine.dispose)
        made = Pair(AirflowDatabase(SCHEMA, primary.url(NAME), engine), replica)
        assert made.db.exporter_url  # grants, which replicate
        yield made


@pytest.fixture
def database(pair: Pair) -> Iterator[Database]:
    """The replica as the exporter reads it."""
    pair.catch_up()
    with closing(source(pair.replica.url(NAME, EXPORTER_ROLE))) as reading:
        yield reading


def replication(database: Database, one: Replication | None = None) -> Collected:
    seen = run(Job(one or Replication(), fakes.policy(10_000), database))
    assert seen.error is None
    return Collected(seen.readings)


def test_without_the_privilege_it_says_what_lacks_and_does_without(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    one = Replication()
    for _ in range(2):
        seen = replication(database, one)
        assert seen.one(metrics.DB_READ_ONLY) == 1
        assert seen.all(metrics.DB_REPLAY_LAG) == seen.all(metrics.DB_REPLICATION_RUNNING) == {}
    assert caplog.text.count("`GRANT SLAVE MONITOR ON *.* TO` the exporter's role") == 1


def test_a_primary_takes_writes_and_nothing_is_lacking(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    seen = collect(pair.db, Replication.name)
    assert seen.one(metrics.DB_READ_ONLY) == 0
    assert "GRANT" not in caplog.text


def test_every_collector_works_there(database: Database) -> None:
    failed = {one.name: run(Job(one, fakes.policy(10_000), database)).error for one in every_collector()}
    assert {name: error for name, error in failed.items() if error} == {}


def test_lag_and_what_of_it_works(pair: Pair, database: Database) -> None:
    pair.grant("SLAVE MONITOR")
    pair.catch_up()
    # What an account may do in all databases counts from its next connection on.
    database.close()
    seen = replication(database)
    assert seen.one(metrics.DB_REPLAY_LAG) == 0
    assert seen.all(metrics.DB_REPLICATION_RUNNING) == {("receiver",): 1, ("applier",): 1}

    pair.replica.execute("STOP SLAVE SQL_THREAD")
    a_pool(pair.db, "later", 1)
    seen = replication(database)
    assert seen.all(metrics.DB_REPLAY_LAG) == {}
    assert seen.all(metrics.DB_REPLICATION_RUNNING) == {("receiver",): 1, ("applier",): 0}

    pair.replica.execute("START SLAVE SQL_THREAD")
    pair.catch_up()
    pair.replica.execute("STOP SLAVE IO_THREAD")
    assert replication(database).all(metrics.DB_REPLICATION_RUNNING) == {("receiver",): 0, ("applier",): 1}
    pair.replica.execute("START SLAVE IO_THREAD")
    eventually(lambda: replication(database).one(metrics.DB_REPLICATION_RUNNING, "receiver") == 1, "it receives")


def test_what_is_not_applied_makes_it_lag(pair: Pair, database: Database) -> None:
    pair.grant("SLAVE MONITOR")
    pair.catch_up()
    database.close()
    with closing(pair.replica.connect(database=NAME, autocommit=False)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT * FROM slot_pool FOR UPDATE")
        pair.db.execute("UPDATE slot_pool SET slots = slots + 1")
        eventually(lambda: (replication(database).one(metrics.DB_REPLAY_LAG) or 0) > 1, "it lags")
    pair.catch_up()
    eventually(lambda: replication(database).one(metrics.DB_REPLAY_LAG) == 0, "it has caught up")


@pytest.mark.parametrize(
    ("channels", "lag", "running"),
    [
        ([], None, {}),
        ([("Yes", "Yes", 3)], 3, {"receiver": True, "applier": True}),
        ([("Yes", "Yes", 3), ("Yes", "Yes", 7)], 7, {"receiver": True, "applier": True}),
        ([("Yes", "Yes", 3), ("Connecting", "Yes", None)], None, {"receiver": False, "applier": True}),
        ([("Yes", "No", None)], None, {"receiver": True, "applier": False}),
    ],
)
def test_of_several_sources_the_one_that_is_most_behind(
    channels: list[tuple[str, str, Any]], lag: float | None, running: dict[str, bool]
) -> None:
    """As MySQL 8.0.22 and later name the columns, which no server here has."""
    names = ("Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source")
    own = _own_of_channels([dict(zip(names, channel, strict=True)) for channel in channels], read_only=True)
    assert (own.lag, own.running) == (lag, running)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ((0, 0), False),
        ((1, 0), True),
        ((0, 1), True),
        (("OFF", 0), False),
        (("ON", 0), True),
        (("NO_LOCK_NO_ADMIN", 0), True),
    ],
)
def test_what_refuses_writes(settings: tuple[object, ...], *, refused: bool) -> None:
    assert refuses_writes(settings) is refused
