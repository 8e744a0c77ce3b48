"""A deadline of the client's own for PostgreSQL: a frozen server obeys no statement_timeout."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import extensions

_LOOK_UP_EVERY = 0.2
"""Seconds between looks at whether the process wants to stop."""


class DeadlineExceeded(psycopg2.OperationalError):
    """The server gave no answer in time; the connection is closed, since its state is unknown."""


class _Limits(threading.local):
    until: float | None = None
    stop: threading.Event | None = None


_limits = _Limits()


@contextmanager
def deadline(seconds: float, stop: threading.Event | None = None) -> Iterator[None]:
    """Within, every wait for PostgreSQL in this thread ends `seconds` from now, or soon after `stop` is set.

    It then raises DeadlineExceeded. Works through psycopg2's wait callback, which is one for the whole process, so
    that only one thread at a time may be in here:
    https://www.psycopg.org/docs/advanced.html#support-for-coroutine-libraries
    """
    extensions.set_wait_callback(_wait)
    _limits.until, _limits.stop = time.monotonic() + seconds, stop
    try:
        yield
    finally:
        _limits.until = _limits.stop = None
        extensions.set_wait_callback(None)


def _wait(connection: extensions.connection) -> None:
    poller = select.poll()
    watched: int | None = None
    try:
        while (state := connection.poll()) != extensions.POLL_OK:
            # While it connects, libpq may go on to the server's next address and with it to another socket.
            if watched is not None:
                poller.unregister(watched)
            watched = connection.fileno()
            poller.register(watched, select.POLLIN if state == extensions.POLL_READ else select.POLLOUT)
            if (why := _given_up(poller)) is not None:
                raise DeadlineExceeded(why)
    finally:
        # This frame lives on in an error's traceback, and would keep the socket of a connection that nobody else has.
        del connection


def _given_up(poller: select.poll) -> str | None:
    """Wait for the socket; why not any longer, or None when there is something to read or room to write."""
    while True:
        if _limits.stop is not None and _limits.stop.is_set():
            return "the exporter is stopping"
        left = _LOOK_UP_EVERY if _limits.until is None else min(_LOOK_UP_EVERY, _limits.until - time.monotonic())
        if left <= 0:
            return "no answer in time"
        if poller.poll(left * 1000):
            return None
