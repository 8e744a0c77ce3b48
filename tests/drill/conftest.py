"""Fixtures for the drill: the rules, made as a user makes them, one Prometheus with them, and the deployments before it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_obs.demo import postgres
from airflow_obs.demo.keeper import Keeper
from tests.drill.drill import SIDE_BY_SIDE, Drill
from tests.drill.policy import DEPLOYMENTS, drill_policy
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
    chosen = [item.callspec.params["expected"] for item in request.session.items if hasattr(item, "callspec")]
    side_by_side: int = request.config.getoption("--side-by-side")
    began, before = time.monotonic(), os.times()
    with Keeper() as keeper:
        prometheus = Prometheus(keeper, rules(tmp_path_factory.mktemp("drill")))
        drill = Drill(postgres.make_original(keeper), prometheus, chosen, side_by_side)
        try:
            yield drill
        finally:
            drill.close()
    wall, after = time.monotonic() - began, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    report.append(f"{len(chosen)} faults, {side_by_side} at a time: {wall:.0f} s, {cpu:.0f} s of CPU")


def rules(folder: Path) -> Path:
    """The folder of the rule files that `airflow-obs gen-rules` makes: their names begin with that of a deployment and a dot."""
    (folder / "drill.yaml").write_text(drill_policy(*DEPLOYMENTS))
    arguments = ["gen-rules", "--policy", "drill.yaml", "--out", ".", "--format", "prometheus"]
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "prometheus"
