"""Fixtures for the drill: the rules, made as a user makes them, one Prometheus with them, and the deployments before it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from airflow_obs.demo import postgres
from airflow_obs.demo.keeper import Keeper
from tests.alertmanager_server import Sink, alertmanager
from tests.drill.drill import SIDE_BY_SIDE, Drill
from tests.drill.pager import Pager
from tests.drill.policy import DEPLOYMENTS, drill_policy, routed
from tests.drill.prometheus import Prometheus
from tests.exporter_process import COMMAND, environment

PATIENCE = 120.0
"""Seconds that the rules of three dozen deployments, and their tests, may take."""

REPORT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--side-by-side", type=int, default=SIDE_BY_SIDE, help="Deployments with faults at a time (default: %(default)s)."
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = []
    # Ended from outside (a time limit of CI), the fixtures still have to end what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("drill: seconds from the fault to the alert")
    for line in config.stash[REPORT]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> list[str]:
    """Lines for the end."""
    return request.config.stash[REPORT]


@pytest.fixture(scope="session")
def drill(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, report: list[str]
) -> Iterator[Drill]:
    """The faults that are tested, all under way."""
    every = [item.callspec.params["expected"] for item in request.session.items if hasattr(item, "callspec")]
    chosen = list({one.fault: one for one in every}.values())
    side_by_side: int = request.config.getoption("--side-by-side")
    began, before = time.monotonic(), os.times()
    folder = tmp_path_factory.mktemp("drill")
    with ExitStack() as stack:
        keeper, sink = stack.enter_context(Keeper()), stack.enter_context(Sink())
        generate(folder, sink.url)
        routes = (folder / "alertmanager" / "alertmanager.yml").read_text()
        server = stack.enter_context(alertmanager(tmp_path_factory.mktemp("alertmanager"), routes))
        prometheus = Prometheus(keeper, folder / "prometheus", server.address)
        drill = Drill(postgres.make_original(keeper), prometheus, Pager(server, sink), chosen, side_by_side)
        try:
            yield drill
        finally:
            drill.close()
    wall, after = time.monotonic() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    report.append(f"{len(chosen)} faults, {side_by_side} at a time: {wall:.0f} s, {cpu:.0f} s of CPU")


def generate(folder: Path, sink: str) -> None:
    """What `airflow-obs gen-rules` makes in `folder`: rules and routes to receivers below `sink`."""
    (folder / "drill.yaml").write_text(routed(drill_policy(*DEPLOYMENTS), sink))
    arguments = ["gen-rules", "--policy", "drill.yaml", "--out", "."]
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
