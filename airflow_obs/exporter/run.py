"""Runs the exporter: once, or as a daemon that serves, collects and sends until it is stopped."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from airflow_obs.errors import UsageError
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.daemon import Daemon
from airflow_obs.exporter.lanes import all_jobs, lanes, nothing_to_export, shared_by
from airflow_obs.exporter.push.destinations import destinations
from airflow_obs.exporter.push.pusher import Pusher
from airflow_obs.exporter.reload import Chosen, Reloader
from airflow_obs.exporter.scrape import Job, run_all
from airflow_obs.exporter.web.access import Access
from airflow_obs.exporter.web.endpoint import Endpoint
from airflow_obs.exporter.web.handlers import Reloads
from airflow_obs.exporter.web.listening import listening, urls
from airflow_obs.exporter.web.server import Server
from airflow_obs.model import Reading
from airflow_obs.policy import Deployment, Policy

log = logging.getLogger(__name__)

LATE_EVERY = 1.0
"""Seconds between looks for collectors that are late."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that computes lets another one on; Python's 5 ms would be felt in every scrape that
arrives while a large page is rendered."""
GC_THRESHOLDS = (50_000, 20, 100)
"""Allocations, and collections of the younger, before garbage is looked for: a page is many objects, and hardly any are garbage."""


def jobs(policy: Policy, deployment: Deployment) -> list[Job]:
    """The enabled collectors of what can be read of a deployment; none, where only what is sent can be had. Raises UsageError.

    A source that is not there is no error here: it fails when it is asked.
    """
    found = lanes(policy, deployment, shared_by(deployment))
    if not found and not (deployment.sources.ingests and policy.collectors.ingest.enabled):
        raise nothing_to_export(deployment)
    for lane in found:
        lane.equip()
    return all_jobs(found)


def once(policy: Policy, deployment: Deployment, *, push: bool = False) -> int:
    """Collect everything once and print the page, or push it; 0 if all succeeded, 1 if some failed, 2 if nothing could be read.

    Pushed is what was read, and what was not: who looks there is to see that, too. 1 as well if a push failed, 2 if all did.
    """
    todo = jobs(policy, deployment)
    if not todo:
        raise UsageError(
            f"--once: deployment {deployment.name} has no source that could be read; what is sent comes while it serves"
        )
    sending = [Pusher(one, lambda: board.snapshot) for one in destinations(policy.push, deployment)] if push else []
    if push and not sending:
        raise UsageError("--push: the policy names nobody to push to: list otlp, statsd or textfile under `push`")
    board = Board(deployment.name, todo)
    runs = run_all(todo)
    board.record(*runs)
    if not push:
        sys.stdout.buffer.write(board.snapshot.text)  # UTF-8, whatever the terminal takes
        sys.stdout.buffer.flush()
    # Not closed: what was pushed is to stay, until the next time.
    pushed = [one.push(board.snapshot) for one in sending]
    if all(run.succeeded for run in runs) and all(pushed):
        return 0
    return 1 if any(run.readings for run in runs) and (any(pushed) or not push) else 2


def serve(chosen: Chosen, load: Callable[[], Chosen], endpoint: Endpoint) -> int:
    """Collect in the background and serve until SIGTERM or SIGINT; `load` reads the policy again, at every SIGHUP.

    Raises UsageError if an address cannot be had, PolicyError for a file that cannot be used; only at the start.
    """
    access = Access(endpoint.config_file)
    with ExitStack() as closing:
        sockets = [closing.enter_context(one) for one in listening(endpoint)]
        _serve(chosen, load, endpoint, access, sockets)
    log.info("stopped")
    return 0


def _serve(
    chosen: Chosen, load: Callable[[], Chosen], endpoint: Endpoint, access: Access, sockets: Sequence[socket.socket]
) -> None:
    def accounts() -> Iterator[Reading]:
        yield from reloader.readings()
        yield from access.readings()

    def reload() -> str | None:
        error = reloader.reload()
        daemon.board.publish()
        return error

    def begin() -> None:
        daemon.start()
        for url in urls(sockets, encrypted=access.encrypted):
            log.info("serving %s on %s/metrics", chosen[1].name, url)

    reloads = Reloads(reload)
    reloader = Reloader(load, lambda policy, deployment: daemon.take(policy, deployment))
    daemon = Daemon(*chosen, accounts, show_versions=endpoint.show_versions)
    access.news = daemon.board.publish
    server = Server(
        lambda: daemon.board.snapshot, sockets, access, reloads if endpoint.lifecycle else None,
        show_versions=endpoint.show_versions, judgement=lambda: daemon.judgement,
    )  # fmt: skip
    sys.setswitchinterval(SWITCH_INTERVAL)
    # A full collection stops every thread, and with a large page for 0.1 s (bench/): look less often, at less.
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        asyncio.run(_until_stopped(server, daemon.board, begin, reloads))
    finally:
        daemon.stop()


async def _until_stopped(server: Server, board: Board, begin: Callable[[], None], reloads: Reloads) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    asked: set[asyncio.Task[object]] = set()

    def on_hangup() -> None:
        if not reloads.full:  # else one waits that reads all that was written until now
            task: asyncio.Task[object] = asyncio.create_task(reloads.reload())
            asked.add(task)
            task.add_done_callback(asked.discard)

    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    # Not before: who has read in the log that it takes or serves something may send a signal.
    begin()
    late = asyncio.create_task(_look_for_late(board))
    await server.serve(stop)
    late.cancel()


async def _look_for_late(board: Board) -> None:
    while True:
        await asyncio.sleep(LATE_EVERY)
        # In a thread of its own: it renders, and waits for whoever renders now.
        await asyncio.to_thread(board.look_for_late)
