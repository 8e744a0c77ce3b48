"""The benchmark runs at its smallest size and prints a row for everything it measures; no time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from airflow_obs.policy.loader import load
from bench.relay import Relay
from tests.airflow_schemas import ROOT
from tests.redis_server import redis_server

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


def bench(file: Path, *arguments: str) -> list[dict[str, Any]]:
    """The figures of one run, each of which also stands in its tables."""
    command = [sys.executable, "-m", "bench", *arguments, "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures: list[dict[str, Any]] = [figure for figure in json.loads(file.read_text()) if "value" in figure]
    missing = [figure["row"] for figure in figures if figure["row"] not in done.stdout]
    assert not missing, f"in the JSON, but not in the tables: {missing}"
    return figures


@pytest.mark.parametrize(("only", "expected"), [
    ("cost", {"whole cycle", "unfiltered GROUP BY dag_id, task_id, state"} | set(load().collectors.by_name())),
    ("latency", {"large page", "database frozen: /metrics gzip, 2 scrapers, each every 250 ms"}),
])  # fmt: skip
def test_bench_prints_cost_latency_and_size(tmp_path: Path, only: str, expected: set[str]) -> None:
    figures = bench(tmp_path / "figures.json", *SMALLEST, "--shared-buffers", "32MB", "--only", only)
    assert expected - {"health", "broker", "workers"} <= {figure["row"] for figure in figures}


def test_bench_counts_what_waits_in_the_broker(tmp_path: Path) -> None:
    small = ["--queues", "12", "--messages", "250", "--results", "500", "--runs", "1", "--alone"]
    figures = bench(tmp_path / "figures.json", *small, "--only", "broker")
    tables = list(dict.fromkeys(figure["table"] for figure in figures))
    assert len(tables) == 3, "the queues alone, with results beside them, the workers"

    def rows(column: str, *of: str) -> list[float]:
        return [figure["value"] for figure in figures if figure["column"] == column and figure["table"] in of]

    broker, workers = tables[:2], tables[2]
    # First, resting, searching; and the same again among the results.
    assert rows("queues", *broker) == [12] * 6
    assert rows("messages", *broker) == [250] * 6
    lengths = 12 * 10
    assert rows("commands", *broker)[1::3] == [lengths + 3] * 2, "INFO, HLEN, ZRANGE"
    assert rows("round trips", *broker)[1::3] == [1, 1]
    assert rows("workers", workers) == [2, 2]
    assert rows("left behind", workers) == [0, 0]
    assert min(rows("writes", workers)) > 0
    assert min(rows("Redis p50", *broker)) > 0


def test_the_relay_counts_a_pipeline_as_one_round_trip() -> None:
    with redis_server() as server, Relay(server.port, pause=0.5).running() as relay:
        server.client().lpush("queue", "message")
        with redis.Redis(port=relay.port, password=server.password) as client:
            pipeline = client.pipeline(transaction=False)
            assert pipeline.llen("queue").execute() == [1]
            before = relay.until_now
            for _ in range(2_000):
                pipeline.llen("queue")
            assert pipeline.execute() == [1] * 2_000
        passed = relay.until_now.since(before)
    assert (passed.trips, dict(passed.commands)) == (1, {"LLEN": 2_000})
    assert passed.received == 2_000 * len(":1\r\n")
    assert passed.sent == 2_000 * len("*2\r\n$4\r\nLLEN\r\n$5\r\nqueue\r\n")
