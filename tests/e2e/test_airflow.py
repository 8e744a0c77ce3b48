"""What Prometheus holds is what Airflow says about itself while it works."""

from __future__ import annotations

import re
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from airflow_obs.catalog import metrics
from tests.e2e.agreement import agree, becomes
from tests.e2e.conftest import PASSWORD, World
from tests.e2e.monitoring import COLLECTORS, OPENMETRICS
from tests.e2e.processes import poll

PAGE = 8192
"""Bytes of a PostgreSQL page."""
PARSE_DURATIONS_FROM = {"2.10.5": "ingest", "3.0.2": None, "3.1.8": "database", "3.3.2": "database"}
"""3.0 tells nobody of them."""
GOOD_FILES = {"crowds.py", "defers.py", "ends.py", "fails.py", "nested/succeeds.py", "queues_up.py", "tells.py"}
DELIBERATE = 1.0
"""Seconds for which `breaks.py` sleeps at least."""
TIMEOUT = 50.0
"""Seconds after which Airflow gives up parsing a file."""

pytestmark = pytest.mark.e2e


def test_every_collector_succeeds(world: World) -> None:
    becomes({(name,): 1.0 for name in COLLECTORS}, partial(world.prometheus.series, metrics.COLLECTOR_SUCCESS))


def test_unfinished_tasks_and_runs(world: World) -> None:
    # The fourth label is the executor: Airflow's default one has no name.
    agree(
        lambda: {(*where, ""): float(count) for where, count in world.api.unfinished_tasks().items()},
        partial(world.prometheus.series, metrics.TASK_INSTANCES),
    )
    agree(world.api.unfinished_runs, partial(world.prometheus.series, metrics.DAG_RUNS))
    assert world.prometheus.value(metrics.DAG_RUNS, state="queued", run_type="manual") == 1


def test_pools(world: World) -> None:
    shown = {
        "slots": metrics.POOL_SLOTS,
        "open": metrics.POOL_OPEN,
        "used": metrics.POOL_USED,
        "running": metrics.POOL_RUNNING,
        "queued": metrics.POOL_QUEUED,
        "deferred": metrics.POOL_DEFERRED,
        "scheduled": metrics.POOL_SCHEDULED,
    }

    def slots(what: str) -> dict[tuple[str, ...], float]:
        return {(name,): getattr(pool, what) for name, pool in world.api.pools().items()}

    for what, metric in shown.items():
        agree(partial(slots, what), partial(world.prometheus.series, metric))
    assert world.prometheus.value(metrics.POOL_OPEN, pool="one_slot") == 0
    assert world.prometheus.value(metrics.POOL_USED, pool="with_deferred") == 1


def test_dags(world: World) -> None:
    def states() -> dict[tuple[str, ...], float]:
        return {(state,): float(count) for state, count in world.api.dag_states().items()}

    agree(states, partial(world.prometheus.series, metrics.DAGS))
    agree(world.api.next_run_due, partial(world.prometheus.value, metrics.NEXT_RUN_DUE))
    world.api.pause("fails")
    assert states()[("paused",)] == 1
    agree(states, partial(world.prometheus.series, metrics.DAGS))
    agree(world.api.import_errors, partial(world.prometheus.value, metrics.IMPORT_ERRORS))


def test_parse_durations(world: World) -> None:
    becomes(0.0, partial(world.prometheus.value, metrics.DAGS, state="stale"))
    shown = partial(world.prometheus.series, metrics.PARSE_DURATION)
    source = PARSE_DURATIONS_FROM[world.release.version]
    if source == "database":
        agree(lambda: {(path,): pytest.approx(seconds) for path, seconds in world.api.parse_durations().items()}, shown)
        assert {file for (file,) in shown()} == GOOD_FILES
    elif source == "ingest":
        # Over StatsD it has no folder, and even a file that cannot be imported has a duration.
        becomes({Path(file).stem for file in GOOD_FILES} | {"breaks"}, lambda: {file for (file,) in shown()})
        assert DELIBERATE <= shown()["breaks",] < TIMEOUT
        assert all(0 < seconds < TIMEOUT for seconds in shown().values())
    else:
        assert shown() == {}
    sources = world.prometheus.series(metrics.FAMILY_SOURCE, family=metrics.PARSE_DURATION.name)
    assert sources == ({(source,): 1.0} if source else {})


def test_health(world: World) -> None:
    agree(
        lambda: {(name,): float(healthy) for name, healthy in world.api.health().items()},
        partial(world.prometheus.series, metrics.HEALTH_COMPONENT),
    )
    assert world.prometheus.value(metrics.HEALTH_COMPONENT, component="scheduler") == 1
    becomes(1.0, partial(world.prometheus.value, metrics.SOURCE_UP, source="health"))


def test_jobs(world: World) -> None:
    code, said = world.airflow.command("jobs", "check", "--job-type", "SchedulerJob")
    assert (code, "Found one alive job." in said) == (0, True), said
    job_types = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag_processor": "DagProcessorJob"}

    def alive() -> dict[tuple[str, ...], float]:
        healthy = world.api.health()
        return {(job_type,): float(healthy.get(component, False)) for component, job_type in job_types.items()}

    agree(alive, partial(world.prometheus.series, metrics.JOBS_ALIVE))
    assert world.prometheus.value(metrics.JOBS_ALIVE, job_type="SchedulerJob") == 1


def test_what_it_is(world: World) -> None:
    ((head, _, database, _, executor),) = world.prometheus.series(metrics.AIRFLOW_INFO)
    assert (head, database, executor) == (world.release.alembic_head, "postgresql", "CeleryExecutor")


def test_the_password_is_nowhere(world: World) -> None:
    shown = world.exporter.page() + world.exporter.page(OPENMETRICS) + world.exporter.program.log.read_text()
    assert quote(PASSWORD, safe="") in world.airflow.database_url
    assert PASSWORD not in shown
    assert quote(PASSWORD, safe="") not in shown


def test_table_size(world: World) -> None:
    def size() -> int:
        (bytes_,) = world.postgres.execute("SELECT pg_total_relation_size('task_instance')", "airflow")[0]
        return int(bytes_)

    def close() -> bool:
        shown = world.prometheus.value(metrics.TABLE_SIZE, table="task_instance")
        return shown is not None and abs(shown - size()) <= 2 * PAGE

    assert poll(close), (
        f"{world.prometheus.value(metrics.TABLE_SIZE, table='task_instance')} bytes, but it has {size()}"
    )


def test_the_page_is_clean_in_both_formats(world: World) -> None:
    linted = subprocess.run(
        ["promtool", "check", "metrics"], input=world.exporter.page(), capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stderr) == (0, "")
    page = world.exporter.page(OPENMETRICS)
    families = {family.name for family in text_string_to_metric_families(page)}
    named = {re.sub("_(total|info)$", "", metric.name) for metric in metrics.ALL}
    assert len(families & named) > len(named) / 2
