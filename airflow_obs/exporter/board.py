"""Holds the newest run of every collector and the page made of them."""

from __future__ import annotations

import gzip
import logging
import platform
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import ProcessCollector

from airflow_obs import __version__
from airflow_obs.catalog import metrics
from airflow_obs.errors import redact
from airflow_obs.exporter.exposition import Page, render
from airflow_obs.exporter.scrape import Job, Run
from airflow_obs.model import Foreign, Kind, Reading, Sample

log = logging.getLogger(__name__)


_SHARED = {metric.name: metric.collector for metric in metrics.ALL if metric.also}
"""The families that two collectors could feed, and the one that each belongs to."""


@dataclass(frozen=True)
class Status:
    """How one collector is doing. Moments are Unix seconds; `newest` and `last_success` None before the first."""

    job: Job
    newest: Run | None
    last_success: float | None
    failures: int
    late: bool

    @property
    def succeeding(self) -> bool:
        return self.newest is not None and self.newest.succeeded and not self.late


@dataclass(frozen=True)
class Part:
    """What one collector has on the page, and of it what lasts: `lasting` is rendered only if it fails, for few do."""

    page: Page = field(default_factory=Page)
    readings: Sequence[Reading] = ()
    lasting: Sequence[Reading] = ()


@dataclass(frozen=True)
class Snapshot:
    """The page as it is sent, plain and gzipped in both formats, and how every collector was doing when it was made.

    `readings` is what the page was made of, in its order; the first of them, which are the first `own_bytes` of `text`, are those
    of this process itself.
    `made` in Unix seconds.
    """

    deployment: str
    made: float
    statuses: tuple[Status, ...]
    readings: tuple[Sequence[Reading], ...]
    text: bytes
    openmetrics: bytes
    text_gzip: bytes
    openmetrics_gzip: bytes
    own_bytes: int = 0

    @property
    def of_airflow(self) -> bytes:
        """The page in the Prometheus text format, without the process_… families, which every program has of its own."""
        return self.text[self.own_bytes :]

    @property
    def readings_of_airflow(self) -> tuple[Sequence[Reading], ...]:
        """What that was made of."""
        return self.readings[1:]

    @property
    def ready(self) -> bool:
        """Whether every collector has been attempted once, whatever came of it."""
        return all(status.newest for status in self.statuses)


