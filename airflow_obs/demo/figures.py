"""The telling figures, read back from the exporter's /metrics: what an observer sees, not what the simulator knows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

from airflow_obs.catalog import metrics
from airflow_obs.model import Metric

SCHEDULERS = 2
LATE_BEAT = 12.0
LONG_QUEUED = 12.0
LONG_SCHEDULED = 60.0
LATE_PARSE = 12.0
OLD_PARSE = 30.0
SLOW_PARSE = 5.0
LONG_IDLE = 5.0
MANY_DEAD = 10_000
MANY_WAITING = 25
MANY_LOST = 10
MANY_VERSIONS = 10
LONG_UNASSIGNED = 5.0
MANY_TRIGGERS = 5
LONG_AWAITED = 3600.0
SHARE_STALE = 0.25
FEW_FAILED = 2
SHARE_OF_TIMEOUT = 0.9
"""Seconds, rows, messages, runs and shares beyond which a figure looks sick in the demo, whose clocks are quicker."""


@dataclass(frozen=True)
class Figure:
    """One line of the screen."""

    name: str
    text: str
    sick: bool = False


class Page:
    """A parsed /metrics page, asked by metric object."""

    def __init__(self, text: str) -> None:
        self._series: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._series.setdefault(sample.name, []).append((dict(sample.labels), sample.value))

    def series(self, metric: Metric, **labels: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of every series of a metric whose labels have these values."""
        return [
            (found, value) for found, value in self._series.get(metric.name, [])
            if all(found.get(name) == wanted for name, wanted in labels.items())
        ]  # fmt: skip

    def values(self, metric: Metric, **labels: str) -> list[float]:
        """The values of those series."""
        return [value for _, value in self.series(metric, **labels)]

    def total(self, metric: Metric, **labels: str) -> float:
        """Their sum; 0 when there are none."""
        return sum(self.values(metric, **labels))


def scrape(url: str, timeout: float = 2.0) -> Page | None:
    """The page at `url` (of the server, without path); None while it does not answer."""
    try:
        response = requests.get(f"{url}/metrics", timeout=timeout)
    except requests.RequestException:
        return None
    if response.status_code != requests.codes.ok:
        return None
    return Page(response.text)


def ready(url: str, timeout: float = 2.0) -> bool:
    """True when the exporter at `url` has run every collector once, so that its page is whole."""
    try:
        return bool(requests.get(f"{url}/-/ready", timeout=timeout).ok)
    except requests.RequestException:
        return False


def figures(page: Page, now: float) -> list[Figure]:
    """The figures of a page read at `now` (Unix seconds), those that look sick marked; no figure without its series."""
    return [*_jobs(page, now), *_tasks(page, now), *_astray(page), *_pools(page), *_parsing(page, now), *_database(page, now),
            *_triggers(page, now), *_awaited(page, now), *_versions(page, now), *_upkeep(page, now), *_broker(page, now),
            *_workers(page), *_collectors(page)]  # fmt: skip


def _jobs(page: Page, now: float) -> Iterator[Figure]:
    beats = page.series(metrics.JOB_HEARTBEAT)
    alive = int(page.total(metrics.JOBS_ALIVE, job_type="SchedulerJob"))
    yield Figure("schedulers alive", f"{alive} of {SCHEDULERS}", alive < SCHEDULERS)
    for labels, moment in sorted(beats, key=lambda beat: (beat[0]["job_type"], beat[0]["hostname"])):
        yield Figure(f"heartbeat {labels['hostname']}", _ago(now - moment), now - moment > LATE_BEAT)


def _tasks(page: Page, now: float) -> Iterator[Figure]:
    counts = {
        state: int(page.total(metrics.TASK_INSTANCES, state=state))
        for state in ("none", "scheduled", "queued", "running", "deferred", "up_for_retry")
    }
    yield Figure("task instances", ", ".join(f"{count} {state}" for state, count in counts.items()))
    for state, limit in (("queued", LONG_QUEUED), ("scheduled", LONG_SCHEDULED)):
        if moments := page.values(metrics.TASK_INSTANCES_OLDEST, state=state):
            yield Figure(f"oldest {state}", _ago(now - min(moments)), now - min(moments) > limit)
    runs = ", ".join(f"{int(page.total(metrics.DAG_RUNS, state=state))} {state}" for state in ("queued", "running"))
    yield Figure("dag runs", runs)
    overdue = int(page.total(metrics.DAGS_OVERDUE))
    yield Figure("DAGs overdue", str(overdue), overdue > 0)


