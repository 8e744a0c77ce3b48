"""Faults of triggers, DAG files and the database, seen with the eyes of the real exporter, beside a healthy world."""

from __future__ import annotations

import time

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.demo import faults
from airflow_obs.demo.figures import Page
from airflow_obs.demo.postgres import Server
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.world import World, utc_now
from tests.demo.conftest import NewDatabase
from tests.demo.sick_worlds import PATIENCE, SICK_FOR, Observe, age, beats

CLEANED = ("log", "task_instance", "job")


@pytest.fixture(scope="module")
def odd_rows(observe: Observe) -> Page:
    """What the exporter says of one world with the faults that are only rows, which nothing in it reads."""
    return observe("assets-waiting", "undated-rows")


def test_triggerer_dead(observe: Observe, healthy: Page) -> None:
    page = observe("triggerer-dead")
    assert healthy.values(metrics.TRIGGERS_STRANDED, reason="dead") == [0]
    assert healthy.total(metrics.JOBS_ALIVE, job_type="TriggererJob") == 1
    assert page.total(metrics.JOBS_ALIVE, job_type="TriggererJob") == 0
    assert page.total(metrics.TRIGGERS_STRANDED) == page.total(metrics.TASK_INSTANCES, state="deferred") >= 2
    assert page.total(metrics.TRIGGERS_STRANDED, reason="unassigned") >= 1
    assert age(page.values(metrics.TRIGGERS_STRANDED_OLDEST)) > SICK_FOR / 2
    assert beats(page, "TriggererJob")[0] < beats(page, "SchedulerJob")[0] - SICK_FOR / 2


def test_triggers_overdue(observe: Observe, healthy: Page) -> None:
    page = observe("triggers-overdue")
    [waiting] = page.values(metrics.TRIGGERS, hostname="airflow-triggerer-0")
    assert waiting == page.total(metrics.TASK_INSTANCES, state="deferred") >= 6
    assert waiting > 2 * healthy.total(metrics.TRIGGERS)
    assert age(page.values(metrics.TRIGGERS_OLDEST)) > SICK_FOR * 0.8
    assert page.values(metrics.DEFERRED_OVERDUE) == [2]
    assert healthy.values(metrics.DEFERRED_OVERDUE) == [0]
    assert age(page.values(metrics.DEFERRED_TIMEOUT)) > 600
    assert all(moment > time.time() + 3600 for moment in healthy.values(metrics.DEFERRED_TIMEOUT))
    # The checks that everybody has stay green.
    assert page.total(metrics.JOBS_ALIVE, job_type="TriggererJob") == 1
    assert page.total(metrics.TRIGGERS_STRANDED) == 0


def test_assets_waiting(odd_rows: Page, healthy: Page) -> None:
    page = odd_rows
    assert page.values(metrics.ASSETS_QUEUED, dag_state="active") == [1]
    assert age(page.values(metrics.ASSETS_QUEUED_OLDEST, dag_state="active")) > 86400
    assert healthy.total(metrics.ASSETS_QUEUED) == 0
    assert healthy.series(metrics.ASSETS_QUEUED_OLDEST) == []
    # Nothing else is wrong.
    assert page.total(metrics.DAGS_OVERDUE) == 0
    assert page.values(metrics.DAG_LAST_RUN_SUCCESS, dag_id="crm_contacts_sync") == [1]


def test_a_dag_file_breaks(observe: Observe, healthy: Page) -> None:
    page = observe("dag-file-breaks")
    assert page.values(metrics.IMPORT_ERRORS) == [1]
    assert healthy.values(metrics.IMPORT_ERRORS) == [0]
    assert page.total(metrics.DAGS) == healthy.total(metrics.DAGS)
    assert page.total(metrics.DAGS_OVERDUE) == 0


def test_dags_vanish(observe: Observe, healthy: Page) -> None:
    page = observe("dags-vanish")
    assert page.total(metrics.DAGS) == healthy.total(metrics.DAGS)
    assert page.total(metrics.DAGS, state="active") < 0.6 * healthy.total(metrics.DAGS, state="active")
    assert page.total(metrics.DAGS, state="stale") >= 8 > healthy.total(metrics.DAGS, state="stale")
    assert healthy.series(metrics.DAG_NEXT_RUN, dag_id="fraud_scores") != []
    assert page.series(metrics.DAG_NEXT_RUN, dag_id="fraud_scores") == []
    assert page.total(metrics.DAGS_OVERDUE) == 0
    assert page.total(metrics.IMPORT_ERRORS) == healthy.total(metrics.IMPORT_ERRORS)


def test_bundle_not_refreshed(observe: Observe, healthy: Page) -> None:
    page = observe("bundle-not-refreshed")
    [old], [fresh] = page.values(metrics.BUNDLE_REFRESHED), healthy.values(metrics.BUNDLE_REFRESHED)
    assert old < page.total(metrics.NEWEST_PARSE) - SICK_FOR / 2
    assert fresh > healthy.total(metrics.NEWEST_PARSE) - SICK_FOR / 2
    assert page.values(metrics.BUNDLE_ACTIVE) == [1]
    assert page.total(metrics.JOBS_ALIVE, job_type="DagProcessorJob") == 1


