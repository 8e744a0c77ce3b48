"""A Redis that freezes, dies, forgets, fills up, shuts us out or is something else than it was: seen on /metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from kombu import Connection

from airflow_obs.catalog import metrics
from airflow_obs.sources import control_broker
from airflow_obs.sources.redis import GRANTS
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.celery_workers import celery_worker
from tests.conftest import NewDatabase
from tests.eventually import eventually
from tests.exporter_process import Exporter, exporter, quick
from tests.redis_server import EXPORTER, SECRETS, RedisServer, redis_server

TOKEN = "eyJhbGciOiJIUzUxMiJ9.live.token"
PATIENT = quick(workers="4s")
SITE = "deployments: [{{name: airflow, sources: {{database: , broker: {{control: {}}}}}}}]\n"
WORKER = "celery@one"
StartExporter = Callable[..., AbstractContextManager[Exporter]]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of the test's own, with a message."""
    with redis_server() as server:
        push(server)
        yield server


@pytest.fixture
def start(new_database: NewDatabase, tmp_path: Path) -> StartExporter:
    """Start an exporter of this Redis, and of a database that is well."""
    database = new_database(SQLITE_SCHEMAS[-1]).url

    @contextmanager
    def start(server: RedisServer, *, control: bool = False, **variables: str) -> Iterator[Exporter]:
        settings = {"AIRFLOW_OBS_DB_URL": database, "AIRFLOW_OBS_BROKER_URL": server.exporter_url, **variables}
        with exporter(tmp_path, settings, PATIENT + SITE.format(str(control).lower()), (*SECRETS, TOKEN)) as running:
            yield running
        if server.process is not None and not control:  # a worker keeps connections of its own
            eventually(lambda: server.sessions() == 0, "no connection stays")

    return start


def push(server: RedisServer) -> None:
    """Send a message as Celery does."""
    with Connection(server.url()) as connection, connection.SimpleQueue("default") as queue:
        queue.put({"token": TOKEN})


def recovered(running: Exporter, held: tuple[int, int], depth: int = 1) -> None:
    """The broker's collector succeeds again, says this depth, and nothing was leaked."""
    running.until_well("broker")
    running.until_well()
    running.until(
        lambda page: page.values(metrics.BROKER_MESSAGES.name, queue="default") == [depth], f"the depth is {depth}"
    )
    assert running.page().value(metrics.SOURCE_UP.name, source="broker") == 1
    assert not running.leaked_since(held)


def down(running: Exporter, said: str, times: int = 3) -> None:
    """Only the broker's collector fails, again and again, without its samples; the log says why, once."""
    running.until_down("broker")
    running.until_said(said)
    page = running.until_tried_again("broker", times)
    assert page.values(metrics.BROKER_MESSAGES.name) == []
    assert page.value(metrics.SOURCE_UP.name, source="broker") == 0
    running.until_well()
    assert running.log.count(said) == 1


def test_frozen(server: RedisServer, start: StartExporter) -> None:
    with start(server) as running:
        running.until_well("broker")
        held = running.held()
        with server.frozen():
            down(running, "no answer in time: the server is frozen")
        recovered(running, held)


def test_workers_are_asked_again_after_a_freeze_a_death_and_a_crowd(
    server: RedisServer, start: StartExporter, tmp_path: Path
) -> None:
    control = " ".join(right for right in control_broker.GRANTS.split() if not right.startswith("~"))  # it has ~*
    grants = f"{GRANTS} resetchannels {control}"
    server.grant(grants)
    with celery_worker(server.url(), WORKER, tmp_path, "other"), start(server, control=True) as running:
        workers_are_back(running)
        held = running.held()
        with server.frozen():
            silent(running)
        workers_are_back(running)
        server.kill()
        silent(running)
        running.until_said("Connection refused")
        server.start()
        server.grant(grants)  # nothing of it was on disk
        workers_are_back(running)
        server.client().config_set("maxclients", 1)
        server.client().client_kill_filter(_type="normal", skipme=True)
        silent(running)
        running.until_said("max number of clients reached")
        server.client().config_set("maxclients", 10_000)
        workers_are_back(running)
        eventually(lambda: not running.leaked_since(held), "nothing was leaked")


def silent(running: Exporter) -> None:
    """Nobody can ask workers, so nothing is said of them, not even that they are down."""
    running.until_down("broker", "workers")
    page = running.until_tried_again("workers", 2)
    assert page.values(metrics.WORKER_UP.name) == page.values(metrics.WORKER_SUBSCRIBED.name) == []
    running.until_well()


def workers_are_back(running: Exporter) -> None:
    """The worker answers with what it consumes from."""
    running.until_well("broker", "workers")
    running.until(
        lambda page: page.values(metrics.WORKER_SUBSCRIBED.name, worker=WORKER, queue="other") == [1], "it consumes"
    )


def test_sigterm_while_it_is_frozen(server: RedisServer, start: StartExporter) -> None:
    with start(server) as running, server.frozen():
        down(running, "no answer in time: the server is frozen")
        assert running.stop(5.0) == 0
        assert running.log.endswith(" stopped\n")