def _astray(page: Page) -> Iterator[Figure]:
    if page.series(metrics.GHOSTS):
        nobodys = {
            "ghosts": page.total(metrics.GHOSTS), "orphans": page.total(metrics.ORPHANS),
            "without heartbeat": page.total(metrics.HEARTBEATS_OVERDUE),
        }  # fmt: skip
        text = ", ".join(f"{count:g} {name}" for name, count in nobodys.items() if count)
        yield Figure("nobody's tasks", text or "none", bool(text))
    if page.series(metrics.DAGS_AT_LIMIT):
        runs = page.total(metrics.DAGS_AT_LIMIT, limit="max_active_runs")
        tasks = page.total(metrics.DAGS_AT_LIMIT, limit="max_active_tasks")
        yield Figure("DAGs at a limit", f"{runs:g} of runs, {tasks:g} of tasks", runs + tasks > 0)
    if page.series(metrics.RUNS_FINISHED):
        failed, ended = page.total(metrics.RUNS_FINISHED, state="failed"), page.total(metrics.RUNS_FINISHED)
        # A healthy company has a run in twenty fail.
        yield Figure("runs since the start", f"{failed:g} of {ended:g} failed", failed > max(FEW_FAILED, ended / 4))
    if events := page.series(metrics.TASK_EVENTS):
        text = ", ".join(f"{count:g} {labels['event']}" for labels, count in sorted(events, key=str) if count)
        yield Figure("scheduler's complaints", text or "none", bool(text))


def _pools(page: Page) -> Iterator[Figure]:
    for labels, open_slots in sorted(page.series(metrics.POOL_OPEN), key=lambda series: series[0]["pool"]):
        pool = labels["pool"]
        waiting = int(page.total(metrics.POOL_SCHEDULED, pool=pool))
        size = page.total(metrics.POOL_SLOTS, pool=pool)
        yield Figure(f"pool {pool}", f"{open_slots:g} of {size:g} open, {waiting} waiting", open_slots <= 0)


def _parsing(page: Page, now: float) -> Iterator[Figure]:
    for name, metric, limit in (
        ("newest parse", metrics.NEWEST_PARSE, LATE_PARSE),
        ("oldest parse", metrics.OLDEST_PARSE, OLD_PARSE),
    ):
        for moment in page.values(metric):
            yield Figure(name, _ago(now - moment), now - moment > limit)
    if durations := page.series(metrics.PARSE_DURATION):
        labels, seconds = max(durations, key=lambda series: series[1])
        yield Figure("slowest DAG file", f"{labels['dag_file']} {seconds:.1f} s", seconds > SLOW_PARSE)
    for errors in page.values(metrics.IMPORT_ERRORS):
        yield Figure("import errors", f"{errors:g}", errors > 0)


def _database(page: Page, now: float) -> Iterator[Figure]:
    idle = [
        now - moment for labels, moment in page.series(metrics.DB_OLDEST_TRANSACTION)
        if labels["state"].startswith("idle in transaction")
    ]  # fmt: skip
    yield Figure("longest idle transaction", f"{max(idle):.0f} s" if idle else "none", max(idle, default=0) > LONG_IDLE)
    if sizes := page.series(metrics.TABLE_SIZE):
        labels, size = max(sizes, key=lambda series: series[1])
        yield Figure("biggest table", f"{labels['table']} {size / 2**20:.1f} MiB")
    if dead := page.series(metrics.TABLE_DEAD_ROWS):
        labels, rows = max(dead, key=lambda series: series[1])
        yield Figure("most dead rows", f"{labels['table']} {rows:,.0f}", rows > MANY_DEAD)


def _triggers(page: Page, now: float) -> Iterator[Figure]:
    if page.series(metrics.TRIGGERS_STRANDED):
        ages = [now - moment for moment in page.values(metrics.TRIGGERS_OLDEST)]
        stranded = [now - moment for moment in page.values(metrics.TRIGGERS_STRANDED_OLDEST)]
        waiting = page.total(metrics.TRIGGERS)
        text = f"{waiting:g}" + (f", the oldest for {max(ages):.0f} s" if ages else "")
        if page.total(metrics.TRIGGERS_STRANDED):
            text += f"; {page.total(metrics.TRIGGERS_STRANDED):g} run by nobody"
        overdue = page.total(metrics.DEFERRED_OVERDUE)
        if overdue:
            text += f"; {overdue:g} past their timeout"
        sick = waiting > MANY_TRIGGERS or max(stranded, default=0) > LONG_UNASSIGNED or overdue > 0
        yield Figure("triggers", text, sick)


def _awaited(page: Page, now: float) -> Iterator[Figure]:
    for waiting in page.values(metrics.ASSETS_QUEUED, dag_state="active"):
        ages = [now - moment for moment in page.values(metrics.ASSETS_QUEUED_OLDEST, dag_state="active")]
        text = f"{waiting:g} wait for others" + (f", the oldest for {max(ages) / 3600:.0f} hours" if ages else "")
        yield Figure("asset updates", text, max(ages, default=0) > LONG_AWAITED)
    for missed in page.values(metrics.DEADLINES_MISSED):
        callbacks = page.total(metrics.CALLBACKS_WAITING)
        yield Figure("deadlines", f"{missed:g} missed, {callbacks:g} callbacks waiting", missed + callbacks > 0)


