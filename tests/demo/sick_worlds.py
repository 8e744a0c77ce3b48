"""A world with a fault, or a healthy one, as the real exporter sees it."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from typing import Protocol

from airflow_obs.catalog import metrics
from airflow_obs.demo import exporter, faults, fleet
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.figures import Page
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.postgres import WATCHER, Server
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.world import World, utc_now
from airflow_obs.exporter import run
from airflow_obs.policy import Policy, load

PATIENCE = 5.0
"""Seconds that simulated steps wait for Redis, so that no test depends on how fast it is."""

SICK_FOR = 90
"""Seconds that a fault has lasted when the exporter looks. They are simulated, so nobody waits for them."""


class Observe(Protocol):
    """What the exporter says of a world with these faults, or of a healthy one."""

    def __call__(self, *names: str) -> Page: ...


POLICY = """
deployments:
  - name: demo
    airflow: {executor: CeleryExecutor}
    sources: {database: {}, broker: {}}
collectors:
  broker: {timeout: 2s}
"""


@contextmanager
def living(server: Server, database: str, redis: Redis, sick: Sequence[Fault]) -> Iterator[None]:
    """A world that has had these faults for a while, and whose clock has just reached the present."""
    begun = utc_now() - timedelta(seconds=SICK_FOR)
    world = World(lambda application: server.connect(application, database=database), redis, begun, patience=PATIENCE)
    try:
        for fault in sick:
            fault.begin(world)
        while (now := world.now + timedelta(seconds=1)) < utc_now():
            world.step(now)
            if now < begun + timedelta(seconds=15):
                for fault in sick:
                    fault.step(world)
        yield
    finally:
        world.close()
        for fault in sick:
            fault.end()


def look(server: Server, database: str, *names: str) -> Page:
    """What the exporter says of a world with these faults, or of a healthy one."""
    with Keeper() as keeper:
        redis = Redis(keeper)
        fleet.start(keeper, redis)
        redis.wait()
        policy = keeper.folder / "policy.yaml"
        policy.write_text(POLICY)
        env = exporter.environment(server.url(WATCHER, database), redis.watcher_url)
        with living(server, database, redis, [faults.by_name(name) for name in names]), told(env):
            page = Page(collected_once(load(policy)))
        fleet.check(keeper)
    assert page.values(metrics.COLLECTOR_SUCCESS, collector="database") == [1]
    return page


def collected_once(policy: Policy) -> str:
    """What `airflow-obs exporter --once` prints, without a process of its own, which would begin with a second of imports."""
    printed = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(printed)):
        run.once(policy, policy.deployment())
        return printed.getvalue().decode()


@contextmanager
def told(env: Mapping[str, str]) -> Iterator[None]:
    """This process has that environment meanwhile."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(env)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def age(moments: list[float]) -> float:
    """Seconds since the oldest of these moments; 0 when there are none."""
    return time.time() - min(moments, default=time.time())


def beats(page: Page, job_type: str) -> list[float]:
    return sorted(page.values(metrics.JOB_HEARTBEAT, job_type=job_type))


def lost(page: Page) -> float:
    """Task instances that Celery should have a message for, and has not."""
    has = page.total(metrics.BROKER_MESSAGES) + page.total(metrics.BROKER_UNACKED)
    return page.total(metrics.CELERY_TASK_INSTANCES) - has
