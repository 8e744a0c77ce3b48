"""Another policy for a running exporter: what it does not change runs on, what cannot be had changes nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from statsd import StatsClient

from airflow_obs.catalog import metrics
from airflow_obs.collectors.outcomes import Outcomes
from airflow_obs.errors import PolicyError, UsageError
from airflow_obs.exporter.daemon import Daemon
from airflow_obs.exporter.ingest.receive import Ingest
from airflow_obs.exporter.lanes import Lane
from airflow_obs.policy import loads
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.exporter.pages import Page

SOURCES = "    sources: {database: {}, health: {url: http://127.0.0.1:1}}\n"
SITE = f"""\
deployments:
  - name: prod
{SOURCES}"""
QUICK = "collectors: {pools: {interval: 1s, timeout: 1s}, jobs: {interval: 1s, timeout: 1s}}\n"
STATSD = "    sources: {statsd: {listen_udp: '127.0.0.1:%d', listen_tcp: null, tags: none}}\n"


@contextmanager
def running(site: str) -> Iterator[Daemon]:
    """A daemon with this policy, every collector of which has been tried once."""
    daemon = daemon_of(site)
    daemon.start()
    try:
        eventually(lambda: daemon.board.snapshot.ready, "every collector was tried")
        yield daemon
    finally:
        daemon.stop()
    eventually(lambda: not threads(), "no thread is left")


def threads() -> list[str]:
    """The names of those that collect and send."""
    return [one.name for one in threading.enumerate() if one.name.startswith(("source-", "push-"))]


def daemon_of(site: str) -> Daemon:
    policy = loads(site, "site.yaml")
    return Daemon(policy, policy.deployment())


def take(daemon: Daemon, site: str) -> None:
    """Go on with this policy."""
    policy = loads(site, "site.yaml")
    daemon.take(policy, policy.deployment())


def lane(daemon: Daemon, name: str) -> Lane:
    (found,) = (one for one in daemon._lanes if one.name == name)
    return found


def send_to(port: int) -> None:
    """One sample, as Airflow sends it."""
    with closing(StatsClient("127.0.0.1", port, prefix="airflow")) as client:
        client.gauge("dagbag_size", 3)


def page(daemon: Daemon) -> Page:
    return Page(daemon.board.snapshot.text.decode())


@pytest.fixture
def database(new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter's settings name a database."""
    monkeypatch.setenv("AIRFLOW_OBS_DB_URL", new_database(SQLITE_SCHEMAS[-1]).url)


@pytest.fixture
def port() -> int:
    """One that is free."""
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "change",
    [
        "alerts: {AirflowPoolExhausted: {threshold: 3}}\n",
        "teams: [{name: us, owners: [me]}]\n",
        "retention: {tables: {xcom: {days: null}}}\n",
    ],
)
def test_what_the_exporter_does_not_read_disturbs_nothing(change: str) -> None:
    with running(SITE) as daemon:
        before = {one.name: (one, one.worker) for one in daemon._lanes}
        take(daemon, SITE + change)
        assert {one.name: (one, one.worker) for one in daemon._lanes} == before
        assert all(one.worker and one.worker.is_alive() for one in daemon._lanes)


@pytest.mark.usefixtures("database")
def test_another_interval_disturbs_its_source_alone_and_costs_no_collector_what_it_knows() -> None:
    with running(SITE) as daemon:
        database, health = lane(daemon, "database"), lane(daemon, "health")
        collectors = {job.name: job.collector for job in database.jobs}
        failures = page(daemon).value(metrics.COLLECTOR_FAILURES.name, collector="health")
        take(daemon, SITE + QUICK)
        assert lane(daemon, "health") is health
        assert not (database.worker and database.worker.is_alive())
        now = {job.name: job.collector for job in lane(daemon, "database").jobs}
        # How long a job is alive is said beside its interval, so that its collector is another one.
        assert {name for name, collector in now.items() if collector is not collectors[name]} == {"jobs"}
        assert isinstance(now["outcomes"], Outcomes)
        assert daemon.board.snapshot.ready
        seen = page(daemon)
        assert seen.value(metrics.COLLECTOR_FAILURES.name, collector="health") >= failures
        before = seen.value(metrics.COLLECTOR_LAST_SUCCESS.name, collector="pools")

        def again() -> bool:
            return page(daemon).value(metrics.COLLECTOR_LAST_SUCCESS.name, collector="pools") > before + 1

        eventually(again, "pools are read at the new interval")


