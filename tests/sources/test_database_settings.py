"""The database by the parts of its address: what the settings mean on either kind of server, and which are refused."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner

from airflow_obs.cli.exporter import exporter
from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.discovery import Found, database_url
from tests.certificates import Authority

SECRET = "p@ss:w/rd%?#"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ca.pem, and ours.pem and ours.key."""
    folder = tmp_path_factory.mktemp("certificates")
    Authority.founded(folder).issue("ours")
    return folder


def found(folder: Path, **parts: str) -> Found:
    """By the host db and these parts; CA, CERTIFICATE and KEY in them are the paths of those."""
    paths = {"CA": folder / "ca.pem", "CERTIFICATE": folder / "ours.pem", "KEY": folder / "ours.key"}
    settings = {
        f"AIRFLOW_OBS_DB_{part}": str(paths.get(value, value)) for part, value in {"HOST": "db", **parts}.items()
    }
    return database_url({"HOME": str(folder), **settings})


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "postgresql+psycopg2://db:5432/airflow"),
        ({"SCHEME": "postgresql", "PORT": "6432", "NAME": "meta"}, "postgresql+psycopg2://db:6432/meta"),
        ({"HOST": "one,two"}, "postgresql+psycopg2://one,two:5432/airflow"),
        ({"HOST": "[::1]"}, "postgresql+psycopg2://[::1]:5432/airflow"),
        ({"HOST": "/run/pg"}, "postgresql+psycopg2:///airflow?host=%2Frun%2Fpg&port=5432"),
        ({"SCHEME": "mysql"}, "mysql+pymysql://db:3306/airflow?charset=utf8mb4"),
        ({"SCHEME": "MariaDB://", "USER": "me"}, "mysql+pymysql://me@db:3306/airflow?charset=utf8mb4"),
        ({"SCHEME": "mysql", "HOST": "::1"}, "mysql+pymysql://[::1]:3306/airflow?charset=utf8mb4"),
        ({"SCHEME": "mysql", "HOST": "/run/my.sock"}, "mysql+pymysql:///airflow?charset=utf8mb4&unix_socket=%2Frun%2Fmy.sock"),
    ],
)  # fmt: skip
def test_places(folder: Path, parts: dict[str, str], expected: str) -> None:
    assert str(found(folder, **parts).url) == expected


def test_a_password_with_any_character(folder: Path) -> None:
    (folder / "password").write_text(SECRET + "\n")
    for scheme in ("postgresql", "mysql"):
        one = found(folder, SCHEME=scheme, USER="me", PASSWORD_FILE=str(folder / "password"))
        assert one.url.password == SECRET
        assert SECRET not in repr(one)


TLS = [
    ({"SSLMODE": "disable"}, None),
    ({"SSLMODE": "prefer"}, None),
    ({"SSLMODE": "require"}, (ssl.CERT_NONE, False)),
    ({"SSLMODE": "require", "SSLCERT": "CERTIFICATE", "SSLKEY": "KEY"}, (ssl.CERT_NONE, False)),
    ({"SSLMODE": "require", "SSLROOTCERT": "CA"}, (ssl.CERT_REQUIRED, False)),
    ({"SSLMODE": "verify-ca", "SSLROOTCERT": "CA"}, (ssl.CERT_REQUIRED, False)),
    ({"SSLMODE": "Verify-Full", "SSLROOTCERT": "CA"}, (ssl.CERT_REQUIRED, True)),
    ({"SSLMODE": "verify-full", "SSLROOTCERT": "system"}, (ssl.CERT_REQUIRED, True)),
]


@pytest.mark.parametrize(("parts", "verifies"), TLS)
def test_libpqs_words_on_mysql(folder: Path, parts: dict[str, str], verifies: tuple[object, bool] | None) -> None:
    arguments = found(folder, SCHEME="mysql", **parts).connect_args
    if verifies is None:
        assert arguments == ({"ssl_disabled": True} if parts["SSLMODE"] == "disable" else {})
    else:
        assert (arguments["ssl"].verify_mode, arguments["ssl"].check_hostname) == verifies


@pytest.mark.parametrize("parts", [parts for parts, _ in TLS])
def test_libpqs_words_on_postgresql(folder: Path, parts: dict[str, str]) -> None:
    query = found(folder, **parts).url.query
    assert query["sslmode"] == parts["SSLMODE"].lower()
    assert query.keys() == {part.lower() for part in parts}


def test_authorities_that_libpq_knows_by_itself(folder: Path, tmp_path: Path) -> None:
    """Which are nothing to MySQL."""
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_bytes((folder / "ca.pem").read_bytes())
    for libpqs in ({"HOME": str(tmp_path)}, {"HOME": str(folder), "PGSSLROOTCERT": str(folder / "ca.pem")}):
        for mode in ("verify-ca", "verify-full"):
            settings = {**libpqs, "AIRFLOW_OBS_DB_HOST": "db", "AIRFLOW_OBS_DB_SSLMODE": mode}
            assert database_url(settings).url.query == {"sslmode": mode}
            with pytest.raises(SourceNotConfigured, match="AIRFLOW_OBS_DB_SSLROOTCERT is not set"):
                database_url({**settings, "AIRFLOW_OBS_DB_SCHEME": "mysql"})


