"""Which of Airflow's queues are Celery's: names that collectors of different sources have seen, and how tasks are routed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from airflow_obs.sources.discovery import AirflowSettings
from airflow_obs.sources.executors import Executors, is_celery

MOST = 10_000
"""Names remembered; a site with more queues than this has lost count of them itself."""
FORGET = 3600.0
"""Seconds after which a queue that nobody speaks of any more is forgotten."""


class QueueNames:
    """Queues that tasks, bindings or workers spoke of lately, shared between the sources' threads; never more than `MOST`.

    `find_default` gives the default queue of Airflow's settings, which is always one of them.
    """

    def __init__(
        self, find_default: Callable[[], str | None] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._find_default = find_default
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, float] = {}
        """In the order in which they were last seen."""

    def add(self, names: Iterable[str]) -> None:
        """Remember these; the ones longest not seen are forgotten when there are too many."""
        now = self._clock()
        with self._lock:
            for name in names:
                self._seen.pop(name, None)
                self._seen[name] = now
            while len(self._seen) > MOST:
                del self._seen[next(iter(self._seen))]

    def all(self) -> frozenset[str]:
        """Every name remembered."""
        default, since = self._find_default(), self._clock() - FORGET
        with self._lock:
            self._seen = {name: moment for name, moment in self._seen.items() if moment >= since}
            return frozenset(self._seen) | ({default} if default else frozenset())


class Routing:
    """Which task instances go through Celery's broker; those of other executors in a mixture never reach it."""

    def __init__(self, settings: AirflowSettings) -> None:
        self._settings = settings

    def celery(self, instances: Iterable[tuple[str, str | None]]) -> list[bool]:
        """Whether Celery carries each of these: queue, and executor as task_instance has it (None: the default one)."""
        if not self._settings.celery():
            return [False for _ in instances]
        executors = Executors.parsed(self._settings.executor() or "CeleryExecutor")
        kept = self._settings.kubernetes_queue()
        names = ((queue, executors.aliases.get(name or "", name or executors.default)) for queue, name in instances)
        return [
            queue != kept if name.endswith("CeleryKubernetesExecutor") else is_celery(name) for queue, name in names
        ]
