"""How the client sends tags: found out by the lines that show it, doubted where others contradict, and what depends on it."""

from __future__ import annotations

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.foreign.mapping import Mapping, Rule
from airflow_obs.exporter.ingest.opinion import PATIENCE
from airflow_obs.exporter.ingest.statsd.style import DOUBT_SECONDS
from tests.exporter.ingest.ingesting import Ingesting

INFLUXDB = b"airflow.pool.open_slots,pool_name=%b:%d|g"
PLAIN = b"airflow.pool.open_slots.%b:%d|g"
BARE = b"airflow.pool.open_slots:%d|g"


@pytest.fixture
def ingesting() -> Ingesting:
    return Ingesting()


def test_lost_tags_take_over_after_tags(ingesting: Ingesting) -> None:
    ingesting.take(PLAIN % (b"a", 5), INFLUXDB % (b"a", 5))
    ingesting.clock.now += PATIENCE
    ingesting.take(PLAIN % (b"a", 6), BARE % 6, PLAIN % (b"a", 7), BARE % 7)
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 7}
    ingesting.clock.now += DOUBT_SECONDS
    ingesting.mapper.tick()
    assert ingesting.mapper.style == "plain"


def test_one_line_without_tags_does_not_change_the_units() -> None:
    ingesting = Ingesting()
    tagged, loop = b"airflow.pool.open_slots:1|g|#pool_name:a", b"airflow.scheduler.scheduler_loop_duration:5|ms"
    ingesting.take(tagged, loop)
    for _ in range(3):
        ingesting.clock.now += 100
        ingesting.take(BARE % 1, loop, tagged)
        ingesting.clock.now += DOUBT_SECONDS
        ingesting.mapper.tick()
        assert ingesting.mapper.style == "datadog"
    assert ingesting.total(metrics.SCHEDULER_LOOP) == 20


def test_policy_says_that_there_are_no_tags() -> None:
    ingesting = Ingesting(style="none")
    ingesting.take(PLAIN % (b"a", 5), b"airflow.scheduler.scheduler_loop_duration:500|ms")
    assert ingesting.values(metrics.POOL_OPEN) == {("a",): 5}, "nothing to wait for"
    assert ingesting.total(metrics.SCHEDULER_LOOP) == 0.5
    ingesting.take(b"airflow.job_start,x=y:1|c")
    assert ingesting.mapper.style == "plain"


@pytest.mark.parametrize(
    ("evidence", "seconds"),
    [(BARE % 1, 0.5), (INFLUXDB % (b"a", 1), 0.5), (b"airflow.pool.open_slots:1|g|#pool_name:a", 500)],
)
def test_timers_wait_for_the_style_that_their_unit_depends_on(
    ingesting: Ingesting, evidence: bytes, seconds: float
) -> None:
    ingesting.take(b"airflow.scheduler.scheduler_loop_duration:500|ms")
    assert ingesting.outcomes() == {}
    ingesting.take(evidence, b"airflow.scheduler.scheduler_loop_duration:500|ms")
    assert ingesting.total(metrics.SCHEDULER_LOOP) == 2 * seconds


def test_without_any_tags_in_time_the_style_is_plain(ingesting: Ingesting) -> None:
    ingesting.take(b"airflow.scheduler.scheduler_loop_duration:500|ms")
    ingesting.clock.now += PATIENCE
    ingesting.mapper.tick()
    assert (ingesting.mapper.style, ingesting.total(metrics.SCHEDULER_LOOP)) == ("plain", 0.5)
    ingesting.take(b"airflow.pool.open_slots:1|g|#pool_name:a", b"airflow.scheduler.scheduler_loop_duration:5|ms")
    assert (ingesting.mapper.style, ingesting.total(metrics.SCHEDULER_LOOP)) == ("datadog", 5.5)


@pytest.mark.parametrize("line", [b"airflow.pool.open_slots:-3|g|#pool_name:x", b"airflow.pool.open_slots.x:-3|g"])
def test_gauges_of_datadogs_client_are_never_relative(line: bytes) -> None:
    ingesting = Ingesting(mapping=Mapping([Rule("airflow.pool.*", "foreign"), Rule("airflow.pool.*.*", "foreign")]))
    ingesting.take(b"datadog.dogstatsd.client.metrics:1|c|#client:py", line, line, line)
    ingesting.mapper.finish()
    assert ingesting.values(metrics.POOL_OPEN) == {("x",): -3}
    assert list(ingesting.named("foreign").values()) == [-9], "as statsd_exporter takes it"


def test_datadogs_client_is_known_without_tags_by_what_it_says_of_itself(ingesting: Ingesting) -> None:
    """Its lines without tags are no reason to doubt that, as long as it goes on to say so."""
    loop, own = b"airflow.scheduler.scheduler_loop_duration:5|ms", b"datadog.dogstatsd.client.metrics:1|c|#client:py"
    ingesting.take(loop, own)
    for _ in range(10):
        ingesting.take(BARE % 1, PLAIN % (b"a", 1), loop)
        ingesting.clock.now += DOUBT_SECONDS / 2
        ingesting.take(own)
        ingesting.mapper.tick()
    assert (ingesting.mapper.style, ingesting.total(metrics.SCHEDULER_LOOP)) == ("datadog", 55)
    for _ in range(4):  # another client took its place
        ingesting.take(BARE % 1)
        ingesting.clock.now += DOUBT_SECONDS
        ingesting.mapper.tick()
    assert ingesting.mapper.style == "plain"
