"""A password that is rotated where Kubernetes mounts it: nobody need see it happen, whatever the order of its steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_obs.catalog import metrics
from tests.airflow_database import EXPORTER_ROLE, AirflowDatabase
from tests.airflow_schemas import MARIADB_SCHEMAS
from tests.chaos.conftest import NEWEST, StartExporter
from tests.chaos.server import Server
from tests.chaos.test_access_faults import NEW, OLD, SECRETS, change_password, written
from tests.embedded_postgres import memory_folder
from tests.mariadb_server import mariadb_server

SEEN = ("jobs", "dag_runs", "pools")


@dataclass(frozen=True)
class Account:
    """The exporter's on some server: its URL without a password, which is OLD, and what an administrator does with it."""

    url: sa.URL
    change_password: Callable[[str], None]
    end_sessions: Callable[[], object]

    @property
    def parts(self) -> dict[str, str]:
        """The settings that say where it is, but for the password."""
        url = self.url
        socket = url.query.get("host") or url.query["unix_socket"]
        named = {
            "SCHEME": url.get_backend_name(),
            "HOST": str(socket),
            "USER": EXPORTER_ROLE,
            "NAME": str(url.database),
        }
        return {f"AIRFLOW_OBS_DB_{part}": value for part, value in named.items()}


@pytest.fixture
def on_postgresql(server: Server, db: AirflowDatabase) -> Iterator[Account]:
    url = sa.make_url(db.exporter_url)
    change_password(server, OLD)
    server.demand("scram-sha-256")
    yield Account(url, lambda password: change_password(server, password), server.end_sessions)
    server.demand("trust")


@pytest.fixture
def on_mariadb() -> Iterator[Account]:
    [schema] = [schema for schema in MARIADB_SCHEMAS if schema.release == NEWEST.release]
    with mariadb_server(memory_folder()) as mariadb:
        role = f"{EXPORTER_ROLE}@'%'"

        def change(password: str, how: str = "ALTER") -> None:
            escaped = password.replace("\\", "\\\\").replace("'", "''")
            mariadb.execute(f"{how} USER {role} IDENTIFIED BY '{escaped}'")

        mariadb.execute(f"CREATE DATABASE airflow; USE airflow; {schema.file.read_text()}")
        change(OLD, "CREATE")
        mariadb.execute(f"GRANT PROCESS ON *.* TO {role}; GRANT SELECT ON airflow.* TO {role}")
        url = sa.make_url(mariadb.url("airflow", EXPORTER_ROLE))
        yield Account(url, change, lambda: mariadb.execute(f"KILL USER {EXPORTER_ROLE}"))


@pytest.fixture(params=["on_postgresql", "on_mariadb"])
def account(request: pytest.FixtureRequest) -> Account:
    """Once on each."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Account)
    return found


class Mounted:
    """A secret as Kubernetes mounts it: what is in it changes at once, by a symbolic link to another folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        folder.mkdir()

    def put(self, **files: str) -> None:
        """These are its files from now on."""
        self._number += 1
        data = self._folder / f"..{self._number}"
        data.mkdir()
        for name, text in files.items():
            (data / name).write_text(text)
            if self._number == 1:
                (self._folder / name).symlink_to(Path("..data") / name)
        link = self._folder / "..data_tmp"
        link.symlink_to(data.name)
        link.replace(self._folder / "..data")


@pytest.mark.parametrize("kept_as", ["PASSWORD_FILE", "URL_FILE"])
def test_a_password_that_is_in_its_file_by_the_time_it_is_asked_for(
    account: Account, start: StartExporter, tmp_path: Path, kept_as: str
) -> None:
    """A session that is open lives on; the next one finds the new password, before any server has refused the old one twice."""
    secret = Mounted(tmp_path / "secret")

    def put(password: str) -> None:
        secret.put(PASSWORD_FILE=password, URL_FILE=written(account.url.set(password=password)))

    put(OLD)
    told = {} if kept_as == "URL_FILE" else account.parts
    with start(SECRETS, **told, **{f"AIRFLOW_OBS_DB_{kept_as}": str(tmp_path / "secret" / kept_as)}) as exporter:
        exporter.until_well(*SEEN)
        for password in (NEW, OLD):
            account.change_password(password)
            exporter.until_collected_again("jobs")
            put(password)
            account.end_sessions()
            for name in SEEN:
                exporter.until_collected_again(name)
        page = exporter.page()
        assert page.value(metrics.SOURCE_UP.name, source="database") == 1
        for refused in ("password authentication failed", "Access denied"):
            assert refused not in exporter.log
