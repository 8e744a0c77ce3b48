"""How a site's file is laid over the default, and what the deployments and sources of the result are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from airflow_obs.errors import UsageError
from airflow_obs.policy import BrokerSource, DatabaseSource, Deployment, HealthSource, Policy, Replicas, Sources, load

Site = Callable[[str], Policy]

DEFAULT = load()


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "--- # nothing\n...\n", "~", "{}", "\ufeff# bom"])
def test_nothing_chosen_is_the_default(tmp_path: Path, text: str) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text, "utf-8")
    assert load(path) == DEFAULT


def test_mappings_merge_field_by_field(site: Site) -> None:
    policy = site("collectors: {jobs: {forget: 2h}, pools: {enabled: false, interval: 1m30s}}")
    assert policy.collectors.jobs == DEFAULT.collectors.jobs.model_copy(update={"forget": 7200.0})
    changed = DEFAULT.collectors.pools.model_copy(update={"enabled": False, "interval": 90.0})
    assert policy.collectors.pools == changed
    assert policy.collectors.tables == DEFAULT.collectors.tables
    assert policy.deployments == DEFAULT.deployments


def test_a_list_replaces_and_its_items_start_from_the_model(site: Site) -> None:
    policy = site("""\
        deployments:
          - name: prod
            replicas: {scheduler: 2}
          - name: test
    """)
    assert policy.deployments == (
        Deployment(name="prod", replicas=Replicas(scheduler=2)),
        Deployment(name="test"),
    )


@pytest.mark.parametrize(
    "text", ["collectors:", "collectors:\n  jobs:\n  health: ~", "deployments:\n- airflow:\n  replicas:"]
)
def test_an_empty_mapping_changes_nothing(site: Site, text: str) -> None:
    assert site(text) == DEFAULT


EVERY = Sources(database=DatabaseSource(), health=HealthSource(), broker=BrokerSource())


@pytest.mark.parametrize(("text", "sources"), [
    ("{name: airflow}", EVERY),
    ("{sources: }", EVERY),
    ("{sources: {database: , health: , broker: }}", EVERY),
    ("{sources: {database: {}}}", Sources(database=DatabaseSource())),
    ("{sources: {database: ~}}", Sources(database=DatabaseSource())),
    ("{sources: {database: {schema: airflow}}}", Sources(database=DatabaseSource(schema="airflow"))),
    ("{sources: {database: {replica: 'db-2:5432'}}}", Sources(database=DatabaseSource(replica="db-2:5432"))),
    ("{sources: {database: {replica: '[fd00::2]'}}}", Sources(database=DatabaseSource(replica="[fd00::2]"))),
    ("{sources: {database: {replica: '10.0.0.2:5433'}}}", Sources(database=DatabaseSource(replica="10.0.0.2:5433"))),
    ("{sources: {database: {replica: db_2.example.}}}", Sources(database=DatabaseSource(replica="db_2.example."))),
    ("{sources: {health: {url: 'https://[::1]:8080/a'}}}", Sources(health=HealthSource(url="https://[::1]:8080/a"))),
    ("{sources: {broker: {queues: [a, b]}}}", Sources(broker=BrokerSource(queues=("a", "b")))),
    ("{sources: {broker: {visibility_timeout: 6h}}}", Sources(broker=BrokerSource(visibility_timeout=21600.0))),
    (
        "{sources: {broker: {management_url: 'http://mq:15672', control: false}}}",
        Sources(broker=BrokerSource(management_url="http://mq:15672", control=False)),
    ),
])  # fmt: skip
def test_only_listed_sources_exist(site: Site, text: str, sources: Sources) -> None:
    assert site(f"deployments: [{text}]").deployments[0].sources == sources


def test_choosing_a_deployment(site: Site) -> None:
    one, two = site("deployments: [{name: a}]"), site("deployments: [{name: a}, {name: b}]")
    assert one.deployment() == one.deployment("a") == two.deployment("a")
    assert two.deployment("b").name == "b"
    with pytest.raises(
        UsageError, match=r"^the policy has several deployments: choose one with --deployment \(a, b\)$"
    ):
        two.deployment()
    with pytest.raises(UsageError, match=r"^--deployment: the policy has no deployment of that name, only a, b$"):
        two.deployment("c")


def test_a_policy_never_changes() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(DEFAULT, "deployments", ())  # noqa: B010 (mypy would refuse the plain assignment, which is the point)


def test_collectors_by_name() -> None:
    by_name = DEFAULT.collectors.by_name()
    assert by_name["jobs"] is DEFAULT.collectors.jobs
    assert {"jobs", "task_instances", "database", "tables", "health", "broker", "workers"} <= set(by_name)
    assert list(by_name) == list(type(DEFAULT.collectors).model_fields)


@pytest.mark.parametrize("executor", [
    "auto", "LocalExecutor", "CeleryExecutor,KubernetesExecutor", "CeleryExecutor, my.own.Executor",
    "edge:airflow.providers.edge3.executors.EdgeExecutor",
])  # fmt: skip
def test_executors(site: Site, executor: str) -> None:
    assert site(f"deployments: [{{airflow: {{executor: '{executor}'}}}}]").deployment().airflow.executor == executor
