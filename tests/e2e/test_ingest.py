"""What the exporter makes of what a real Airflow sends it, over StatsD and over OTLP, is what Airflow has done.

Two more exporters take part that have no database: one gets what the first one passes on, the other one what a scheduler and
a worker of their own send over OTLP. In this order: each test leaves behind what the next one needs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.exporter.ingest.accounts import Reason, Refusal
from tests.e2e.agreement import agree, becomes
from tests.e2e.conftest import WHOLLY, World
from tests.e2e.monitoring import statsd
from tests.e2e.processes import poll
from tests.e2e.told import Tellers, Told
from tests.exporter.pages import Page

STYLES = {2: "plain", 3: "influxdb"}
"""By Airflow's first number."""
TRIES = {"success": 2.0, "skipped": 1.0, "up_for_retry": 1.0}
"""Of a run of a DAG of `tells.py`, by the state that they left."""
TIMED = {2: 4.0, 3: 3.0}
"""Of these, the ones whose duration is sent, by Airflow's first number: 3.x skips what is skipped."""
WORKS = 2.0
"""Seconds for which one of them sleeps."""
PARSED = {2: {"breaks", "tells", "succeeds"}, 3: {"breaks.py", "tells.py", "nested_succeeds.py"}}
"""Some files as they are called, by Airflow's first number."""
ON_PURPOSE = {
    Reason.REFUSED, Reason.LOST_TAGS, Reason.TWIN_SAYS_IT, Reason.LEGACY_SAYS_IT, Reason.NO_TASKS,
    # Who is not told the release cannot know whether 2.x sends seconds.
    Reason.UNIT_UNKNOWN,
    # Processes of 2.x that were forked send, beside the original, what that had counted until then.
    Reason.OUT_OF_ORDER,
}  # fmt: skip
"""Why samples may be left out."""
ENOUGH = 100
"""Samples; far fewer than come."""

VERSIONS = WHOLLY
pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def over_statsd(world: World) -> Iterator[Told]:
    """Whom the exporter of the world passes on what it is sent."""
    told = Told(world.airflow, f"sources: {{{statsd(world.relay_port)}}}")
    yield told
    told.stop()


@pytest.fixture(scope="module")
def tellers(world: World) -> Iterator[Tellers]:
    """Not started yet: who would start them is to be told first."""
    tellers = Tellers(world.airflow)
    yield tellers
    tellers.stop()


@pytest.fixture(scope="module")
def over_otlp(world: World, tellers: Tellers) -> Iterator[Told]:
    """Whom they tell, from their start on."""
    told = Told(world.airflow, tellers.deployment)
    tellers.start_worker()
    tellers.start_scheduler()
    yield told
    told.stop()


def test_without_a_database(world: World, over_statsd: Told) -> None:
    style = {STYLES[world.release.major]}
    becomes(style, lambda: set(over_statsd.by(metrics.STATSD_STYLE, "style")))
    becomes(style, lambda: {style for (style,) in world.prometheus.series(metrics.STATSD_STYLE)})
    assert over_statsd.by(metrics.COLLECTOR_SUCCESS, "collector") == {"ingest": 1.0}


def test_tries_over_statsd(world: World, over_statsd: Told) -> None:
    world.api.trigger("tells.elsewhere")
    becomes(TRIES, partial(_ended, world, "elsewhere"))
    _tries(world, over_statsd, "tells.elsewhere")


def test_time_in_the_queue(world: World) -> None:
    """The unit takes the release to know, which here the policy says."""
    shown = partial(world.prometheus.query, f'{metrics.TRY_QUEUED.name}_sum{{dag_id="tells.elsewhere"}}')
    if world.release.major > 2:
        assert shown() == []
        return
    seconds = _seconds(world, "start_date - queued_dttm", "tells.elsewhere")
    becomes([pytest.approx(seconds, rel=0.5)], lambda: [value for _, value in shown()])


