"""The exporter as a process pushes over OTLP, to a receiver that comes and goes, and says so once."""

from __future__ import annotations

from pathlib import Path

from airflow_obs.catalog import metrics
from tests.eventually import eventually
from tests.exporter.push.otlp_collector import Protocol, collecting
from tests.exporter.push.test_otlp_failures import free_port
from tests.exporter.push.test_otlp_sending import protocol
from tests.exporter_process import QUICK, exporter

__all__ = ["protocol"]

NO_DATABASE = {"AIRFLOW_OBS_DB_URL": "postgresql://airflow:hunter2@127.0.0.1:1/airflow"}
SECRETS = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer hunter3"}


def test_daemon_pushes_and_sends_again_what_a_receiver_missed(protocol: Protocol, tmp_path: Path) -> None:
    port = free_port()
    sending = f"{{endpoint: 'http://127.0.0.1:{port}', protocol: {protocol}, interval: 1s, timeout: 500ms}}"
    policy = f"{QUICK}\npush:\n  otlp: {sending}\n"
    with exporter(tmp_path, NO_DATABASE | SECRETS, policy, secrets=("hunter2", "hunter3")) as running:
        page = running.until(
            lambda page: page.values(metrics.PUSH_WAITING.name, destination="otlp") > [2.0], "three snapshots wait"
        )
        assert page.value(metrics.PUSH_SUCCESS.name, destination="otlp") == 0
        with collecting(protocol, port=port) as collector:
            running.until(
                lambda page: page.value(metrics.PUSH_SUCCESS.name, destination="otlp") == 1, "a push succeeds"
            )
            assert running.page().value(metrics.PUSH_WAITING.name, destination="otlp") == 0
            assert running.page().value(metrics.PUSH_LOST.name, reason="buffer full") == 0
        moments = collector.moments()
        assert len(moments) > 3
        assert moments == sorted(moments)
        assert collector.requests[-1].headers["authorization"] == "Bearer hunter3"
        assert metrics.PUSH_FAILURES.name in collector.requests[-1].metrics
        running.until(lambda page: page.value(metrics.PUSH_SUCCESS.name, destination="otlp") == 0, "it fails again")
        eventually(lambda: running.log.count("push: otlp: failed") == 2, "it says so")
        assert running.log.count("push: otlp: recovered") == 1
        assert "opentelemetry" not in running.log  # nor does the SDK
