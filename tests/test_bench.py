"""The benchmark runs at its smallest size and prints a row for everything it measures; no figure is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from airflow_obs.policy.loader import load
from tests.airflow_schemas import ROOT

SMALLEST = [
    "--task-instances",
    "2000",
    "--smaller",
    "2000",
    "--runs",
    "1",
    "--series",
    "100",
    "--scrapers",
    "2",
    "--seconds",
    "0.5",
]


def test_bench_prints_cost_latency_and_size(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    command = [sys.executable, "-m", "bench", *SMALLEST, "--shared-buffers", "32MB", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    figures = {
        (figure["table"], figure["row"]): figure["value"]
        for figure in json.loads(file.read_text())
        if "value" in figure
    }
    rows = {row for _, row in figures}
    assert set(load().collectors.by_name()) - {"health"} < rows
    assert {"whole cycle", "unfiltered GROUP BY dag_id, task_id, state", "large page"} < rows
    assert any(row.startswith("database frozen: /metrics gzip") for row in rows)
    missing = [row for row in rows if row not in done.stdout]
    assert not missing, f"in the JSON, but not in the tables: {missing}"
