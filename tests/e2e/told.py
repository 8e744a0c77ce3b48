"""Exporters without a database, that know what Airflow sends them and nothing else, and the components that send OTLP."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from airflow_obs.model import Metric
from tests.e2e.airflow_stack import AirflowStack
from tests.e2e.airflow_workers import AirflowWorker
from tests.e2e.monitoring import Exporter
from tests.e2e.processes import Program, free_port
from tests.exporter.pages import Page

TELLER = AirflowWorker("teller", ("told",), size=2, prefetch=1)
"""It runs the tasks that are to be told of over OTLP."""


class Told:
    """An exporter that is told everything since `began` (Unix seconds); `deployment` is what it has in the policy."""

    def __init__(self, airflow: AirflowStack, deployment: str) -> None:
        self.began = time.time()
        self.exporter = Exporter(airflow.programs, deployment, {}, "without-database")

    def value(self, metric: Metric) -> float:
        """The sum of all its series."""
        return sum(value for _, value in self.exporter.series(metric.name))

    def by(self, metric: Metric, label: str, **labels: str) -> dict[str, float]:
        """The values of the series with these labels, by another label, without those that are 0."""
        return {
            of[label]: value
            for of, value in self.exporter.series(metric.name)
            if labels.items() <= of.items() and value
        }

    def count_and_sum(self, metric: Metric, **labels: str) -> tuple[float, float]:
        """Of the series of a histogram with these labels."""
        count, total = (
            sum(value for of, value in self.exporter.series(metric.name + part) if labels.items() <= of.items())
            for part in ("_count", "_sum")
        )
        return count, total

    def cumulated(self) -> dict[tuple[str, str], float]:
        """Everything on its page that must not fall."""
        return {
            (sample.name, str(sorted(sample.labels.items()))): sample.value
            for family in Page(self.exporter.page()).families
            if family.type in {"counter", "histogram"}
            for sample in family.samples
        }

    def stop(self) -> None:
        """It ends well."""
        self.exporter.program.stop()
        assert self.exporter.program.process.returncode == 0


@dataclass
class Tellers:
    """A scheduler and a worker that send OTLP, beside those of the stack, which send StatsD."""

    airflow: AirflowStack
    http: int = field(default_factory=free_port)
    grpc: int = field(default_factory=free_port)
    programs: list[Program] = field(default_factory=list)

    @property
    def deployment(self) -> str:
        """Of an exporter that they can tell.

        It says the release: an idle scheduler of 2.x takes a minute to send what shows it, and timers come without a unit.
        """
        source = f"otlp: {{listen_http: '127.0.0.1:{self.http}', listen_grpc: '127.0.0.1:{self.grpc}'}}"
        return f"airflow: {{version: '{self.airflow.release.version}'}}, sources: {{{source}}}"

    def start_worker(self) -> None:
        """It sends over HTTP."""
        self.programs.append(TELLER.start(self.airflow, **self._environment(self.http)))

    def start_scheduler(self) -> Program:
        """It sends over gRPC, which 2.x cannot: there it packs what it sends."""
        if self.airflow.release.major == 2:
            environment = self._environment(self.http) | {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}
        else:
            environment = self._environment(self.grpc) | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        self.programs.append(self.airflow.component("scheduler", "-s", **environment))
        return self.programs[-1]

    def stop(self) -> None:
        """All of them."""
        for program in self.programs:
            program.stop()

    def _environment(self, port: int) -> dict[str, str]:
        on = {"AIRFLOW__METRICS__STATSD_ON": "False", "AIRFLOW__METRICS__OTEL_ON": "True"}
        if self.airflow.release.major == 2:
            return on | {
                "AIRFLOW__METRICS__OTEL_HOST": "127.0.0.1",
                "AIRFLOW__METRICS__OTEL_PORT": str(port),
                "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "1000",
            }
        return on | {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        }
