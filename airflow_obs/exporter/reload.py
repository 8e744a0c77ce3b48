"""Reads the policy again when asked to; one that cannot be taken changes nothing, and is said."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from airflow_obs.catalog import metrics
from airflow_obs.errors import AirflowObsError, redact
from airflow_obs.model import Reading
from airflow_obs.policy import Deployment, Policy

log = logging.getLogger(__name__)

Chosen = tuple[Policy, Deployment]


class Reloader:
    """`load` reads the policy, `take` goes on with it; both raise AirflowObsError for what cannot be used."""

    def __init__(self, load: Callable[[], Chosen], take: Callable[[Policy, Deployment], None]) -> None:
        self._load = load
        self._take = take
        self._reloading = threading.Lock()
        self._successful = True
        self._loaded = time.time()

    def reload(self) -> str | None:
        """Read it and go on with it; says what is wrong with it, or None. One at a time: others wait."""
        with self._reloading:
            try:
                self._take(*self._load())
            except AirflowObsError as error:
                return self._refused(str(error))
            except Exception as error:  # noqa: BLE001 (the boundary: whoever asked for it, what runs goes on)
                bug = redact(traceback.format_exc())
                log.error("policy: this is a bug of the exporter, please report it: %s", bug)
                return self._refused(redact(f"{type(error).__name__}: {error}"))
            self._successful, self._loaded = True, time.time()
            log.info("policy: taken anew")
            return None

    def _refused(self, why: str) -> str:
        self._successful = False
        for line in why.splitlines():
            log.error("policy: not taken, the one before holds: %s", line)
        return why

    def readings(self) -> Iterator[Reading]:
        """Whether the newest policy was taken, and when the one that holds was."""
        yield metrics.CONFIG_RELOADED.sample(self._successful, config="policy")
        yield metrics.CONFIG_LOADED.sample(self._loaded, config="policy")
