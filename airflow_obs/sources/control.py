"""Asks Celery's workers what they do; how it is asked, and with which libraries, is control_call.py's matter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_obs.errors import SourceError
from airflow_obs.sources.bounded import GaveUp, Lane
from airflow_obs.sources.broker_url import BrokerAddress

FAREWELL = 2.0
"""Seconds in which a call that is under way takes leave when the exporter stops, lest its bindings stay in Redis for good."""


@dataclass(frozen=True)
class Worker:
    """What a worker said of itself; None for what it did not say (in time). `started` in Unix seconds.

    `name` is its full node name, so that two workers on one host are two. `active` tasks run, `reserved` ones are fetched and
    wait for a place in its pool of `pool_size`, `processed` ones were begun since it started.
    """

    name: str
    queues: tuple[str, ...] | None = None
    active: int | None = None
    reserved: int | None = None
    pool_size: int | None = None
    prefetch: int | None = None
    processed: int | None = None
    started: float | None = None


@dataclass(frozen=True)
class ControlSession:
    """A broker over which workers can be asked."""

    _ask: Callable[[Collection[str]], list[Worker]]

    def workers(self, expected: Collection[str] = ()) -> list[Worker]:
        """Those that answered or beat, by name; it returns early once all the `expected` have, and nobody else seems to come.

        Raises SourceUnreachable or SourceError, without any password, when the broker does not play its part.
        """
        return self._ask(expected)


class Workers:
    """Celery's workers as a source; a new connection for every call. `find` gives the broker, None while there is none."""

    name = "workers"

    def __init__(self, find: Callable[[], BrokerAddress | None], stop: threading.Event | None = None) -> None:
        self._find = find
        self._stop = stop or threading.Event()
        self._lane = Lane("workers-control", self._stop, FAREWELL)
        self.known = True

    @contextmanager
    def session(self, budget: float) -> Iterator[ControlSession | None]:
        """Workers that may be asked once, within `budget` seconds; None without a broker (nothing to report)."""
        address = self._find()
        self.known = address is not None
        if address is None:
            yield None
            return
        yield ControlSession(lambda expected: self._bounded(address, expected, budget))

    def close(self) -> None:
        """Nothing is kept open."""

    def _bounded(self, address: BrokerAddress, expected: Collection[str], budget: float) -> list[Worker]:
        # Not before there is a broker: without one, its libraries would be a third of the exporter's start.
        from airflow_obs.sources.control_broker import explained
        from airflow_obs.sources.control_call import call

        try:
            return self._lane.call(lambda: call(address, expected, budget, self._stop), budget)
        except SourceError:
            raise
        except GaveUp as error:
            raise explained(error, address) from None
        except Exception as error:  # noqa: BLE001 (kombu lets the errors of three libraries through, and its own KeyError)
            raise explained(error, address) from None
