"""What the exporter counts as it happens is what SQL counts afterwards, of tasks and runs that end in every way.

In this order: each test leaves behind what the next one needs.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import REQUEUED_EVENT, SCHEDULER_EVENTS, UNFINISHED_RUN_STATES
from tests.airflow_database import EXPORTER_ROLE, GRANTS
from tests.e2e.agreement import agree, becomes
from tests.e2e.conftest import World
from tests.e2e.monitoring import COLLECTORS, Exporter, everything
from tests.e2e.processes import free_port, poll
from tests.e2e.tally import Ask, Tally, difference, in_database, in_exporter, same

ENDED = {
    (metrics.TASKS_FINISHED.name, "success", "default"): 5 + 5,
    (metrics.TASKS_FINISHED.name, "skipped", "default"): 1 + 1,
    (metrics.TASKS_FINISHED.name, "failed", "default"): 1,
    (metrics.TASKS_FINISHED.name, "upstream_failed", "default"): 1,
    (metrics.TRIES_RETRIED.name, "default"): 1 + 1,
    (metrics.RUNS_FINISHED.name, "success", "manual"): 1 + 1,
    (metrics.RUNS_FINISHED.name, "failed", "manual"): 1,
}
"""Of two runs of `ends_well` and one of `ends_badly`."""
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "1",
}
"""A scheduler with these soon gives up a task for which there is no worker."""

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def exporter(world: World) -> Iterator[Exporter]:
    """One beside that of the world, as the role of the grants; it may be frozen and stopped, since nobody scrapes it."""
    world.postgres.execute(f"CREATE ROLE {EXPORTER_ROLE} LOGIN")
    world.postgres.execute(GRANTS.read_text(), "airflow")
    url = world.postgres.url("airflow", user=EXPORTER_ROLE)
    own = {"AIRFLOW_OBS_BROKER_URL": world.redis.exporter_url, "AIRFLOW_OBS_DB_URL": url}
    deployment = everything(world.release.version, free_port(socket.SOCK_DGRAM))
    exporter = Exporter(world.airflow.programs, deployment, {**world.airflow.environment, **own})
    yield exporter
    exporter.program.stop()


@pytest.fixture(scope="module")
def uncounted(world: World, exporter: Exporter) -> dict[str, Tally]:
    """What each exporter does not know, since it happened before its start."""
    poll(partial(_settled, world, exporter))
    done = in_database(world.postgres, world.release.major)
    return {name: difference(done, in_exporter(ask)) for name, ask in _both(world, exporter).items()}


def test_every_collector_succeeds_with_the_grants(world: World, exporter: Exporter) -> None:
    def succeeds() -> dict[str, float]:
        return {labels["collector"]: value for labels, value in exporter.series(metrics.COLLECTOR_SUCCESS.name)}

    becomes(dict.fromkeys(COLLECTORS, 1.0), succeeds)
    assert world.postgres.execute(f"SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = '{EXPORTER_ROLE}'") == [
        (True,)
    ]


def test_runs_that_end(world: World, exporter: Exporter, uncounted: dict[str, Tally]) -> None:
    before = _done(world)
    for dag_id in ("ends_well", "ends_badly", "ends_well"):
        world.api.trigger(dag_id)
    _all_end(world)
    counts = difference(_done(world), before)
    assert {key: count for key, count in counts.items() if key in ENDED or key[0].endswith("_total")} == ENDED
    _counted(world, exporter, uncounted)


def test_the_last_run_of_each_dag(world: World) -> None:
    """The one that was created last, whichever of two ends first."""
    last = """
        SELECT DISTINCT ON (dag_id) dag_id, state = 'success', extract(epoch FROM end_date),
               extract(epoch FROM end_date - start_date)
        FROM dag_run WHERE state IN ('success', 'failed') ORDER BY dag_id, id DESC
    """
    shown = (metrics.DAG_LAST_RUN_SUCCESS, metrics.DAG_LAST_RUN_END, metrics.DAG_LAST_RUN_DURATION)
    for nth, metric in enumerate(shown, start=1):

        def said(nth: int = nth) -> dict[tuple[str, ...], object]:
            rows = world.postgres.execute(last, "airflow")
            return {(row[0],): pytest.approx(float(row[nth]), abs=1e-3) for row in rows}

        agree(said, partial(world.prometheus.series, metric))
    successes = """
        SELECT DISTINCT ON (dag_id) dag_id, extract(epoch FROM end_date)
        FROM dag_run WHERE state = 'success' ORDER BY dag_id, id DESC
    """
    agree(
        lambda: {(row[0],): pytest.approx(float(row[1])) for row in world.postgres.execute(successes, "airflow")},
        partial(world.prometheus.series, metrics.DAG_LAST_SUCCESS),
    )
    assert world.prometheus.value(metrics.DAG_LAST_RUN_SUCCESS, dag_id="ends_well") == 1
    assert world.prometheus.value(metrics.DAG_LAST_RUN_SUCCESS, dag_id="ends_badly") == 0
    assert world.prometheus.value(metrics.DAG_LAST_SUCCESS, dag_id="ends_badly") is None
    bundle = "" if world.release.major == 2 else "dags-folder"
    assert world.prometheus.series(metrics.DAG_INFO, dag_id="ends_well") == {("e2e", ",ends,", bundle, ""): 1.0}


def test_runs_that_come_and_go_between_two_looks(world: World, exporter: Exporter, uncounted: dict[str, Tally]) -> None:
    before = _done(world)
    with exporter.frozen():
        for dag_id in ("ends_well", "ends_badly"):
            world.api.trigger(dag_id)
        _all_end(world)
    assert difference(_done(world), before)[metrics.TASKS_FINISHED.name, "success", "default"] == 5
    _counted(world, exporter, uncounted)


def test_tasks_that_come_and_go_between_two_looks(
    world: World, exporter: Exporter, uncounted: dict[str, Tally]
) -> None:
    """Of a run that goes on, and some of them of a mapped task, of which there were no instances at the last look."""
    world.api.trigger("ends_when_told")
    assert poll(lambda: _state(world, "first") == "running")
    _looks(exporter)
    before = _done(world)
    with exporter.frozen():
        (world.airflow.home / "first").touch()
        assert poll(lambda: _state(world, "last") == "running")
    counts = difference(_done(world), before)
    assert counts[metrics.TASKS_FINISHED.name, "success", "default"] == 5
    assert (metrics.RUNS_FINISHED.name, "success", "manual") not in counts
    _counted(world, exporter, uncounted)


def test_a_restarted_exporter(world: World, exporter: Exporter, uncounted: dict[str, Tally]) -> None:
    exporter.program.stop()
    before = _done(world)
    exporter.start()
    _looks(exporter)
    assert in_exporter(exporter.series) == {}
    uncounted["exporter"] = before
    (world.airflow.home / "last").touch()
    _all_end(world)
    counts = difference(_done(world), before)
    assert counts[metrics.TASKS_FINISHED.name, "success", "default"] == 1
    assert counts[metrics.RUNS_FINISHED.name, "success", "manual"] == 1
    _counted(world, exporter, uncounted)


def test_what_the_scheduler_says_of_tasks_without_a_worker(
    world: World, exporter: Exporter, uncounted: dict[str, Tally]
) -> None:
    before = _events(world)
    of_exporter = Counter(world.prometheus.series(metrics.TASK_EVENTS))
    assert set(of_exporter) == {(event,) for event in SCHEDULER_EVENTS}
    world.airflow.scheduler.stop()
    world.airflow.start_scheduler(**IMPATIENT)
    world.api.trigger("ends_unbegun")
    _all_end(world)

    def said() -> dict[tuple[str, ...], float]:
        now = _events(world)
        return {(event,): float(now[event] - before[event]) for event in SCHEDULER_EVENTS}

    def shown() -> dict[tuple[str, ...], float]:
        return {key: value - of_exporter[key] for key, value in world.prometheus.series(metrics.TASK_EVENTS).items()}

    agree(said, shown)
    assert said()[REQUEUED_EVENT,] >= 1
    assert said()["stuck in queued tries exceeded",] >= 1
    _counted(world, exporter, uncounted)


def test_nothing_was_refused(world: World, exporter: Exporter) -> None:
    logs = [log.read_text() for log in world.airflow.programs.folder.glob("exporter-*.log")]
    assert len(logs) == 3
    assert not any("permission denied" in log or "Traceback" in log for log in logs)
    becomes(0, lambda: sum(value != 1 for _, value in exporter.series(metrics.COLLECTOR_SUCCESS.name)))


# -- what they say ---------------------------------------------------------------------------------------------------


def _done(world: World) -> Tally:
    return in_database(world.postgres, world.release.major)


def _both(world: World, exporter: Exporter) -> dict[str, Ask]:
    return {
        "exporter": exporter.series,
        "prometheus": lambda name: world.prometheus.query(f'{name}{{airflow="airflow"}}'),
    }


def _settled(world: World, exporter: Exporter) -> bool:
    """Whether nothing ends while both look once more."""
    before = _done(world)
    _looks(exporter)
    return before == _done(world)


def _counted(world: World, exporter: Exporter, uncounted: dict[str, Tally]) -> None:
    """Both come to what SQL says, and stay there."""
    said: dict[str, tuple[Tally, Tally]] = {}

    def equal() -> bool:
        done = _done(world)
        for name, ask in _both(world, exporter).items():
            said[name] = difference(done, uncounted[name]), in_exporter(ask)
        return all(same(*each) for each in said.values())

    def lacks() -> str:
        return ", ".join(f"{name}: {difference(*each)} more in SQL, of {each[0]}" for name, each in said.items())

    assert poll(equal), lacks()
    _looks(exporter)
    assert poll(equal), lacks()


def _looks(exporter: Exporter) -> None:
    """Wait until the exporter has looked for outcomes from beginning to end."""
    seen: set[float] = set()

    def twice() -> bool:
        seen.update(
            value
            for labels, value in exporter.series(metrics.COLLECTOR_LAST_SUCCESS.name)
            if labels["collector"] == "outcomes"
        )
        return len(seen) > 2

    assert poll(twice), f"the outcomes collector stands still at {seen}"


def _all_end(world: World) -> None:
    """Wait until no run of the DAGs of `ends.py` is left."""
    left = f"SELECT count(*) FROM dag_run WHERE dag_id LIKE 'ends%' AND state IN {UNFINISHED_RUN_STATES}"
    ended = poll(lambda: world.postgres.execute(left, "airflow") == [(0,)])
    tasks = "SELECT dag_id, task_id, map_index, state, try_number FROM task_instance WHERE dag_id LIKE 'ends%'"
    assert ended, world.postgres.execute(tasks, "airflow")


def _state(world: World, task_id: str) -> str | None:
    """Of the only instance of a task of `ends_when_told`."""
    query = f"SELECT state FROM task_instance WHERE dag_id = 'ends_when_told' AND task_id = '{task_id}'"
    rows = world.postgres.execute(query, "airflow")
    return rows[0][0] if rows else None


def _events(world: World) -> Counter[str]:
    return Counter(dict(world.postgres.execute("SELECT event, count(*) FROM log GROUP BY event", "airflow")))
