"""The simulated broker and workers: Kombu reads the messages, Celery's own client the workers, and outages pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from kombu import Connection

from airflow_obs.demo import fleet
from airflow_obs.demo.broker import UNACKED, UNACKED_INDEX
from airflow_obs.demo.company import CHECKS, WORKERS
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.postgres import Server
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.world import World, utc_now
from tests.demo.conftest import NewDatabase
from tests.demo.sick_worlds import PATIENCE
from tests.eventually import eventually


@pytest.fixture
def world(demo_server: Server, new_demo_database: NewDatabase, redis: Redis) -> Iterator[World]:
    database = new_demo_database()
    world = World(
        lambda application: demo_server.connect(application, database=database), redis, utc_now(), patience=PATIENCE
    )
    yield world
    world.close()


def live(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.step(world.now + timedelta(seconds=1))


def ask(redis: Redis, *command: str | float) -> Any:
    line = redis.connect(PATIENCE)
    try:
        replies = line.ask([command])
        assert replies is not None
        return replies[0]
    finally:
        line.close()


def counts(redis: Redis) -> tuple[int, int]:
    """Messages that wait, in lists of every priority, and those that are held."""
    lists = [key for key in ask(redis, "KEYS", "*") if ask(redis, "TYPE", key) == "list"]
    held = ask(redis, "HLEN", UNACKED)
    assert held == ask(redis, "ZCARD", UNACKED_INDEX)
    return sum(ask(redis, "LLEN", key) for key in lists), held


def tasks(world: World, state: str) -> int:
    return len(list(world.state.tasks(state)))


def test_every_queued_task_has_a_message_and_every_running_one_is_held(world: World, redis: Redis) -> None:
    assert tasks(world, "running") > 0
    for _ in range(30):
        live(world, 1)
        assert counts(redis) == (tasks(world, "queued"), tasks(world, "running"))


def test_kombu_reads_what_is_queued(world: World, redis: Redis) -> None:
    world.workers.taking = False
    for dag in (CHECKS.dag_id, "fraud_scores"):
        world.trigger(dag)
    live(world, 20)
    wanted = sorted(task.spec.priority for task in world.state.tasks("queued") if task.spec.queue == "default")
    assert len(set(wanted)) > 1
    with Connection(redis.url) as connection:
        queue = connection.SimpleQueue("default")
        found = []
        for _ in wanted:
            message = queue.get(block=False)
            assert message.headers["task"] == "execute_workload"
            assert b"token" not in message.body
            found.append(message.properties["priority"])
            message.ack()
        with pytest.raises(queue.Empty):
            queue.get(block=False)
        queue.close()
    assert sorted(found) == wanted


def test_celery_hears_the_workers(own_keeper: Keeper, world: World, redis: Redis) -> None:
    fleet.start(own_keeper, redis)
    app = Celery(broker=redis.url)
    names = {worker.name for worker in WORKERS}
    inspect = app.control.inspect(timeout=1)
    eventually(lambda: (inspect.ping() or {}).keys() == names, "every worker answers a ping")
    stats, queues, reserved = inspect.stats(), inspect.active_queues(), inspect.reserved()
    for worker in world.workers.fleet:
        name = worker.spec.name
        assert stats[name]["total"] == {"execute_workload": worker.processed}
        assert stats[name]["pool"]["max-concurrency"] == worker.spec.slots
        assert [queue["name"] for queue in queues[name]] == list(worker.queues)
        assert reserved[name] == []
    [only] = names - {WORKERS[0].name, WORKERS[1].name}
    assert (app.control.inspect(destination=[only], timeout=1).ping() or {}).keys() == {only}
    app.close()


def test_the_workers_come_back_after_an_outage(own_keeper: Keeper, world: World, redis: Redis) -> None:
    fleet.start(own_keeper, redis)
    app = Celery(broker=redis.url)

    def answers() -> bool:
        with app.connection_for_write() as connection:
            return len(app.control.inspect(timeout=1, connection=connection).ping() or {}) == len(WORKERS)

    eventually(answers, "every worker answers")
    redis.freeze()
    eventually(lambda: "TimeoutError" in own_keeper.last_lines(fleet.NAME), "the workers miss their Redis")
    redis.thaw()
    eventually(answers, "every worker answers again after the frost")
    redis.restart()
    redis.wait()
    eventually(answers, "every worker answers again after the restart")
    fleet.check(own_keeper)
    app.close()
    assert tasks(world, "running") > 0


def test_a_frozen_redis_holds_up_work_and_loses_none(
    demo_server: Server, new_demo_database: NewDatabase, redis: Redis
) -> None:
    database = new_demo_database()
    world = World(
        lambda application: demo_server.connect(application, database=database), redis, utc_now(), patience=0.2
    )
    redis.freeze()
    live(world, 60)
    held_up = tasks(world, "queued")
    assert held_up > 5
    redis.thaw()

    def recovered() -> bool:
        live(world, 1)
        return counts(redis) == (tasks(world, "queued"), tasks(world, "running"))

    eventually(recovered, "the broker has what the database says")
    live(world, 30)
    assert counts(redis) == (tasks(world, "queued"), tasks(world, "running"))
    assert all(world.broker.has(task) for task in world.state.tasks("queued"))
    world.close()


def test_a_restarted_redis_has_lost_what_waited(world: World, redis: Redis) -> None:
    world.workers.taking = False
    world.trigger(CHECKS.dag_id)
    live(world, 20)
    before = list(world.state.tasks("queued"))
    assert before
    redis.restart()
    redis.wait()
    world.workers.taking = True
    live(world, 60)
    assert all(task.state == "queued" for task in before)
    assert not any(world.broker.has(task) for task in before)
    assert any(task not in before for task in world.state.tasks("running"))


def test_a_line_waits_for_its_answers_and_asks_nothing_twice(redis: Redis) -> None:
    line = redis.connect(0.1)
    assert line.ask([("INCR", "x")]) == [1]
    redis.freeze()
    assert line.ask([("INCR", "x"), ("INCR", "x")]) is None
    assert line.waiting
    assert line.ask([("INCR", "x")]) is None
    redis.thaw()
    assert eventually(lambda: line.ask([("SET", "y", "1")]), "the answers come") == [2, 3]
    assert ask(redis, "EXISTS", "y") == 0
    redis.restart()
    redis.wait()
    assert line.ask([("INCR", "x")]) is None
    assert not line.connected
    assert line.ask([("INCR", "x")]) == [1]
    line.close()
