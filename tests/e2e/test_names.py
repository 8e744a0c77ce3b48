"""The list of metrics that the newest Airflow brings along: each name is mapped, or refused with a reason."""

from __future__ import annotations

import re

import pytest
from ruamel.yaml import YAML

from airflow_obs.catalog.emitted.match import Matcher
from tests.e2e.conftest import WHOLLY, installation
from tests.emitted.names import value_of

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("version", WHOLLY[-1:])
def test_every_name_that_airflow_lists_is_known(version: str) -> None:
    (template,) = installation(version).glob(
        "lib/*/site-packages/airflow/_shared/observability/metrics/metrics_template.yaml"
    )
    listed = YAML(typ="safe").load(template)["metrics"]
    assert len(listed) > 100
    for one in listed:
        for name in {one["name"], one["legacy_name"]} - {"-"}:
            found = Matcher().match(re.sub(r"\{(\w+)\}", lambda placeholder: value_of(placeholder[1]), name))
            assert found, name
            assert found.signal.kind == one["type"], name
