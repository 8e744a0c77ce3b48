"""Which queues of the database are Celery's, and how many names are remembered."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.queues import FORGET, MOST, QueueNames, Routing
from airflow_obs.collectors.task_instances import TaskInstances
from airflow_obs.sources.discovery import AirflowSettings
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import BUDGET, Collected, source
from tests.exporter.fakes import Clock
from tests.states import a_task_instance_queued


def settings(executor: str | None) -> AirflowSettings:
    broker = {"AIRFLOW_OBS_BROKER_URL": "redis://h/0", "AIRFLOW__CELERY_KUBERNETES_EXECUTOR__KUBERNETES_QUEUE": "k8s"}
    return AirflowSettings(executor, {"HOME": "/nonexistent", **broker})


@pytest.mark.parametrize(
    ("executor", "queue", "of_instance", "expected"),
    [
        (None, "default", None, True),
        (None, "default", "KubernetesExecutor", False),
        (None, "default", "CeleryExecutor", True),
        ("CeleryExecutor", "default", None, True),
        ("KubernetesExecutor", "default", None, False),
        ("CeleryKubernetesExecutor", "default", None, True),
        ("CeleryKubernetesExecutor", "k8s", None, False),
        ("CeleryExecutor,KubernetesExecutor", "default", None, True),
        ("CeleryExecutor,KubernetesExecutor", "default", "KubernetesExecutor", False),
        ("LocalExecutor, CeleryExecutor", "default", None, False),
        ("LocalExecutor, CeleryExecutor", "default", "CeleryExecutor", True),
        ("LocalExecutor,far:airflow.providers.celery.executors.celery_executor.CeleryExecutor", "default", "far", True),
        ("far:airflow.providers.celery.executors.celery_executor.CeleryExecutor", "default", None, True),
    ],
)
def test_which_tasks_go_through_the_broker(
    executor: str | None, queue: str, of_instance: str | None, expected: bool
) -> None:
    assert Routing(settings(executor)).celery([(queue, of_instance)]) == [expected]


def test_without_celery_nothing_goes_through_a_broker() -> None:
    nobody_says = AirflowSettings(None, {"HOME": "/nonexistent"})
    assert Routing(nobody_says).celery([("default", None), ("default", "CeleryExecutor")]) == [False, False]


def test_a_queue_that_nobody_speaks_of_is_forgotten_but_not_the_default_one() -> None:
    clock = Clock()
    names = QueueNames(lambda: "default", clock)
    names.add(["old", "young"])
    clock.now += FORGET
    names.add(["young"])
    assert names.all() == {"default", "old", "young"}
    clock.now += 1
    assert names.all() == {"default", "young"}


def test_the_names_longest_not_seen_make_room() -> None:
    names = QueueNames()
    names.add(["first", "second"])
    names.add(f"queue-{index}" for index in range(MOST - 2))
    names.add(["first", "new"])
    assert len(names.all()) == MOST
    assert "first" in names.all()
    assert "second" not in names.all()


def test_queues_of_tasks_in_the_database_become_known(airflow_db: AirflowDatabase) -> None:
    for queue in ("default", "default", "k8s"):
        a_task_instance_queued(airflow_db, queued_at=datetime.now(UTC), queue=queue)
    names = QueueNames()
    collector = TaskInstances(Routing(settings("CeleryKubernetesExecutor")), names)
    with closing(source(airflow_db.exporter_url)) as database, database.session(BUDGET) as session:
        seen = Collected(tuple(collector.samples(collector.read(session))))
    assert names.all() == {"default"}
    assert seen.all(metrics.CELERY_TASK_INSTANCES) == {("queued", "default"): 2}