class Board:
    """Takes runs from the workers; gives the snapshot to the server. Safe to use from any thread.

    `accounts` are asked for what else is to be said of the exporter itself, whenever a page is made. Only the part of the page
    whose collector ran is rendered again. A collector that fails, or is late, loses its gauges and keeps its counters and
    histograms, which are true until it knows more. `clock` gives seconds that never go back.
    """

    def __init__(
        self,
        deployment: str,
        jobs: Sequence[Job],
        clock: Callable[[], float] = time.monotonic,
        *,
        accounts: Callable[[], Iterable[Reading]] = tuple,
        show_versions: bool = True,
    ) -> None:
        self._clock = clock
        self._accounts = accounts
        self._versions = (__version__, platform.python_version()) if show_versions else ("", "")
        self._deployment = deployment
        self._jobs = {job.name: job for job in jobs}
        self._lock = threading.Lock()
        self._newest: dict[str, Run] = {}
        self._last_success: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._claimed: frozenset[str] = frozenset()
        """Families that two collectors could feed, and that the one they belong to has fed: they are its own from then on."""
        self._dropped_shown: Counter[str] | None = None
        self._dropped_part = Part()
        self._parts: dict[str, Part] = {}
        self._finished: dict[str, float] = dict.fromkeys(self._jobs, clock())
        self._late: frozenset[str] = frozenset()
        self._said: dict[str, str] = {}
        self._untold: set[str] = set()
        """Whose failure was only logged for debugging."""
        self._process = ProcessCollector(registry=None)
        self._patience = patience(jobs)
        self._snapshot = self._published()

    @property
    def snapshot(self) -> Snapshot:
        """The newest page. Never waits."""
        return self._snapshot

    def replace(self, deployment: str, jobs: Sequence[Job]) -> None:
        """Go on with these collectors, under this name: of those that stay, all that is known stays."""
        with self._lock:
            renamed, self._deployment = deployment != self._deployment, deployment
            self._jobs = {job.name: job for job in jobs}
            self._patience = patience(jobs)
            self._finished = dict.fromkeys(self._jobs, self._clock())
            self._late = frozenset()
            self._claimed = frozenset(family for family in self._claimed if _SHARED[family] in self._jobs)
            for known in (self._newest, self._last_success, self._failures, self._parts):
                for name in known.keys() - self._jobs.keys():
                    del known[name]
            if renamed:
                self._parts = {name: self._part(part.readings, part.lasting) for name, part in self._parts.items()}
            self._dropped_shown = None
            self._snapshot = self._published()

    def publish(self) -> None:
        """Make the page anew, since there is news of the exporter itself."""
        with self._lock:
            self._snapshot = self._published()

    def record(self, *runs: Run) -> None:
        """Take the outcome of runs, and publish. Those of collectors that are no longer there are nobody's."""
        succeeded = {run.collector: run for run in runs if run.succeeded}
        claims = frozenset(
            family for run in succeeded.values() for family in _shared(run) if _SHARED[family] == run.collector
        )
        claimed, deployment = self._claimed | claims, self._deployment
        parts = {name: self._read(run, claimed) for name, run in succeeded.items()}
        with self._lock:
            runs = tuple(run for run in runs if run.collector in self._jobs)
            claims = frozenset(family for family in claims if _SHARED[family] in self._jobs)
            if self._claimed | claims != claimed or deployment != self._deployment:  # meanwhile it has changed
                parts = {name: self._read(run, self._claimed | claims) for name, run in succeeded.items()}
            new, self._claimed = claims - self._claimed, self._claimed | claims
            for name, run in self._newest.items():
                if name not in succeeded and run.succeeded and name not in self._late and new & _shared(run):
                    parts[name] = self._read(run, self._claimed)
            self._parts |= {name: part for name, part in parts.items() if name in self._jobs}
            self._parts |= {run.collector: self._of_before(run.collector) for run in runs if not run.succeeded}
            for run in runs:
                self._log(run)
                self._newest[run.collector] = run
                self._finished[run.collector] = self._clock()
                self._failures[run.collector] += not run.succeeded
                self._dropped += run.dropped
                if run.succeeded:
                    self._last_success[run.collector] = run.started + run.duration
            self._late -= {run.collector for run in runs}
            self._snapshot = self._published()

    def look_for_late(self) -> None:
        """Take the samples of collectors that have not finished for too long off the page. To be called now and then."""
        with self._lock:
            now = self._clock()
            late = frozenset(name for name, finished in self._finished.items() if now - finished > self._patience[name])
            if late == self._late:
                return
            for name in sorted(late - self._late):
                log.warning("collector %s: late: no run has finished for %.0fs", name, now - self._finished[name])
                self._said[f"collector {name}"] = "late"
                self._untold.discard(f"collector {name}")
                self._parts[name] = self._of_before(name)
            self._late = late
            self._snapshot = self._published()

    def _read(self, run: Run, claimed: frozenset[str]) -> Part:
        """What the run read, without what has become another collector's."""
        shown = [one for one in run.readings if one.metric.collector == run.collector or one.metric.name not in claimed]
        return self._part(shown, [reading for reading in shown if reading.metric.cumulates])

    def _of_before(self, collector: str) -> Part:
        """What still holds of a collector that knows nothing new: its counters and histograms."""
        lasting = self._parts.get(collector, Part()).lasting
        return self._part(lasting, lasting)

    def _part(self, readings: Sequence[Reading], lasting: Sequence[Reading]) -> Part:
        return Part(render(readings, self._deployment), readings, lasting)

    def _log(self, run: Run) -> None:
        """Say what changed, once: a source that is down is one line, not one for each of its collectors."""
        source, collector = f"source {run.source}", f"collector {run.collector}"
        who = source if run.source_up is False else collector
        if run.error and self._said.get(who) != run.error:
            # What several collectors meet alike, as in a database that is not Airflow's, is worth one line too.
            known = run.error in self._said.values()
            log.log(logging.DEBUG if known else logging.WARNING, "%s: failed: %s", who, run.error)
            if run.bug:
                log.error("%s: this is a bug of the exporter, please report it: %s", who, redact(run.bug))
            self._said[who] = run.error
            (self._untold.add if known else self._untold.discard)(who)
        # A source that answers is up again, even if all it says is no.
        well = [source] * (run.source_up is True) + [collector] * run.succeeded
        for recovered in filter(self._said.__contains__, well):
            del self._said[recovered]
            log.log(logging.DEBUG if recovered in self._untold else logging.INFO, "%s: recovered", recovered)
        for family, count in run.dropped.items():
            if family not in self._dropped:
                log.warning("collector %s: %d series of %s dropped: more than max_series", run.collector, count, family)

    def _statuses(self) -> Iterator[Status]:
        for name, job in self._jobs.items():
            yield Status(
                job, self._newest.get(name), self._last_success.get(name), self._failures[name], name in self._late
            )

    def _own(self, statuses: Sequence[Status]) -> Iterator[Reading]:
        version, python = self._versions
        yield metrics.BUILD_INFO.sample(1, version=version, python=python)
        for status in statuses:
            name = status.job.name
            yield metrics.COLLECTOR_SUCCESS.sample(status.succeeding, collector=name)
            yield metrics.COLLECTOR_LAST_SUCCESS.sample(status.last_success or 0, collector=name)
            yield metrics.COLLECTOR_FAILURES.sample(status.failures, collector=name)
            yield metrics.COLLECTOR_DURATION.sample(status.newest.duration if status.newest else 0, collector=name)
        for source, up in _sources_up(statuses).items():
            yield metrics.SOURCE_UP.sample(up, source=source)
        for run in [status.newest for status in statuses if status.newest and status.succeeding]:
            for family in sorted(_shared(run)):
                if _SHARED[family] == run.collector or family not in self._claimed:
                    yield metrics.FAMILY_SOURCE.sample(1, family=family, source=run.source)
        yield from self._accounts()

    def _of_dropped(self) -> Part:
        """A line for every family; rendered again only when one has changed, since this is half of what is said of ourselves."""
        if self._dropped_shown != self._dropped:
            families = sorted(
                one.name for one in metrics.ALL if one.labels and {one.collector, one.also} & self._jobs.keys()
            )
            samples = [metrics.SERIES_DROPPED.sample(self._dropped[family], family=family) for family in families]
            self._dropped_part, self._dropped_shown = self._part(samples, ()), self._dropped.copy()
        return self._dropped_part

    def _published(self) -> Snapshot:
        statuses = tuple(self._statuses())
        process = self._part(list(_of_process(self._process)), ())
        own = self._part(list(self._own(statuses)), ())
        parts = [process, own, self._of_dropped(), *(self._parts[name] for name in self._jobs if name in self._parts)]
        page = Page.joined([part.page for part in parts])
        return Snapshot(
            self._deployment, time.time(), statuses, tuple(part.readings for part in parts), page.text, page.openmetrics,
            gzip.compress(page.text, 1), gzip.compress(page.openmetrics, 1), len(process.page.text),
        )  # fmt: skip


