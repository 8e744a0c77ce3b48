"""The exporter as a process that Airflow sends to: without a database, beside one, and with addresses that are taken."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from prometheus_client import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from statsd import StatsClient, TCPStatsClient

from airflow_obs.catalog import metrics
from airflow_obs.model import Metric
from tests.airflow_schemas import POSTGRESQL_SCHEMAS
from tests.conftest import NewDatabase
from tests.eventually import DEADLINE, eventually
from tests.exporter.pages import Page
from tests.exporter_process import COMMAND, QUICK, Exporter, airflow_obs, environment, exporter, started

OFTEN = "  ingest: {interval: 1s, timeout: 1s}\n"
BOTH = """\
deployments:
  - name: prod
    sources:
      database: {}
      statsd: {listen_udp: "127.0.0.1:0", listen_tcp: "127.0.0.1:0", tags: none}
      otlp: {listen_http: "127.0.0.1:0", listen_grpc: "127.0.0.1:0"}
"""
OTLP_ALONE = """\
deployments:
  - name: prod
    sources:
      otlp: {listen_http: "127.0.0.1:0", listen_grpc: null}
"""
MAPPING = """\
mappings:
  - match: airflow.dagrun.duration.success.*
    name: airflow_dagrun_duration
    labels: {dag_id: "$1"}
