"""A source that the policy lists and the exporter does not find is told of, once it is certain that there should be one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.policy import load
from tests.airflow_schemas import SQLITE_SCHEMAS
from tests.catalog.alert_policies import of_everything, policy_of
from tests.catalog.stories import promtool, selector
from tests.conftest import NewDatabase
from tests.exporter.pages import Page
from tests.exporter_process import airflow_obs
from tests.states.jobs import a_live_scheduler

UNKNOWN = "AirflowSourceUnknown"
POLICY = "deployments: [{name: airflow, sources: {database: {}, broker: {control: false}}}]\n"


@pytest.mark.parametrize(
    ("executor", "settings", "unknown"),
    [
        ("CeleryExecutor", {}, True),
        ("CeleryExecutor", {"AIRFLOW_OBS_BROKER_URL": "redis://127.0.0.1:1/0"}, False),
        ("LocalExecutor", {}, False),
    ],
    ids=["nobody says where it is", "it is known, and does not answer", "none is needed"],
)
def test_a_broker_that_the_exporter_was_not_told_of(
    executor: str, settings: Mapping[str, str], unknown: bool, tmp_path: Path, new_database: NewDatabase
) -> None:
    """The page of a real exporter, judged by the rule that its own policy gives."""
    db = new_database(SQLITE_SCHEMAS[0])
    a_live_scheduler(db, heartbeat=datetime.now(UTC), executor_class=executor)
    (tmp_path / "site.yaml").write_text(POLICY)
    done = airflow_obs(tmp_path, "exporter", "--once", "--policy", "site.yaml", AIRFLOW_OBS_DB_URL=db.url, **settings)
    page = Page(done.stdout)
    assert page.value(metrics.AIRFLOW_INFO.name, executor=executor) == 1
    series = [
        {"series": selector(one.name, one.labels), "values": f"{one.value}x5"}
        for one in page.samples
        if one.name in (metrics.BUILD_INFO.name, metrics.SOURCE_UP.name, metrics.AIRFLOW_INFO.name)
    ]
    rule = of_everything(load(tmp_path / "site.yaml"))[UNKNOWN].expr.text
    told = {
        "expr": f"count by (source) ({rule})",
        "eval_time": "3m",
        "exp_samples": [{"labels": '{source="broker"}', "value": 1}] if unknown else [],
    }
    cases = {"interval": "1m", "input_series": series, "promql_expr_test": [told]}
    promtool({"evaluation_interval": "1m", "tests": [cases]}, tmp_path)


@pytest.mark.parametrize(
    ("airflow", "sources", "sought"),
    [
        ({"executor": "CeleryExecutor"}, {"broker": {}}, {"broker"}),
        ({"executor": "LocalExecutor"}, {"database": {}, "broker": {}}, set()),
        ({"executor": "LocalExecutor"}, {"database": {}, "health": {}, "broker": {}}, {"health"}),
        ({}, {"database": {}, "health": {}, "broker": {}}, {"broker", "health"}),
        ({}, {"database": {}}, set()),
    ],
)
def test_only_what_the_policy_lists_is_sought(
    airflow: dict[str, str], sources: dict[str, object], sought: set[str]
) -> None:
    emitted = of_everything(policy_of(deployments=[{"name": "a", "airflow": airflow, "sources": sources}]))
    text = emitted[UNKNOWN].expr.text if UNKNOWN in emitted else ""
    assert {source for source in ("database", "health", "broker") if json.dumps(source) in text} == sought


def test_a_source_is_sought_for_an_alert_that_names_it_even_if_all_its_collectors_are_off() -> None:
    emitted = of_everything(policy_of(collectors={"health": {"enabled": False}}))
    assert BY_NAME["AirflowApiServerDown"].name in emitted
    assert 'source="health"' in emitted[UNKNOWN].expr.text