def _versions(page: Page, now: float) -> Iterator[Figure]:
    if page.series(metrics.DAGS):
        counts = {state: page.total(metrics.DAGS, state=state) for state in ("active", "paused", "stale")}
        text = ", ".join(f"{count:g} {state}" for state, count in counts.items())
        yield Figure("DAGs", text, counts["stale"] > SHARE_STALE * sum(counts.values()))
    for labels, moment in page.series(metrics.BUNDLE_REFRESHED):
        yield Figure(f"bundle {labels['bundle']}", f"refreshed {_ago(now - moment)}", now - moment > LATE_PARSE)
    for made in page.values(metrics.DAG_VERSIONS):
        text = f"{made:g} in a day, of one DAG up to {page.total(metrics.DAG_VERSIONS_MAX):g}"
        yield Figure("DAG versions", text, made > MANY_VERSIONS)


def _upkeep(page: Page, now: float) -> Iterator[Figure]:
    for deadlocks in page.values(metrics.DB_DEADLOCKS):
        yield Figure("deadlocks", f"{deadlocks:g}", deadlocks > 0)
    for prepared in page.values(metrics.DB_PREPARED):
        age = max(page.values(metrics.DB_XMIN_AGE), default=0)
        text = f"{prepared:g} prepared transactions, the oldest snapshot {age:g} transactions ago"
        yield Figure("vacuum", text, prepared > 0)
    if due := page.series(metrics.CLEAN_UP_DUE):
        labels, moment = min(due, key=lambda series: series[1])
        text = f"{labels['table']} overdue for {(now - moment) / 86400:.0f} days" if moment < now else "nothing overdue"
        yield Figure("clean-up", text, moment < now)
    if page.series(metrics.CLEAN_UP_UNDATED):
        rows = page.total(metrics.CLEAN_UP_UNDATED)
        yield Figure("rows never cleaned up", f"{rows:g}", rows > 0)


def _broker(page: Page, now: float) -> Iterator[Figure]:
    for used in page.values(metrics.BROKER_MEMORY):
        limit = page.total(metrics.BROKER_MEMORY_MAX)
        of = "" if math.isinf(limit) else f" of {limit / 2**20:.1f}"
        evicted = page.total(metrics.BROKER_EVICTED)
        yield Figure("broker", f"{used / 2**20:.1f}{of} MiB, {evicted:,.0f} keys evicted", evicted > 0)
    for moment in page.values(metrics.BROKER_STARTED):
        yield Figure("broker started", _ago(now - moment))
    for labels, waiting in sorted(page.series(metrics.BROKER_MESSAGES), key=lambda series: series[0]["queue"]):
        queue = labels["queue"]
        workers = page.values(metrics.QUEUE_WORKERS, queue=queue)
        text = f"{waiting:g} waiting" + "".join(f", {count:g} workers" for count in workers)
        yield Figure(f"queue {queue}", text, waiting > MANY_WAITING or 0 in workers)
    for held in page.values(metrics.BROKER_UNACKED):
        ages = [now - moment for moment in page.values(metrics.BROKER_UNACKED_OLDEST)]
        timeout = page.total(metrics.BROKER_VISIBILITY_TIMEOUT)
        text = f"{held:g} held" + (f", the oldest for {max(ages):,.0f} of {timeout:,.0f} s" if ages else "")
        yield Figure("unacked messages", text, max(ages, default=0) > SHARE_OF_TIMEOUT * timeout)
        lost = page.total(metrics.CELERY_TASK_INSTANCES) - held - page.total(metrics.BROKER_MESSAGES)
        # The database and the broker are read up to some seconds apart, in which tasks begin and end.
        yield Figure("tasks without message", f"{lost:g}" if lost > MANY_LOST else "none", lost > MANY_LOST)


def _workers(page: Page) -> Iterator[Figure]:
    for labels, up in sorted(page.series(metrics.WORKER_UP), key=lambda series: series[0]["worker"]):
        worker = labels["worker"]
        queues = sorted(labels["queue"] for labels, _ in page.series(metrics.WORKER_SUBSCRIBED, worker=worker))
        active, size = (
            page.total(metric, worker=worker) for metric in (metrics.WORKER_ACTIVE, metrics.WORKER_POOL_SIZE)
        )
        text = f"{active:g} of {size:g} busy, takes from {', '.join(queues) or 'no queue'}" if up else "down"
        yield Figure(f"worker {worker}", text, not (up and queues))


def _collectors(page: Page) -> Iterator[Figure]:
    results = page.series(metrics.COLLECTOR_SUCCESS)
    failing = sorted(labels["collector"] for labels, value in results if value != 1)
    text = f"{len(results) - len(failing)} of {len(results)} well"
    yield Figure("collectors", f"{text}; not: {', '.join(failing)}" if failing else text, bool(failing))


def _ago(seconds: float) -> str:
    return f"{max(seconds, 0):.0f} s ago"
