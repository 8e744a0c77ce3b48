"""--once --push and --once --textfile as cron runs them: exit codes, a silent stdout, and a page whatever is down."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.exporter.pages import Page
from tests.exporter.push.sending import HERE, agent
from tests.exporter.push.test_statsd_away import free_port as free_port
from tests.exporter_process import airflow_obs, started

QUIET = ("exporter", "--once", "--log.level", "warning")
DATABASE = "AIRFLOW_OBS_DB_URL"
DOWN = "postgresql://u:hunter2@127.0.0.1:1/x"


def statsd(folder: Path, where: str, *others: str) -> None:
    push = [f"statsd: {{address: '{where}', transport: tcp, template: 'sent.{{metric}}.{{labels}}'}}", *others]
    (folder / "site.yaml").write_text("push:\n" + "".join(f"  {one}\n" for one in push))


def test_textfile_for_cron(tmp_path: Path, new_database: NewDatabase) -> None:
    url = new_database(SQLITE_SCHEMAS[-1]).url
    done = airflow_obs(tmp_path, *QUIET, "--textfile", "airflow.prom", **{DATABASE: url})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    page = Page((tmp_path / "airflow.prom").read_text())
    assert page.value(metrics.POOL_SLOTS.name, pool="default_pool") == 128
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 1


def test_textfile_is_written_even_if_the_database_is_down(tmp_path: Path) -> None:
    path = tmp_path / "airflow.prom"
    path.write_text("old figures, that look well\n")
    done = airflow_obs(tmp_path, *QUIET, "--textfile", str(path), **{DATABASE: DOWN})
    assert (done.returncode, done.stdout) == (2, "")
    assert "database: cannot be reached (127.0.0.1:1, by AIRFLOW_OBS_DB_URL)" in done.stderr
    assert "hunter2" not in done.stderr
    page = Page(path.read_text())
    assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 0
    assert page.value(metrics.SOURCE_UP.name, source="database") == 0


def test_folder_of_the_textfile_is_missing(tmp_path: Path, new_database: NewDatabase) -> None:
    url = new_database(SQLITE_SCHEMAS[-1]).url
    done = airflow_obs(tmp_path, *QUIET, "--textfile", "no/airflow.prom", **{DATABASE: url})
    assert (done.returncode, done.stdout) == (2, "")
    assert "no/airflow.prom: cannot be written: No such file or directory; make its folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_push_sends_what_stands_and_prints_nothing(tmp_path: Path, new_database: NewDatabase) -> None:
    url = new_database(SQLITE_SCHEMAS[-1]).url
    with agent() as taking:
        statsd(tmp_path, taking.tcp)
        done = airflow_obs(tmp_path, *QUIET, "--push", "--policy", "site.yaml", **{DATABASE: url})
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        eventually(lambda: taking.named("sent_airflow_obs_pool_slots_default_pool") == 128, "the agent has it")
        assert not [name for name, _ in taking.series() if name.endswith("_total")], "it knows of no increments"


def test_one_of_two_destinations_is_away(tmp_path: Path, new_database: NewDatabase, free_port: int) -> None:
    url = new_database(SQLITE_SCHEMAS[-1]).url
    statsd(tmp_path, f"{HERE}:{free_port}", "textfile: {path: ./airflow.prom}")
    done = airflow_obs(tmp_path, *QUIET, "--push", "--policy", "site.yaml", **{DATABASE: url})
    assert (done.returncode, done.stdout) == (1, "")
    assert "push: statsd: failed: " in done.stderr
    assert Page((tmp_path / "airflow.prom").read_text()).value(metrics.POOL_SLOTS.name, pool="default_pool") == 128


def test_a_source_that_is_down_costs_1_and_all_destinations_2(
    tmp_path: Path, new_database: NewDatabase, free_port: int
) -> None:
    database = new_database(SQLITE_SCHEMAS[-1])
    statsd(tmp_path, f"{HERE}:{free_port}")
    away = airflow_obs(tmp_path, *QUIET, "--push", "--policy", "site.yaml", **{DATABASE: database.url})
    assert away.returncode == 2
    database.execute("DROP TABLE slot_pool")
    partly = airflow_obs(tmp_path, *QUIET, "--textfile", "airflow.prom", **{DATABASE: database.url})
    assert partly.returncode == 1


def test_push_to_nobody(tmp_path: Path) -> None:
    done = airflow_obs(tmp_path, *QUIET, "--push", **{DATABASE: DOWN})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("list otlp, statsd or textfile under `push`\n")


@pytest.mark.parametrize("stops", [True, False], ids=["stopped", "killed"])
def test_a_daemon_that_stops_takes_its_file_away(tmp_path: Path, stops: bool) -> None:
    path = tmp_path / "airflow.prom"
    with started(tmp_path, "--textfile", str(path), variables={DATABASE: DOWN}) as running:
        running.until(
            lambda page: page.values(metrics.PUSH_SUCCESS.name, destination="textfile") == [1], "it is written"
        )
        page = Page(path.read_text())
        assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="pools") == 0
        if stops:
            assert running.stop() == 0
        else:
            running.process.kill()
            running.process.wait()
    assert path.exists() != stops


def test_a_daemon_pushes_what_was_counted_since(tmp_path: Path) -> None:
    """Beside the agent, it is itself a listener, of which one knows what it has counted."""
    with agent() as taking:
        sources = "deployments: [{name: prod, sources: {statsd: {listen_udp: '127.0.0.1:0', listen_tcp: null}}}]\n"
        statsd(tmp_path, taking.tcp)
        site = tmp_path / "site.yaml"
        site.write_text(
            sources
            + site.read_text().replace("transport: tcp", "transport: tcp, interval: 1s")
            + "collectors: {ingest: {interval: 1s, timeout: 1s}}\n"
        )
        with started(tmp_path, "--policy", "site.yaml") as running:
            running.until(
                lambda page: page.values(metrics.PUSH_SUCCESS.name, destination="statsd") == [1], "it has pushed"
            )
            port = int(running.log.partition("StatsD on udp port ")[2].split()[0])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as airflow:
                for _ in range(7):
                    airflow.sendto(b"airflow.scheduler_heartbeat:1|c", (HERE, port))
            name = f"sent_{metrics.SCHEDULER_HEARTBEATS.name}"
            eventually(lambda: taking.named(name) == 7, "the agent has counted as many")
