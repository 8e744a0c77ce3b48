"""Puts the exporter together: policy and environment in, jobs, workers and server out."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence

from airflow_obs.catalog import airflow
from airflow_obs.collectors.registry import collectors
from airflow_obs.errors import UsageError
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.ingest.receive import Ingest, Received
from airflow_obs.exporter.scrape import Job, Source, Worker, run_all
from airflow_obs.exporter.server import Server
from airflow_obs.policy import Deployment, Policy
from airflow_obs.sources import discovery
from airflow_obs.sources.broker import Broker
from airflow_obs.sources.control import Workers
from airflow_obs.sources.database import Database
from airflow_obs.sources.health import HealthEndpoint
from airflow_obs.sources.replica import at_replica

log = logging.getLogger(__name__)

LATE_EVERY = 1.0
"""Seconds between looks for collectors that are late."""
STOP_WITHIN = 3.0
"""Seconds that workers are given to take leave of their sources when the exporter stops; of a Redis that takes more than one."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets another one on; Python's 5 ms would be felt in every scrape that
arrives while a large page is rendered."""
GC_THRESHOLDS = (50_000, 20, 100)
"""Allocations, and collections of the younger, before garbage is looked for: a page is many objects, and hardly any are garbage."""


def jobs(policy: Policy, deployment: Deployment, stop: threading.Event | None = None) -> list[Job]:
    """The enabled collectors of what can be read of a deployment. Raises UsageError if that is nothing at all.

    A source that is not there is no error here: it fails when it is asked. What is sent to us comes with `serve` alone.
    """
    sources: dict[str, Source] = {}
    if database := deployment.sources.database:
        schema, replica = database.schema_name, database.replica
        sources["database"] = Database(
            lambda: at_replica(discovery.database_url(), replica),
            lambda: schema or discovery.database_schema(),
            stop,
        )
    if health := deployment.sources.health:
        sources["health"] = HealthEndpoint(_health_urls(health.url))
    named = deployment.airflow.executor
    settings = discovery.AirflowSettings(None if named == "auto" else named)
    if broker := deployment.sources.broker:
        sources["broker"] = Broker(settings.broker, broker.management_url, stop)
        if broker.control:
            sources["workers"] = Workers(settings.broker, stop)
    by_name = policy.collectors.by_name()
    slos = [slo for slo in policy.slos if slo.applies_to(deployment.name)]
    chosen = [
        Job(collector, by_name[collector.name], sources[collector.source])
        for collector in collectors(policy.collectors, broker, settings, policy.dags, policy.retention, slos)
        if collector.source in sources
    ]
    if not chosen and not _ingests(policy, deployment):
        listed = [name for name, source in deployment.sources if source]
        if listed == ["kubernetes"]:
            raise UsageError(
                f"policy: deployment {deployment.name} lists kubernetes alone, which Prometheus scrapes without us, so there is "
                "nothing to export: list database, health, broker, statsd or otlp under `sources`, or run no exporter for it"
            )
        raise UsageError(
            f"policy: deployment {deployment.name} has no enabled collector for any of its sources ({', '.join(listed)}), so "
            "there is nothing to export: enable one under `collectors`"
        )
    return chosen


def once(policy: Policy, deployment: Deployment) -> int:
    """Collect everything once and print the page; 0 if all succeeded, 1 if some failed, 2 if nothing could be read."""
    todo = jobs(policy, deployment)
    if not todo:
        raise UsageError(
            f"--once: deployment {deployment.name} has no source that could be read; what is sent comes while it serves"
        )
    board = Board(deployment.name, todo)
    runs = run_all(todo)
    board.record(*runs)
    sys.stdout.buffer.write(board.snapshot.text)  # UTF-8, whatever the terminal takes
    sys.stdout.buffer.flush()
    if all(run.succeeded for run in runs):
        return 0
    return 1 if any(run.readings for run in runs) else 2


def serve(policy: Policy, deployment: Deployment, address: tuple[str, int]) -> int:
    """Collect in the background and serve until SIGTERM or SIGINT; raises UsageError if the address cannot be had."""
    stop = threading.Event()
    todo = jobs(policy, deployment, stop)
    ingest = _ingest(policy, deployment, todo)
    if ingest:
        todo.append(Job(Received(), policy.collectors.ingest, ingest))
    board = Board(deployment.name, todo)
    server = Server(board, address)
    sys.setswitchinterval(SWITCH_INTERVAL)
    # A full collection stops every thread, and with a large page for 0.1 s (bench/): look less often, at less.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    workers = [Worker(group, board.record, stop) for group in _by_source(todo)]

    def begin() -> None:
        for worker in workers:
            worker.start()
        if ingest:
            ingest.start()

    host = f"[{address[0]}]" if ":" in address[0] else address[0] or "0.0.0.0"  # noqa: S104 (for the log; nothing binds here)
    try:
        serving = f"serving {deployment.name} on http://{host}:{server.port}/metrics"
        asyncio.run(_until_stopped(server, board, begin, serving))
    finally:
        stop.set()
        if ingest:
            ingest.stop()
        until = time.monotonic() + STOP_WITHIN
        for worker in workers:
            worker.join(max(0.0, until - time.monotonic()))
    log.info("stopped")
    return 0


def _ingests(policy: Policy, deployment: Deployment) -> bool:
    return deployment.sources.ingests and policy.collectors.ingest.enabled


def _ingest(policy: Policy, deployment: Deployment, todo: Sequence[Job]) -> Ingest | None:
    if not _ingests(policy, deployment):
        return None
    said = deployment.airflow.version
    database = next((job.source for job in todo if isinstance(job.source, Database)), None)

    def release() -> tuple[int, int] | None:
        if said != "auto":
            major, minor = re.findall(r"\d+", said)[:2]
            return int(major), int(minor)
        return airflow.minor_release(database.revision) if database and database.revision else None

    return Ingest(deployment.sources, policy.collectors.ingest, policy.dags, release)


async def _until_stopped(server: Server, board: Board, begin: Callable[[], None], serving: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    # Not before: who has read in the log that it takes or serves something may send a signal.
    begin()
    log.info("%s", serving)
    late = asyncio.create_task(_look_for_late(board))
    await server.serve(stop)
    late.cancel()


async def _look_for_late(board: Board) -> None:
    while True:
        await asyncio.sleep(LATE_EVERY)
        # In a thread of its own: it renders, and waits for whoever renders now.
        await asyncio.to_thread(board.look_for_late)


def _by_source(todo: Sequence[Job]) -> list[list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in todo:
        groups.setdefault(job.source.name, []).append(job)
    return list(groups.values())


def _health_urls(url: str) -> Callable[[], tuple[list[str], bool]]:
    return discovery.health_urls if url == "auto" else lambda: ([url], True)
