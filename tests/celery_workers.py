"""Real Celery workers of a plain app, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from celery import Celery

from tests.airflow_schemas import ROOT
from tests.eventually import DEADLINE, eventually

EMPTY: Mapping[str, Any] = MappingProxyType({})
TASK = "execute_workload"
"""As Airflow 3 calls its only task; its argument carries a token."""


def app(url: str, options: Mapping[str, Any] = EMPTY) -> Celery:
    """An app as Airflow's is, with these transport options: acknowledges late, takes one message ahead, bodies in JSON."""
    made = Celery("airflow", broker=url)
    made.conf.update(
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        task_default_queue="default",
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 86400, **options},
    )
    return made


def consume_from(celery: Celery, worker: str, *queues: str) -> None:
    """Have a worker consume from these queues and no others, as Airflow's commands do; it does so when this returns.

    A worker answers before it does what it was told (celery/worker/control.py: consumer.call_soon).
    """

    def consumed() -> set[str] | None:
        answers = celery.control.inspect([worker], timeout=DEADLINE, limit=1).active_queues()
        return None if not answers else {queue["name"] for queue in answers[worker]}

    before = consumed() or set()
    for queue in before - set(queues):
        celery.control.cancel_consumer(queue, destination=[worker], reply=True, timeout=DEADLINE)
    for queue in set(queues) - before:
        celery.control.add_consumer(queue, destination=[worker], reply=True, timeout=DEADLINE)
    eventually(lambda: consumed() == set(queues), f"{worker} consumes from {queues or 'nothing'}")


@dataclass(frozen=True)
class CeleryWorker:
    """A running worker; `name` is its full node name."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def celery_worker(
    url: str, name: str, folder: Path, queues: str = "default,highmem", size: int = 2, prefetch: int = 1,
    pool: str = "threads", options: Mapping[str, Any] = EMPTY, *, remote_control: bool = True,
) -> Iterator[CeleryWorker]:  # fmt: skip
    """A worker with a pool, each thread (or process) of which takes `prefetch` messages, ready; killed at the end."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "tests.celery_workers", name, queues, str(size), str(prefetch), pool,
                json.dumps(dict(options)), json.dumps(remote_control),
            ],
            cwd=ROOT, env={**os.environ, "TEST_BROKER": url, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    worker = CeleryWorker(name, process, log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return "ready." in log.read_text()

    try:
        eventually(ready, f"{name} is ready", 2 * DEADLINE)
        yield worker
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and the processes of its pool
        process.wait()


def _main(name: str, queues: str, size: str, prefetch: str, pool: str, options: str, remote_control: str) -> None:
    made = app(os.environ["TEST_BROKER"], json.loads(options))
    made.conf.worker_prefetch_multiplier = int(prefetch)
    made.conf.worker_enable_remote_control = json.loads(remote_control)

    @made.task(name=TASK)  # type: ignore[untyped-decorator]  # celery has no types
    def sleep(_token: str, seconds: float) -> None:
        time.sleep(seconds)

    made.worker_main(["worker", "-n", name, "-Q", queues, "-P", pool, "-c", size, "-l", "INFO"])


if __name__ == "__main__":
    _main(*sys.argv[1:])
