"""The drill as a whole: the healthy deployment throughout, and beside it so many with faults at a time as the cores bear."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import BoundedSemaphore, Event

from airflow_obs.demo import faults
from airflow_obs.demo.postgres import Original
from tests.drill.deployment import Record, Stage, fall_sick, live
from tests.drill.expectations import Expectation
from tests.drill.pager import Pager
from tests.drill.policy import HEALTHY
from tests.drill.prometheus import Prometheus

CORES = os.cpu_count() or 1
SIDE_BY_SIDE = 5 * CORES
"""Deployments with faults at a time, unless told otherwise; each takes about a sixth of a core."""
STARTING = max(1, CORES // 2)
"""Of these, so many may be starting, which takes a whole core: the others shall not be late meanwhile."""


class Drill:
    """Deployments in threads, each with processes of its own; all have ended when `close` returns."""

    def __init__(
        self,
        original: Original,
        prometheus: Prometheus,
        pager: Pager,
        expected: Sequence[Expectation],
        side_by_side: int,
    ) -> None:
        self._over = Event()
        self._pool = ThreadPoolExecutor(side_by_side + 1)
        stage = Stage(original, prometheus, pager, BoundedSemaphore(STARTING), self._over)
        self._healthy = self._pool.submit(live, stage, HEALTHY)
        self._sick: dict[str, Future[Record]] = {
            one.fault: self._pool.submit(fall_sick, stage, faults.by_name(one.fault), one.fires) for one in expected
        }

    def sick(self, fault: str) -> Record:
        """What became of the deployment with this fault, once its time is over."""
        return self._sick[fault].result()

    def healthy(self) -> Record:
        """What became of the healthy one, once all others are done."""
        wait(self._sick.values())
        self._over.set()
        return self._healthy.result()

    def close(self) -> None:
        """End them all."""
        self._over.set()
        self._pool.shutdown(cancel_futures=True)
