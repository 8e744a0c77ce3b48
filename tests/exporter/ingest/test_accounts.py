"""The accounts: what is counted, what is shown before anything was, and that nothing is lost between threads."""

from __future__ import annotations

import ast
import threading
from pathlib import Path

import pytest

import airflow_obs.exporter.ingest as ingest
from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Accounts, Outcome, Reason, Refusal, Relayed
from airflow_obs.model import Metric, Sample
from tests.exporter.ingest.clock import Clock


def given() -> set[str]:
    """What the sources name of `Reason` and `Refusal`, but for the keys of tables and what is compared with."""
    found: set[str] = set()
    for path in Path(ingest.__file__).parent.rglob("*.py"):
        if path.name == "accounts.py":
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        looked_at = {
            id(part)
            for node in nodes
            for part in (
                node.keys if isinstance(node, ast.Dict)
                else [node.left, *node.comparators] if isinstance(node, ast.Compare)
                else []
            )
        }  # fmt: skip
        found |= {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute) and id(node) not in looked_at}
    return found


GIVEN = given()


def shown(accounts: Accounts, metric: Metric) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in reading.labels): reading.value
        for reading in accounts.readings()
        if isinstance(reading, Sample) and reading.metric is metric
    }


def test_samples_are_counted_by_outcome_and_reason() -> None:
    clock = Clock(1_800_000_000)
    accounts = Accounts(clock)
    accounts.count("statsd", Outcome.MAPPED, 5)
    accounts.count("statsd", Outcome.DROPPED, 2, Reason.REFUSED)
    accounts.count("statsd", Outcome.DROPPED, 1, Reason.SERIES_LIMIT)
    clock.now += 1
    accounts.count("otlp", Outcome.INVALID, reason=Reason.NO_TIME)
    accounts.count("statsd", Outcome.INVALID, 0, Reason.MALFORMED)
    assert shown(accounts, metrics.INGEST_SAMPLES) == {
        ("statsd", "mapped"): 5, ("statsd", "dropped"): 3, ("otlp", "invalid"): 1
    }  # fmt: skip
    assert shown(accounts, metrics.INGEST_REFUSED) == {
        ("statsd", "dropped", "refused by the catalogue"): 2,
        ("statsd", "dropped", "series limit"): 1,
        ("otlp", "invalid", "without a time"): 1,
    }
    assert shown(accounts, metrics.INGEST_LAST) == {("statsd",): 1_800_000_000, ("otlp",): 1_800_000_001}


def test_packets_and_requests() -> None:
    accounts = Accounts()
    accounts.packets("statsd", "udp", 3)
    accounts.packets("otlp", "http")
    accounts.lost("udp", 7)
    accounts.request_refused("grpc", Refusal.TOO_LARGE)
    accounts.relayed(Relayed.SENT, 4)
    assert shown(accounts, metrics.INGEST_PACKETS) == {("statsd", "udp"): 3, ("otlp", "http"): 1}
    assert shown(accounts, metrics.INGEST_LOST) == {("udp",): 7}
    assert shown(accounts, metrics.INGEST_REQUESTS_REFUSED) == {("grpc", "too large"): 1}
    assert shown(accounts, metrics.INGEST_RELAYED) == {("sent",): 4}


def test_zeros_of_what_is_listened_to() -> None:
    accounts = Accounts()
    assert accounts.readings() == []
    accounts.expect("otlp", "http")
    assert shown(accounts, metrics.INGEST_SAMPLES) == {("otlp", outcome): 0 for outcome in Outcome}
    assert shown(accounts, metrics.INGEST_REQUESTS_REFUSED) == {("http", refusal): 0 for refusal in Refusal}
    assert shown(accounts, metrics.INGEST_LOST) == {}, "only datagrams are lost"
    assert shown(accounts, metrics.INGEST_LAST) == {}, "nothing came"


def test_nothing_is_lost_between_threads() -> None:
    accounts = Accounts()

    def count() -> None:
        for _ in range(2_000):
            accounts.count("statsd", Outcome.DROPPED, 1, Reason.REFUSED)
            accounts.readings()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shown(accounts, metrics.INGEST_SAMPLES) == {("statsd", "dropped"): 8_000}


@pytest.mark.parametrize("reason", [*Reason, *Refusal], ids=lambda reason: reason.name)
def test_every_reason_is_given_somewhere(reason: Reason | Refusal) -> None:
    assert f"{type(reason).__name__}.{reason.name}" in GIVEN
