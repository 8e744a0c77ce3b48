"""The ground the other tests stand on: each schema is the one its release makes, and holds rows in every state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg2
import pytest
import sqlalchemy as sa

from tests import states
from tests.airflow_database import AirflowDatabase, engine_for
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import DEMO_VERSION, POSTGRESQL_SCHEMAS, SAME_AS, SCHEMAS, Kind, Schema
from tests.conftest import NewDatabase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEWEST_STABLE = next(schema for schema in POSTGRESQL_SCHEMAS if schema.release.version == DEMO_VERSION)

Builder = Callable[[AirflowDatabase], object]
DAG_RUNS: dict[str, Builder] = {
    "queued": lambda db: states.a_queued_dag_run(db, queued=NOW),
    "running": lambda db: states.a_running_dag_run(db, started=NOW, queued=NOW - MINUTE),
    "success": lambda db: states.a_finished_dag_run(db, started=NOW - MINUTE, ended=NOW),
    "failed": lambda db: states.a_finished_dag_run(db, started=NOW - MINUTE, ended=NOW, state="failed"),
}
TASK_INSTANCES: dict[str | None, Builder] = {
    None: lambda db: states.a_task_instance_without_state(db, created=NOW),
    "scheduled": lambda db: states.a_task_instance_scheduled(db, scheduled_at=NOW),
    "queued": lambda db: states.a_task_instance_queued(db, queued_at=NOW, queue="highmem", pool="etl", pool_slots=3),
    "running": lambda db: states.a_task_instance_running(db, started=NOW - MINUTE, heartbeat=NOW),
    "deferred": lambda db: states.a_task_instance_deferred(db, started=NOW),
    "up_for_retry": lambda db: states.a_task_instance_up_for_retry(db, failed_at=NOW),
    "up_for_reschedule": lambda db: states.a_task_instance_up_for_reschedule(db, poked_at=NOW),
    "restarting": lambda db: states.a_task_instance(db, "restarting", NOW),
    "success": lambda db: states.a_finished_task_instance(db, ended=NOW),
    "failed": lambda db: states.a_finished_task_instance(db, "failed", ended=NOW, started=NOW - MINUTE, map_index=2),
}
JOBS: dict[tuple[str, str], Builder] = {
    ("SchedulerJob", "running"): lambda db: states.a_live_scheduler(db, heartbeat=NOW),
    ("SchedulerJob", "failed"): lambda db: states.a_buried_scheduler(db, "scheduler-1", heartbeat=NOW),
    ("SchedulerJob", "success"): lambda db: states.a_stopped_scheduler(db, "scheduler-2", ended=NOW),
    ("TriggererJob", "running"): lambda db: states.a_live_triggerer(db, heartbeat=NOW),
    ("DagProcessorJob", "running"): lambda db: states.a_dag_processor(db, heartbeat=NOW),
    ("LocalTaskJob", "running"): lambda db: states.a_running_task_job(db, heartbeat=NOW),
    ("LocalTaskJob", "success"): lambda db: states.a_finished_task_job(db, ended=NOW),
}


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_file_of_each_schema_says_whose_it_is(schema: Schema) -> None:
    first_line = schema.file.read_text().splitlines()[0]
    assert first_line.startswith(f"-- Airflow {schema.release.version} on {schema.kind}, ")


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize(("later", "earlier"), SAME_AS.items())
def test_releases_that_share_tests_share_their_schema(kind: Kind, later: str, earlier: str) -> None:
    texts = [Schema(kind, RELEASES[version]).file.read_text().partition("\n")[2] for version in (later, earlier)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_schema_has_the_head_of_its_release_and_what_a_new_airflow_has(
    schema: Schema, new_database: NewDatabase
) -> None:
    airflow_db = new_database(schema)
    assert airflow_db.execute("SELECT version_num FROM alembic_version") == [(airflow_db.release.alembic_head,)]
    assert airflow_db.execute("SELECT pool, slots FROM slot_pool") == [("default_pool", 128)]
    assert airflow_db.execute("SELECT id FROM log_template ORDER BY id")[0] == (1,)
    assert airflow_db.execute("SELECT count(*) FROM task_instance") == [(0,)]


def test_every_dag_run_state(airflow_db: AirflowDatabase) -> None:
    for build in DAG_RUNS.values():
        build(airflow_db)
    rows = airflow_db.execute("SELECT state FROM dag_run ORDER BY id")
    assert [state for (state,) in rows] == list(DAG_RUNS)


def test_every_task_instance_state(airflow_db: AirflowDatabase) -> None:
    for build in TASK_INSTANCES.values():
        build(airflow_db)
    rows = airflow_db.execute("SELECT state FROM task_instance")
    assert {state for (state,) in rows} == set(TASK_INSTANCES)
    assert len(rows) == len(TASK_INSTANCES)
    slots = airflow_db.execute("SELECT queue, pool, pool_slots FROM task_instance WHERE state = 'queued'")
    assert slots == [("highmem", "etl", 3)]
    joined = "SELECT count(*) FROM task_instance ti JOIN dag_run dr ON dr.dag_id = ti.dag_id AND dr.run_id = ti.run_id"
    assert airflow_db.execute(joined) == [(len(TASK_INSTANCES),)]


def test_every_job(airflow_db: AirflowDatabase) -> None:
    for build in JOBS.values():
        build(airflow_db)
    rows = airflow_db.execute("SELECT job_type, state FROM job")
    assert {tuple(row) for row in rows} == set(JOBS)


def test_killed_scheduler_differs_from_a_live_one_by_its_heartbeat_only(airflow_db: AirflowDatabase) -> None:
    states.a_live_scheduler(airflow_db, "alive", heartbeat=NOW)
    states.a_killed_scheduler(airflow_db, "dead", heartbeat=NOW - 10 * MINUTE)
    ordered = "SELECT hostname, state, end_date FROM job ORDER BY latest_heartbeat"
    assert airflow_db.execute(ordered) == [("dead", "running", None), ("alive", "running", None)]


def test_dags_import_errors_pools_log_and_archive(airflow_db: AirflowDatabase) -> None:
    states.a_dag(airflow_db, "paused", paused=True, file="team/paused.py", last_parsed=NOW, parse_duration=1.5)
    states.a_dag(airflow_db, "gone", stale=True, last_parsed=NOW, next_run_due=NOW)
    states.an_import_error(airflow_db, "team/broken.py", seen=NOW)
    states.a_pool(airflow_db, "etl", 4, include_deferred=True)
    assert states.a_log_row(airflow_db, dttm=NOW) == 1
    archive = states.an_archive_table(airflow_db)

    flag = "is_active" if airflow_db.release.major == 2 else "NOT is_stale"
    dags = airflow_db.execute(f"SELECT dag_id, fileloc FROM dag WHERE is_paused AND {flag}")
    assert dags == [("paused", "/opt/airflow/dags/team/paused.py")]
    ((file,),) = airflow_db.execute("SELECT filename FROM import_error")
    assert file == ("/opt/airflow/dags/team/broken.py" if airflow_db.release.major == 2 else "team/broken.py")
    assert airflow_db.execute("SELECT pool FROM slot_pool WHERE slots = 4") == [("etl",)]
    assert airflow_db.execute(f"SELECT event FROM {archive}") == [("success",)]


def test_archived_try_is_not_in_the_working_set(airflow_db: AirflowDatabase) -> None:
    current = states.a_task_instance_running(airflow_db, started=NOW, try_number=2)
    states.an_archived_try(airflow_db, current, started=NOW - 2 * MINUTE, ended=NOW - MINUTE)
    only_working = " WHERE working_set IS TRUE" if airflow_db.release.version.startswith("3.4") else ""
    working = airflow_db.execute(f"SELECT state, try_number FROM task_instance{only_working}")
    assert working == [("running", 2)]


def test_moments_are_written_as_airflow_writes_them(airflow_db: AirflowDatabase) -> None:
    states.a_live_scheduler(airflow_db, heartbeat=NOW.astimezone(tz=None))
    ((written,),) = airflow_db.execute("SELECT latest_heartbeat FROM job")
    as_utc = {
        Kind.POSTGRESQL: NOW,
        Kind.MARIADB: NOW.replace(tzinfo=None),
        Kind.SQLITE: "2026-03-01 12:00:00.000000",
    }
    assert written == as_utc[airflow_db.kind]


def test_builders_refuse_what_would_be_lost(new_database: NewDatabase) -> None:
    db = new_database(NEWEST_STABLE)
    with pytest.raises(KeyError, match="table dag has no column is_pasued"):
        states.a_dag(db, is_pasued=True)
    with pytest.raises(ValueError, match="time zone"):
        states.a_live_scheduler(db, heartbeat=NOW.replace(tzinfo=None))


def test_foreign_keys_hold_on_sqlite_too(sqlite_db: AirflowDatabase) -> None:
    states.a_task_instance_queued(sqlite_db, queued_at=NOW)
    assert sqlite_db.execute("PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_each_database_is_fresh(schema: Schema, new_database: NewDatabase) -> None:
    first, second = new_database(schema), new_database(schema)
    states.a_pool(first, "etl", 4)
    assert len(second.execute("SELECT pool FROM slot_pool")) == 1


def test_exporter_role_reads_and_cannot_write(postgresql_db: AirflowDatabase) -> None:
    engine = engine_for(postgresql_db.exporter_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT current_user")) == "airflow_obs"
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) is not None
    with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError) as refused:
        connection.execute(sa.text("DELETE FROM task_instance"))
    assert isinstance(refused.value.orig, psycopg2.errors.InsufficientPrivilege)
    engine.dispose()


def test_exporter_role_reads_its_columns_on_mariadb_and_cannot_write(mariadb_db: AirflowDatabase) -> None:
    engine = engine_for(mariadb_db.exporter_url)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT current_user")) == "airflow_obs@%"
        assert connection.scalar(sa.text("SELECT version_num FROM alembic_version")) is not None
        for refused in ("DELETE FROM task_instance", "SELECT hostname FROM task_instance", "SELECT * FROM connection"):
            with pytest.raises(sa.exc.OperationalError, match="denied to user 'airflow_obs'"):
                connection.execute(sa.text(refused))
    engine.dispose()
