"""What Prometheus holds is what Airflow says about itself while its components die.

In this order: each test leaves behind what the next one needs.
"""

from __future__ import annotations

from functools import partial

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.model import Kind
from tests.e2e.agreement import agree, becomes
from tests.e2e.conftest import WHOLLY, World
from tests.e2e.monitoring import COLLECTORS
from tests.e2e.processes import poll
from tests.redis_server import EXPORTER, RedisServer

VERSIONS = WHOLLY
pytestmark = pytest.mark.e2e


def test_a_killed_scheduler(world: World) -> None:
    world.airflow.scheduler.kill()
    becomes(0.0, partial(world.prometheus.value, metrics.JOBS_ALIVE, job_type="SchedulerJob"))
    code, said = world.airflow.command("jobs", "check", "--job-type", "SchedulerJob")
    assert (code != 0, "No alive jobs found." in said) == (True, True), said
    frozen = _heartbeats(world, "SchedulerJob")
    _two_more_cycles(world)
    assert _heartbeats(world, "SchedulerJob") == frozen
    assert len(frozen) == 1
    agree(
        lambda: world.api.health()["scheduler"],
        lambda: world.prometheus.value(metrics.HEALTH_COMPONENT, component="scheduler") == 1,
    )


def test_another_scheduler_takes_over(world: World) -> None:
    (frozen,) = _heartbeats(world, "SchedulerJob").values()
    world.airflow.start_scheduler()
    becomes(1.0, partial(world.prometheus.value, metrics.JOBS_ALIVE, job_type="SchedulerJob"))
    # The dead one had the same host name: one series still, and it moves again.
    assert poll(lambda: [beat > frozen for beat in _heartbeats(world, "SchedulerJob").values()] == [True])
    becomes(1.0, partial(world.prometheus.value, metrics.HEALTH_COMPONENT, component="scheduler"))


def test_no_counter_has_fallen(world: World) -> None:
    """Of what Airflow sends: a scheduler that begins again begins to count at 0."""
    sent = [metric for metric in metrics.ALL if metric.collector == "ingest" and metric.cumulates]
    names = [metric.name + "_count" * (metric.kind is Kind.HISTOGRAM) for metric in sent]
    assert world.prometheus.value(metrics.SCHEDULER_HEARTBEATS)
    assert [name for name in names if world.prometheus.query(f"resets({name}[1h]) > 0")] == []


def test_a_stopped_web_server(world: World) -> None:
    world.airflow.web.stop()
    becomes(0.0, partial(world.prometheus.value, metrics.SOURCE_UP, source="health"))
    assert world.prometheus.series(metrics.HEALTH_COMPONENT) == {}
    _two_more_cycles(world)
    expected = {(name,): float(name != "health") for name in COLLECTORS}
    becomes(expected, partial(world.prometheus.series, metrics.COLLECTOR_SUCCESS))


def test_prometheus_was_always_answered(world: World) -> None:
    lowest, scrapes = world.prometheus.up()
    assert lowest == 1
    assert scrapes > 10
    assert world.exporter.program.process.poll() is None


def test_the_broker_forgets_the_exporter(world: World) -> None:
    refused = world.redis.client().execute_command("ACL", "LOG")
    assert refused == []
    world.exporter.program.stop()
    assert world.exporter.program.process.returncode == 0
    assert EXPORTER[0] not in {one["user"] for one in world.redis.client().client_list()}
    assert ours_in(world.redis) == []


def _heartbeats(world: World, job_type: str) -> dict[tuple[str, ...], float]:
    return world.prometheus.series(metrics.JOB_HEARTBEAT, job_type=job_type)


def _two_more_cycles(world: World) -> None:
    successes: set[float | None] = set()

    def two_more() -> bool:
        successes.add(world.prometheus.value(metrics.COLLECTOR_LAST_SUCCESS, collector="jobs"))
        return len(successes) > 2

    assert poll(two_more), f"the exporter's jobs collector stands still at {successes}"


def ours_in(redis: RedisServer) -> list[str]:
    """Every key with our name, and every binding of a queue with our name, in Celery's database."""
    client = redis.client()
    keys = list(client.scan_iter(count=1000))
    bindings = [name for name in keys if name.startswith("_kombu.binding") and client.type(name) == "set"]
    members = [member for name in bindings for member in client.smembers(name)]
    assert bindings
    return [text for text in keys + members if "airflow-obs" in text]