"""


def port_of(running: Exporter, what: str) -> int:
    """Where it says that it takes this."""

    def said() -> re.Match[str] | None:
        return re.search(rf"taking .*\b{what} port (\d+)", running.log)

    found = eventually(said, f"it takes {what}")
    assert found
    return int(found[1])


def samples(page: Page, protocol: str, outcome: str) -> float:
    return sum(page.values(metrics.INGEST_SAMPLES.name, protocol=protocol, outcome=outcome))


def feeding(page: Page, metric: Metric) -> list[str]:
    return [
        one.labels["source"]
        for one in page.samples
        if one.labels.get("family") == metric.name and "source" in one.labels
    ]


def test_flags_of_statsd_exporter_are_all_it_needs(tmp_path: Path) -> None:
    (tmp_path / "mappings.yml").write_text(MAPPING)
    flags = ("--statsd.listen-udp", "127.0.0.1:0", "--statsd.listen-tcp", "", "--statsd.mapping-config", "mappings.yml")
    with started(tmp_path, *flags) as running:
        client = StatsClient("127.0.0.1", port_of(running, "udp"), prefix="airflow")
        client.timing("dagrun.duration.success.etl", 2_500)
        client.timing("dagrun.duration.success", 2_500)
        client.gauge("dagbag_size", 3)
        client.incr("of_a_plugin")
        client.close()
        page = running.until(
            lambda page: [samples(page, "statsd", outcome) for outcome in ("mapped", "unmapped")] == [3, 1],
            "all lines are accounted for",
        )
        assert page.value("airflow_dagrun_duration_sum", dag_id="etl") == 2.5
        ours = f"{metrics.EMITTED_RUN_DURATION.name}_sum"
        page = running.until(lambda page: bool(page.values(ours)), "what waited to know the timer's unit is there")
        assert page.value(ours, dag_id="etl", state="success") == 2.5
        assert page.values("airflow_dagbag_size") == page.values(metrics.DAG_BAG.name) == [3]
        assert 'airflow_of_a_plugin{airflow="airflow"} 1.0\n' in page.text
        assert page.values(metrics.COLLECTOR_SUCCESS.name) == [1], "there is nothing else that could fail"
        assert running.get("/-/ready").status_code == 200
        assert "no database is configured" in running.log
        openmetrics = running.get_openmetrics()
        families = {family.name: family for family in text_string_to_metric_families(openmetrics)}
        assert isinstance(families["airflow_dagrun_duration"], Family)


def test_statsd_and_otlp_beside_a_database_that_wins_what_it_knows(tmp_path: Path, new_database: NewDatabase) -> None:
    database = new_database(POSTGRESQL_SCHEMAS[-1])
    database.execute("INSERT INTO slot_pool (pool, slots, include_deferred) VALUES ('reports', 5, false)")
    url = {"AIRFLOW_OBS_DB_URL": database.url}
    with exporter(tmp_path, url, BOTH + QUICK + OFTEN) as running:
        udp = StatsClient("127.0.0.1", port_of(running, "udp"), prefix="airflow")
        tcp = TCPStatsClient("127.0.0.1", port_of(running, "tcp"), prefix="airflow", timeout=DEADLINE)
        udp.gauge("pool.open_slots.reports", 1)
        udp.timing("dag_processing.last_duration.etl", 1_500)
        tcp.incr("scheduler_heartbeat")
        udp.close()
        tcp.close()
        send_over_otlp(port_of(running, "http"))
        page = running.until(
            lambda page: samples(page, "statsd", "mapped") == 3 and samples(page, "otlp", "mapped") == 1,
            "what was sent has come",
        )
        # Until the database has been read, what was sent is shown.
        page = running.until(
            lambda page: (
                feeding(page, metrics.POOL_OPEN) == ["database"]
                and page.values(metrics.POOL_OPEN.name, pool="reports") == [5]
            ),
            "the database wins",
        )
        assert page.value(metrics.PARSE_DURATION.name, dag_file="etl") == 1.5, "a database without DAGs knows no parse"
        assert feeding(page, metrics.PARSE_DURATION) == ["ingest"]
        assert page.value(metrics.SCHEDULER_HEARTBEATS.name) == 3, "one over TCP, two over OTLP"


def test_otlp_alone(tmp_path: Path) -> None:
    with exporter(tmp_path, {}, OTLP_ALONE + "collectors:\n" + OFTEN) as running:
        send_over_otlp(port_of(running, "http"))
        page = running.until(lambda page: samples(page, "otlp", "mapped") == 1, "the request has come")
        assert page.value(metrics.SCHEDULER_HEARTBEATS.name) == 2
        assert page.values(metrics.COLLECTOR_SUCCESS.name) == [1]


def send_over_otlp(port: int) -> None:
    """Two heartbeats of a scheduler, as Airflow's SDK sends them."""
    sender = OTLPMetricExporter(f"http://127.0.0.1:{port}/v1/metrics", timeout=DEADLINE)
    reader = PeriodicExportingMetricReader(sender, export_interval_millis=3_600_000)
    provider = MeterProvider([reader])
    provider.get_meter("airflow").create_counter("airflow.scheduler_heartbeat").add(2)
    provider.shutdown()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_address_in_use_ends_it_at_once(tmp_path: Path, transport: str) -> None:
    with socket.socket(type=socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if transport == "tcp":
            taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = "tcp" if transport == "udp" else "udp"
        done = airflow_obs(
            tmp_path, "exporter", "--web.listen-address", "127.0.0.1:0",
            f"--statsd.listen-{transport}", address, f"--statsd.listen-{other}", "",
        )  # fmt: skip
    assert done.returncode == 2
    assert address in done.stderr
    assert "in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mapping_that_is_wrong_ends_it_at_once_and_says_where(tmp_path: Path) -> None:
    (tmp_path / "mappings.yml").write_text(MAPPING.replace("name:", "nmae:"))
    done = airflow_obs(
        tmp_path, "exporter", "--statsd.listen-udp", "127.0.0.1:0", "--statsd.mapping-config", "mappings.yml"
    )
    assert done.returncode == 2
    assert "mappings.yml:3:5: mappings[0]: unknown key `nmae`: did you mean `name`?" in done.stderr


def test_once_needs_something_to_read(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text("deployments: [{name: airflow, sources: {statsd: {}}}]\n")
    done = airflow_obs(tmp_path, "exporter", "--once", "--policy", "site.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--once: deployment airflow has no source that could be read" in done.stderr


def test_a_signal_ends_it_well_from_the_first_line_that_it_logs_on(tmp_path: Path) -> None:
    listen = ["--statsd.listen-udp", "127.0.0.1:0", "--web.listen-address", "127.0.0.1:0"]
    with subprocess.Popen(
        [*COMMAND, "exporter", *listen], cwd=tmp_path, env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        said = next(line for line in process.stderr if "taking" in line)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(DEADLINE) == 0, said + rest
    assert "stopped" in rest
