"""What must hold for the whole: one place for metric names, one sentence per module, documents in step."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import OLDEST_RELEASE
from airflow_obs.catalog.collectors import source_of
from airflow_obs.catalog.emitted import SIGNALS
from airflow_obs.catalog.metrics import ingest
from airflow_obs.collectors.broker import BrokerState, Node, Queue, Redis
from airflow_obs.collectors.registry import collectors
from airflow_obs.collectors.replication import Own, ReplicationState
from airflow_obs.collectors.workers import Fleet
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.exposition import render
from airflow_obs.exporter.push.otlp.destination import Otlp
from airflow_obs.exporter.push.pusher import Pusher
from airflow_obs.exporter.reload import Reloader
from airflow_obs.exporter.run import jobs
from airflow_obs.exporter.web.access import Access
from airflow_obs.model import PREFIX, Metric
from airflow_obs.policy import load
from airflow_obs.policy.push import OtlpPush
from airflow_obs.sources import control_broker, redis
from airflow_obs.sources.control import Worker
from airflow_obs.sources.discovery import AirflowSettings
from airflow_obs.sources.health import Answer
from tests.airflow_database import AirflowDatabase, Templates
from tests.airflow_schemas import MARIADB_SCHEMAS, POSTGRESQL_SCHEMAS, ROOT
from tests.collectors.collected import collector, everything
from tests.embedded_postgres import EmbeddedPostgres
from tests.exporter.pages import Page
from tests.rabbitmq_server import _CONTROL as CONTROLLER_PERMISSIONS
from tests.states import (
    a_bundle,
    a_callback_that_nobody_takes,
    a_chain_of_waits,
    a_dag,
    a_dag_paused_in_mid_run,
    a_dag_wedged_at_max_active_runs,
    a_finished_dag_run,
    a_forgotten_prepared_transaction,
    a_ghost,
    a_live_scheduler,
    a_live_triggerer,
    a_log_row,
    a_replica_that_hangs,
    a_running_dag_run,
    a_starving_task,
    a_task_deferred_without_triggerer,
    a_task_instance_queued,
    a_task_past_its_trigger_timeout,
    a_task_whose_worker_died,
    an_abandoned_replication_slot,
    an_asset_update_that_waits,
    an_overdue_deadline,
    an_sla_miss,
)

PACKAGE = ROOT / "airflow_obs"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
POLICY = load(None)
OF_THE_SERVER = {"database", "locks", "vacuum", "replication"}
"""Collectors that ask the server, whatever the release of the Airflow in it; not each of their states is made on each release."""

# No broker shows all of this at once; that each shows its part is for tests/brokers.
A_BUSY_BROKER = BrokerState(
    kind="any",
    version="1.0",
    queues=[Queue("default", 1, consumers=1, unacked=1)],
    nodes=[Node("a", up=True, started=1, memory=1, memory_max=1, disk_free=1, disk_free_limit=1, alarms=(("disk", False),))],
    unacked=1,
    clients=1,
    blocked_clients=1,
    management_up=True,
    redis=Redis(
        "noeviction", "master", unacked_oldest=1, visibility_timeout=1, evicted=1, max_clients=1, saves_succeed=True,
        saved=1, replicas=1, replication_up=True, result_keys=1,
    ),
)  # fmt: skip
A_FLEET = Fleet(
    [Worker("celery@host", ("default",), active=1, reserved=1, pool_size=1, prefetch=1, processed=1, started=1e9)],
    ["celery@gone"],
)

A_STANDBY = ReplicationState(
    [], [],
    Own(
        read_only=True, lag=1.0, replayed=datetime.now(UTC), running={"receiver": True, "applier": True}, conflicts={"lock": 1}
    ),
)  # fmt: skip
"""What a primary does not say of itself: tests/collectors/test_standby.py has a real one."""


def a_busy_airflow(db: AirflowDatabase) -> None:
    """At least one row for each metric."""
    moment = datetime.now(UTC) - timedelta(minutes=1)
    a_dag(db, "parsed", last_parsed=moment, parse_duration=1.5, next_run_due=moment)
    a_live_scheduler(db, heartbeat=moment)
    a_running_dag_run(db, started=moment)
    a_finished_dag_run(db, started=moment - timedelta(days=1), ended=moment)
    a_task_instance_queued(db, queued_at=moment)
    a_starving_task(db, scheduled_at=moment)
    a_log_row(db, dttm=moment)
    a_ghost(db, "scheduled", run_ended=moment)
    a_dag_paused_in_mid_run(db, queued=moment)
    a_dag_wedged_at_max_active_runs(db, queued=moment)
    a_task_whose_worker_died(db, started=moment, heartbeat=moment, owner=0)
    triggerer = a_live_triggerer(db, heartbeat=moment)
    a_task_past_its_trigger_timeout(db, started=moment, timed_out=moment, triggerer_id=triggerer)
    a_task_deferred_without_triggerer(db, started=moment)
    an_asset_update_that_waits(db, since=moment)
    a_callback_that_nobody_takes(db, asked=moment)
    if "sla_miss" in db.tables:
        an_sla_miss(db, recorded=moment)
    if "deadline" in db.tables and "deadline_time" in db.tables["deadline"].columns:
        an_overdue_deadline(db, passed=moment)
    if "dag_bundle" in db.tables:
        a_bundle(db, "git", refreshed=moment)


@contextmanager
def a_server_in_trouble(db: AirflowDatabase, server: EmbeddedPostgres) -> Iterator[None]:
    """Every state of a PostgreSQL server that one of the metrics shows."""
    db.execute("SELECT pg_stat_reset()")
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.exec_driver_sql("VACUUM (ANALYZE) dag_run")
    with ExitStack() as stack:
        stack.enter_context(an_abandoned_replication_slot(server))
        stack.enter_context(a_replica_that_hangs(server))
        stack.enter_context(a_forgotten_prepared_transaction(db, "SELECT pg_current_xact_id()"))
        stack.enter_context(a_chain_of_waits(db))
        yield


@pytest.fixture(scope="module")
def exposed_of(templates: Templates, postgres_server: EmbeddedPostgres) -> dict[str, set[str]]:
    """What the database collectors expose of a busy Airflow, by release."""
    exposed: dict[str, set[str]] = {}
    for schema in POSTGRESQL_SCHEMAS:
        with templates.database(schema) as db:
            a_busy_airflow(db)
            db.execute("ANALYZE")
            # A transaction of our own role, which it may see without pg_read_all_stats.
            assert db.exporter_url
            db.execute("GRANT pg_read_all_stats TO airflow_obs")
            with ExitStack() as stack, db.engine.connect() as session:
                session.exec_driver_sql("SELECT 1")
                if schema is POSTGRESQL_SCHEMAS[-1]:
                    stack.enter_context(a_server_in_trouble(db, postgres_server))
                readings = everything(db, AirflowSettings("CeleryExecutor")).readings
            db.execute("REVOKE pg_read_all_stats FROM airflow_obs")
        exposed[schema.release.version] = {reading.metric.name for reading in readings}
    return exposed


@pytest.fixture(scope="module")
def exposed_on_mariadb(templates: Templates) -> set[str]:
    """What they expose of a busy Airflow there."""
    with templates.database(MARIADB_SCHEMAS[-1]) as db:
        a_busy_airflow(db)
        return {reading.metric.name for reading in everything(db, AirflowSettings("CeleryExecutor")).readings}


@pytest.mark.parametrize(
    "metric", [one for one in metrics.ALL if source_of(one.collector) == "database"], ids=lambda one: str(one.name)
)
def test_since_and_until_are_those_of_the_releases_that_have_it(
    metric: Metric, exposed_of: dict[str, set[str]]
) -> None:
    having = {version for version, names in exposed_of.items() if metric.name in names}
    if metric.collector in OF_THE_SERVER:
        assert (metric.since, metric.until) == (None, None)
    else:
        first, last = _minor(metric.since or OLDEST_RELEASE), _minor(metric.until or "9.0")
        assert having == {version for version in exposed_of if first <= _minor(version) <= last}


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


def test_the_names_exposed_are_the_names_of_the_catalogue(
    exposed_of: dict[str, set[str]], exposed_on_mariadb: set[str]
) -> None:
    exposed = exposed_on_mariadb.union(*exposed_of.values())
    health = collector("health")
    report = health.read(lambda: Answer({"scheduler": {"status": "healthy"}}, 0.1))
    exposed |= {reading.metric.name for reading in health.samples(report)}
    exposed |= {reading.metric.name for reading in collector("broker").samples(A_BUSY_BROKER)}
    exposed |= {reading.metric.name for reading in collector("workers").samples(A_FLEET)}
    exposed |= {reading.metric.name for reading in collector("replication").samples(A_STANDBY)}
    pusher = Pusher(Otlp(OtlpPush(endpoint="http://127.0.0.1:1", timeout=1.0), "airflow", {}), lambda: board.snapshot)
    accounts = (Reloader(lambda: (POLICY, POLICY.deployment()), lambda *_: None), Access(), pusher)
    board = Board(
        "airflow",
        jobs(POLICY, POLICY.deployment(None)),
        accounts=lambda: [reading for one in accounts for reading in one.readings()],
    )
    pusher.push(board.snapshot)
    pusher.destination.close()
    board.publish()
    own = Page(board.snapshot.text.decode())
    exposed |= {name for name in own.names if name.startswith(PREFIX)}
    exposed |= {metrics.SOURCE_UP.name, metrics.FAMILY_SOURCE.name}
    assert exposed == {metric.name for metric in metrics.ALL if metric.collector != "ingest"}


def test_a_family_of_the_ingest_is_fed_by_a_signal_or_counts_the_ingest_itself() -> None:
    itself = {value for value in vars(ingest).values() if isinstance(value, Metric)}
    fed = {metric for signal in SIGNALS for metric in (signal.to, signal.falls) if metric}
    assert not itself & fed
    assert itself | {metric for metric in fed if metric.collector == "ingest"} == {
        metric for metric in metrics.ALL if metric.collector == "ingest"
    }
    assert {metric for metric in fed if metric.collector != "ingest"} == {
        metric for metric in metrics.ALL if metric.also == "ingest"
    }


def test_every_metric_has_a_collector_and_every_collector_a_metric() -> None:
    assert {metric.collector for metric in metrics.ALL} == {one.name for one in collectors(POLICY.collectors)} | {
        "exporter", "ingest",
    }  # fmt: skip


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_says_in_one_sentence_what_it_is_for(path: Path) -> None:
    text = ast.get_docstring(ast.parse((ROOT / path).read_text()))
    assert text, f"{path} has no docstring"
    summary = text.split("\n\n")[0]
    assert summary.endswith((".", ":")), summary


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name != "metrics"], ids=str)
def test_only_the_catalogue_spells_a_metric_name(path: Path) -> None:
    text = (ROOT / path).read_text()
    names = [metric.name for metric in metrics.ALL] + [metric.name.removeprefix(PREFIX) for metric in metrics.ALL]
    quoted = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    # Words of everyday speech among the names, as "dags" or "import_errors", are also field and table names.
    assert not {name for name in names if name.startswith(PREFIX) and name in text}
    assert not {name for name in names if name.count("_") > 2 and name in quoted}


@pytest.mark.parametrize("page", ["README.md", "exporters/reading-metrics.md"])
def test_a_page_names_no_metric_that_there_is_not(page: str) -> None:
    """The list of all of them is generated: tests/test_generate.py."""
    named = set(re.findall(rf"\b{PREFIX}[a-z_]+\b", (ROOT / page).read_text()))
    assert named
    assert named <= metrics.NAMES


def test_the_readme_grants_what_the_tests_have_granted() -> None:
    readme = (ROOT / "README.md").read_text()
    assert redis.GRANTS in readme
    assert control_broker.GRANTS in readme
    for pattern in CONTROLLER_PERMISSIONS.values():
        assert pattern in readme


def test_the_readme_shows_the_rooms_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text()
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert {room for room in rooms if f"`airflow_obs/{room}/`" not in readme} == set()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_files_stay_small(path: Path) -> None:
    assert len((ROOT / path).read_text().splitlines()) <= 400


def test_help_needs_neither_a_database_nor_a_web_server() -> None:
    code = (
        "import sys; sys.argv = ['airflow-obs', '--help']\n"
        "from airflow_obs.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {
        "sqlalchemy", "psycopg2", "tornado", "requests", "prometheus_client", "pydantic", "ruamel",
        "redis", "amqp", "kombu", "celery",
    }  # fmt: skip
    assert not heavy & set(ast.literal_eval(done.stderr))


def test_a_page_names_the_deployment_on_every_line() -> None:
    page = render(
        (metric.sample(1, **dict.fromkeys(metric.labels, "x")) for metric in metrics.ALL if not metric.buckets), "blue"
    )
    lines = [line for line in page.text.decode().splitlines() if not line.startswith("#")]
    assert lines
    assert all('airflow="blue"' in line for line in lines)
