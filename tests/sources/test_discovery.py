"""Where the database and the health endpoint are found, and what is said when they are not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.discovery import AirflowSettings, database_schema, database_url, health_urls

SECRET = "p@ss:w/rd%?#"
ENCODED = "p%40ss%3Aw%2Frd%25%3F%23"
LIBPQS = "sslcert=/cert&sslcrl=/crl&sslkey=/key&sslmode=verify-full&sslpassword=x&sslrootcert=/ca"
SEVERAL = "host=h1%3A5432&host=h2%3A5433&target_session_attrs=read-write"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An AIRFLOW_HOME, empty."""
    return tmp_path


def url(home: Path, **settings: str) -> str:
    """The URL found, with its password."""
    return database_url({"AIRFLOW_HOME": str(home), **settings}).url.render_as_string(hide_password=False)


def test_the_first_setting_wins(home: Path) -> None:
    (home / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = postgresql://cfg/db\n")
    secret = home / "secret"
    secret.write_text("postgresql://file/db\n")
    settings: dict[str, str] = {}
    found = [url(home, **settings)]
    for name, value in (
        ("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "postgresql://core/db"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://database/db"),
        ("AIRFLOW_OBS_DB_HOST", "parts"),
        ("AIRFLOW_OBS_DB_URL", "postgresql://ours/db"),
        ("AIRFLOW_OBS_DB_URL_FILE", str(secret)),
    ):
        # Parts and a URL of ours exclude each other.
        settings = {one: said for one, said in settings.items() if one != "AIRFLOW_OBS_DB_HOST"} | {name: value}
        found.append(url(home, **settings))
    hosts = [one.removeprefix("postgresql+psycopg2://").split("/")[0] for one in found]
    assert hosts == ["cfg", "core", "database", "parts:5432", "ours", "file"]


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("postgres://u:p@h:5433/db", "postgresql+psycopg2://u:p@h:5433/db"),
        ("postgresql+psycopg2://u:p@h/db?sslmode=require", "postgresql+psycopg2://u:p@h/db?sslmode=require"),
        ("postgresql+asyncpg://u:p@h/db?ssl=require&prepared_statement_cache_size=0", "postgresql+psycopg2://u:p@h/db?sslmode=require"),
        ("postgresql+psycopg://h/db", "postgresql+psycopg2://h/db"),
        (" postgresql://h/db\n", "postgresql+psycopg2://h/db"),
        ("postgresql://me@server:pw@h/db", "postgresql+psycopg2://me%40server:pw@h/db"),
        (f"postgresql://u:{ENCODED}@h/db", f"postgresql+psycopg2://u:{ENCODED}@h/db"),
        ("postgresql:///db?host=/run/postgresql", "postgresql+psycopg2:///db?host=/run/postgresql"),
        (f"postgresql+psycopg://u@h/db?{LIBPQS}&prepare_threshold=0", f"postgresql+psycopg2://u@h/db?{LIBPQS}"),
        (f"postgresql+asyncpg://u@h/db?{LIBPQS}&timeout=5", f"postgresql+psycopg2://u@h/db?{LIBPQS}"),
        (f"postgresql://u@/db?{SEVERAL}", f"postgresql+psycopg2://u@/db?{SEVERAL}"),
        ("sqlite:////opt/airflow/airflow.db", "sqlite+pysqlite:////opt/airflow/airflow.db"),
        ("sqlite+aiosqlite:////opt/airflow/airflow.db?timeout=3", "sqlite+pysqlite:////opt/airflow/airflow.db"),
    ],
)  # fmt: skip
def test_every_spelling_that_airflow_takes(home: Path, written: str, normal: str) -> None:
    assert unquote(url(home, AIRFLOW_OBS_DB_URL=written)) == unquote(normal)


def test_parts_are_encoded_by_us(home: Path) -> None:
    parts = {"AIRFLOW_OBS_DB_HOST": "db", "AIRFLOW_OBS_DB_USER": "me", "AIRFLOW_OBS_DB_PASSWORD": SECRET}
    found = database_url(
        {"AIRFLOW_HOME": str(home), **parts, "AIRFLOW_OBS_DB_NAME": "meta", "AIRFLOW_OBS_DB_PORT": "6432"}
    )
    assert (found.url.password, found.url.host, found.url.port, found.url.database) == (SECRET, "db", 6432, "meta")
    (home / "password").write_text(SECRET + "\n")
    parts["AIRFLOW_OBS_DB_PASSWORD_FILE"] = str(home / "password")
    assert database_url({"AIRFLOW_HOME": str(home), **parts}).url.password == SECRET


