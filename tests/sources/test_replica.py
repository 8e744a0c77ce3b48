"""A replica takes the place of the server that the URL leads to, and of nothing else in it."""

from __future__ import annotations

from contextlib import closing

import pytest
import sqlalchemy as sa

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.database import Database
from airflow_obs.sources.discovery import Found, database_url
from airflow_obs.sources.replica import at_replica
from tests.airflow_schemas import POOLED_SCHEMAS
from tests.conftest import NewDatabase

PASSWORD = "p@ss/w:rd"


@pytest.mark.parametrize(
    ("url", "replica", "there"),
    [
        ("postgresql://u:p@db/airflow", "db-2", "postgresql+psycopg2://u:p@db-2/airflow"),
        ("postgresql://u:p@db:6432/airflow", "db-2", "postgresql+psycopg2://u:p@db-2:6432/airflow"),
        ("postgresql://u:p@db:6432/airflow", "db-2:5432", "postgresql+psycopg2://u:p@db-2:5432/airflow"),
        ("postgresql://u:p@db/airflow", "[fd00::2]", "postgresql+psycopg2://u:p@[fd00::2]/airflow"),
        ("postgresql://u:p@db/airflow", "[fd00::2]:5433", "postgresql+psycopg2://u:p@[fd00::2]:5433/airflow"),
        ("postgresql://u:p@/airflow?host=/run/pg&port=5433", "db-2", "postgresql+psycopg2://u:p@db-2:5433/airflow"),
        (
            "postgresql://u:p@/airflow?host=db:5432&host=db-1:5432&target_session_attrs=read-write&sslmode=require",
            "db-2",
            "postgresql+psycopg2://u:p@db-2:5432/airflow?sslmode=require",
        ),
        (
            "postgresql://u:p@db/airflow?hostaddr=10.0.0.1&load_balance_hosts=random",
            "db-2",
            "postgresql+psycopg2://u:p@db-2/airflow",
        ),
        ("postgresql://u:p@/airflow?host=a:6432&host=b:6432", "db-2", "postgresql+psycopg2://u:p@db-2:6432/airflow"),
        ("postgresql://u:p@/airflow?host=a,b&port=6432,6432", "db-2", "postgresql+psycopg2://u:p@db-2:6432/airflow"),
        ("postgresql://u:p@/airflow?host=a,b&port=6432", "db-2", "postgresql+psycopg2://u:p@db-2:6432/airflow"),
        ("postgresql://u:p@/airflow?host=a:1&host=b:2", "db-2:5432", "postgresql+psycopg2://u:p@db-2:5432/airflow"),
        ("postgresql://u:p@a,b:6432/airflow", "db-2", "postgresql+psycopg2://u:p@db-2:6432/airflow"),
        ("mysql://u:p@db:3306/airflow", "db-2:3307", "mysql+pymysql://u:p@db-2:3307/airflow"),
        ("mysql://u:p@/airflow?unix_socket=/run/m.sock", "db-2", "mysql+pymysql://u:p@db-2/airflow"),
    ],
)
def test_the_place_is_the_replicas(url: str, replica: str, there: str) -> None:
    found = at_replica(database_url({"AIRFLOW_OBS_DB_URL": url}), replica)
    assert found.url.difference_update_query(["charset"]) == sa.make_url(there)
    assert found.setting == "AIRFLOW_OBS_DB_URL, at the policy's replica"


@pytest.mark.parametrize("query", ["host=a:1&host=b:2", "host=a&host=b:2", "host=a,b&port=1,2"])
def test_of_several_ports_none_is_the_replicas(query: str) -> None:
    found = database_url({"AIRFLOW_OBS_DB_URL": f"postgresql://u:p@/airflow?{query}"})
    with pytest.raises(SourceNotConfigured, match=r"AIRFLOW_OBS_DB_URL have different ports.*as HOST:PORT"):
        at_replica(found, "db-2")


def test_libpqs_environment_leads_nowhere_else(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its variables lead Airflow's own sessions to the server that takes writes."""
    db = new_database(POOLED_SCHEMAS[-1])
    assert db.pooler is not None
    url, replica = db.exporter_url, f"127.0.0.1:{db.pooler.port}"
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    found = at_replica(database_url({"AIRFLOW_OBS_DB_URL": url}), replica)
    with closing(Database(lambda: found)) as database, database.session(5.0) as session:
        assert session.schema.revision


def test_none_leaves_it_as_it_is() -> None:
    found = Found(sa.make_url("postgresql+psycopg2://u:p@db/airflow"), "the test")
    assert at_replica(found, None) is found


def test_what_the_driver_is_told_beside_the_url_stays() -> None:
    found = Found(sa.make_url("mysql+pymysql://u:p@db/airflow"), "the test", {"ssl": "a context"})
    assert at_replica(found, "db-2").connect_args == {"ssl": "a context"}


def test_a_file_has_no_replica() -> None:
    found = database_url({"AIRFLOW_OBS_DB_URL": "sqlite:////opt/airflow.db"})
    with pytest.raises(SourceNotConfigured, match=r"a SQLite file, which has none: remove `replica`"):
        at_replica(found, "db-2")
