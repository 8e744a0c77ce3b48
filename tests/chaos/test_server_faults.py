"""The server freezes, dies, comes late or ends our sessions: every page is answered, and all recovers by itself."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing, suppress

import psycopg2
import pytest

from airflow_obs.catalog import metrics
from airflow_obs.model import Kind
from tests.airflow_database import AirflowDatabase
from tests.chaos.conftest import StartExporter
from tests.chaos.server import Server
from tests.eventually import eventually
from tests.exporter.pages import Page
from tests.exporter_process import COLLECTORS, OF_THE_DATABASE, QUICK
from tests.pgbouncer_server import PgBouncer

OF_PUSHES = {
    metrics.PUSH_SUCCESS, metrics.PUSH_LAST_SUCCESS, metrics.PUSH_FAILURES, metrics.PUSH_WAITING, metrics.PUSH_LOST,
}  # fmt: skip
"""Of the exporter itself, but only there where its policy has it push."""
OWN = {
    metric.name
    for metric in metrics.ALL
    if metric.collector == "exporter" and metric not in {metrics.FAMILY_SOURCE, *OF_PUSHES}
}
"""What the exporter always says of itself; who feeds a family is only there while it is fed."""
GAUGES = {metric.name for metric in metrics.ALL if metric.kind not in {Kind.COUNTER, Kind.HISTOGRAM}}
FAILED, RECOVERED = "source database: failed: ", "source database: recovered"
EXIT_WITHIN = 4.0
"""Seconds; twice what is promised, since the machine may be busy."""
PATIENT = QUICK.replace("interval: 1s, timeout: 1s", "interval: 5m, timeout: 5m")


def moments(page: Page) -> dict[str, float]:
    """Each collector's last success."""
    return {name: page.value(metrics.COLLECTOR_LAST_SUCCESS.name, collector=name) for name in COLLECTORS}


def test_frozen_server(server: Server, reached_db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=reached_db.exporter_url) as exporter:
        exporter.until_well()
        with server.frozen():
            down = exporter.until_down()
            # What counts events stands still; what tells of now is gone.
            assert (down.names & GAUGES) - {metrics.HEALTH_LATENCY.name} == OWN & GAUGES
            assert {metrics.TASKS_FINISHED.name, metrics.COLLECTOR_FAILURES.name} <= down.names
            assert "process_cpu_seconds_total" in down.names
            assert down.value(metrics.SOURCE_UP.name, source="database") == 0
            held = exporter.held()
            later = exporter.until_tried_again("jobs", 4)
            for name in OF_THE_DATABASE:
                assert moments(later)[name] == moments(down)[name] > 0
            assert later.value(metrics.COLLECTOR_SUCCESS.name, collector="health") == 1
        up = exporter.until_well()
        assert all(moments(up)[name] > moments(down)[name] for name in OF_THE_DATABASE)
        assert up.value(metrics.SOURCE_UP.name, source="database") == 1
        assert up.names >= down.names | {metrics.JOB_HEARTBEAT.name, metrics.TASK_INSTANCES.name}
        assert (exporter.log.count(FAILED), exporter.log.count(RECOVERED)) == (1, 1)
        assert not exporter.leaked_since(held)


def test_killed_and_restarted_server(server: Server, reached_db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=reached_db.exporter_url) as exporter:
        exporter.until_well()
        server.kill()
        try:
            exporter.until_down()
            exporter.until_tried_again("jobs")
        finally:
            server.start()
        exporter.until_well()


def test_exporter_started_before_the_server(server: Server, reached_db: AirflowDatabase, start: StartExporter) -> None:
    url = reached_db.exporter_url
    server.stop()
    try:
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_down()
            eventually(lambda: exporter.get("/-/ready").status_code == 200, "it is ready")
            server.start()
            exporter.until_well()
    finally:
        if not server.runs:
            server.start()


def test_exporter_started_before_the_database(server: Server, db: AirflowDatabase, start: StartExporter) -> None:
    url, name = db.exporter_url, db.engine.url.database
    db.engine.dispose()
    server.postgres.execute(f"ALTER DATABASE {name} RENAME TO later")
    try:
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_down()
            exporter.until_said(f'database "{name}" does not exist')
            server.postgres.execute(f"ALTER DATABASE later RENAME TO {name}")
            exporter.until_well()
    finally:
        if server.postgres.execute("SELECT 1 FROM pg_database WHERE datname = 'later'"):
            server.postgres.execute(f"ALTER DATABASE later RENAME TO {name}")


def test_many_failures_leak_nothing(
    server: Server, door: Server | PgBouncer, reached_db: AirflowDatabase, start: StartExporter
) -> None:
    url = reached_db.exporter_url
    try:
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_well()
            for _ in range(3):
                server.end_sessions()
                exporter.until_collected_again("jobs")
                assert door.sessions() <= 1
            server.demand("reject")
            server.end_sessions()
            exporter.until_down()
            held, said = exporter.held(), exporter.log.count(FAILED)
            exporter.until_tried_again("jobs", 6)
            assert not exporter.leaked_since(held)
            # A pooler lets in whom it then keeps waiting.
            assert door.sessions() <= isinstance(door, PgBouncer)
            assert exporter.log.count(FAILED) == said
            server.demand("trust")
            exporter.until_well()
            assert not exporter.leaked_since(held)
    finally:
        server.demand("trust")


def test_no_connection_left(server: Server, db: AirflowDatabase, start: StartExporter) -> None:
    [(most,)] = server.postgres.execute("SHOW max_connections")
    url = db.exporter_url
    with ExitStack() as others:
        # As many as anybody may have but the superuser, for whom the last are reserved.
        with suppress(psycopg2.OperationalError):
            for _ in range(int(most)):
                others.enter_context(closing(psycopg2.connect(url)))
        with start(AIRFLOW_OBS_DB_URL=url) as exporter:
            exporter.until_down()
            exporter.until_said("remaining connection slots are reserved")
            held = exporter.held()
            exporter.until_tried_again("jobs", 4)
            assert not exporter.leaked_since(held)
            others.close()
            exporter.until_well()


@pytest.mark.parametrize("policy", [QUICK, PATIENT], ids=["at some moment", "in mid-collection"])
def test_sigterm_while_the_server_is_frozen(
    server: Server, db: AirflowDatabase, start: StartExporter, policy: str
) -> None:
    url = db.exporter_url
    with server.frozen(), start(policy=policy, AIRFLOW_OBS_DB_URL=url) as exporter:
        exporter.page()
        assert exporter.stop(EXIT_WITHIN) == 0
        assert "the exporter is stopping" not in exporter.log
        assert exporter.log.endswith(" stopped\n")


def test_sigterm_while_clients_are_slow(db: AirflowDatabase, start: StartExporter) -> None:
    with start(AIRFLOW_OBS_DB_URL=db.exporter_url) as exporter:
        exporter.until_well()
        with socket.create_connection(("127.0.0.1", exporter.port)) as slow:
            slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n")
            with socket.create_connection(("127.0.0.1", exporter.port)):
                exporter.page()
                assert exporter.stop(EXIT_WITHIN) == 0
