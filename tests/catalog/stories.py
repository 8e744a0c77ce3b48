"""What promtool makes of an expression, told series by two exporters that say the same."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from airflow_obs.catalog.alerts.alert import Scope, Series
from airflow_obs.promql import Expr, span
from tests.tools import tool


def told(expr: Expr, series: Iterable[Series], value: Decimal | None, at: Scope, folder: Path) -> None:
    """Its series add up to `value` at the horizon; None: there is none, so that an alert on it does not fire."""
    test = {
        "interval": span(at.step),
        "input_series": [
            {"series": selector(one.name, {**one.labels, "instance": instance}), "values": values(one, at)}
            for one in series
            for instance in "ab"
        ],
        "promql_expr_test": [
            {
                "expr": f"sum(round({expr.text}, 0.001))",
                "eval_time": span(at.horizon),
                "exp_samples": [] if value is None else [{"labels": "{}", "value": float(value)}],
            }
        ],
    }
    promtool({"evaluation_interval": "1m", "tests": [test]}, folder)


def promtool(cases: dict[str, object], folder: Path) -> None:
    """`promtool test rules` finds the cases to hold; rule files that they name are in the folder."""
    # JSON is YAML, too.
    (folder / "test.yaml").write_text(json.dumps(cases))
    done = subprocess.run(
        [tool("promtool"), "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def selector(name: str, labels: dict[str, str]) -> str:
    """A series, as promtool wants it."""
    return f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in labels.items())}}}"


def values(series: Series, at: Scope) -> str:
    """One value a step."""
    written = []
    for now in range(0, at.horizon + 1, at.step):
        start, value, slope = [part for part in series.parts if part[0] <= now][-1]
        written.append("_" if value is None else str(value + slope * (now - start)))
    return " ".join(written)
