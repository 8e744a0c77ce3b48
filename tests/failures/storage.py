"""The metadata database: the failures D, and what the exporter itself cannot see (X5)."""

from __future__ import annotations

from contextlib import ExitStack

from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase
from tests.embedded_postgres import EmbeddedPostgres
from tests.eventually import eventually
from tests.failures.scene import Acts, Scene
from tests.states import (
    a_chain_of_waits,
    a_finished_dag_run,
    a_forgotten_prepared_transaction,
    a_log_row,
    a_migration_that_waits,
    a_query_that_spills,
    a_replica_that_hangs,
    a_run_that_never_started,
    a_snapshot_that_stays_open,
    an_abandoned_replication_slot,
    an_archive_table,
    some_log,
    some_transactions,
)
from tests.states.rows import delete

ONLOOKERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
"""
MANY_ROWS = "INSERT INTO log (event, dttm) SELECT 'x', now() FROM generate_series(1, {})"


def settle(db: AirflowDatabase, table: str = "") -> None:
    """Make a table (or all) as small as it can be, and tell the planner; as an administrator does in a quiet hour."""
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        # What somebody might still see is kept, and autovacuum looks at what has just been written.
        eventually(lambda: session.exec_driver_sql(ONLOOKERS).scalar() == 0, "nobody else looks at the database")
        session.exec_driver_sql(f"VACUUM (FULL, FREEZE, ANALYZE) {table}")
    db.engine.dispose()  # a session that ends hands in what it has counted


def freeze(server: EmbeddedPostgres) -> None:
    """Vacuum every database of the server, for the oldest of them counts."""
    server.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS true")
    for (name,) in server.execute("SELECT datname FROM pg_database WHERE datallowconn"):
        server.execute("VACUUM (FREEZE)", name)
    server.execute("ALTER DATABASE template0 ALLOW_CONNECTIONS false")


def the_database_is_gone(scene: Scene) -> Acts:
    """D1, X5."""
    name = scene.db.engine.url.database
    yield
    scene.db.engine.dispose()
    scene.server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    yield
    scene.server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def a_replica_falls_behind(scene: Scene) -> Acts:
    """D1: to fail over to it would lose what it has not got."""
    yield
    with a_replica_that_hangs(scene.server):
        some_log(scene.db)
        yield


def sessions_are_used_up(scene: Scene) -> Acts:
    """D2."""
    scene.db.engine.dispose()
    yield
    with ExitStack() as sessions:
        for _ in range(4):
            sessions.enter_context(scene.db.engine.connect()).exec_driver_sql("SELECT 1")
        yield
    scene.db.engine.dispose()


def sessions_wait_behind_an_idle_one(scene: Scene) -> Acts:
    """D3."""
    yield
    with a_chain_of_waits(scene.db):
        yield


def a_snapshot_is_never_closed(scene: Scene) -> Acts:
    """D4, D5."""
    scene.db.engine.dispose()
    yield
    with a_snapshot_that_stays_open(scene.db):
        some_transactions(scene.db, 20)
        yield
    scene.db.engine.dispose()


def a_prepared_transaction_is_forgotten(scene: Scene) -> Acts:
    """D4."""
    yield
    with a_forgotten_prepared_transaction(scene.db):
        some_transactions(scene.db, 20)
        yield


def dead_rows_pile_up(scene: Scene) -> Acts:
    """D4."""
    settle(scene.db, "log")
    yield
    with a_snapshot_that_stays_open(scene.db):
        scene.db.execute(MANY_ROWS.format(500))
        scene.db.execute("DELETE FROM log")
        scene.db.engine.dispose()  # of the sessions that nobody uses
        yield
    settle(scene.db, "log")


def autovacuum_is_off(scene: Scene) -> Acts:
    """D4: for one table, since somebody was in a hurry."""
    yield
    scene.db.execute("ALTER TABLE log SET (autovacuum_enabled = off)")
    yield
    scene.db.execute("ALTER TABLE log RESET (autovacuum_enabled)")


def transactions_are_used_up(scene: Scene) -> Acts:
    """D5."""
    some_transactions(scene.db, 200)
    yield
    some_transactions(scene.db, 200)
    yield
    scene.db.engine.dispose()
    freeze(scene.server)


def a_slot_keeps_log(scene: Scene) -> Acts:
    """D6."""
    yield
    with an_abandoned_replication_slot(scene.server):
        some_log(scene.db)
        yield


def a_query_spills(scene: Scene) -> Acts:
    """D6."""
    yield
    a_query_that_spills(scene.db)
    yield


def a_table_grows(scene: Scene) -> Acts:
    """D6; when it is cleaned up nothing is left."""
    scene.db.execute(MANY_ROWS.format(5_000))
    settle(scene.db, "log")
    yield
    scene.db.execute(MANY_ROWS.format(20_000))
    settle(scene.db, "log")
    yield
    delete(scene.db, "log")
    settle(scene.db, "log")


def nobody_cleans_up(scene: Scene) -> Acts:
    """D7."""
    a_log_row(scene.db, dttm=scene.ago(days=1))
    yield
    row = a_log_row(scene.db, dttm=scene.ago(days=100))
    yield
    delete(scene.db, "log", id=row)


def archives_are_left(scene: Scene) -> Acts:
    """D7."""
    a_log_row(scene.db, dttm=scene.ago(days=1))
    yield
    name = an_archive_table(scene.db)
    yield
    scene.db.execute(f"DROP TABLE {name}")


def a_run_is_never_deleted(scene: Scene) -> Acts:
    """D8."""
    a_finished_dag_run(scene.db, started=scene.ago(days=3), ended=scene.ago(days=3))
    settle(scene.db, "dag_run")
    yield
    run_id = a_run_that_never_started(scene.db, queued=scene.ago(days=200))
    settle(scene.db, "dag_run")
    yield
    delete(scene.db, "dag_run", run_id=run_id)
    settle(scene.db, "dag_run")


def a_migration_is_stuck(scene: Scene) -> Acts:
    """D9: half done, and behind somebody's lock."""
    revision = scene.db.execute("SELECT version_num FROM alembic_version")[0][0]
    yield
    scene.db.execute("UPDATE alembic_version SET version_num = 'half_way'")
    with a_migration_that_waits(scene.db):
        yield
    scene.db.execute(f"UPDATE alembic_version SET version_num = '{revision}'")


def a_right_is_missing(scene: Scene) -> Acts:
    """X5."""
    yield
    scene.db.execute(f"REVOKE SELECT (dttm) ON log FROM {EXPORTER_ROLE}")
    yield
    scene.grant()


def the_page_has_no_room(scene: Scene) -> Acts:
    """X5."""
    yield
    scene.max_series = 1
    with scene.db.engine.begin() as session:
        session.exec_driver_sql("SELECT 1")  # so that connections are in more than one state
        yield
    scene.max_series = 10_000
