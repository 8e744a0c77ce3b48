"""The default policy, the model and the JSON Schema say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import ALL
from airflow_obs.policy import Deployment, KubernetesSource, Policy, default_text, json_schema, load, loads, settings
from airflow_obs.policy.alerts import AlertPolicy, AlertsPolicy
from airflow_obs.policy.default_alerts import with_alerts
from airflow_obs.policy.explain import fields_of, model_in
from airflow_obs.policy.ingest import OtlpSource, StatsdSource
from airflow_obs.policy.silences import TimeRange
from airflow_obs.policy.teams import Overrides

KNOB = re.compile(r"^( *)# ( *)((?:- )?(?:[a-z_0-9]+|Airflow\w+):(?: .*)?)$", re.MULTILINE)
IN_KUBERNETES = ("namespace: null", "namespace: airflow")
"""What a deployment must say before it may list kubernetes."""


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in () if model is AlertsPolicy else model.model_fields.values():
        if inner := model_in(field.annotation):
            yield from models(inner)


MODELS = [model for model in dict.fromkeys(models(Policy)) if model is not AlertsPolicy]
FIELDS = [(model, key) for model in MODELS for key in fields_of(model)]


def test_values() -> None:
    policy = load()
    assert policy.deployments == (Deployment(),)
    collectors = policy.collectors
    assert {name: knobs.interval for name, knobs in collectors.by_name().items()} == {
        "jobs": 15, "task_instances": 15, "dag_runs": 15, "dag_processing": 30, "pools": 15, "outcomes": 15,
        "dags": 30, "assets": 30, "deadlines": 30, "bundles": 60, "slos": 30, "locks": 15, "vacuum": 60, "replication": 30,
        "clean_up": 300, "task_events": 15, "stuck_tasks": 30, "starvation": 30, "triggers": 30, "database": 15,
        "tables": 60, "health": 15, "broker": 15, "workers": 60, "ingest": 10,
    }  # fmt: skip
    assert {knobs.timeout for knobs in collectors.by_name().values()} == {5.0, 10.0}
    assert (collectors.tables.timeout, collectors.jobs.alive_within, collectors.jobs.forget) == (10, 30, 3600)
    assert all(knobs.enabled for knobs in collectors.by_name().values())
    assert {name for name, knobs in collectors.by_name().items() if knobs.max_series != 2_000} == {
        "dag_processing",
        "dags",
        "outcomes",
        "ingest",
    }


def test_a_copy_of_the_default_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(default_text(), "utf-8")
    assert load(path) == load()


def test_what_is_commented_out_stands_at_its_default() -> None:
    uncommented = KNOB.sub(r"\1\2\3", with_alerts(default_text()))
    assert uncommented != default_text()
    said, unsaid = loads(uncommented, "site.yaml"), load()
    assert said.model_copy(update={"alerts": unsaid.alerts}) == unsaid
    for alert in ALL:
        assert said.alerts.of(alert.name)
        assert settings(said, said.deployment(), alert) == settings(unsaid, unsaid.deployment(), alert)


def test_what_is_commented_out_twice_is_not_there_unless_listed_and_stands_at_its_default_then() -> None:
    unlisted = load()
    assert (unlisted.receivers, unlisted.teams, unlisted.silences, unlisted.slos) == ((), (), (), ())
    sources = unlisted.deployment().sources
    assert (sources.statsd, sources.otlp, sources.kubernetes) == (None, None, None)
    text = default_text().replace("## ", "# ").replace(*IN_KUBERNETES)
    listed = loads(KNOB.sub(r"\1\2\3", text), "site.yaml")
    sources = listed.deployment().sources
    assert (sources.statsd, sources.otlp, sources.kubernetes) == (StatsdSource(), OtlpSource(), KubernetesSource())
    [receiver], [team], [silence], [slo] = listed.receivers, listed.teams, listed.silences, listed.slos
    assert (team.receiver, team.receivers) == (receiver.name, Overrides())
    assert all(kind for _, kind in receiver)
    assert silence.times == (TimeRange(start_time="09:00", end_time="17:00"),)
    assert (slo.objective, slo.window, slo.threshold) == (Decimal("0.995"), 30 * 86_400, 60)


@pytest.mark.parametrize(("model", "key"), FIELDS, ids=[f"{model.__name__}.{key}" for model, key in FIELDS])
def test_every_knob_is_shown_and_described_in_the_same_words(model: type[BaseModel], key: str) -> None:
    text = default_text()
    assert re.search(rf"^[ #-]*{key}:|[{{ ]{key}: ", text, re.MULTILINE)
    description = fields_of(model)[key].description
    assert description
    assert f"# {description}\n" in text


def test_the_alerts_stand_there_with_what_they_declare() -> None:
    """If this fails, run `make gen` and commit what it writes."""
    assert with_alerts(default_text()) == default_text()


def test_what_every_alert_has_is_described_in_the_same_words() -> None:
    text = default_text()
    for key, info in fields_of(AlertPolicy).items():
        assert re.search(rf"^  #   {key} +{re.escape(info.description or '?')}$", text, re.MULTILINE)


def test_every_collector_that_feeds_metrics_has_its_knobs() -> None:
    assert {metric.collector for metric in metrics.ALL} - {"exporter"} == set(load().collectors.by_name())


def test_schema_takes_what_the_loader_takes() -> None:
    schema = json_schema()
    definitions = schema["$defs"]
    assert all("required" not in definition for definition in (schema, *definitions.values()))
    assert all(definition["additionalProperties"] is False for definition in definitions.values())
    assert {name for model, name in FIELDS if model is Policy} == set(schema["properties"])
    interval = definitions["CollectorPolicy"]["properties"]["interval"]
    assert interval["type"] == "string"
    assert interval["description"] == "Time from one run to the next. From 1s to 1h."
    collectors = definitions["Collectors"]["properties"]
    assert collectors["tables"]["default"] == {
        "enabled": True,
        "interval": "60s",
        "timeout": "10s",
        "max_series": 2_000,
    }
    for collector in collectors.values():
        assert re.search(interval["pattern"], collector["default"]["interval"])


def test_it_loads_without_the_libraries_of_other_rooms() -> None:
    code = (
        "import sys; from airflow_obs.policy import load; load(); "
        "print([m for m in ('sqlalchemy', 'psycopg2', 'requests', 'tornado', 'prometheus_client') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