def test_runs_over_statsd(world: World, over_statsd: Told) -> None:
    becomes((1.0, _run_seconds(world, "tells.elsewhere")), partial(_runs, over_statsd, "tells.elsewhere"))


def test_gauges_over_statsd(world: World, over_statsd: Told) -> None:
    _pools_agree(world, over_statsd)
    agree(world.api.import_errors, partial(over_statsd.value, metrics.IMPORT_ERRORS))
    becomes(1.0, partial(over_statsd.value, metrics.TRIGGERER_RUNNING))
    assert poll(lambda: set(over_statsd.by(metrics.FILE_LAST_PARSED, "dag_file")) >= PARSED[world.release.major])
    parsed = over_statsd.by(metrics.FILE_LAST_PARSED, "dag_file")
    assert all(over_statsd.began - 60 < moment < time.time() for moment in parsed.values())


def test_loops_over_statsd(over_statsd: Told) -> None:
    _loops(over_statsd)


def test_tries_over_otlp(world: World, over_otlp: Told) -> None:
    world.api.trigger("tells.told")
    becomes(TRIES, partial(_ended, world, "told"))
    if world.release.major > 2:
        _tries(world, over_otlp, "tells.told")
    else:
        # Its tasks end before they have sent everything; what they did send has come when the scheduler has sent again.
        _loops(over_otlp)
        shown = over_otlp.by(metrics.TRIES_FINISHED, "state", dag_id="tells.told")
        assert all(count <= TRIES[state] for state, count in shown.items())


def test_runs_over_both(world: World, over_statsd: Told, over_otlp: Told) -> None:
    """Of the two schedulers either may end a run."""
    seconds = _run_seconds(world, "tells.told")

    def runs() -> tuple[object, ...]:
        both = [_runs(told, "tells.told") for told in (over_statsd, over_otlp)]
        return tuple(map(sum, zip(*both, strict=True)))

    if world.release.major > 2:
        becomes((1.0, seconds), runs)
    else:
        # Its timers come over OTLP as gauges, of which the first value may be an old one. What either scheduler measured has come
        # when it has sent again.
        _loops(over_statsd)
        _loops(over_otlp)
        assert runs() in [(0.0, 0.0), (1.0, seconds)]


def test_gauges_over_otlp(world: World, over_otlp: Told) -> None:
    _pools_agree(world, over_otlp)


def test_loops_over_otlp(over_otlp: Told) -> None:
    _loops(over_otlp)


def test_a_restarted_sender(over_otlp: Told, tellers: Tellers) -> None:
    started = over_otlp.by(metrics.JOBS_STARTED, "job_class")
    before = over_otlp.cumulated()
    tellers.programs[-1].stop()
    tellers.start_scheduler()

    def another() -> bool:
        nonlocal before
        now = over_otlp.cumulated()
        assert {key: (value, now.get(key)) for key, value in before.items() if now.get(key, 0) < value} == {}
        before = now
        return over_otlp.by(metrics.JOBS_STARTED, "job_class") == {key: n + 1 for key, n in started.items()}

    assert poll(another), f"{started}, then {over_otlp.by(metrics.JOBS_STARTED, 'job_class')}"
    _loops(over_otlp)


def test_every_name_is_known(world: World, over_statsd: Told, over_otlp: Told) -> None:
    for exporter in (world.exporter, over_statsd.exporter, over_otlp.exporter):
        page = Page(exporter.page())
        assert {name for name in page.names if not name.startswith(("airflow_obs_", "process_"))} == set()
        for outcome in ("unmapped", "invalid"):
            assert page.values(metrics.INGEST_SAMPLES.name, outcome=outcome) == [0.0]
        refused = {one.labels["reason"]: one.value for one in page.samples if one.name == metrics.INGEST_REFUSED.name}
        assert {reason for reason, count in refused.items() if count} <= ON_PURPOSE, refused
        assert page.value(metrics.INGEST_SAMPLES.name, outcome="mapped") > ENOUGH
        assert not any(page.values(metrics.INGEST_LOST.name))
        requests = [one for one in page.samples if one.name == metrics.INGEST_REQUESTS_REFUSED.name]
        # Who sends may end in the middle of it.
        assert {one.labels["reason"] for one in requests if one.value} <= {Refusal.HUNG_UP}
        assert "Traceback" not in exporter.program.log.read_text()
    assert world.prometheus.series(metrics.INGEST_RELAYED)["sent",] > ENOUGH


