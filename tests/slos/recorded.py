"""What promtool makes of the rules that record objectives, and of the alerts over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from airflow_obs.catalog.alerts import BY_NAME
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.catalog.objective import QUEUED, Objective
from airflow_obs.generate.objectives import groups
from airflow_obs.generate.rule import Chosen, Emitted
from airflow_obs.generate.yaml_text import text_of
from airflow_obs.policy.alerts import exact
from airflow_obs.promql import span
from tests.catalog.stories import promtool

MONTH = Decimal(30 * 86400)


def objective(name: str, kind: str, target: str, threshold: int | None = None) -> Objective:
    """One over 30 days."""
    return Objective(
        name,
        kind,
        MONTH,
        Decimal(target),
        None if threshold is None else Decimal(threshold),
        10,
        "platform",
        named=kind.startswith("dag_"),
    )


STARTS = objective("starts", "schedule_delay", "0.995", 60)
QUEUE = objective("queue", "queue_time", "0.99", 300)
WAITING = objective("waiting", QUEUED, "0.99", 300)
RUNS = objective("runs", "dag_success", "0.99")
FRESH = objective("fresh", "dag_freshness", "0.95")
DEADLINE = objective("by-seven", "dag_deadline", "0.95")
SCHEDULER = objective("scheduler", "scheduler_availability", "0.995")


def scope(*objectives: Objective, alert: str = "", replica: bool = False) -> Scope:
    """A deployment with these objectives, and the alert's own numbers; of its database a `replica` is read."""
    knobs = {knob.name: exact(knob) for knob in BY_NAME[alert].knobs} if alert else {}
    return Scope("a", objectives=objectives, knobs=knobs, team="platform", replica=replica)


def judge(
    objectives: Iterable[Objective],
    series: Mapping[str, str],
    expected: Mapping[str, float | None],
    folder: Path,
    *,
    at: str,
    alerts: Iterable[str] = (),
    interval: str = "1m",
    recording: bool = True,
    replica: bool = False,
) -> None:
    """At the moment `at` each expression has the value expected, to the last digit (None: no series).

    `series` are in promtool's notation, a sample each `interval`. The rules are judged once a minute, or as seldom as there are
    samples. Without `recording` the alerts alone are judged, over recorded series that are given.
    """
    whole = scope(*objectives, replica=replica)
    made = groups(whole) if recording else []
    rules: list[object] = []
    for name in alerts:
        alert = BY_NAME[name]
        one = Emitted(alert, scope(*whole.objectives, alert=name), Chosen(alert.severity, Decimal(0)))
        rules.append({"alert": name, "expr": one.expr.text, "for": alert.wait, "labels": one.labels})
    last = [{"name": "alerts", "rules": rules}] if rules else []
    (folder / "rules.yaml").write_text(text_of({"groups": [*made, *last]}))  # type: ignore[list-item]  # plain values
    told = [
        {"expr": expr, "eval_time": at, "exp_samples": [] if value is None else [{"labels": "{}", "value": value}]}
        for expr, value in expected.items()
    ]
    seconds = {"30s": 60, "1m": 60, "1h": 3600}[interval]
    promtool(
        {
            "rule_files": ["rules.yaml"],
            "group_eval_order": [*(str(one["name"]) for one in made if isinstance(one, Mapping)), "alerts"],
            "evaluation_interval": span(seconds),
            "tests": [
                {
                    "interval": interval,
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "promql_expr_test": told,
                }
            ],
        },
        folder,
    )


def ever(alert: str, slo: str = "") -> str:
    """1 if an alert fired within the last day, on the objective if one is named."""
    return f'max(max_over_time(ALERTS{{alertname="{alert}",alertstate="firing",slo="{slo}"}}[1d]))'


def of(family: str, slo: str) -> str:
    """The value of what is recorded of an objective."""
    return f'max(airflow_obs:slo_{family}{{slo="{slo}",airflow="a",team="platform"}})'


def firing(alert: str, slo: str) -> str:
    """1 for each series of an alert on an objective that fires."""
    return f'sum(ALERTS{{alertname="{alert}",alertstate="firing",slo="{slo}"}})'