def test_dag_version_churn(observe: Observe, healthy: Page) -> None:
    page = observe("dag-version-churn")
    assert healthy.values(metrics.DAG_VERSIONS) == healthy.values(metrics.DAG_VERSIONS_MAX) == [0]
    assert page.total(metrics.DAG_VERSIONS) > 12
    assert page.total(metrics.DAG_VERSIONS_MAX) >= 2
    made = {labels["dag_id"]: count for labels, count in page.series(metrics.DAG_NEW_VERSIONS)}
    assert max(made.values()) == page.total(metrics.DAG_VERSIONS_MAX)
    assert sum(made.values()) == page.total(metrics.DAG_VERSIONS)
    assert healthy.total(metrics.DAG_NEW_VERSIONS) == 0
    assert page.total(metrics.DAGS) == healthy.total(metrics.DAGS)


def test_deadlocks(observe: Observe, healthy: Page) -> None:
    page = observe("deadlocks")
    assert healthy.values(metrics.DB_DEADLOCKS) == [0]
    assert page.total(metrics.DB_DEADLOCKS) >= 4
    assert page.total(metrics.DB_BLOCKED) == 0


def test_vacuum_held_back(observe: Observe, healthy: Page) -> None:
    page = observe("vacuum-held-back")
    assert page.values(metrics.DB_PREPARED) == [1]
    assert healthy.values(metrics.DB_PREPARED) == [0]
    assert healthy.series(metrics.DB_PREPARED_OLDEST) == []
    assert page.total(metrics.DB_XMIN_AGE, holder="prepared") >= SICK_FOR > 0
    assert healthy.total(metrics.DB_XMIN_AGE, holder="prepared") == 0
    dead, threshold = (
        page.total(metric, table="task_instance")
        for metric in (metrics.TABLE_DEAD_ROWS, metrics.TABLE_VACUUM_THRESHOLD)
    )
    assert dead > 5 * threshold
    assert healthy.total(metrics.TABLE_DEAD_ROWS, table="task_instance") < 2000 < dead
    # Vacuum came after most of them had died.
    assert page.total(metrics.TABLE_LAST_VACUUM, table="task_instance") > page.total(metrics.DB_PREPARED_OLDEST)
    # No session is to blame, so whoever looks for one finds nothing.
    assert page.values(metrics.DB_OLDEST_TRANSACTION, state="idle in transaction") == []


def test_clean_up_overdue(observe: Observe, healthy: Page) -> None:
    page = observe("clean-up-overdue")
    now, half_a_year = time.time(), 180 * 86400
    for table in CLEANED:
        [due], [fine] = (one.values(metrics.CLEAN_UP_DUE, table=table) for one in (page, healthy))
        assert due < now - half_a_year < now < fine
        assert now - page.total(metrics.TABLE_OLDEST_ROW, table=table) > 2 * half_a_year
    assert page.total(metrics.TABLE_SIZE, table="log") > 2 * healthy.total(metrics.TABLE_SIZE, table="log")
    assert page.total(metrics.DAGS_OVERDUE) == healthy.total(metrics.DAGS_OVERDUE) == 0


def test_undated_rows(odd_rows: Page, healthy: Page) -> None:
    page = odd_rows
    assert page.values(metrics.CLEAN_UP_UNDATED, table="dag_run") == [100]
    assert page.values(metrics.CLEAN_UP_UNDATED, table="task_instance") == [200]
    assert set(healthy.values(metrics.CLEAN_UP_UNDATED)) == {0}
    # By what it judges, everything is clean.
    assert min(page.values(metrics.CLEAN_UP_DUE)) > time.time()


def test_a_fault_takes_away_what_no_row_holds(
    demo_server: Server, new_demo_database: NewDatabase, redis: Redis
) -> None:
    database = new_demo_database()
    world = World(
        lambda application: demo_server.connect(application, database=database), redis, utc_now(), patience=PATIENCE
    )
    watching = demo_server.connect("tests", database=database)
    try:
        watching.autocommit = True
        for name in ("deadlocks", "vacuum-held-back"):
            fault = faults.by_name(name)
            fault.begin(world)
            fault.step(world)
            fault.end()
            with watching.cursor() as cursor:
                cursor.execute("SELECT gid FROM pg_prepared_xacts")
                assert cursor.fetchall() == []
                cursor.execute(
                    "SELECT application_name FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() "
                    "AND (state <> 'idle' OR backend_xmin IS NOT NULL)",
                    [database],
                )
                assert cursor.fetchall() == []
    finally:
        watching.close()
        world.close()


def test_a_fault_that_did_not_begin_can_end() -> None:
    for fault in faults.ALL:
        fault().end()
