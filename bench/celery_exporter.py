"""The same broker through celery-exporter, the one that most people run: what it costs, how long it takes, what it sees."""

from __future__ import annotations

import socket
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

from bench import redis_time
from bench.broker import WORKERS, Costs, Cycle, Site
from bench.celery_queues import waiting
from bench.exporter_process import exporter
from bench.figures import Figure, Note, Result
from tests.airflow_install import InstallError, installed
from tests.eventually import eventually
from tests.redis_server import free_port

PACKAGE, VERSION = "prometheus-exporter-celery", "0.11.2"
"""github.com/danihodovic/celery-exporter, under its name in the package index; the program is called celery-exporter."""
ITS_TIME = "2025-08-01"
"""The libraries of that day: it wants a redis-py before 6, with which the kombu of today answers 500 to every scrape."""
POLICY = "deployments: [{name: airflow, sources: {broker: {}}}]\n"
EVERY = 15.0
"""Seconds from scrape to scrape, and from cycle to cycle of our broker's collector."""
SCRAPES = 8
_OURS, _THEIRS = "airflow-obs", f"celery-exporter {VERSION}"
_PAGE = "/metrics of either exporter, on the same broker and workers"
_MINUTE = "a minute of either, on Redis"


@dataclass(frozen=True)
class Page:
    """What a page says: messages by queue, how many workers are up, and its samples."""

    queues: Mapping[str, float]
    workers: float
    series: int


@dataclass(frozen=True)
class Minute:
    """What Redis has of an exporter in a minute."""

    redis_ms: float
    commands: float
    trips: float
    received: float


def compare(site: Site, ours: Costs) -> Iterator[Result]:
    """Both pages beside the truth, and what both cost Redis. A note when it cannot be installed."""
    try:
        python = installed(f"celery-exporter-{VERSION}", "3.11", ["--exclude-newer", ITS_TIME, f"{PACKAGE}=={VERSION}"])
    except InstallError as error:
        yield Note(_PAGE, f"celery-exporter is not measured, as it could not be installed: {error}", loud=True)
        return
    program = [str(python / "bin" / "python"), "-c", "from src.cli import cli; cli()"]
    with _celery_exporter(program, site.server.url()) as url:
        theirs, their_walls, redis_ms = _scraped(site, url, ours.idle_ms)
    with _celery_exporter(program, site.through(site.server.url())) as url:
        minute = _minute_of_theirs(site, url, redis_ms)
    with exporter(POLICY, AIRFLOW_OBS_BROKER_URL=site.direct, AIRFLOW__CORE__EXECUTOR="CeleryExecutor") as process:
        text, our_walls = _timed(f"http://127.0.0.1:{process.port}/metrics", 20 * SCRAPES)
    own = _page(text, "airflow_obs_broker_queue_messages", "queue", "airflow_obs_worker_up")
    truth = waiting(site.server, site.options.backlog.names)
    yield from _of_page(_THEIRS, theirs, their_walls, truth)
    yield from _of_page(_OURS, own, our_walls, truth)
    yield from _ratios(minute, _minute_of_ours(ours), statistics.median(their_walls) / statistics.median(our_walls))


def _scraped(site: Site, url: str, idle: float) -> tuple[Page, list[float], float]:
    """Its page, how long it took (ms), and what one scrape cost Redis (ms) beyond what the workers cost anyway."""
    redis_time.reset(site.server)
    began = time.monotonic()
    text, walls = _timed(url, SCRAPES)
    ms = max(redis_time.worked(site.server).ms - idle * (time.monotonic() - began), 0.0)
    return _page(text, "celery_queue_length", "queue_name", "celery_worker_up"), walls, ms / SCRAPES


def _minute_of_theirs(site: Site, url: str, redis_ms: float) -> Minute:
    before = site.relay.until_now
    _timed(url, 2)
    traffic, scrapes = site.relay.until_now.since(before), 60 / EVERY
    each = scrapes / 2
    return Minute(redis_ms * scrapes, traffic.commands.total() * each, traffic.trips * each, traffic.received * each)