# -- what they say ---------------------------------------------------------------------------------------------------


def _tries(world: World, told: Told, dag_id: str) -> None:
    """The dot in the name of the DAG is not taken for its end, and durations are seconds."""
    becomes(TRIES, partial(told.by, metrics.TRIES_FINISHED, "state", dag_id=dag_id))
    becomes(sum(TRIES.values()), lambda: told.by(metrics.TRIES_STARTED, "dag_id").get(dag_id))
    becomes(TIMED[world.release.major], lambda: told.count_and_sum(metrics.TRY_DURATION, dag_id=dag_id)[0])
    _, seconds = told.count_and_sum(metrics.TRY_DURATION, dag_id=dag_id)
    assert WORKS <= seconds <= _seconds(world, "end_date - start_date", dag_id) + 0.01


def _ended(world: World, queue: str) -> dict[str, float]:
    """The tries of a queue that have ended, by state, as the exporter counts them in the database."""
    finished = world.prometheus.series(metrics.TASKS_FINISHED, queue=queue)
    retried = world.prometheus.series(metrics.TRIES_RETRIED, queue=queue)
    tries = {state: count for (state,), count in finished.items()} | {"up_for_retry": retried.get((), 0.0)}
    return {state: count for state, count in tries.items() if count}


def _seconds(world: World, duration: str, dag_id: str) -> float:
    """Of all tries of a DAG together, as Airflow's tables have them."""
    tables = ("task_instance", "task_instance_history")
    tries = " UNION ALL ".join(f"SELECT {duration} AS took FROM {table} WHERE dag_id = '{dag_id}'" for table in tables)
    rows = world.postgres.execute(f"SELECT extract(epoch FROM sum(took)) FROM ({tries}) AS tries", "airflow")
    return float(rows[0][0])


def _run_seconds(world: World, dag_id: str) -> object:
    """Of the only run of a DAG, which was a success."""
    query = (
        f"SELECT extract(epoch FROM end_date - start_date) FROM dag_run WHERE dag_id = '{dag_id}' AND state = 'success'"
    )
    ((seconds,),) = world.postgres.execute(query, "airflow")
    return pytest.approx(float(seconds), abs=0.01)


def _runs(told: Told, dag_id: str) -> tuple[float, float]:
    return told.count_and_sum(metrics.EMITTED_RUN_DURATION, state="success", dag_id=dag_id)


def _pools_agree(world: World, told: Told) -> None:
    shown = {
        "open": metrics.POOL_OPEN,
        "running": metrics.POOL_RUNNING,
        "queued": metrics.POOL_QUEUED,
        "deferred": metrics.POOL_DEFERRED,
        "scheduled": metrics.POOL_SCHEDULED,
    }

    def slots() -> dict[tuple[str, str], float]:
        pools = world.api.pools().items()
        return {(what, name): value for what in shown for name, pool in pools if (value := getattr(pool, what))}

    agree(
        slots,
        lambda: {(what, pool): n for what, metric in shown.items() for pool, n in told.by(metric, "pool").items()},
    )
    assert slots()["deferred", "with_deferred"] == 1


def _loops(told: Told) -> None:
    """They go on, one after the other: together they cannot take longer than they have been told of."""
    before, _ = told.count_and_sum(metrics.SCHEDULER_LOOP)
    assert poll(lambda: told.count_and_sum(metrics.SCHEDULER_LOOP)[0] >= before + 3)
    count, seconds = told.count_and_sum(metrics.SCHEDULER_LOOP)
    assert count / 1000 < seconds < 2 * (time.time() - told.began)