@pytest.mark.usefixtures("database")
def test_collectors_and_sources_come_and_go() -> None:
    with running(SITE) as daemon:
        assert metrics.POOL_SLOTS.name in page(daemon).names
        take(daemon, "deployments: [{name: prod, sources: {database: {}}}]\ncollectors: {pools: {enabled: false}}\n")
        seen = page(daemon)
        assert metrics.POOL_SLOTS.name not in seen.names
        assert seen.values(metrics.COLLECTOR_SUCCESS.name, collector="pools") == []
        assert seen.values(metrics.COLLECTOR_SUCCESS.name, collector="health") == []
        assert seen.values(metrics.COLLECTOR_SUCCESS.name, collector="jobs") == [1]
        take(daemon, SITE)
        eventually(lambda: metrics.POOL_SLOTS.name in page(daemon).names, "pools are back")
        eventually(lambda: daemon.board.snapshot.ready, "health was tried")


@pytest.mark.usefixtures("database")
def test_another_name_is_on_every_series_at_once() -> None:
    with running(SITE) as daemon:
        take(daemon, SITE.replace("prod", "blue"))
        assert {one.labels["airflow"] for one in page(daemon).samples} == {"blue"}


@pytest.mark.usefixtures("database")
def test_another_executor_is_another_way_to_find_everything() -> None:
    with running(SITE) as daemon:
        database = lane(daemon, "database")
        take(daemon, SITE.replace("prod", "prod\n    airflow: {executor: CeleryExecutor}"))
        changed = {
            new.name
            for old, new in zip(database.jobs, lane(daemon, "database").jobs, strict=True)
            if old.collector is not new.collector
        }
        assert changed == {"task_instances", "stuck_tasks", "database"}


@pytest.mark.usefixtures("database")
def test_nothing_to_export_is_refused_and_all_goes_on() -> None:
    with running(SITE) as daemon:
        before = list(daemon._lanes)
        off = "collectors: {health: {enabled: false}}\n"
        with pytest.raises(UsageError, match="has no enabled collector"):
            take(daemon, SITE.replace("database: {}, ", "") + off)
        assert daemon._lanes == before
        assert all(one.worker and one.worker.is_alive() for one in before)


@pytest.mark.usefixtures("database")
def test_what_airflow_sends_is_kept_while_its_listener_stays(port: int) -> None:
    site = "deployments:\n  - name: prod\n" + STATSD % port
    with running(site) as daemon:
        ingest = lane(daemon, "ingest").source
        assert isinstance(ingest, Ingest)
        send_to(port)
        eventually(lambda: ingest.store.size, "it came")
        take(daemon, site.replace("statsd", "database: {}, statsd"))
        assert lane(daemon, "ingest").source is ingest
        eventually(lambda: metrics.POOL_SLOTS.name in page(daemon).names, "the database is read, too")


def test_address_that_cannot_be_had_changes_nothing(port: int) -> None:
    site = "deployments:\n  - name: prod\n" + STATSD % port
    with socket.socket(type=socket.SOCK_DGRAM) as taken, running(site) as daemon:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(UsageError, match="cannot listen there"):
            take(daemon, "deployments:\n  - name: prod\n" + STATSD % taken.getsockname()[1])
        ingest = lane(daemon, "ingest").source
        assert isinstance(ingest, Ingest)
        send_to(port)
        eventually(lambda: ingest.store.size, "it still takes what comes")
        assert daemon.board.snapshot.statuses[0].job.source is ingest


