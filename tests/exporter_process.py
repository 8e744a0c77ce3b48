"""The command airflow-obs as a user runs it: a process with an environment of its own, and what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

from airflow_obs.catalog import metrics
from tests.airflow_schemas import ROOT
from tests.eventually import DEADLINE, eventually
from tests.exporter.pages import Page

COMMAND = (sys.executable, "-m", "airflow_obs")
OF_THE_DATABASE = (
    "jobs", "task_instances", "dag_runs", "dag_processing", "pools", "outcomes", "dags", "task_events",
    "stuck_tasks", "starvation", "triggers", "assets", "deadlines", "bundles", "slos",
    "locks", "vacuum", "replication", "clean_up", "database", "tables",
)  # fmt: skip
COLLECTORS = (*OF_THE_DATABASE, "health", "broker", "workers")
IN_PASSING = 3
"""Files (or threads) that come and go; a leak of one per failure is more after a few rounds."""
QUICK = "collectors:\n" + "".join(f"  {name}: {{interval: 1s, timeout: 1s}}\n" for name in COLLECTORS)
"""A policy under which a test need not wait long; the rest of it is the default."""


def quick(**others: str) -> str:
    """As QUICK, for tests of a broker: the named collectors have this interval and timeout, those of the database another one.

    Of these one wants to know that they go on meanwhile, and a round of all takes a quarter of a second of a core.
    """
    seconds = dict.fromkeys(COLLECTORS, "1s") | dict.fromkeys(OF_THE_DATABASE, "2s") | others
    return "collectors:\n" + "".join(f"  {name}: {{interval: {of}, timeout: {of}}}\n" for name, of in seconds.items())


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Nothing of ours but the way to Python: `folder` is the home, and no Airflow is in it unless a test puts one there."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", **variables}


def airflow_obs(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in `folder`, with these variables in its environment."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


@dataclass
class Exporter:
    """A running `airflow-obs exporter`."""

    process: subprocess.Popen[bytes]
    folder: Path
    port: int = 0
    pages: list[str] = field(default_factory=list)
    """Every answer that was read from it."""

    @property
    def log(self) -> str:
        """What it wrote to stderr so far."""
        return (self.folder / "stderr").read_text()

    @property
    def everything_said(self) -> str:
        """Its stdout, its stderr and every answer that was read from it."""
        return "\n".join([(self.folder / "stdout").read_text(), self.log, *self.pages])

    def get(self, path: str = "/metrics") -> requests.Response:
        """An answer, kept."""
        answer = requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=DEADLINE)
        self.pages.append(answer.text)
        return answer

    def get_openmetrics(self) -> str:
        """The metrics, in OpenMetrics."""
        headers = {"Accept": "application/openmetrics-text;version=1.0.0"}
        return requests.get(f"http://127.0.0.1:{self.port}/metrics", timeout=DEADLINE, headers=headers).text

    def page(self) -> Page:
        """The metrics; AssertionError unless they are answered with 200."""
        answer = self.get()
        assert answer.status_code == 200
        return Page(answer.text)

    def until(self, happened: Callable[[Page], bool], what: str) -> Page:
        """Poll /metrics, which must answer 200 every time, until that is so; returns that page."""

        def ask() -> Page | None:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log[-2000:]}"
            page = self.page()
            return page if happened(page) else None

        try:
            found = eventually(ask, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; failing: {failing_of(Page(self.pages[-1]))}\n{self.log[-3000:]}") from None
        assert found is not None
        return found

    def until_well(self, *names: str) -> Page:
        """Poll until these collectors (those of the database, for none) succeed."""
        wanted = set(names or OF_THE_DATABASE)
        return self.until(lambda page: not wanted & failing_of(page), f"{wanted} succeed")

    def until_down(self, *names: str) -> Page:
        """Poll until these collectors (those of the database, for none) have been tried and fail."""
        wanted = set(names or OF_THE_DATABASE)
        return self.until(lambda page: wanted <= failing_of(page) - untried_in(page), f"{wanted} fail")

    def until_exactly_down(self, *names: str) -> Page:
        """Poll until these collectors fail and all others of the database succeed."""
        wanted = set(names)
        return self.until(
            lambda page: not untried_in(page) and failing_of(page) & set(OF_THE_DATABASE) == wanted,
            f"exactly {wanted} fail",
        )

    def until_tried_again(self, collector: str, times: int = 2) -> Page:
        """Poll until the collector has failed so many times more."""
        before = self.page().value(metrics.COLLECTOR_FAILURES.name, collector=collector)
        return self.until(
            lambda page: page.value(metrics.COLLECTOR_FAILURES.name, collector=collector) >= before + times,
            f"{collector} is tried {times} times more",
        )

    def until_collected_again(self, collector: str) -> Page:
        """Poll until the collector has succeeded once more."""
        moment = metrics.COLLECTOR_LAST_SUCCESS.name
        before = self.page().value(moment, collector=collector)
        return self.until(lambda page: page.value(moment, collector=collector) > before, f"{collector} succeeds again")

    def until_said(self, text: str) -> None:
        """Poll the log for that text."""
        eventually(lambda: text in self.log, f"the log says {text!r}: {self.log[-2000:]}")

    def leaked_since(self, before: tuple[int, int]) -> bool:
        """Whether it holds more than then, beyond what a connection under way or a request being answered takes."""
        return any(now > then + IN_PASSING for now, then in zip(self.held(), before, strict=True))

    def held(self) -> tuple[int, int]:
        """How many threads and open files it has."""
        process = psutil.Process(self.process.pid)
        return process.num_threads(), process.num_fds()

    def stop(self, within: float = DEADLINE) -> int:
        """SIGTERM; its exit code. Raises subprocess.TimeoutExpired if it takes longer than so many seconds."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


