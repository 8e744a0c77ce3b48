"""RabbitMQ as it is read: by a user who may do nothing, by one who may see the management API, and when it is unwell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import closing

import amqp
import pytest

from airflow_obs.errors import SourceError, SourceUnreachable
from airflow_obs.sources.broker import RabbitQueue, RabbitServer
from airflow_obs.sources.broker_url import BrokerAddress, broker_address
from airflow_obs.sources.rabbitmq import RabbitBroker
from tests.eventually import eventually
from tests.rabbitmq_server import AIRFLOW, MONITOR, READER, STRANGER, VHOST, rabbitmq_server
from tests.rabbitmq_server import RabbitServer as Server

BUDGET = 5.0
SHORT = 1.0
TOKEN = "eyJ-a-live-token"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with rabbitmq_server() as running:
        yield running


@pytest.fixture
def celery(server: Server) -> Iterator[amqp.Channel]:
    """A channel of Celery's own user, with the queues of two tasks on it; they are gone after the test."""
    user, password = AIRFLOW
    place = f"127.0.0.1:{server.port}"
    with amqp.Connection(place, userid=user, password=password, virtual_host=VHOST) as connection:
        channel = connection.channel()
        for name in ("default", "empty"):
            channel.queue_declare(name, durable=True, auto_delete=False)
        for _ in range(3):
            channel.basic_publish(amqp.Message(TOKEN), routing_key="default")
        yield channel
        connection.collect()
    server.purge()


def address(server: Server, login: tuple[str, str] = READER, vhost: str = VHOST) -> BrokerAddress:
    found = broker_address(None, {"AIRFLOW_OBS_BROKER_URL": server.url(login, vhost)})
    assert found is not None
    return found


def broker(
    server: Server, login: tuple[str, str] = READER, *, management: bool = False, vhost: str = VHOST
) -> RabbitBroker:
    return RabbitBroker(address(server, login, vhost), server.management_url if management else None)


def read(one: RabbitBroker, *names: str, budget: float = BUDGET) -> tuple[list[RabbitQueue], RabbitServer]:
    with one.session(budget) as session:
        return session.queues(names), session.server()


def refusal(one: RabbitBroker) -> str:
    with closing(one), pytest.raises(SourceUnreachable) as refused, one.session(BUDGET):
        pass
    return str(refused.value)


@pytest.mark.usefixtures("celery")
def test_a_user_without_any_permission_counts_what_waits(server: Server) -> None:
    with closing(broker(server)) as one:
        queues, told = read(one, "default", "empty")
    assert queues == [RabbitQueue("default", 3, 0), RabbitQueue("empty", 0, 0)]
    assert told.version.startswith("3.")
    assert (told.nodes, told.connections) == ((), None)


@pytest.mark.usefixtures("celery")
def test_a_queue_that_nobody_declared_is_empty_and_spoils_nothing(server: Server) -> None:
    with closing(broker(server)) as one:
        queues, _ = read(one, "absent", "default", "zz-absent")
        again, _ = read(one, "default")
    assert [(queue.name, queue.messages, queue.exists) for queue in queues] == [
        ("absent", 0, False), ("default", 3, True), ("zz-absent", 0, False),
    ]  # fmt: skip
    assert again == [RabbitQueue("default", 3, 0)]


def test_consumers_are_counted(server: Server, celery: amqp.Channel) -> None:
    celery.basic_consume("default", no_ack=False, callback=lambda _message: None)
    with closing(broker(server)) as one:
        queues, _ = read(one, "default")
    assert queues == [RabbitQueue("default", 0, 1)]  # all three are on their way to the consumer


def test_the_management_api_knows_unacked_messages_all_queues_and_nodes(server: Server, celery: amqp.Channel) -> None:
    celery.basic_qos(0, 2, False)  # noqa: FBT003 (amqp takes no keywords here)
    celery.basic_consume("default", no_ack=False, callback=lambda _message: None)
    celery.queue_declare("celery@w1.celery.pidbox", durable=False, exclusive=True)
    celery.queue_declare("celeryev.1234", durable=False, auto_delete=True)
    with closing(broker(server, MONITOR, management=True)) as one:

        def seen() -> bool:
            queues, _ = read(one, "default", "absent")
            return queues == [
                RabbitQueue("absent", 0, 0, exists=False), RabbitQueue("default", 1, 1, 2), RabbitQueue("empty", 0, 0, 0),
            ]  # fmt: skip

        eventually(seen, "the management API has caught up")
        _, told = read(one)
        _, later = read(one)
    [node] = told.nodes
    assert node.running
    assert all((node.memory, node.memory_limit, node.disk_free, node.disk_free_limit))
    assert (node.memory_alarm, node.disk_alarm, told.blocked_connections) == (False, False, 0)
    assert told.connections
    assert told.management_up is True
    assert node.started == later.nodes[0].started