@pytest.mark.parametrize("home", ["", "/x" * 5000])
def test_a_home_in_which_nothing_can_be_looked_for(home: str) -> None:
    settings = {"HOME": home, "AIRFLOW_OBS_DB_HOST": "db", "AIRFLOW_OBS_DB_SSLMODE": "verify-full"}
    with pytest.raises(SourceNotConfigured, match="AIRFLOW_OBS_DB_SSLROOTCERT is not set"):
        database_url(settings)


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"SSLMODE": "VERIFY_IDENTITY"}, "SSLMODE is 'verify_identity': write disable, prefer, require, verify-ca, verify-full"),
        ({"SSLMODE": "allow"}, "SSLMODE is 'allow', which tries without TLS first and is not supported: write disable, prefer"),
        ({"SSLROOTCERT": "CA"}, "SSLROOTCERT is set, but AIRFLOW_OBS_DB_SSLMODE is not set, which verifies nothing"),
        ({"SSLROOTCERT": "CA", "SSLMODE": "prefer"}, "SSLMODE is prefer, which verifies nothing: write verify-full"),
        ({"SSLMODE": "verify-full"}, "SSLMODE is verify-full, but AIRFLOW_OBS_DB_SSLROOTCERT is not set"),
        ({"SSLMODE": "verify-ca", "SSLROOTCERT": "system"}, "SSLROOTCERT is system, but AIRFLOW_OBS_DB_SSLMODE is verify-ca"),
        ({"SSLMODE": "verify-full", "SSLROOTCERT": "/no/ca"}, "AIRFLOW_OBS_DB_SSLROOTCERT: /no/ca: No such file or directory"),
        ({"SSLMODE": "require", "SSLCERT": "CERTIFICATE"}, "SSLCERT is set, but AIRFLOW_OBS_DB_SSLKEY is not"),
        ({"SSLMODE": "require", "SSLKEY": "KEY"}, "SSLKEY is set, but AIRFLOW_OBS_DB_SSLCERT is not"),
        ({"SSLCERT": "CERTIFICATE", "SSLKEY": "KEY"}, "SSLMODE is not set, with which it may never be shown"),
        ({"SSLMODE": "require", "SSLCERT": "/no/cert", "SSLKEY": "KEY"}, "AIRFLOW_OBS_DB_SSLCERT: /no/cert: No such file"),
        ({"HOST": "db:5432"}, "AIRFLOW_OBS_DB_HOST is not the name or address of a host alone"),
        ({"HOST": "mysql://db"}, "AIRFLOW_OBS_DB_HOST is not the name or address of a host alone"),
        ({"PORT": "pg"}, "AIRFLOW_OBS_DB_PORT is 'pg', not a port number"),
    ],
)  # fmt: skip
def test_mistakes(folder: Path, scheme: str, parts: dict[str, str], said: str) -> None:
    with pytest.raises(SourceNotConfigured) as caught:
        found(folder, SCHEME=scheme, **parts)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"SCHEME": "mysql+pymysql"}, "AIRFLOW_OBS_DB_SCHEME is 'mysql+pymysql': write postgresql, mysql, mariadb"),
        ({"SCHEME": "mysql", "HOST": "one,two"}, "AIRFLOW_OBS_DB_HOST is not the name or address of a host alone"),
        ({"SCHEME": "mysql", "SSLMODE": "require", "SSLCERT": "CA", "SSLKEY": "KEY"}, "no certificate and its key in PEM form"),
        ({"SCHEME": "mysql", "SSLMODE": "require", "SSLROOTCERT": "KEY"}, "no certificate in PEM form is there"),
    ],
)  # fmt: skip
def test_mistakes_of_one_kind(folder: Path, parts: dict[str, str], said: str) -> None:
    with pytest.raises(SourceNotConfigured) as caught:
        found(folder, **parts)
    assert said in str(caught.value)


def test_help_names_every_part() -> None:
    said = CliRunner().invoke(exporter, ["--help"]).output
    ours = said.partition("AIRFLOW_OBS_DB_HOST")[2].partition("AIRFLOW__")[0]
    with pytest.raises(SourceNotConfigured) as caught:
        database_url({"AIRFLOW_OBS_DB_X": "x"})
    parts = re.findall(r"_[A-Z_]+", str(caught.value).partition("AIRFLOW_OBS_DB… _URL_FILE, _URL, _HOST")[2])
    assert len(parts) == 10
    with pytest.raises(SourceNotConfigured) as caught:
        database_url({"AIRFLOW_OBS_DB_HOST": "h", "AIRFLOW_OBS_DB_SCHEME": "x"})
    schemes = str(caught.value).partition("write ")[2].split(", ")
    assert set(parts + schemes) <= set(re.findall(r"\w+", ours))
