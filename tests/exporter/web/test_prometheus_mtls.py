"""A real Prometheus scrapes over mTLS with a password, and goes on while every file of that is replaced on both sides."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from airflow_obs.catalog import metrics
from tests.certificates import Authority
from tests.e2e.processes import answers, free_port
from tests.eventually import DEADLINE, eventually
from tests.exporter.web.guarded import hashed, replace, with_tls, with_users
from tests.exporter_process import started
from tests.tools import tool

POLICY = """\
deployments: [{name: prod, sources: {health: {url: "http://127.0.0.1:1"}}}]
collectors: {health: {interval: 1s, timeout: 1s}}
"""
INTERVAL = 2
"""Seconds between scrapes: long enough to replace two files in between."""
SECRETS = ("first sesame", "second sesame")


@dataclass
class Prometheus:
    """A server that scrapes one target, and what it knows of it."""

    url: str
    log: Path

    def value(self, query: str) -> float | None:
        """The value of what gives one series, or none."""
        answer = requests.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=DEADLINE)
        assert answer.ok, answer.text
        result = answer.json()["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def until_scraped(self) -> None:
        """Wait for one scrape more, successful or not; the next one is then some while off."""
        before = self._newest()
        eventually(lambda: self._newest() > before, "it scrapes")

    def _newest(self) -> float:
        return self.value("timestamp(up)") or 0.0

    def has_never_failed(self) -> bool:
        """Whether every scrape so far gave samples."""
        return self.value("min_over_time(up[1h])") == 1


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Prometheus]:
    """One that has the files of `folder`."""
    port = free_port()
    scrape = {
        "job_name": "airflow-obs",
        "scheme": "https",
        "scrape_interval": f"{INTERVAL}s",
        "scrape_timeout": f"{INTERVAL}s",
        "tls_config": {"ca_file": "ca.pem", "cert_file": "own.pem", "key_file": "own.key", "server_name": "localhost"},
        "basic_auth": {"username": "prometheus", "password_file": "password"},
        "static_configs": [{"targets": [target]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scrape]}))
    command = [tool("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], cwd=folder, stdout=log, stderr=log
        )
    try:
        found = Prometheus(f"http://127.0.0.1:{port}", folder / "log")
        eventually(lambda: answers(f"{found.url}/-/ready"), "Prometheus is ready")
        yield found
    finally:
        process.terminate()
        process.wait()


def test_prometheus_goes_on_while_everything_is_replaced(tmp_path: Path) -> None:
    old, new = Authority.founded(tmp_path / "old"), Authority.founded(tmp_path / "new")
    ours, theirs = tmp_path / "exporter", tmp_path / "prometheus"
    for folder in (ours, theirs):
        folder.mkdir()
    server, client = old.issue("server"), old.issue("client")
    replace(ours / "ca.pem", old.ca.read_text())
    replace(theirs / "ca.pem", old.ca.read_text())
    (theirs / "own.pem").write_bytes(client.pem.read_bytes())
    (theirs / "own.key").write_bytes(client.key.read_bytes())
    (theirs / "password").write_text(SECRETS[0])
    guarded = with_tls(
        server,
        "client_ca_file: ca.pem",
        "client_auth_type: RequireAndVerifyClientCert",
        "client_allowed_sans: [localhost]",
    )
    (ours / "web.yml").write_text(guarded + with_users(prometheus=hashed(SECRETS[0])))
    (ours / "policy.yaml").write_text(POLICY)
    flags = ("--policy", "policy.yaml", "--web.config.file", "web.yml")
    with started(ours, *flags) as exporter, prometheus(theirs, f"127.0.0.1:{exporter.port}") as scraper:
        eventually(lambda: scraper.value("up") is not None, "it scrapes")
        assert scraper.has_never_failed(), scraper.log.read_text()

        for folder in (ours, theirs):
            replace(folder / "ca.pem", old.ca.read_text() + new.ca.read_text())
        scraper.until_scraped()
        server.replace_by(new.issue("server"))
        renewed = new.issue("client")
        replace(theirs / "own.key", renewed.key.read_text())
        replace(theirs / "own.pem", renewed.pem.read_text())
        scraper.until_scraped()
        replace(ours / "ca.pem", new.ca.read_text())
        scraper.until_scraped()
        replace(theirs / "ca.pem", new.ca.read_text())
        scraper.until_scraped()
        replace(theirs / "password", SECRETS[1])
        replace(ours / "web.yml", guarded + with_users(prometheus=hashed(SECRETS[1])))
        scraper.until_scraped()
        assert scraper.has_never_failed(), scraper.log.read_text() + exporter.log
        # The connection of before was hung up on, and Prometheus made another for the same scrape.
        refused = f'{metrics.WEB_REFUSED.name}{{reason="certificate"}}'
        eventually(lambda: scraper.value(refused) == 1, "the exporter's own figures are collected")
        assert scraper.value(f'{metrics.CONFIG_RELOADED.name}{{config="web"}}') == 1
        assert scraper.value(f'changes({metrics.CONFIG_LOADED.name}{{config="web"}}[1h])')

        replace(theirs / "password", SECRETS[0])
        eventually(lambda: scraper.value("up") == 0, "the password of before is refused")
        replace(theirs / "password", SECRETS[1])
        eventually(lambda: scraper.value("up") == 1, "the new one is not")
        assert "web.yml was read again" in exporter.log
        assert not any(secret in exporter.log for secret in (*SECRETS, "$2"))