def _of_process(collector: ProcessCollector) -> Iterator[Reading]:
    """CPU time, memory and open files of this process, by the names that every client library of Prometheus gives them."""
    for family in collector.collect():
        for sample in family.samples:
            kind = Kind.COUNTER if family.type == "counter" else Kind.GAUGE
            yield Sample(Foreign(sample.name, kind, family.documentation), (), sample.value)


def patience(jobs: Sequence[Job]) -> dict[str, float]:
    """After how many seconds without a run each collector is late."""
    return {
        # A worker runs its collectors in turn, so each may have to wait for all the others.
        job.name: job.policy.interval + sum(other.policy.timeout + 1 for other in jobs if other.source is job.source)
        for job in jobs
    }


def _shared(run: Run) -> frozenset[str]:
    """The families among what it read that another collector could feed, too."""
    return run.families & _SHARED.keys()


def _sources_up(statuses: Sequence[Status]) -> Mapping[str, bool]:
    """Whether each source answered the newest run that asked it; a source with late collectors is not up."""
    up: dict[str, tuple[float, bool]] = {}
    for status in statuses:
        if (run := status.newest) is None or run.source_up is None:
            continue
        newest, _ = up.get(run.source, (0.0, False))
        if run.started >= newest:
            up[run.source] = run.started, run.source_up and not status.late
    return {source: answer for source, (_, answer) in up.items()}
