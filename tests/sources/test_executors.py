"""What Airflow's option for its executors says of Celery."""

from __future__ import annotations

import pytest

from airflow_obs.sources.executors import Executors

CELERY_PATH = "airflow.providers.celery.executors.celery_executor.CeleryExecutor"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CeleryExecutor", True),
        ("CeleryKubernetesExecutor", True),
        ("LocalExecutor,CeleryExecutor", True),
        (f"KubernetesExecutor, {CELERY_PATH}", True),
        (f"LocalExecutor,far:{CELERY_PATH}", True),
        ("LocalExecutor;team_a=CeleryExecutor", True),
        ("KubernetesExecutor", False),
        ("kubernetesexecutor", False),
        ("DebugExecutor", False),
        ("DaskExecutor", False),
        ("LocalExecutor,EdgeExecutor", False),
        ("airflow.providers.amazon.aws.executors.ecs.ecs_executor.AwsEcsExecutor", False),
        ("LocalExecutor, airflow.executors.sequential_executor.SequentialExecutor", False),
        ("LocalKubernetesExecutor", False),
        ("KubernetesExecutor;team_a=LocalExecutor", False),
        ("airflow.executors.celery_executor.CeleryExecutor", True),
        ("airflow.providers.celery.executors.another.Executor", True),
        ("my.own.MyCeleryExecutor", True),
        ("my.own.CeleryKubernetesExecutor", True),
        ("NotCeleryThing", False),
        ("my.pkg.NotCeleryThing", None),
        ("my.celery.Executor", None),
        ("my.own.Executor", None),
        ("LocalExecutor,mine:my.own.Executor", None),
    ],
)
def test_whether_celery_runs_tasks(text: str, expected: bool | None) -> None:
    assert Executors.parsed(text).celery is expected


def test_the_default_and_the_aliases() -> None:
    executors = Executors.parsed(f"near:LocalExecutor, far:{CELERY_PATH} ;team=CeleryExecutor,team_near:LocalExecutor")
    assert executors.default == "LocalExecutor"
    assert executors.aliases == {"near": "LocalExecutor", "far": CELERY_PATH, "team_near": "LocalExecutor"}
    assert executors.all == ("LocalExecutor", CELERY_PATH, "CeleryExecutor", "LocalExecutor")
