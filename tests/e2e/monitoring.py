"""Our exporter and a real Prometheus that scrapes it, and questions to that Prometheus asked with metric objects."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

from airflow_obs.catalog import metrics
from airflow_obs.model import Metric
from tests.e2e.processes import Program, Programs, answers, free_port
from tests.exporter.pages import Page

COLLECTORS = {metric.collector for metric in metrics.ALL} - {"exporter"}
ROOT = Path(__file__).parents[2]
OFTEN = "interval: 2s, timeout: 2s"
RHYTHM = {
    "jobs": f"{OFTEN}, alive_within: 15s",
    **dict.fromkeys(
        ("task_instances", "dag_runs", "dag_processing", "dags", "pools", "outcomes", "task_events"), OFTEN
    ),
    **dict.fromkeys(("database", "tables", "broker", "ingest"), OFTEN),
    "health": "interval: 4s, timeout: 4s",
    "workers": "interval: 6s, timeout: 6s",
}
"""How the collectors run whose figures are compared."""
OTHERS = "interval: 10s, timeout: 5s"
POLICY = "collectors:\n" + "".join(f"  {name}: {{{RHYTHM.get(name, OTHERS)}}}\n" for name in sorted(COLLECTORS))
CONFIGURATION = """
global: {{scrape_interval: 2s, scrape_timeout: 2s}}
scrape_configs:
  - job_name: airflow
    static_configs: [{{targets: ["{target}"]}}]
"""
OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def everything(version: str, statsd_port: int, relay_port: int | None = None) -> str:
    """The deployment of an exporter that reads all there is, and takes StatsD; 2.10 and 2.11 have the same tables."""
    sources = f"database: , health: , broker: , {statsd(statsd_port, relay_port)}"
    return f"airflow: {{version: '{version}'}}, sources: {{{sources}}}"


def statsd(port: int, relay_port: int | None = None) -> str:
    """The source of an exporter that takes StatsD, and passes it on if it is told where to."""
    relay = f"'127.0.0.1:{relay_port}'" if relay_port else "null"
    return f"statsd: {{listen_udp: '127.0.0.1:{port}', listen_tcp: null, relay: {relay}}}"


class Exporter:
    """`airflow-obs exporter` as a process of its own; `name` names its logs."""

    def __init__(
        self, programs: Programs, deployment: str, environment: Mapping[str, str], name: str = "exporter"
    ) -> None:
        """`deployment`: what it has in the policy beside its name; `environment` is what it runs with beside the way to Python."""
        self.name = name
        self._programs = programs
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        policy = programs.folder / f"policy-{port}.yaml"
        policy.write_text(f"deployments: [{{name: airflow, {deployment}}}]\n{POLICY}")
        self._url = f"http://{self.address}"
        self._command = ["exporter", "--policy", str(policy), "--web.listen-address", self.address]
        path = os.environ.get("PATH", os.defpath)
        self._environment = {**environment, "PYTHONPATH": str(ROOT), "PATH": path}
        self.start()

    def start(self) -> None:
        """Start it, the first time or after it was stopped."""
        nth = sum(program.name.startswith(self.name) for program in self._programs.started) + 1
        self.program: Program = self._programs.start(
            f"{self.name}-{nth}",
            [sys.executable, "-m", "airflow_obs", *self._command],
            self._environment,
            self._programs.folder,
        )
        self.program.wait_until("ready", lambda: answers(f"{self._url}/-/ready"))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, it sees nothing of what happens."""
        process = psutil.Process(self.program.process.pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def series(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        """The labels and value of each series of this name on its page."""
        return [(sample.labels, sample.value) for sample in Page(self.page()).samples if sample.name == name]

    def page(self, accept: str = "text/plain") -> str:
        """/metrics, in the format asked for."""
        answer = requests.get(f"{self._url}/metrics", headers={"Accept": accept}, timeout=10)
        answer.raise_for_status()
        return answer.content.decode()


class Prometheus:
    """A Prometheus server that scrapes one target; it keeps what it scraped in the folder of the programs."""

    def __init__(self, programs: Programs, target: str) -> None:
        configuration = programs.folder / "prometheus.yml"
        configuration.write_text(CONFIGURATION.format(target=target))
        address = f"127.0.0.1:{free_port()}"
        self._url = f"http://{address}"
        self._target = target
        storage = programs.folder / "prometheus"
        self.program: Program = programs.start(
            "prometheus",
            [
                shutil.which("prometheus") or "prometheus",
                f"--config.file={configuration}",
                f"--storage.tsdb.path={storage}",
                f"--web.listen-address={address}",
            ],
            {"HOME": str(programs.folder)},
            programs.folder,
        )
        self.program.wait_until("ready", lambda: answers(f"{self._url}/-/ready"))

    def series(self, metric: Metric, **labels: str) -> dict[tuple[str, ...], float]:
        """The newest value of each series with these labels, by the values of the remaining labels in the metric's order.

        The label of the deployment has to be on every one; optional labels without a value are "".
        """
        given = "".join(f',{name}="{value}"' for name, value in labels.items())
        rest = [name for name in metric.labels + metric.optional if name not in labels]
        answer = self.query(f'{metric.name}{{airflow="airflow"{given}}}')
        return {tuple(series.get(name, "") for name in rest): value for series, value in answer}

    def value(self, metric: Metric, **labels: str) -> float | None:
        """The newest value of the only series with these labels; None if there is none. Raises ValueError if several."""
        answer = list(self.series(metric, **labels).values())
        if len(answer) > 1:
            raise ValueError(f"{metric.name}{labels}: {len(answer)} series")
        return answer[0] if answer else None

    def up(self) -> tuple[float, float]:
        """The lowest value of `up` since the beginning, and how many scrapes that is."""
        lowest = self.query("min_over_time(up[1h])")
        scrapes = self.query("count_over_time(up[1h])")
        return lowest[0][1], scrapes[0][1]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and value of each series that the expression gives now."""
        answer = requests.get(f"{self._url}/api/v1/query", params={"query": expression}, timeout=10)
        answer.raise_for_status()
        return [(one["metric"], float(one["value"][1])) for one in answer.json()["data"]["result"]]
