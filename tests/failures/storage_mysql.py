"""The metadata database on MariaDB: the failures D and S6, as far as that is another story there."""

from __future__ import annotations

import time

from tests.eventually import eventually
from tests.failures.scene import Acts, Scene
from tests.states.sessions_mysql import (
    CACHED,
    a_chain_of_row_waits,
    a_change_of_a_table_that_waits,
    a_deadlock_of_rows,
    an_old_view_of_the_rows,
    some_changes,
)


def sessions_wait_behind_an_idle_one(scene: Scene) -> Acts:
    """D3."""
    _settle(scene)
    yield
    with a_chain_of_row_waits(scene.db):
        yield


def sessions_waited(scene: Scene) -> Acts:
    """D3: it is over before anybody looks."""
    _settle(scene)
    yield
    with a_chain_of_row_waits(scene.db):
        pass
    yield


def an_old_view_stays_open(scene: Scene) -> Acts:
    """D4."""
    _settle(scene)
    yield
    with an_old_view_of_the_rows(scene.db):
        some_changes(scene.db, 20)
        time.sleep(CACHED)
        yield
    _settle(scene)


def a_migration_waits_for_a_table(scene: Scene) -> Acts:
    """D9."""
    _settle(scene)
    yield
    with a_change_of_a_table_that_waits(scene.db):
        yield


def two_sessions_deadlock(scene: Scene) -> Acts:
    """S6."""
    yield
    a_deadlock_of_rows(scene.db)
    yield


def _settle(scene: Scene) -> None:
    """Until InnoDB has purged what others left, and looks at its transactions anew."""
    assert scene.db.exporter_url  # grants, which wait for who uses a table
    purged = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'trx_rseg_history_len'"
    eventually(lambda: scene.db.execute(purged)[0][0] == 0, "InnoDB has purged everything")
    time.sleep(CACHED)
