"""Starts the exporter as a process of its own, as any user would, against the demo's database and broker."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass

from airflow_obs.demo.keeper import Keeper, our_environment
from airflow_obs.demo.postgres import WATCHER
from airflow_obs.demo.simulation import Simulation
from airflow_obs.errors import AirflowObsError, UsageError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 10912
PORTS = 20
"""How many ports from the default on are tried."""

NAME = "exporter"

POLICY = """\
# Everything sooner than one would have it in production, so that a fault is seen within seconds.
deployments:
  - name: demo
    airflow: {executor: CeleryExecutor}
    replicas: {scheduler: 2}
    sources: {database: {}, broker: {}}
collectors:
  jobs: {interval: 2s, timeout: 2s, alive_within: 12s}
  task_instances: {interval: 2s, timeout: 2s}
  dag_runs: {interval: 2s, timeout: 2s, overdue_after: 5s}
  dag_processing: {interval: 2s, timeout: 2s}
  bundles: {interval: 2s, timeout: 2s}
  pools: {interval: 2s, timeout: 2s}
  outcomes: {interval: 2s, timeout: 2s}
  dags: {interval: 2s, timeout: 2s}
  task_events: {interval: 2s, timeout: 2s}
  stuck_tasks: {interval: 2s, timeout: 2s, alive_within: 12s}
  starvation: {interval: 2s, timeout: 2s}
  triggers: {interval: 2s, timeout: 2s, alive_within: 12s}
  assets: {interval: 2s, timeout: 2s}
  deadlines: {interval: 2s, timeout: 2s}
  vacuum: {interval: 2s, timeout: 2s}
  clean_up: {interval: 5s, timeout: 5s}
  database: {interval: 2s, timeout: 2s}
  tables: {interval: 2s, timeout: 2s}
  broker: {interval: 2s, timeout: 2s}
  workers: {interval: 5s, timeout: 5s}
"""


@dataclass(frozen=True)
class Address:
    """Where the exporter listens; an empty host is every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self._bracketed(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """What a browser on this machine opens."""
        # Who listens on every address is reached on the loopback one; nothing binds here.
        nearest = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared with, not bound)
        return f"http://{self._bracketed(nearest)}:{self.port}"

    @staticmethod
    def _bracketed(host: str) -> str:
        return f"[{host}]" if ":" in host else host

    def is_free(self) -> bool:
        """True when a server could listen here now. Raises UsageError when the host is not one of this machine's."""
        try:
            found = socket.getaddrinfo(self.host or None, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise UsageError(f"--web.listen-address {self}: {error.strerror}: give HOST:PORT") from None
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError:
                return False
        return True


def first_free() -> Address:
    """The first address that is free, from the default on; ask late, for another demo may be starting as well."""
    for port in range(DEFAULT_PORT, DEFAULT_PORT + PORTS):
        if (address := Address(DEFAULT_HOST, port)).is_free():
            return address
    last = DEFAULT_PORT + PORTS - 1
    raise UsageError(f"demo: no port from {DEFAULT_PORT} to {last} is free: give one with --web.listen-address")


def given(text: str) -> Address:
    """The address HOST:PORT. Raises UsageError when it is malformed or taken."""
    host, colon, port_text = text.rpartition(":")
    if not (colon and port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
        raise UsageError(f"--web.listen-address {text}: give HOST:PORT with a port from 1 to 65535")
    address = Address(host.removeprefix("[").removesuffix("]"), int(port_text))
    if not address.is_free():
        raise UsageError(
            f"--web.listen-address {text}: cannot listen there, the port is taken or not ours: give another"
        )
    return address


def environment(database_url: str, broker_url: str) -> dict[str, str]:
    """Ours, with these sources and no others."""
    # Settings that a user made for an exporter of a real Airflow must not win over the demo's.
    own = ("AIRFLOW_OBS_", "AIRFLOW__", "AIRFLOW_HOME")
    env = {name: value for name, value in our_environment().items() if not name.startswith(own)}
    return env | {"AIRFLOW_OBS_DB_URL": database_url, "AIRFLOW_OBS_BROKER_URL": broker_url}


def start(keeper: Keeper, simulated: Simulation, address: Address, policy: str = POLICY) -> None:
    """Start it; it connects as those who may only read. `policy` is the text of one with one deployment.

    Raises AirflowObsError when it cannot be started.
    """
    file = keeper.folder / "policy.yaml"
    file.write_text(policy, encoding="utf-8")
    env = environment(simulated.server.url(WATCHER), simulated.redis.watcher_url)
    argv = [sys.executable, "-m", "airflow_obs", "exporter", "--web.listen-address", str(address)]
    keeper.start(NAME, [*argv, "--policy", str(file)], env=env)


def check(keeper: Keeper) -> None:
    """Raises AirflowObsError, with its last lines, when the exporter has stopped."""
    if (code := keeper.exit_code(NAME)) is not None:
        raise AirflowObsError(f"demo: the exporter stopped with exit code {code}:\n{keeper.last_lines(NAME)}")
