"""The benchmark runs at its smallest size and prints a row for everything it measures; no time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import redis

from airflow_obs.exporter.ingest.accounts import Reason
from airflow_obs.exporter.ingest.statsd.lines import parse
from airflow_obs.policy.loader import load
from bench.airflow_lines import DAGS_OF_A_CAPTURE, mix, packed
from bench.burst import differences
from bench.history import KNOWN
from bench.relay import Relay
from bench.work import Outcomes
from tests.airflow_schemas import ROOT
from tests.mariadb_server import mariadbd
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
    ("cost", {"whole cycle", "unfiltered GROUP BY dag_id, task_id, state", "beside: dags, task_level: true"}
             | set(load().collectors.by_name())),
    ("mariadb", {"whole cycle", "unfiltered GROUP BY dag_id, task_id, state"} | set(load().collectors.by_name())),
    ("latency", {"large page", "database frozen: /metrics gzip, 2 scrapers, each every 250 ms"}),
])  # fmt: skip
def test_bench_prints_cost_latency_and_size(tmp_path: Path, only: str, expected: set[str]) -> None:
    if only == "mariadb":
        mariadbd()
    figures = bench(tmp_path / "figures.json", *SMALLEST, "--shared-buffers", "32MB", "--only", only)
    assert expected - {"health", "broker", "workers", "ingest"} <= {figure["row"] for figure in figures}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The figures of small bursts, of a low bound, and of two short days."""
    little = [
        "--finishing",
        "200",
        "--within",
        "1",
        "--poll-every",
        "1",
        "--followed",
        "2000",
        "--days",
        "2",
        "--per-day",
        "100",
    ]
    file = tmp_path_factory.mktemp("bench") / "figures.json"
    return bench(file, *SMALLEST, *little, "--shared-buffers", "32MB", "--only", "outcomes")


def column(figures: list[dict[str, Any]], name: str, table: str) -> list[float]:
    """The values of this column in the tables whose name begins so."""
    return [figure["value"] for figure in figures if figure["column"] == name and figure["table"].startswith(table)]


def test_bench_compares_the_counters_with_a_count_by_sql(outcomes: list[dict[str, Any]]) -> None:
    bursts = len(KNOWN) * ["between two polls", "across a poll"]
    table = "outcomes of 200 task instances"
    assert [
        figure["row"] for figure in outcomes if figure["column"] == "took" and figure["table"].startswith(table)
    ] == bursts
    assert column(outcomes, "task instances by SQL", table) == [200] * len(bursts)
    # One task in ten of the 180 in ten lots is retried.
    assert column(outcomes, "retries by SQL", table) == [20] * len(bursts)
    assert column(outcomes, "dag runs by SQL", table) == [15] * len(bursts), "ten, and one a tick that comes and goes"
    for wrong in ("missed", "too many"):
        assert column(outcomes, wrong, table) == [0] * len(bursts)


def test_bench_measures_at_the_bound_and_day_by_day(outcomes: list[dict[str, Any]]) -> None:
    bound, days = "outcomes, at most 2,000", "memory over 2 days"
    assert min(column(outcomes, "remembered", bound)) >= 2_000
    assert column(outcomes, "missed", bound) == column(outcomes, "too many", bound) == [0] * len(KNOWN)
    assert len(column(outcomes, "RSS", days)) == 2
    # Five steps a day, of 21 task instances, a retry and two runs each; the first day's last runs end on the second.
    first, second = column(outcomes, "ended by SQL", days)
    assert second - first == 5 * (21 + 1 + 2)
    assert column(outcomes, "missed", days) == column(outcomes, "too many", days) == [0, 0]


def test_a_difference_is_told_label_by_label() -> None:
    truth = Outcomes(Counter({("success", "a"): 5, ("failed", "a"): 2}), Counter({("a",): 1}))
    said = Outcomes(
        Counter({("success", "a"): 4, ("failed", "a"): 3}), Counter({("a",): 1}), Counter({("success", "manual"): 1})
    )
    assert differences(truth, said) == (1, 2)
    assert differences(truth, truth) == (0, 0)


def test_bench_pushes_and_fills_the_buffer(tmp_path: Path) -> None:
    figures = bench(tmp_path / "figures.json", "--series", "100", "--runs", "1", "--only", "push")
    assert column(figures, "requests", "OTLP out, 100 series") == [1]
    assert min(column(figures, "CPU", "OTLP out, 100 series")) > 0
    assert column(figures, "lost", "A receiver that stays away") == [0, 180, 0, 180]


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


def test_bench_ingest_accounts_for_all_that_was_sent(tmp_path: Path) -> None:
    little = [
        "--styles",
        "plain",
        "--seconds",
        "1",
        "--rates",
        "500",
        "--trials",
        "1",
        "--crowd",
        "500",
        "--flood",
        "2000",
    ]
    figures = bench(tmp_path / "figures.json", *little, "--only", "ingest")

    def row(table: str, name: str) -> dict[str, float]:
        return {
            figure["column"]: figure["value"]
            for figure in figures
            if figure["table"].startswith(table) and figure["row"].startswith(name)
        }

    lines = "StatsD lines"
    assert row(lines, "plain, tcp, 20 a packet")["lost"] == 0, "TCP waits for who is slow"
    assert row(lines, "plain, udp, 1 a packet")["without loss"] > 0
    assert row(lines, "plain loop, udp, 20 a packet")["without loss"] > 0
    assert {"exporter / plain loop, 1 a packet", "exporter / plain loop, 20 a packet"} <= {
        one["row"] for one in figures
    }
    assert row("while", "no lines")["sent"] == row("while", "no lines")["lost"] == 0
    assert row("while", "500 lines/s")["sent"] > 0
    crowd, flood = row("a crowd", "500 series"), row("a crowd", "and a flood")
    assert crowd["series"] == flood["series"] == 500
    assert flood["counted"] == flood["dropped"] + flood["unmapped"] == 2000
    for protocol in ("http", "grpc"):
        assert row("OTLP", protocol)["requests"] > 0
        assert row("OTLP", protocol)["refused"] == row("OTLP", protocol)["not accounted for"] == 0


def test_the_mix_is_what_was_captured_of_more_dags() -> None:
    few, many = mix("plain", DAGS_OF_A_CAPTURE), mix("plain", 3 * DAGS_OF_A_CAPTURE)
    assert len(many) == 3 * len(few)
    names = {line.partition(b":")[0] for line in many}
    assert len({line.partition(b":")[0] for line in few}) < len(names) < len(many), (
        "some lines are of a DAG, others of all"
    )
    assert all(parse(line) and not isinstance(parse(line)[0], Reason) for line in many)
    assert packed(few, 20)[0].split(b"\n") == few[:20]


def test_bench_prints_what_gen_takes(tmp_path: Path) -> None:
    figures = bench(tmp_path / "figures.json", "--only", "gen", "--deployments", "2", "--runs", "1")
    files = {figure["row"]: figure["value"] for figure in figures if figure["column"] == "files"}
    alike, apart = files["2 deployments of one kind"], files["2 deployments, no two alike"]
    assert files["default policy"] < alike < apart
