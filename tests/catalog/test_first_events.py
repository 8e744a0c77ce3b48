"""What counts as the first event of a counter, as promtool sees it, when one of two exporters was not scraped for a moment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from airflow_obs import promql
from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.promql import max_by
from tests.catalog.stories import promtool

AT = Scope("a")
MINUTE = 60
HAPPENED = max_by(
    promql.happened(AT(metrics.PARSE_TIMEOUTS, ""), 10 * MINUTE, AT(metrics.BUILD_INFO)), "airflow", "dag_file"
)
UP = "1x30"
MISSED = "1x9 stale 1x19"
"""Not scraped ten minutes before the moment that is judged, which is the window."""


@pytest.mark.parametrize(
    ("there", "timeouts", "value"),
    [
        ({"a": UP, "b": MISSED}, {"b": "500x9 stale 500x19"}, 0),
        ({"a": UP, "b": MISSED}, {"a": "3x30", "b": "500x9 stale 500x19"}, 0),
        ({"a": UP, "b": UP}, {"b": "_x15 7x15"}, 7),
        ({"a": UP, "b": UP}, {"a": "3x30", "b": "_x15 7x15"}, 7),
        ({"a": UP, "b": "_x15 1x15"}, {"b": "_x15 500x15"}, 0),
    ],
    ids=[
        "one missed a scrape", "one missed a scrape, the other tells something else", "one tells of the first event",
        "one tells of its first event, the other of older ones", "one is new to Prometheus",
    ],
)  # fmt: skip
def test_only_what_is_new_counts(
    there: Mapping[str, str], timeouts: Mapping[str, str], value: int, tmp_path: Path
) -> None:
    series = [
        {"series": f'{family.name}{{airflow="a",job="obs",instance="{instance}"{more}}}', "values": said}
        for family, more, of in (
            (metrics.BUILD_INFO, "", there),
            (metrics.PARSE_TIMEOUTS, ',dag_file="x.py"', timeouts),
        )
        for instance, said in of.items()
    ]
    told = {
        "expr": f"max({HAPPENED.text}) or vector(0)",
        "eval_time": "20m",
        "exp_samples": [{"labels": "{}", "value": value}],
    }
    promtool(
        {
            "evaluation_interval": "1m",
            "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [told]}],
        },
        tmp_path,
    )