def test_killed_and_restarted_empty(server: RedisServer, start: StartExporter) -> None:
    with start(server) as running:
        page = running.until_well("broker")
        started = page.value(metrics.BROKER_STARTED.name)
        held = running.held()
        server.kill()
        down(running, "Connection refused")
        server.start()
        recovered(running, held, depth=0)
        assert (running.page().value(metrics.BROKER_STARTED.name) or 0) > (started or 0)
        push(server)
        recovered(running, held)


def test_loading(server: RedisServer, start: StartExporter) -> None:
    client = server.client()
    client.config_set("rdbcompression", "no")
    # It looks at its clients after every 2 MB that it has loaded.
    client.mset({f"key-{index}": "x" * 2_100_000 for index in range(60)})
    client.save()
    with start(server) as running:
        running.until_well("broker")
        held = running.held()
        server.kill()
        server.start("--key-load-delay", "150000", answers=False)
        down(running, "Redis is loading its data from disk", times=1)
        server.kill()
        server.start()
        recovered(running, held)


def test_a_password_is_asked_for_that_was_not(start: StartExporter) -> None:
    with redis_server(password="") as server, start(server, AIRFLOW_OBS_BROKER_URL=server.url(password="")) as running:
        push_without(server)
        running.until_well("broker")
        held = running.held()
        server.client().config_set("requirepass", "hunter2")
        server.client().client_kill_filter(_type="normal", skipme=True)
        down(running, "Authentication required")
        server.client().config_set("requirepass", "")
        recovered(running, held)


def push_without(server: RedisServer) -> None:
    """Send a message to a server without a password."""
    with Connection(server.url(password="")) as connection, connection.SimpleQueue("default") as queue:
        queue.put({"token": TOKEN})


def test_the_password_is_rotated(server: RedisServer, start: StartExporter, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(server.exporter_url)
    with start(server, AIRFLOW_OBS_BROKER_URL="", AIRFLOW_OBS_BROKER_URL_FILE=str(file)) as running:
        running.until_well("broker")
        held = running.held()
        server.client().execute_command("ACL", "SETUSER", EXPORTER[0], "resetpass", ">another-word")
        server.client().client_kill_filter(_type="normal", skipme=True)
        down(running, "invalid username-password pair or user is disabled.; look at user and password in")
        file.write_text(server.url(EXPORTER[0], "another-word"))
        recovered(running, held)
        assert "another-word" not in running.everything_said


def test_a_right_is_taken(server: RedisServer, start: StartExporter) -> None:
    with start(server) as running:
        running.until_well("broker")
        server.grant(GRANTS.replace("+llen ", ""))
        running.until_down("broker")
        running.until_said("our user may not run the command LLEN")
        running.until_said(f"ACL SETUSER <user> {GRANTS}")
        assert running.page().value(metrics.SOURCE_UP.name, source="broker") == 1
        server.grant(GRANTS)
        running.until_well("broker")


def test_memory_that_is_full_hides_nothing(server: RedisServer, start: StartExporter) -> None:
    with start(server) as running:
        running.until_well("broker")
        server.client().config_set("maxmemory", 1)
        page = running.until(lambda page: page.value(metrics.BROKER_MEMORY_MAX.name) == 1, "it is full")
        assert page.value(metrics.BROKER_MEMORY.name) > 1
        assert page.value(metrics.BROKER_MESSAGES.name, queue="default") == 1
        assert page.value(metrics.COLLECTOR_SUCCESS.name, collector="broker") == 1


def test_no_room_for_another_client(server: RedisServer, start: StartExporter) -> None:
    with start(server) as running:
        running.until_well("broker")
        held = running.held()
        server.client().config_set("maxclients", 1)
        server.client().client_kill_filter(_type="normal", skipme=True)
        down(running, "max number of clients reached")
        server.client().config_set("maxclients", 10_000)
        recovered(running, held)


def test_a_cluster_is_no_broker(start: StartExporter) -> None:
    with redis_server("--cluster-enabled", "yes") as one, redis_server("--cluster-enabled", "yes") as other:
        other.client().execute_command("CLUSTER", "ADDSLOTS", *range(16384))
        with start(one) as running:
            down(running, "this Redis is part of a cluster")  # CLUSTERDOWN: nobody has the slots
            one.client().execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
            eventually(
                lambda: one.client().execute_command("CLUSTER INFO")["cluster_state"] == "ok", "the cluster is well"
            )
            running.until_tried_again("broker", 3)  # MOVED: the other one has them
            assert running.log.count("this Redis is part of a cluster") == 1


def test_no_celery_no_broker(server: RedisServer, start: StartExporter) -> None:
    for executor in ("KubernetesExecutor", "LocalExecutor"):
        settings = {"AIRFLOW_OBS_BROKER_URL": "", "AIRFLOW__CELERY__BROKER_URL": server.url()}
        with start(server, AIRFLOW__CORE__EXECUTOR=executor, **settings) as running:
            page = running.until_well("broker")
            assert page.values(metrics.SOURCE_UP.name, source="broker") == []
            assert page.values(metrics.BROKER_MESSAGES.name) == []
            assert "broker" not in running.log
