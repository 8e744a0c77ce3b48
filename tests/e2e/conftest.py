"""Fixtures for the end-to-end tests: one whole stack per release, all releases one after the other."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from xdist.scheduler import LoadScopeScheduling

from airflow_obs.sources import control_broker, redis
from tests.airflow_install import InstallError, installed_airflow
from tests.airflow_releases import RELEASES, AirflowRelease
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.airflow_stack import EXTRAS, AirflowStack
from tests.e2e.airflow_workers import ALONE, WORKERS
from tests.e2e.monitoring import Exporter, Prometheus, everything
from tests.e2e.processes import Program, Programs, free_port
from tests.e2e.steps import Steps
from tests.embedded_postgres import EmbeddedPostgres, embedded_postgres
from tests.redis_server import RedisServer, debians, redis_server
from tests.tools import lacking

STEPS = pytest.StashKey[Steps]()
WHOLLY = ("2.10.5", "3.3.2")
"""Every test is run on these."""
VERSIONS = ("2.10.5", "3.0.2", "3.1.8", "3.3.2")
"""On the others only the modules that do not say `VERSIONS = WHOLLY`: Celery is the same beside them, and they have one worker."""
PASSWORD = "never/shown@all%"
"""The server trusts whoever comes through its socket; this shows that nothing trips over it, and nothing shows it."""


@dataclass(frozen=True)
class World:
    """An Airflow with work to do, the exporter that reads it and the Prometheus that scrapes the exporter.

    `workers` by their full node names. At `relay_port` nobody listens, unless a test does; the exporter sends there, too, what
    Airflow sends it over StatsD.
    """

    airflow: AirflowStack
    workers: dict[str, Program]
    api: AirflowApi
    postgres: EmbeddedPostgres
    redis: RedisServer
    exporter: Exporter
    relay_port: int
    prometheus: Prometheus

    @property
    def release(self) -> AirflowRelease:
        """Which Airflow it is."""
        return self.airflow.release


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STEPS] = Steps()
    # Ended from outside (a time limit of CI), the fixtures still have to end what they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("steps")
    for name, seconds in config.stash[STEPS].taken:
        terminalreporter.write_line(f"{seconds:7.1f}s  {name}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """By release, and last of a release come the tests that leave a dead Airflow behind."""
    ours = [item for item in items if isinstance(item, pytest.Function) and "world" in item.fixturenames]
    ours.sort(key=lambda item: (VERSIONS.index(item.callspec.params["world"]), "test_outages" in item.path.name))
    items[:] = [*(item for item in items if item not in ours), *ours]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of a process of xdist's: hand the steps to the one that reports."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["steps"] = session.config.stash[STEPS].taken


class ByRelease(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives all tests of a release to one process of xdist's, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.rpartition("[")[2]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByRelease:
    return ByRelease(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of xdist's processes has ended: its steps are ours."""
    node.config.stash[STEPS].taken += map(tuple, getattr(node, "workeroutput", {}).get("steps", []))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with item.config.stash[STEPS].step(item.name):
        yield


def installation(version: str) -> Path:
    """The virtual environment of this release, which is installed if need be."""
    try:
        return installed_airflow(RELEASES[version], *EXTRAS)
    except InstallError as error:
        lacking(str(error))


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack of the release in the parameter, with a run of every DAG begun and one more waiting behind it."""
    for tool in ("prometheus", "promtool"):
        if not shutil.which(tool):
            lacking(f"{tool} is not installed: run tests/install-tools.sh as root")
    version: str = request.param
    steps = request.config.stash[STEPS]
    with steps.step(f"{version} install"):
        environment = installation(version)
    programs = Programs(tmp_path_factory.mktemp(f"airflow-{version}-", numbered=True))
    with embedded_postgres() as postgres, _broker(version) as broker, _ended(programs, steps, version):
        postgres.execute("CREATE DATABASE airflow")
        user = f"postgres:{quote(PASSWORD, safe='')}"
        url = postgres.url("airflow", driver="psycopg2").replace("postgres:@", f"{user}@")
        airflow = AirflowStack(
            RELEASES[version], environment, programs.folder / "home", url, broker.url(), broker.url(database=1),
            free_port(), free_port(socket.SOCK_DGRAM), programs,
        )  # fmt: skip
        with steps.step(f"{version} migrate"):
            airflow.migrate()
        with steps.step(f"{version} start"):
            kinds = WORKERS if version in WHOLLY else (ALONE,)
            workers = {worker.name: worker.start(airflow) for worker in kinds}
            airflow.start()
            relay_port = free_port(socket.SOCK_DGRAM)
            own = {"AIRFLOW_OBS_BROKER_URL": broker.exporter_url}
            deployment = everything(version, airflow.statsd_port, relay_port)
            exporter = Exporter(programs, deployment, {**airflow.environment, **own})
            prometheus = Prometheus(programs, exporter.address)
        api = AirflowApi(airflow.url, airflow.release.major)
        try:
            with steps.step(f"{version} bring to rest"):
                api.create_pool("one_slot", 1, include_deferred=False)
                api.create_pool("with_deferred", 3, include_deferred=True)
                airflow.scheduler.wait_until("done with all it can do", lambda: _at_rest(api))
                api.trigger("queues_up")
            yield World(airflow, workers, api, postgres, broker, exporter, relay_port, prometheus)
        finally:
            api.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "world" in metafunc.fixturenames:
        versions = getattr(metafunc.module, "VERSIONS", VERSIONS)
        metafunc.parametrize("world", versions, indirect=True, scope="session")


@contextmanager
def _broker(version: str) -> Iterator[RedisServer]:
    """A Redis that lets the exporter do exactly what the README grants: 6 beside the older Airflow, 7 beside the newer."""
    older = version == VERSIONS[0]
    with redis_server(program="" if older else debians()) as server:
        control = [word for word in control_broker.GRANTS.split() if not (older and word.startswith("~"))]
        keys = "~*" if older else "%R~*"
        server.grant(f"resetchannels {redis.GRANTS} resetkeys {keys} {' '.join(control)}")
        yield server


@contextmanager
def _ended(programs: Programs, steps: Steps, version: str) -> Iterator[None]:
    try:
        yield
    finally:
        with steps.step(f"{version} end"):
            programs.end()
    left = [process.cmdline() for process in programs.survivors()]
    assert not left, f"airflow {version} left processes behind: {left}"


def _at_rest(api: AirflowApi) -> bool:
    """Everything that can finish has finished, and what is left waits for the pool's slot or for the triggerer."""
    states = {(state, pool) for state, _, pool in api.unfinished_tasks()}
    return (
        api.run_states("succeeds") == {"success"}
        and api.run_states("fails") == {"failed"}
        and states == {("running", "one_slot"), ("scheduled", "one_slot"), ("deferred", "with_deferred")}
        and api.import_errors() == 1
    )
