"""Celery workers of a real Airflow, as its own command starts them, and what an operator says to them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tests.e2e.airflow_stack import AirflowStack
from tests.e2e.processes import NotReady, Program

CELERYS_OWN = "celery"
"""The nickname of a worker that is given none."""


@dataclass(frozen=True)
class AirflowWorker:
    """A worker with a pool of `size` processes, each of which takes `prefetch` messages."""

    nickname: str
    queues: tuple[str, ...]
    size: int
    prefetch: int

    @property
    def name(self) -> str:
        """Its full node name: all workers of this host differ in what is before the @."""
        return f"{self.nickname}@{socket.gethostname()}"

    def start(self, airflow: AirflowStack, **environment: str) -> Program:
        """Start it, with these variables beside those of all components; it is ready some seconds later."""
        # -s: the log server would listen on a fixed port.
        flags = ["-s", "-q", ",".join(self.queues), "-c", str(self.size)]
        if self.nickname != CELERYS_OWN:
            flags += ["-H", f"{self.nickname}@%h"]
        prefetch = {"AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": str(self.prefetch)}
        return airflow.component("celery", "worker", *flags, **prefetch, **environment)

    def unsubscribe(self, airflow: AirflowStack) -> None:
        """Take all its queues away: in one command of Airflow's newer Celery providers, in Celery's own with the older."""
        if airflow.release.major > 2:
            _succeed(airflow, "airflow", "celery", "remove-all-queues", "-H", self.name)
        else:
            for queue in self.queues:
                self._control(airflow, "cancel_consumer", queue)

    def subscribe(self, airflow: AirflowStack) -> None:
        """Give its queues back."""
        if airflow.release.major > 2:
            _succeed(airflow, "airflow", "celery", "add-queue", "-H", self.name, "-q", ",".join(self.queues))
        else:
            for queue in self.queues:
                self._control(airflow, "add_consumer", queue)

    def _control(self, airflow: AirflowStack, *command: str) -> None:
        broker = airflow.environment["AIRFLOW__CELERY__BROKER_URL"]
        _succeed(airflow, "celery", "--broker", broker, "control", "--destination", self.name, *command)


BUSY = AirflowWorker("busy", ("default", "elsewhere"), size=2, prefetch=1)
"""It runs whatever the DAGs have, and has a place left."""
CROWDED = AirflowWorker("crowded", ("crowded", "elsewhere"), size=1, prefetch=2)
"""Of the tasks of its queue it runs one, has fetched another, and leaves the others in the broker."""
WORKERS = (BUSY, CROWDED)
ALONE = AirflowWorker(CELERYS_OWN, BUSY.queues, size=2, prefetch=1)
"""It does what BUSY does. Named by `-H`, a worker of 3.1.8 (with kombu 5.6) takes messages and never begins a task."""


def _succeed(airflow: AirflowStack, program: str, *arguments: str) -> None:
    command: Sequence[str] = (str(airflow.virtual_environment / "bin" / program), *arguments)
    done = subprocess.run(
        command, env=airflow.environment, cwd=airflow.home, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotReady(
            f"{program} {arguments}: ended with {done.returncode}:\n{done.stdout[-1000:]}{done.stderr[-1000:]}"
        )