def failing_of(page: Page) -> set[str]:
    """The collectors that do not succeed, if only because they have not been tried."""
    return {name for name in COLLECTORS if page.values(metrics.COLLECTOR_SUCCESS.name, collector=name) == [0]}


def untried_in(page: Page) -> set[str]:
    """The collectors that have neither failed nor succeeded yet."""
    ended = (metrics.COLLECTOR_FAILURES.name, metrics.COLLECTOR_LAST_SUCCESS.name)
    there = {name for name in COLLECTORS if page.values(metrics.COLLECTOR_SUCCESS.name, collector=name)}
    return {name for name in there if not any(page.value(metric, collector=name) for metric in ended)}


@contextmanager
def started(
    folder: Path, *flags: str, variables: Mapping[str, str] | None = None, before: tuple[str, ...] = ()
) -> Iterator[Exporter]:
    """A running exporter on a free port, its command led by the words of `before`; stopped at the end."""
    command = [*before, *COMMAND, "exporter", "--web.listen-address", "127.0.0.1:0", *flags]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder, **(variables or {})), stdout=out, stderr=err
        )
    running = Exporter(process, folder)
    try:

        def serving() -> re.Match[str] | None:
            assert process.poll() is None, f"it ended with {process.returncode}: {running.log}"
            return re.search(r"serving \S+ on https?://127\.0\.0\.1:(\d+)/metrics", running.log)

        found = eventually(serving, "the exporter serves")
        assert found is not None
        running.port = int(found[1])
        yield running
        if process.poll() is None:
            assert running.stop() == 0
        assert "Traceback" not in running.log
    finally:
        process.kill()
        process.wait()


@contextmanager
def exporter(
    folder: Path, variables: Mapping[str, str], policy: str = QUICK, secrets: tuple[str, ...] = ()
) -> Iterator[Exporter]:
    """As `started`, with a policy; none of `secrets` may have been said anywhere."""
    (folder / "policy.yaml").write_text(policy)
    with started(folder, "--policy", "policy.yaml", variables=variables) as running:
        yield running
        if running.process.poll() is None:
            running.get("/")
    for secret in secrets:
        assert secret not in running.everything_said