def test_airflows_default_database_is_found_beside_its_cfg(home: Path) -> None:
    (home / "airflow.db").touch()
    assert url(home) == f"sqlite+pysqlite:///{home}/airflow.db"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "no setting says where"),
        ({"AIRFLOW_OBS_DB_URL": f"postgresql:/{SECRET}"}, "AIRFLOW_OBS_DB_URL is not a database URL"),
        ({"AIRFLOW_OBS_DB_URL": f"postgresql://u:{SECRET}@h:port/db"}, "AIRFLOW_OBS_DB_URL is not a database URL"),
        ({"AIRFLOW_OBS_DB_URL": f"oracle+oracledb://u:{ENCODED}@h/db"}, "is a oracle URL; this release reads PostgreSQL, MySQL,"),
        ({"AIRFLOW_OBS_DB_URL": "sqlite://"}, "names no file"),
        ({"AIRFLOW_OBS_DB_URL_FILE": "/nowhere/url"}, "/nowhere/url: No such file or directory"),
        ({"AIRFLOW_OBS_DB_HOST": "h", "AIRFLOW_OBS_DB_PORT": "pg"}, "AIRFLOW_OBS_DB_PORT is 'pg', not a port number"),
        ({"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": f"echo {SECRET}"}, "is Airflow's to resolve, not ours"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_without_the_password(home: Path, settings: dict[str, str], said: str) -> None:
    with pytest.raises(SourceNotConfigured) as caught:
        database_url({"AIRFLOW_HOME": str(home), **settings})
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert ENCODED not in str(caught.value)


def test_variables_are_expanded_as_airflow_does(home: Path) -> None:
    (home / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = postgresql://${ME}:$PW@h/$NOT_SET\n")
    assert url(home, ME="me", PW="secret") == "postgresql+psycopg2://me:secret@h/%24NOT_SET"
    assert (
        url(home, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql://$H/db", H="db-1") == "postgresql+psycopg2://db-1/db"
    )


@pytest.mark.parametrize(
    "part",
    ["PORT", "USER", "PASSWORD", "PASSWORD_FILE", "NAME", "SCHEME", "SSLMODE", "SSLROOTCERT", "SSLCERT", "SSLKEY"],
)
def test_companions_of_a_host_that_is_not_set_are_no_silence(home: Path, part: str) -> None:
    (home / "airflow.cfg").write_text("[database]\nsql_alchemy_conn = postgresql://host/db\n")
    lone = {f"AIRFLOW_OBS_DB_{part}": "x"}
    with pytest.raises(SourceNotConfigured, match=f"AIRFLOW_OBS_DB_{part} is set, but AIRFLOW_OBS_DB_HOST is not"):
        url(home, **lone)
    for name in ("AIRFLOW_OBS_DB_URL", "AIRFLOW_OBS_DB_URL_FILE"):
        with pytest.raises(SourceNotConfigured, match=f"AIRFLOW_OBS_DB_{part} would be ignored, since {name} is set"):
            url(home, **{name: "postgresql://other/db"}, AIRFLOW_OBS_DB_HOST="host", **lone)


def test_a_host_beside_a_url_is_no_silence_either(home: Path) -> None:
    with pytest.raises(
        SourceNotConfigured, match="AIRFLOW_OBS_DB_HOST would be ignored, since AIRFLOW_OBS_DB_URL is set"
    ):
        url(home, AIRFLOW_OBS_DB_URL="postgresql://a/db", AIRFLOW_OBS_DB_HOST="b")


def test_what_kubernetes_says_of_a_service_is_none_of_ours(home: Path) -> None:
    links = {
        "AIRFLOW_OBS_DB_SERVICE_HOST": "10.0.0.1", "AIRFLOW_OBS_DB_SERVICE_PORT_HTTP": "5432",
        "AIRFLOW_OBS_DB_PORT_5432_TCP_ADDR": "10.0.0.1",
    }  # fmt: skip
    assert url(home, AIRFLOW_OBS_DB_URL="postgresql://a/db", **links) == "postgresql+psycopg2://a/db"


def test_all_companions_beside_a_url_are_named_and_none_that_is_empty(home: Path) -> None:
    beside = {"AIRFLOW_OBS_DB_SSLMODE": "verify-full", "AIRFLOW_OBS_DB_PORT": "5433", "AIRFLOW_OBS_DB_USER": ""}
    with pytest.raises(SourceNotConfigured) as caught:
        url(home, AIRFLOW_OBS_DB_URL=f"postgresql://u:{ENCODED}@h/db", **beside)
    assert str(caught.value) == (
        "AIRFLOW_OBS_DB_PORT, AIRFLOW_OBS_DB_SSLMODE would be ignored, since AIRFLOW_OBS_DB_URL is set: put into the URL what they "
        "say and unset them, or unset AIRFLOW_OBS_DB_URL and set AIRFLOW_OBS_DB_HOST"
    )


@pytest.mark.parametrize(
    ("part", "near"),
    [("SSLMOD", "SSLMODE"), ("SSL_MODE", "SSLMODE"), ("SSLROOTCRT", "SSLROOTCERT"), ("PASWORD", "PASSWORD"), ("DATABASE", None)],
)  # fmt: skip
@pytest.mark.parametrize("where", ["AIRFLOW_OBS_DB_URL", "AIRFLOW_OBS_DB_HOST", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
def test_a_setting_that_does_not_exist_is_no_silence(home: Path, where: str, part: str, near: str | None) -> None:
    with pytest.raises(SourceNotConfigured) as caught:
        url(home, **{where: "postgresql://host/db", f"AIRFLOW_OBS_DB_{part}": SECRET})
    meant = f": did you mean AIRFLOW_OBS_DB_{near}?" if near else ""
    assert str(caught.value).startswith(
        f"there is no setting AIRFLOW_OBS_DB_{part}{meant} (there are AIRFLOW_OBS_DB… _URL"
    )
    assert SECRET not in str(caught.value)


def test_a_cfg_is_read_again_when_it_changed(home: Path) -> None:
    for host in ("one", "another"):
        (home / "airflow.cfg").write_text(f"[database]\nsql_alchemy_conn = postgresql://{host}/db\n")
        assert url(home) == f"postgresql+psycopg2://{host}/db"


def test_a_broken_cfg_does_not_matter_where_we_were_told(home: Path) -> None:
    (home / "airflow.cfg").write_text("garbage")
    assert url(home, AIRFLOW_OBS_DB_URL="postgresql://h/db") == "postgresql+psycopg2://h/db"
    environment = {"AIRFLOW_HOME": str(home)}
    assert (AirflowSettings(None, environment).executor(), database_schema(environment)) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"sql_alchemy_conn = x:{SECRET}\n",
        f"[database\nsql_alchemy_conn = {SECRET}",
        "[database]\nsql_alchemy_conn = %(x",
    ],
)
def test_a_broken_cfg_is_named_but_not_quoted(home: Path, text: str) -> None:
    (home / "airflow.cfg").write_text(text)
    with pytest.raises(SourceNotConfigured, match=r"airflow\.cfg: (cannot be read|.* must be written %%)") as caught:
        url(home)
    assert SECRET not in str(caught.value)


def test_facts_that_airflow_itself_is_told(home: Path) -> None:
    (home / "airflow.cfg").write_text("[core]\nexecutor = LocalExecutor\n[database]\nsql_alchemy_schema = af\n")
    environment = {"AIRFLOW_HOME": str(home)}
    assert AirflowSettings(None, environment).executor() == "LocalExecutor"
    assert database_schema(environment) == "af"
    environment["AIRFLOW__CORE__EXECUTOR"] = "CeleryExecutor"
    assert AirflowSettings(None, environment).executor() == "CeleryExecutor"
    assert AirflowSettings("KubernetesExecutor", environment).executor() == "KubernetesExecutor"


@pytest.mark.parametrize(
    ("executor", "settings", "expected"),
    [
        ("CeleryExecutor", {}, True),
        ("LocalExecutor", {"AIRFLOW__CELERY__BROKER_URL": "redis://h/0"}, False),
        (None, {}, False),
        (None, {"AIRFLOW__CELERY__BROKER_URL": "redis://h/0"}, True),
        (None, {"AIRFLOW__CELERY__BROKER_URL": "sqs://h/0"}, True),
        ("some.Executor", {}, False),
        ("some.Executor", {"AIRFLOW_OBS_BROKER_HOST": "h"}, True),
    ],
)
def test_whether_celery_runs_tasks(
    home: Path, executor: str | None, settings: dict[str, str], *, expected: bool
) -> None:
    assert AirflowSettings(executor, {"AIRFLOW_HOME": str(home), **settings}).celery() is expected


@pytest.mark.parametrize(
    ("executor", "settings", "expected"),
    [
        ("CeleryExecutor", {}, "default"),
        ("CeleryExecutor", {"AIRFLOW__OPERATORS__DEFAULT_QUEUE": "ours"}, "ours"),
        (None, {"AIRFLOW_OBS_BROKER_URL": "amqp://h"}, "default"),
        (None, {"AIRFLOW__CELERY__BROKER_URL": "amqp://h"}, "default"),
        ("some.Executor", {"AIRFLOW_OBS_BROKER_HOST": "h"}, "default"),
        ("some.Executor", {}, None),
        ("LocalExecutor", {"AIRFLOW_OBS_BROKER_URL": "amqp://h"}, None),
        (None, {}, None),
    ],
)
def test_which_queue_is_the_default_one(
    home: Path, executor: str | None, settings: dict[str, str], expected: str | None
) -> None:
    assert AirflowSettings(executor, {"AIRFLOW_HOME": str(home), **settings}).default_queue() == expected


def test_where_the_health_endpoint_may_be(home: Path) -> None:
    here = {"AIRFLOW_HOME": str(home)}
    assert health_urls(here) == (["http://localhost:8080"], False)
    assert health_urls({**here, "AIRFLOW__API__PORT": "9090", "AIRFLOW__API__HOST": "0.0.0.0"}) == (
        ["http://localhost:9090"],
        False,
    )
    assert health_urls({**here, "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "10.0.0.7"}) == (["http://10.0.0.7:8080"], False)
    assert health_urls({**here, "AIRFLOW__API__BASE_URL": "https://airflow.example.com/af"}) == (
        ["https://airflow.example.com/af"],
        True,
    )