def test_a_queue_that_somebody_asks_for_is_one_of_tasks(server: Server, celery: amqp.Channel) -> None:
    names = ("celeryevents_proc", "pidbox", "team.celery.pidbox")
    for name in names:
        celery.queue_declare(name, durable=True, auto_delete=False)
    with closing(broker(server, MONITOR, management=True)) as one:
        try:
            eventually(lambda: set(names[:2]) < {queue.name for queue in read(one)[0]}, "those that may be are listed")
            assert {queue.name for queue in read(one, names[2])[0]} >= set(names)
        finally:
            for name in names:
                celery.queue_delete(name)


@pytest.mark.usefixtures("celery")
def test_without_its_tag_the_queues_are_counted_all_the_same(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with closing(broker(server, READER, management=True)) as one, caplog.at_level(logging.WARNING):
        queues, told = read(one, "default")
        read(one, "default")
    assert queues == [RabbitQueue("default", 3, 0)]
    assert (told.nodes, told.management_up) == ((), False)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["broker"]
    assert "rabbitmqctl set_user_tags reader monitoring" in caplog.text
    assert READER[1] not in caplog.text


@pytest.mark.usefixtures("celery")
def test_a_disk_alarm_is_seen_and_reading_goes_on(server: Server, celery: amqp.Channel) -> None:
    with closing(broker(server, MONITOR, management=True)) as one:
        with server.disk_alarm():
            celery.basic_publish(amqp.Message(TOKEN), routing_key="default")

            def seen() -> bool:
                _, told = read(one)
                return told.nodes[0].disk_alarm and bool(told.blocked_connections)

            eventually(seen, "the alarm, and who is stopped by it")
            assert {queue.name for queue in read(one, "default")[0]} == {"default", "empty"}
        assert not read(one)[1].nodes[0].disk_alarm


def test_a_wrong_password_is_told_without_it(server: Server) -> None:
    said = refusal(broker(server, ("reader", "wr@ng")))
    assert "refuses the login of user reader" in said
    assert "AIRFLOW_OBS_BROKER_URL" in said
    assert "wr@ng" not in said
    assert "wr%40ng" not in said


def test_a_vhost_that_is_closed_to_us_is_told_with_the_remedy(server: Server) -> None:
    assert "rabbitmqctl set_permissions -p celery stranger '^$' '^$' '^$'" in refusal(broker(server, STRANGER))
    assert "the vhost nonesuch" in refusal(broker(server, vhost="nonesuch"))


def test_nobody_there() -> None:
    user, password = READER
    nobody = BrokerAddress("rabbitmq", "", "the test", (("127.0.0.1", 1),), None, user, password, VHOST)
    assert "cannot be reached" in refusal(RabbitBroker(nobody))


@pytest.mark.usefixtures("celery")
def test_the_second_node_is_asked_when_the_first_is_gone(server: Server) -> None:
    user, password = READER
    places = (("127.0.0.1", 1), ("127.0.0.1", server.port))
    two = BrokerAddress("rabbitmq", "", "the test", places, None, user, password, VHOST)
    with closing(RabbitBroker(two)) as one:
        assert read(one, "default")[0] == [RabbitQueue("default", 3, 0)]


@pytest.mark.usefixtures("celery")
def test_a_frozen_server_is_given_up_and_found_again(server: Server) -> None:
    with closing(broker(server)) as one, closing(broker(server)) as fresh:
        read(one, "default")
        with server.frozen():
            for each in (one, fresh, one):
                with pytest.raises(SourceUnreachable, match="no answer in time"):
                    read(each, "default", budget=SHORT)
        assert read(one, "default")[0] == [RabbitQueue("default", 3, 0)]
    # each freeze left a connection that the server still has to find out about
    eventually(lambda: server.connections() == 1, "only Celery's own connection is open")


@pytest.mark.usefixtures("celery")
def test_a_freeze_between_two_questions_is_given_up(server: Server) -> None:
    with closing(broker(server)) as one, one.session(SHORT) as session:
        session.queues(["default"])
        with server.frozen(), pytest.raises(SourceUnreachable, match="no answer in time"):
            session.queues(["default"])


def test_stop_ends_the_waiting(server: Server) -> None:
    stop = threading.Event()
    one = RabbitBroker(address(server), None, stop)
    with closing(one), server.frozen():
        threading.Timer(0.5, stop.set).start()
        with pytest.raises(SourceUnreachable, match="the exporter is stopping"), one.session(600.0):
            pass


def test_a_killed_server_is_told_and_its_successor_is_found(server: Server) -> None:
    with closing(broker(server, AIRFLOW)) as one:
        read(one, "default")
        server.kill()
        try:
            with pytest.raises(SourceError):
                read(one, "default")
        finally:
            server.start()
        assert read(one, "default")[0] == [RabbitQueue("default", 0, 0, exists=False)]
        # a restart between two sessions costs no failure
        server.kill()
        server.start()
        assert read(one, "default")[0] == [RabbitQueue("default", 0, 0, exists=False)]