def test_listener_moves(port: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    with running("deployments:\n  - name: prod\n" + STATSD % port) as daemon:
        take(daemon, "deployments:\n  - name: prod\n" + STATSD % other)
        with socket.socket(type=socket.SOCK_DGRAM) as free_again:
            free_again.bind(("127.0.0.1", port))
        ingest = lane(daemon, "ingest").source
        assert isinstance(ingest, Ingest)
        send_to(other)
        eventually(lambda: ingest.store.size, "it takes what comes there")


@pytest.mark.usefixtures("database")
def test_destinations_come_and_go_and_stay(tmp_path: object) -> None:
    one, other = f"{tmp_path}/one.prom", f"{tmp_path}/other.prom"
    site = f"{SITE}push: {{textfile: {{path: {one}, interval: 1s}}}}\n"
    with running(SITE) as daemon:
        take(daemon, site)
        [pusher] = daemon._pushers
        eventually(lambda: metrics.PUSH_SUCCESS.name in page(daemon).names, "it is written")
        take(daemon, site + QUICK)
        assert daemon._pushers == [pusher]
        take(daemon, site.replace("one", "other"))
        [another] = daemon._pushers
        assert (another.is_alive(), another.destination.where) == (True, other)
        eventually(lambda: not pusher.is_alive(), "the first one has ended")
        take(daemon, SITE)
        assert daemon._pushers == []


def test_source_that_hangs_is_replaced_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        port = hole.getsockname()[1]
        monkeypatch.setenv("AIRFLOW_OBS_DB_URL", f"postgresql://u:p@127.0.0.1:{port}/a")
        daemon = daemon_of("deployments: [{name: prod, sources: {database: {}}}]\n")
        daemon.start()
        try:
            client, _ = hole.accept()
            with client:
                take(daemon, "deployments: [{name: prod, sources: {database: {}}}]\n" + QUICK)
            assert len([one for one in threading.enumerate() if one.name == "source-database"]) == 1
        finally:
            daemon.stop()


OFTEN = "collectors: {ingest: {interval: 1s, timeout: 1s}}\n"


def counted(daemon: Daemon) -> float:
    return sum(page(daemon).values("airflow_obs_task_failures_total"))


def test_what_airflow_has_sent_stays_counted_while_its_names_stay(port: int) -> None:
    site = "deployments:\n  - name: prod\n" + STATSD % port
    with running(site + OFTEN) as daemon:
        fail(port, 50)
        eventually(lambda: counted(daemon) == 50, "they are counted")
        take(daemon, site + OFTEN.replace("interval: 1s", "interval: 2s, max_series: 500"))
        assert counted(daemon) == 50
        fail(port, 50)
        eventually(lambda: counted(daemon) == 100, "the others come on top")
        take(daemon, site + OFTEN + "dags: {exclude: ['x*']}\n")
        # Which DAGs have series was another question then: it begins anew.
        fail(port, 7)
        eventually(lambda: counted(daemon) == 7, "only the newest are counted")


def fail(port: int, times: int) -> None:
    """So many failures of tasks, as Airflow sends them."""
    with closing(StatsClient("127.0.0.1", port, prefix="airflow")) as client:
        client.incr("ti_failures", times)


def test_mapping_file_is_read_again(port: int, tmp_path: Path) -> None:
    mapping = tmp_path / "m.yml"
    mapping.write_text("mappings: [{match: airflow.foo, name: foo_a}]\n")
    site = "deployments:\n  - name: prod\n" + STATSD % port
    site = site.replace("tags: none", f"tags: none, mapping: {mapping}") + OFTEN
    with running(site) as daemon:
        mapping.write_text("mappings: [{match: airflow.foo, name: foo_b}]\n")
        take(daemon, site)
        with closing(StatsClient("127.0.0.1", port, prefix="airflow")) as client:
            client.incr("foo")
        eventually(lambda: b"foo_b" in daemon.board.snapshot.text, "it is named as the file says now")
        mapping.write_text("mappings: [\n")
        with pytest.raises(PolicyError, match=r"m\.yml"):
            take(daemon, site)
        assert lane(daemon, "ingest").worker


def test_pushing_to_what_we_listen_at_is_refused(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://0.0.0.0:{port}")
    listening = f"{{otlp: {{listen_http: '127.0.0.1:{port}', listen_grpc: null}}}}"
    site = f"deployments: [{{name: prod, sources: {listening}}}]\npush: {{otlp: {{}}}}\n"
    with pytest.raises(UsageError, match=rf"^push.otlp: 0.0.0.0:{port}: that is where prod takes what Airflow sends"):
        daemon_of(site.replace("127.0.0.1", "0.0.0.0"))