def _minute_of_ours(costs: Costs) -> Minute:
    """The broker's collector every 15 s and the workers' every minute, as is the default."""

    def mean(cycles: Sequence[Cycle]) -> Counter[str]:
        total = Counter[str]()
        for cycle in cycles:
            passed = cycle.traffic
            total.update(commands=passed.commands.total(), trips=passed.trips, received=passed.received)
        return total

    broker, workers = mean(costs.broker), mean(costs.workers)

    def minute(what: str) -> float:
        return broker[what] / len(costs.broker) * 60 / EVERY + workers[what] / len(costs.workers)

    ms = statistics.mean(one.redis_ms for one in costs.broker) * 60 / EVERY
    ms += statistics.mean(one.redis_ms for one in costs.workers)
    return Minute(ms, minute("commands"), minute("trips"), minute("received"))


def _of_page(row: str, page: Page, walls: Sequence[float], truth: Mapping[str, int]) -> Iterator[Result]:
    seen = {queue: messages for queue, messages in page.queues.items() if queue in truth}
    yield Figure(_PAGE, row, "wall p50", statistics.median(walls), "ms")
    yield Figure(_PAGE, row, "wall max", max(walls), "ms")
    yield Figure(_PAGE, row, f"queues found of {len(truth)}", len(seen))
    yield Figure(_PAGE, row, "right", sum(messages == truth[queue] for queue, messages in seen.items()))
    yield Figure(_PAGE, row, f"messages of {sum(truth.values()):,}", sum(seen.values()))
    yield Figure(_PAGE, row, f"workers of {len(WORKERS)}", page.workers)
    yield Figure(_PAGE, row, "series", page.series)


def _ratios(theirs: Minute, ours: Minute, wall: float) -> Iterator[Figure]:
    for row, minute in {_THEIRS: theirs, _OURS: ours}.items():
        yield Figure(_MINUTE, row, "Redis time", minute.redis_ms, "ms")
        yield Figure(_MINUTE, row, "commands", minute.commands)
        yield Figure(_MINUTE, row, "round trips", minute.trips)
        yield Figure(_MINUTE, row, "received", minute.received / 1e3, "kB")
    table = "ratios: celery-exporter / airflow-obs"
    yield Figure(table, "/metrics, wall p50", "ratio", wall)
    yield Figure(table, "Redis time", "ratio", theirs.redis_ms / ours.redis_ms)
    yield Figure(table, "commands", "ratio", theirs.commands / ours.commands)
    yield Figure(table, "round trips", "ratio", theirs.trips / ours.trips)


def _page(text: str, queues: str, label: str, workers: str) -> Page:
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return Page(
        {sample.labels[label]: sample.value for sample in samples if sample.name == queues},
        sum(sample.value for sample in samples if sample.name == workers),
        len(samples),
    )


def _timed(url: str, times: int) -> tuple[str, list[float]]:
    """The last page, and milliseconds of each scrape, one after the other."""
    text, walls = "", []
    with requests.Session() as session:
        for _ in range(times):
            began = time.perf_counter()
            answer = session.get(url, timeout=60)
            walls.append((time.perf_counter() - began) * 1000)
            answer.raise_for_status()
            text = answer.text
    return text, walls


@contextmanager
def _celery_exporter(program: Sequence[str], broker: str) -> Iterator[str]:
    """The URL of its page, once it has answered and a heartbeat of every worker has passed."""
    port = free_port()
    process = subprocess.Popen(
        [*program, "--broker-url", broker, "--host", "127.0.0.1", "--port", str(port), "--log-level", "ERROR"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"bench: celery-exporter ended with {process.returncode}")
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    url = f"http://127.0.0.1:{port}/metrics"
    try:
        eventually(listens, "celery-exporter listens")
        eventually(lambda: "celery_worker_up{" in requests.get(url, timeout=60).text, "it has heard of the workers")
        yield url
    finally:
        process.terminate()
        process.wait(10)
