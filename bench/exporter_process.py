"""The exporter as users run it, a process of its own: where it listens, how large it is and how busy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

STARTS_WITHIN = 60.0
_SERVING = re.compile(r"serving \S+ on http://\S+:(\d+)/metrics")
POLICY = """\
deployments: [{{name: airflow, sources: {{database: {{}}}}}}]
collectors:
  dag_processing: {{max_series: {max_series}{more}}}
"""
"""Without the health source: the figures are those of the database collectors."""


@dataclass(frozen=True)
class ExporterProcess:
    """A running exporter that has attempted every collector once."""

    process: psutil.Process
    port: int

    @property
    def rss_megabytes(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    @property
    def peak_rss_megabytes(self) -> float:
        """The most it ever was, as the kernel remembers it."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6

    @property
    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def page(self) -> str:
        """The page as it is now."""
        answer = requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=30)
        answer.raise_for_status()
        return answer.text

    def series(self) -> int:
        """Lines of the page that are samples."""
        return sum(1 for line in self.page().splitlines() if line and not line.startswith("#"))

    def failing(self) -> int:
        """How many collectors do not succeed, as it says itself."""
        return sum(
            line.startswith("airflow_obs_collector_success{") and line.endswith(" 0.0")
            for line in self.page().splitlines()
        )


@contextmanager
def exporter(policy: str, **settings: str) -> Iterator[ExporterProcess]:
    """Start one with these settings in its environment and wait until it is ready; stop it at the end.

    Raises RuntimeError with its log when it does not become ready.
    """
    with tempfile.TemporaryDirectory(prefix="airflow-obs-bench-") as folder:
        file, log = Path(folder, "policy.yaml"), Path(folder, "log")
        file.write_text(policy)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "airflow_obs",
                    "exporter",
                    "--policy",
                    file,
                    "--web.listen-address",
                    "127.0.0.1:0",
                ],
                env={**environment, **settings},
                stderr=stderr,
            )
        try:
            port = _ready(process, log)
            yield ExporterProcess(psutil.Process(process.pid), port)
        finally:
            process.terminate()
            process.wait(10)


def _ready(process: subprocess.Popen[bytes], log: Path) -> int:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        if found := _SERVING.search(log.read_text()):
            port = int(found[1])
            if requests.get(f"http://127.0.0.1:{port}/-/ready", timeout=30).ok:
                return port
        time.sleep(0.1)
    raise RuntimeError(f"bench: the exporter did not become ready:\n{log.read_text()}")
