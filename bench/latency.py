"""How fast /metrics is under many scrapers, the database answering and frozen; and how large the exporter is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import psutil

from bench.exporter_process import POLICY, ExporterProcess, exporter
from bench.figures import Figure, Note, Result
from bench.history import Filled
from bench.postgres import tables_and_constraints
from bench.scrapers import Load, Outcome
from tests.airflow_database import AirflowDatabase, engine_for
from tests.airflow_releases import RELEASES
from tests.airflow_schemas import DEMO_VERSION, Kind, Schema
from tests.embedded_postgres import EmbeddedPostgres

EVERY = 0.25
"""Seconds from scrape to scrape of each paced scraper: sixty times as often as Prometheus usually does."""

_FILES = """
INSERT INTO dag_bundle (name, active) VALUES ('dags', true);
INSERT INTO dag (dag_id, is_paused, is_stale, last_parsed_time, last_parse_duration, fileloc, relative_fileloc, bundle_name,
                 timetable_type, partition_mapper_info, max_active_tasks, max_consecutive_failed_dag_runs,
                 has_task_concurrency_limits)
SELECT 'pipeline_' || d, false, false, now(), 0.1 + mod(d, 997) / 331.0, '/opt/airflow/dags/' || file, file, 'dags', '', '{}', 16,
       0, false
FROM generate_series(1, %s) AS d, LATERAL (SELECT 'team_' || mod(d, 40) || '/pipeline_' || d || '.py' AS file) AS named
"""


@dataclass(frozen=True)
class Options:
    """`series` on the large page, concurrent `scrapers`, `seconds` per measurement."""

    series: int
    scrapers: int
    seconds: float


def measure(server: EmbeddedPostgres, ordinary: Filled, options: Options) -> Iterator[Result]:
    """Every figure of the exporter as a process."""
    large = _many_files(server, options.series)
    policy = POLICY.format(max_series=options.series * 2, more="")
    with exporter(policy, AIRFLOW_OBS_DB_URL=large) as process:
        yield from _latencies(process, options, "database answers")
        yield from _footprint(process, options, "large page")
    with exporter(policy, AIRFLOW_OBS_DB_URL=ordinary.exporter_url) as process:
        yield from _footprint(process, options, f"ordinary page, {ordinary.size.task_instances:,} task instances")
    # A failing collector takes its series off the page: the one that has many shall not run again.
    with (
        exporter(
            POLICY.format(max_series=options.series * 2, more=", interval: 1h"), AIRFLOW_OBS_DB_URL=large
        ) as process,
        _frozen(server),
    ):
        yield from _latencies(process, options, "database frozen")
        text = f"while frozen: {process.series():,} series on the page, {process.failing()} collectors failing"
        yield Note(_TABLE, text)


_TABLE = "latency of /metrics"


def _many_files(server: EmbeddedPostgres, files: int) -> str:
    """The URL of a database of the release that stores how long each DAG file took to parse, with so many of them."""
    schema, name = Schema(Kind.POSTGRESQL, RELEASES[DEMO_VERSION]), f"files_{files}"
    server.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
    for part in tables_and_constraints(schema.file.read_text()):
        server.execute(part, name)
    server.execute(_FILES % files, name)
    server.execute("VACUUM (ANALYZE)", name)
    url = server.url(name)
    return AirflowDatabase(schema, url, engine_for(url)).exporter_url


@contextmanager
def _frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop the server's processes where they stand: it keeps its sockets, and answers nothing."""
    postmaster = psutil.Process(server.process_id)
    processes = [postmaster, *postmaster.children()]
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def _latencies(process: ExporterProcess, options: Options, when: str) -> Iterator[Figure]:
    paced = f"{options.scrapers} scrapers, each every {EVERY * 1000:.0f} ms"
    closed = f"{options.scrapers} scrapers, each at once again"
    for path, how, encoding, every in (
        ("/-/healthy", paced, "identity", EVERY),
        ("/metrics", paced, "gzip", EVERY),
        ("/metrics", paced, "identity", EVERY),
        ("/metrics", closed, "gzip", 0.0),
    ):
        busy = process.cpu_seconds
        outcome = _scraped(Load(process.port, path, options.scrapers, options.seconds, every, encoding))
        row = f"{when}: {path} {encoding}, {how}"
        took = outcome.milliseconds
        yield Figure(_TABLE, row, "p50", took[len(took) // 2], "ms")
        yield Figure(_TABLE, row, "p99", took[len(took) * 99 // 100], "ms", _aim(path, every))
        yield Figure(_TABLE, row, "max", took[-1], "ms")
        yield Figure(_TABLE, row, "scrapes", outcome.rate, "/s")
        yield Figure(_TABLE, row, "body", outcome.body_bytes / 1e3, "kB")
        yield Figure(_TABLE, row, "CPU", (process.cpu_seconds - busy) / options.seconds * 100, "%")


def _aim(path: str, every: float) -> str:
    return "< 10" if path == "/metrics" and every else ""


def _scraped(load: Load) -> Outcome:
    """In a process of its own, so that scraping takes nothing from the exporter but the processor."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.scrapers"],
        input=json.dumps(asdict(load)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"bench: the scrapers failed:\n{done.stderr}")
    return Outcome(**json.loads(done.stdout))


def _footprint(process: ExporterProcess, options: Options, page: str) -> Iterator[Figure]:
    """What the process takes while nobody scrapes it, at the collectors' default intervals."""
    table = "the exporter process"
    # A minute holds whole rounds of every collector.
    seconds = 60.0 if options.seconds >= 10 else options.seconds
    busy = process.cpu_seconds
    time.sleep(seconds)
    yield Figure(table, page, "series", process.series())
    yield Figure(table, page, "CPU per minute", (process.cpu_seconds - busy) * 60 / seconds, "s")
    yield Figure(table, page, "RSS", process.rss_megabytes, "MB", "< 120")
    yield Figure(table, page, "peak RSS", process.peak_rss_megabytes, "MB")
