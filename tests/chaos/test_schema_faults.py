"""Databases that are not Airflow's, half of one, or another one than a moment ago."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow_obs.catalog import metrics
from tests import states
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase, Templates
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.chaos.conftest import StartExporter
from tests.chaos.server import Server
from tests.exporter_process import failing_of

BEFORE_3_1 = next(schema for schema in POSTGRESQL_SCHEMAS if schema.release.version == "3.0.2")


def test_database_that_is_not_airflows_until_the_url_is_corrected(
    server: Server, db: AirflowDatabase, start: StartExporter, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    file.write_text(server.postgres.url("postgres", EXPORTER_ROLE))
    right = db.exporter_url
    with start(AIRFLOW_OBS_DB_URL_FILE=str(file)) as exporter:
        page = exporter.until_down()
        assert page.value(metrics.SOURCE_UP.name, source="database") == 1
        exporter.until_said("this is not Airflow's metadata database")
        exporter.until_tried_again("jobs")
        assert exporter.log.count("WARNING") == 1
        file.write_text(right)
        exporter.until_well()


def test_half_migrated_schema_fails_what_needs_the_missing_half(db: AirflowDatabase, start: StartExporter) -> None:
    url = db.exporter_url
    db.execute("DELETE FROM alembic_version")
    db.execute("DROP TABLE import_error, slot_pool")
    with start(AIRFLOW_OBS_DB_URL=url) as exporter:
        page = exporter.until_exactly_down("pools")
        assert page.value(metrics.AIRFLOW_INFO.name, alembic_head="none") == 1
        assert metrics.DAGS.name in page.names
        assert metrics.IMPORT_ERRORS.name not in page.names
        exporter.until_said("it has no table slot_pool (schema revision none); is a migration half done?")


def test_upgrade_under_the_exporter(server: Server, chaos_templates: Templates, start: StartExporter) -> None:
    with chaos_templates.database(BEFORE_3_1) as db:
        states.a_dag(db, "sales", file="team/sales.py", last_parsed=datetime.now(UTC))
        with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
            page = exporter.until_well()
            assert metrics.PARSE_DURATION.name not in page.names

            # What is added is seen once the revision changes, as at the end of `airflow db migrate`.
            db.execute("ALTER TABLE dag ADD COLUMN last_parse_duration double precision")
            db.execute("UPDATE dag SET last_parse_duration = 1.5")
            db.execute(f"GRANT SELECT (last_parse_duration) ON dag TO {EXPORTER_ROLE}")
            db.execute("UPDATE alembic_version SET version_num = 'upgraded'")
            page = exporter.until(lambda page: metrics.PARSE_DURATION.name in page.names, "the new column is read")
            assert page.value(metrics.PARSE_DURATION.name) == 1.5
            head = metrics.AIRFLOW_INFO.name
            exporter.until(lambda page: bool(page.values(head, alembic_head="upgraded")), "the new revision is shown")

            # What goes away is missed at once, and no longer asked for after that.
            db.execute("ALTER TABLE slot_pool DROP COLUMN include_deferred")
            db.execute("ALTER TABLE dag DROP COLUMN last_parse_duration")
            exporter.until_said("the schema changed under us (a migration?), it is read anew next time")
            page = exporter.until(
                lambda page: metrics.PARSE_DURATION.name not in page.names and not failing_of(page) - {"health"},
                "the columns are missed no more",
            )
            assert page.value(metrics.POOL_SLOTS.name, pool="default_pool") == 128

            # Nor does a migration that renames a table into place blank more than its own collectors.
            db.execute("ALTER TABLE slot_pool RENAME TO slot_pool_old")
            exporter.until_exactly_down("pools")
            db.execute("ALTER TABLE slot_pool_old RENAME TO slot_pool")
            db.execute("UPDATE alembic_version SET version_num = 'upgraded again'")
            exporter.until_well()
            assert server.sessions() == 1
