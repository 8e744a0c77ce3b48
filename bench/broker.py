"""What one cycle of the broker's and the workers' collectors costs a Redis with many queues and messages."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from airflow_obs.catalog import metrics
from airflow_obs.collectors.broker import Broker as BrokerCollector
from airflow_obs.collectors.queues import QueueNames
from airflow_obs.collectors.workers import Workers as WorkersCollector
from airflow_obs.exporter.scrape import Job, Run, run
from airflow_obs.model import Metric, Sample
from airflow_obs.policy import BrokerSource, load
from airflow_obs.sources import control, control_broker, redis
from airflow_obs.sources.broker import Broker
from airflow_obs.sources.broker_url import BrokerAddress, broker_address
from bench import redis_time
from bench.celery_queues import Backlog, add_results, fill
from bench.figures import Figure, Note, Result
from bench.relay import Relay, Traffic
from tests.celery_workers import celery_worker
from tests.redis_server import RedisServer, redis_server

WORKERS = ("blue@bench", "green@bench")
"""Two workers on one host, as far as their names say."""
UNSERVED = 10
"""One queue in so many has no worker: as when KEDA has scaled its workers to zero."""
WRITES = {"SADD", "SREM", "DEL", "PUBLISH", "LPUSH", "SET", "EXPIRE", "ZADD", "ZREM", "HSET", "HDEL"}
_CYCLES_PER_CALL = 50
"""Cycles of the broker's collector for each call of the workers'; each of those takes seconds."""


@dataclass(frozen=True)
class Options:
    """How much there is in Redis, the `cycles` that are measured, and whether celery-exporter is measured beside us."""

    backlog: Backlog
    results: int
    cycles: int
    beside: bool

    @property
    def calls(self) -> int:
        """Later runs of the workers' collector."""
        return max(self.cycles // _CYCLES_PER_CALL, 1)


@dataclass(frozen=True)
class Cycle:
    """One run: what passed on the wire, what Redis says it worked (milliseconds), and how long it took directly."""

    traffic: Traffic
    redis_ms: float
    slow: int
    wall_ms: float
    outcome: Run

    @property
    def searched(self) -> bool:
        """Whether it took a step of the search for queues."""
        return "SCAN" in self.traffic.commands


@dataclass(frozen=True)
class Site:
    """The server, the relay in front of it, and what waits there."""

    server: RedisServer
    relay: Relay
    options: Options

    @property
    def direct(self) -> str:
        """Its URL as the user who has the README's grants."""
        return self.server.exporter_url

    @property
    def relayed(self) -> str:
        """The same, through the relay."""
        return self.through(self.direct)

    def through(self, url: str) -> str:
        """A URL of the server, led through the relay."""
        return url.replace(f":{self.server.port}/", f":{self.relay.port}/")


@dataclass(frozen=True)
class Costs:
    """Later cycles of both collectors, as celery-exporter is compared with."""

    broker: Sequence[Cycle]
    workers: Sequence[Cycle]
    idle_ms: float
    """Milliseconds that the workers cost Redis in a second in which nobody asks them anything."""


def measure(options: Options) -> Iterator[Result]:
    """Every figure of the broker. RuntimeError when a collector fails: what it costs to fail is not the question."""
    backlog = options.backlog
    with ExitStack() as stack:
        server = stack.enter_context(redis_server())
        site = Site(server, stack.enter_context(Relay(server.port).running()), options)
        # As the README says for the Redis of the wheel, which is a 6: it has ~* and no other keys.
        more = [right for right in control_broker.GRANTS.split() if not right.startswith("~")]
        server.grant(" ".join(["resetchannels", redis.GRANTS, *more]))
        print(f"filling a Redis with {backlog.messages:,} messages in {backlog.queues:,} queues", file=sys.stderr)
        fill(server, backlog)
        memory = server.client().info("memory")["used_memory"] / 1e6
        size = f"{backlog.queues:,} queues, {backlog.messages:,} messages"
        yield Note("machine", f"Redis {server.client().info('server')['redis_version']}, {size}: {memory:,.0f} MB")
        yield from _of_broker(f"broker, one cycle: {size}", broker_cycles(site))
        add_results(server, options.results)
        cycles = broker_cycles(site)
        yield from _of_broker(f"broker, one cycle: {size}, {options.results:,} results beside them", cycles)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airflow-obs-bench-")))
        queues = ",".join(name for number, name in enumerate(backlog.names) if number % UNSERVED != UNSERVED - 1)
        for name in WORKERS:
            stack.enter_context(celery_worker(server.url(), name, folder, queues))
        idle = _idle(server, float(options.calls))
        first, *later = _workers_cycles(site, idle)
        yield from _of_workers(first, later, server, idle)
        if options.beside:
            from bench import celery_exporter

            yield from celery_exporter.compare(site, Costs(cycles[1:], later, idle))


def broker_cycles(site: Site) -> list[Cycle]:
    """The first cycle of a collector, and the later ones; once through the relay, and once more directly for its wall time."""
    count, policy = site.options.cycles + 1, load().collectors.broker

    def jobs(url: str) -> Job:
        return Job(BrokerCollector(BrokerSource(), QueueNames()), policy, Broker(lambda: _address(url)))

    return _cycles(site, jobs, count)


def _workers_cycles(site: Site, idle: float) -> list[Cycle]:
    policy = load().collectors.workers

    def jobs(url: str) -> Job:
        return Job(WorkersCollector(policy, QueueNames()), policy, control.Workers(lambda: _address(url)))

    return _cycles(site, jobs, site.options.calls + 1, idle)


def _cycles(site: Site, job_on: Callable[[str], Job], count: int, idle: float = 0.0) -> list[Cycle]:
    relayed = job_on(site.relayed)
    seen = []
    for _ in range(count):
        before = site.relay.until_now
        redis_time.reset(site.server)
        outcome = _run(relayed)
        worked = redis_time.worked(site.server)
        net = max(worked.ms - idle * outcome.duration, 0.0)
        seen.append((site.relay.until_now.since(before), net, worked.slow, outcome))
    relayed.source.close()
    direct = job_on(site.direct)
    walls = [_run(direct).duration * 1000 for _ in range(count)]
    direct.source.close()
    return [
        Cycle(traffic, ms, slow, wall, outcome) for (traffic, ms, slow, outcome), wall in zip(seen, walls, strict=True)
    ]


def _run(job: Job) -> Run:
    outcome = run(job)
    if outcome.error is not None:
        raise RuntimeError(f"bench: collector {job.name} failed: {outcome.error}")
    return outcome


def _address(url: str) -> BrokerAddress | None:
    return broker_address("CeleryExecutor", {"AIRFLOW_OBS_BROKER_URL": url})


def _idle(server: RedisServer, seconds: float) -> float:
    redis_time.reset(server)
    time.sleep(seconds)
    return redis_time.worked(server).ms / seconds


def _of_broker(table: str, cycles: Sequence[Cycle]) -> Iterator[Result]:
    first, *later = cycles
    rows = {
        "first (connects, searches)": [first],
        "later, search rests": [cycle for cycle in later if not cycle.searched],
        "later, a step of the search": [cycle for cycle in later if cycle.searched],
    }
    for row, some in rows.items():
        if not some:
            continue
        yield from _costs(table, row, some)
        lengths = _values(some[-1], metrics.BROKER_MESSAGES)
        yield Figure(table, row, "queues", len(lengths))
        yield Figure(table, row, "messages", sum(lengths))
    asked = sum((cycle.traffic.commands for cycle in later), Counter[str]())
    per_cycle = ", ".join(f"{name} {count / len(later):.4g}" for name, count in asked.most_common())
    yield Note(table, f"commands per later cycle: {per_cycle}")


def _of_workers(first: Cycle, later: Sequence[Cycle], server: RedisServer, idle: float) -> Iterator[Result]:
    table = f"workers, one call: {len(WORKERS)} workers"
    for row, some in {"first (nobody is expected yet)": [first], "later": later}.items():
        yield from _costs(table, row, some)
        writes = [sum(cycle.traffic.commands[name] for name in WRITES) for cycle in some]
        yield Figure(table, row, "writes", statistics.median(writes))
        yield Figure(table, row, "workers", sum(_values(some[-1], metrics.WORKER_UP)))
        yield Figure(table, row, "left behind", _left_behind(server))
    asked = ", ".join(f"{name} {count}" for name, count in later[-1].traffic.commands.most_common())
    yield Note(table, f"commands of the last call: {asked}")
    yield Note(table, f"Redis time is without the {idle:.2f} ms a second that the workers cost when nobody asks")


def _values(cycle: Cycle, metric: Metric) -> list[float]:
    readings = cycle.outcome.readings
    return [reading.value for reading in readings if isinstance(reading, Sample) and reading.metric is metric]


def _left_behind(server: RedisServer) -> int:
    """Keys and bindings of ours that are in Redis between two calls."""
    client = server.client()
    keys = sum("airflow-obs" in key for key in client.scan_iter(count=5000))
    bindings = (client.smembers(f"_kombu.binding.{name}") for name in ("reply.celery.pidbox", "celeryev"))
    return keys + sum("airflow-obs" in member for members in bindings for member in members)


def _costs(table: str, row: str, cycles: Sequence[Cycle]) -> Iterator[Figure]:
    traffic = [cycle.traffic for cycle in cycles]
    walls = sorted(cycle.wall_ms for cycle in cycles)
    yield Figure(table, row, "cycles", len(cycles))
    yield Figure(table, row, "round trips", statistics.median(one.trips for one in traffic))
    yield Figure(table, row, "commands", statistics.median(one.commands.total() for one in traffic))
    yield Figure(table, row, "Redis p50", statistics.median(cycle.redis_ms for cycle in cycles), "ms")
    yield Figure(table, row, "Redis max", max(cycle.redis_ms for cycle in cycles), "ms")
    yield Figure(table, row, "commands > 1 ms", sum(cycle.slow for cycle in cycles) / len(cycles))
    yield Figure(table, row, "wall p50", statistics.median(walls), "ms")
    yield Figure(table, row, "wall p99", walls[len(walls) * 99 // 100], "ms")
    yield Figure(table, row, "sent", statistics.median(one.sent for one in traffic) / 1e3, "kB")
    yield Figure(table, row, "received", statistics.median(one.received for one in traffic) / 1e3, "kB")
