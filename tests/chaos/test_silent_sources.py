"""Places that take a connection and never answer, or answer by the byte; and SQLite files that come and go."""

from __future__ import annotations

import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from tests import states
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.chaos.conftest import StartExporter
from tests.conftest import NewDatabase

REPORT = b'{"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}'


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a socket to which the kernel lets everybody connect, and that nobody reads."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as hole:
        yield hole.getsockname()[1]


class _Airflow(BaseHTTPRequestHandler):
    """A web server that only has a health endpoint; while `drip` is set it sends a byte at a time, without end."""

    drip = threading.Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(10**9 if self.drip.is_set() else len(REPORT)))
        self.end_headers()
        try:
            while self.drip.is_set():
                self.wfile.write(b" ")
                self.drip.wait(0.1)
                threading.Event().wait(0.1)
            self.wfile.write(REPORT)
        except OSError:
            pass  # the exporter has left

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its base class's)
        """Say nothing."""


@contextmanager
def airflow_web_server() -> Iterator[str]:
    """Its base URL."""
    with HTTPServer(("127.0.0.1", 0), _Airflow) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            _Airflow.drip.clear()
            server.shutdown()
            thread.join()


def test_black_hole_for_a_database_holds_only_its_own_collectors(black_hole: int, start: StartExporter) -> None:
    url = f"postgresql://airflow:hunter2@127.0.0.1:{black_hole}/airflow"
    with (
        airflow_web_server() as web,
        start(("hunter2",), AIRFLOW_OBS_DB_URL=url, AIRFLOW__API__BASE_URL=web) as exporter,
    ):
        exporter.until_down()
        held = exporter.held()
        page = exporter.until_tried_again("jobs", 4)
        assert not exporter.leaked_since(held)
        assert exporter.log.count("WARNING") == 1
        assert "no answer in time" in exporter.log
        assert page.value(metrics.HEALTH_COMPONENT.name, component="metadatabase") == 1
        assert page.value(metrics.HEALTH_COMPONENT.name, component="scheduler") == 0


def test_black_hole_for_a_health_endpoint_holds_only_its_own_collector(
    black_hole: int, db: AirflowDatabase, start: StartExporter
) -> None:
    url = f"http://airflow:hunter2@127.0.0.1:{black_hole}"
    with start(("hunter2",), AIRFLOW_OBS_DB_URL=db.exporter_url, AIRFLOW__API__BASE_URL=url) as exporter:
        exporter.until_down("health")
        held = exporter.held()
        exporter.until_tried_again("health", 4)
        page = exporter.until_well()
        assert not exporter.leaked_since(held)
        assert page.value(metrics.SOURCE_UP.name, source="health") == 0
        assert exporter.log.count("WARNING") == 1
        assert exporter.stop(4.0) == 0


def test_health_endpoint_that_drips_is_given_up_on(db: AirflowDatabase, start: StartExporter) -> None:
    with (
        airflow_web_server() as web,
        start(AIRFLOW_OBS_DB_URL=db.exporter_url, AIRFLOW__API__BASE_URL=web) as exporter,
    ):
        exporter.until_well("health")
        _Airflow.drip.set()
        exporter.until_down("health")
        exporter.until_tried_again("health")
        _Airflow.drip.clear()
        exporter.until_well("health")


def test_sqlite_file_that_comes_is_locked_replaced_and_goes(
    new_database: NewDatabase, start: StartExporter, tmp_path: Path
) -> None:
    first, second = (new_database(SQLITE_SCHEMAS[-1]) for _ in range(2))
    states.a_pool(second, "another", 7)
    file = tmp_path / "airflow.db"
    with start(AIRFLOW_OBS_DB_URL=f"sqlite:///{file}") as exporter:
        exporter.until_down()
        exporter.until_said("unable to open database file: the file is missing or the exporter may not read it")

        _take(first, file)
        page = exporter.until_well()
        assert page.values(metrics.POOL_SLOTS.name, pool="another") == []

        with closing(sqlite3.connect(file)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            page = exporter.until_down()
            assert page.value(metrics.SOURCE_UP.name, source="database") == 1
            exporter.until_said("database is locked: somebody is writing to it")
        exporter.until_well()

        _take(second, file)
        exporter.until(lambda page: page.values(metrics.POOL_SLOTS.name, pool="another") == [7], "the new file is read")
        held = exporter.held()

        file.unlink()
        exporter.until_down()
        exporter.until_tried_again("jobs", 4)
        assert not exporter.leaked_since(held)

        file.write_text("This is not a database, though it is long enough to be mistaken for one." * 50)
        exporter.until_said("file is not a database")


def _take(db: AirflowDatabase, file: Path) -> None:
    """Move the file of `db` to `file` in one step, as a restored backup comes."""
    db.engine.dispose()
    restored = file.with_suffix(".restored")
    restored.write_bytes(Path(str(db.engine.url.database)).read_bytes())
    restored.replace(file)
