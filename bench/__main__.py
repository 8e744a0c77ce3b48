"""python -m bench: fill, measure, print."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_obs.policy.loader import load
from bench import (
    broker,
    burst,
    cost,
    crowd,
    explained,
    followed,
    gen,
    latency,
    otlp,
    push,
    throughput,
    week,
    while_ingesting,
)
from bench.celery_queues import Backlog
from bench.figures import Note, Result, as_json, as_text
from bench.history import KNOWN, TASKS_PER_RUN, Filled, Size, drop, fill
from bench.mariadb import mariadb
from bench.postgres import ServerLog, postgres
from tests.embedded_postgres import EmbeddedPostgres
from tests.mariadb_server import MariaDBServer

ON_MARIADB = 1_000_000
"""Task instances in the large database there, at most."""
LITTLE = 20_000
"""Task instances behind the ordinary page and the outcomes, which do not depend on them."""

CYCLES_PER_RUN = 10
"""Cycles of the broker's collector for each of the database's: they are short, and search in some of them only."""


PARTS = ("cost", "outcomes", "latency", "mariadb", "broker", "ingest", "push", "gen")


def main() -> None:
    """Print the tables, and write them as JSON where asked. Asserts nothing: figures depend on the machine."""
    arguments = _arguments()
    results: list[Result] = []
    try:
        results.extend(_results(arguments))
    finally:
        # What was measured before a failure took its time, too.
        print(as_text(results))
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(as_json(results), indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--task-instances", type=int, default=10_000_000, help="in the large database (%(default)s)")
    parser.add_argument("--smaller", type=int, help="task instances in the small database (a tenth)")
    parser.add_argument(
        "--airflow", nargs="+", choices=KNOWN, default=KNOWN, help="releases for cost and outcomes (all)"
    )
    parser.add_argument("--runs", type=int, default=30, help="cycles measured after warming up (%(default)s)")
    parser.add_argument("--series", type=int, default=20_000, help="on the large page (%(default)s)")
    parser.add_argument("--scrapers", type=int, default=20, help="at the same time (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each latency measurement (%(default)s)")
    parser.add_argument("--shared-buffers", default="1GB", help="PostgreSQL's, and InnoDB's buffer pool (%(default)s)")
    parser.add_argument("--finishing", type=int, default=5_000, help="task instances of a burst (%(default)s)")
    parser.add_argument("--within", type=float, default=10.0, help="seconds in which they end (%(default)s)")
    parser.add_argument(
        "--poll-every", type=float, help="seconds from one poll for outcomes to the next (the policy's)"
    )
    parser.add_argument("--followed", type=int, default=20_000, help="task instances followed at most (%(default)s)")
    parser.add_argument("--days", type=int, default=7, help="that pass (%(default)s)")
    parser.add_argument("--per-day", type=int, default=5_000, help="task instances on each of them (%(default)s)")
    parser.add_argument("--queues", type=int, default=200, help="of Celery (%(default)s)")
    parser.add_argument("--messages", type=int, default=100_000, help="that wait in them (%(default)s)")
    parser.add_argument("--results", type=int, default=100_000, help="of tasks beside them (%(default)s)")
    parser.add_argument("--alone", action="store_true", help="do not fetch and measure celery-exporter beside ours")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=[5_000, 50_000], help="StatsD lines per second (%(default)s)"
    )
    parser.add_argument(
        "--styles", nargs="+", choices=throughput.STYLES, default=[*throughput.STYLES], help="of StatsD lines (all)"
    )
    parser.add_argument("--trials", type=int, default=15, help="to find a rate at which no line is lost (%(default)s)")
    parser.add_argument("--crowd", type=int, default=100_000, help="series made of StatsD lines (%(default)s)")
    parser.add_argument("--flood", type=int, default=1_000_000, help="names more than these (%(default)s)")
    parser.add_argument(
        "--deployments", type=int, default=50, help="of the policies that are generated from (%(default)s)"
    )
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    arguments.smaller = arguments.smaller or arguments.task_instances // 10
    if min(arguments.task_instances, arguments.smaller) < 100 * TASKS_PER_RUN:
        parser.error(f"at least {100 * TASKS_PER_RUN} task instances are needed in either database")
    return arguments


def _results(arguments: argparse.Namespace) -> Iterator[Result]:
    host = f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} before"
    yield Note("machine", f"{host}, Python {platform.python_version()}, {platform.system()}")
    if arguments.only in (None, "cost", "outcomes", "latency"):
        with postgres(arguments.shared_buffers) as (server, log):
            yield from _of_database(arguments, server, log)
    if arguments.only in (None, "mariadb"):
        yield from _on_mariadb(arguments)
    if arguments.only in (None, "broker"):
        backlog = Backlog(arguments.queues, arguments.messages)
        cycles = arguments.runs * CYCLES_PER_RUN
        yield from broker.measure(broker.Options(backlog, arguments.results, cycles, not arguments.alone))
    if arguments.only in (None, "ingest"):
        yield from _ingest(arguments)
    if arguments.only in (None, "push"):
        yield from push.measure(arguments.series, arguments.runs)
    if arguments.only in (None, "gen"):
        yield from gen.measure(arguments.deployments, arguments.runs)


def _on_mariadb(arguments: argparse.Namespace) -> Iterator[Result]:
    pool = arguments.shared_buffers.removesuffix("B")
    large = min(arguments.task_instances, ON_MARIADB)
    sizes = sorted({min(arguments.smaller, max(large // 10, 100 * TASKS_PER_RUN)), large})
    with mariadb(pool) as (server, log):
        ((version,),) = server.execute("SELECT VERSION()")
        yield Note("machine", f"MariaDB {version}, innodb_buffer_pool_size {pool}, nothing flushed, warm cache")
        for release in arguments.airflow:
            yield from _cost(arguments, server, log, release, sizes)


def _ingest(arguments: argparse.Namespace) -> Iterator[Result]:
    # The policy's interval, but when there is less time than that.
    interval = max(1, min(round(load().collectors.ingest.interval), int(arguments.seconds)))
    yield from throughput.measure(arguments.styles, arguments.seconds, interval, arguments.trials)
    yield from while_ingesting.measure(arguments.rates, arguments.seconds, interval)
    yield from crowd.measure(arguments.crowd, arguments.flood, interval)
    yield from otlp.measure(arguments.seconds, interval)


def _of_database(arguments: argparse.Namespace, server: EmbeddedPostgres, log: ServerLog) -> Iterator[Result]:
    yield Note(
        "machine", f"PostgreSQL {_version(server)}, shared_buffers {arguments.shared_buffers}, fsync off, warm cache"
    )
    if arguments.only in (None, "cost"):
        for release in arguments.airflow:
            yield from _cost(arguments, server, log, release, sorted({arguments.smaller, arguments.task_instances}))
    if arguments.only in (None, "outcomes"):
        for release in arguments.airflow:
            yield from _outcomes(arguments, server, log, release)
    if arguments.only in (None, "latency"):
        options = latency.Options(arguments.series, arguments.scrapers, arguments.seconds)
        ordinary = _filled(server, arguments.airflow[0], min(LITTLE, arguments.task_instances))
        yield from latency.measure(server, ordinary, options)


def _cost(
    arguments: argparse.Namespace,
    server: EmbeddedPostgres | MariaDBServer,
    log: cost.Log,
    release: str,
    sizes: Sequence[int],
) -> Iterator[Result]:
    filled = [_filled(server, release, size) for size in sizes]
    measured = list(zip(filled, cost.measure(log, filled, arguments.runs), strict=True))
    for each, of_this in measured:
        yield from cost.figures(each, of_this)
    yield from cost.ratios(measured)
    yield from explained.explained(*measured[-1])
    for each in filled:
        drop(server, each)


def _outcomes(
    arguments: argparse.Namespace, server: EmbeddedPostgres, log: ServerLog, release: str
) -> Iterator[Result]:
    filled = _filled(server, release, min(LITTLE, arguments.task_instances))
    yield from burst.measure(log, filled, burst.Burst(arguments.finishing, arguments.within, arguments.poll_every))
    yield from followed.measure(log, filled, arguments.followed, max(1, arguments.runs // 3))
    drop(server, filled)
    if release == arguments.airflow[-1]:
        filled = _filled(server, release, min(LITTLE, arguments.task_instances))
        yield from week.measure(filled, week.Week(arguments.days, arguments.per_day))
        drop(server, filled)


def _filled(server: EmbeddedPostgres | MariaDBServer, release: str, task_instances: int) -> Filled:
    print(f"filling a database of Airflow {release} with {task_instances:,} task instances", file=sys.stderr)
    return fill(server, release, Size(task_instances))


def _version(server: EmbeddedPostgres) -> str:
    ((version,),) = server.execute("SHOW server_version")
    return str(version)


if __name__ == "__main__":
    main()
