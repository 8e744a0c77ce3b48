"""The table of the drill (make drill) is whole and means what the catalogue has, which need not wait for the drill."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.demo import faults
from airflow_obs.model import Severity
from airflow_obs.policy import load
from tests.drill.expectations import TABLE, Expectation
from tests.drill.policy import DEPLOYMENTS, drill_policy


def test_every_fault_is_drilled() -> None:
    assert [one.fault for one in TABLE] == [fault.name for fault in faults.ALL]


@pytest.mark.parametrize("expected", TABLE, ids=lambda one: one.fault)
def test_it_names_alerts_of_the_catalogue(expected: Expectation) -> None:
    assert expected.fires
    assert {*expected.fires, *expected.consequences, *expected.sooner} <= BY_NAME.keys()
    assert not set(expected.fires) & set(expected.consequences)
    assert all(BY_NAME[name].severity != Severity.CRITICAL for name in expected.consequences)


def test_its_policy_is_one(tmp_path: Path) -> None:
    file = tmp_path / "drill.yaml"
    file.write_text(drill_policy(*DEPLOYMENTS))
    assert len(load(file).deployments) == len(TABLE) + 1
