"""Two exporters of one Airflow, and two that scrape Kubernetes: every alert fires once, with the same number."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_obs.generate import rule_tests
from airflow_obs.generate.rule import Emitted, rule
from airflow_obs.generate.yaml_text import text_of
from airflow_obs.model import RECORDED
from airflow_obs.promql import span
from tests.catalog.alert_policies import of_everything, policy_of, rule_file
from tests.tools import tool


def doubled(group: dict[str, Any]) -> dict[str, Any]:
    """Every series as two targets tell it, of which one was scraped under another job."""
    return group | {"input_series": [told for one in group["input_series"] for told in _twice(one)]}


def _twice(one: dict[str, str]) -> Iterator[dict[str, str]]:
    if one["series"].startswith(RECORDED):  # Prometheus records it once, whoever tells what it is made of
        yield one
        return
    bare = one["series"].replace(',instance="a"', "")
    for target in ('instance="a",job="x"', 'instance="b",job="y"'):
        yield one | {"series": bare.replace("{", f"{{{target},", 1).replace(",}", "}")}


def written(of: Emitted, folder: Path) -> Path:
    """A file of the cases in which it fires, beside one of its rule."""
    name = of.alert.name
    text, order = rule_file(of, rule(of))
    (folder / f"{name}.yaml").write_text(text)
    fires: Any = rule_tests.tests(of, {})[0]
    file = folder / f"{name}.test.yaml"
    file.write_text(
        text_of(
            {
                "rule_files": [f"{name}.yaml"],
                **order,
                "evaluation_interval": span(of.at.step),
                "tests": [doubled(fires)],
            }
        )
    )
    return file


def test_every_alert_fires_once(tmp_path: Path) -> None:
    files = [written(one, tmp_path) for one in of_everything(policy_of()).values()]
    done = subprocess.run([tool("promtool"), "test", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("SUCCESS") == len(files)
