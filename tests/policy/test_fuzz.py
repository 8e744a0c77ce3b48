"""Whatever a policy file holds, loading it gives a policy or problems that stand in that file, and no secret."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from airflow_obs.catalog.alerts import ALL, BY_NAME
from airflow_obs.errors import PolicyError
from airflow_obs.policy import Policy, default_text, load, loads
from airflow_obs.policy import settings as settings_of
from airflow_obs.policy.alertmanager import Alertmanager
from airflow_obs.policy.alerts import AlertPolicy
from airflow_obs.policy.effective import effective
from airflow_obs.policy.explain import fields_of
from airflow_obs.policy.loader import merged
from airflow_obs.policy.output import Output
from airflow_obs.policy.receivers import Receiver, Slack, Webhook
from airflow_obs.policy.silences import Silence
from airflow_obs.policy.slos import Slo
from airflow_obs.policy.teams import Team

settings.register_profile(
    "policy", max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
bounded = settings(settings.get_profile("policy"))

DEFAULT = merged()
SECTIONS = ["alerts", "teams", "receivers", "alertmanager", "silences", "slos", "dashboards", "output"]
KEYS = st.sampled_from([
    "deployments", "collectors", "jobs", "pools", "tables", "health", "database", "name", "airflow", "replicas", "schema",
    "scheduler", "sources", "url", "version", "executor", "chart", "namespace", "enabled", "interval", "timeout",
    "max_series", "forget", "alive_within", "overdue_after",
    *SECTIONS, "kubernetes", "team", "receiver", "slack", "webhook", "msteams", "api_url", "url_file", "channel", "email", "to",
    "threshold", "for", "severity", "shadow", "kind", "objective", "window", "deadline", "dag_id", "weekdays", "times",
    "start_time", "end_time", "months", "days_of_month", "location", "labels",
    "formats", "rule_labels", "runbook_url", "owners", "dag_prefixes",
    "AirflowSchedulerDown", "AirflowSchedulesOverdue",
])  # fmt: skip
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["30s", "2h", "500ms", "auto", "official", "http://h:1", "http://[", "https://u:p@h", "a", "1.18"]),
    st.sampled_from(["99.5%", "50GiB", "critical", "monday:friday", "-1:1", "09:00", "24:00", "Europe/Paris", "../x"]),
)  # fmt: skip
TREES = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)
YAML_BITS = st.sampled_from(
    [*"\n\t {}[]:,-#&*!|>'\"%@`?~<.\\ua0é\u2028\ud7ff\ufeff", ": ", "- ", "\n  ", "<<", "---\n"]
)


def outcome(text: str) -> Policy | PolicyError:
    try:
        return loads(text, "site.yaml")
    except PolicyError as error:
        failure = error
    lines = len(text.splitlines()) + 1
    assert failure.problems
    for problem in failure.problems:
        assert problem.file == "site.yaml"
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.text[0].islower() or problem.text[0] == "`"
    assert str(failure).encode()
    return failure


@bounded
@given(st.text() | st.lists(YAML_BITS | KEYS).map("".join))
def test_any_text(text: str) -> None:
    outcome(text)


@bounded
@given(TREES)
def test_any_structure(tree: Any) -> None:
    result = outcome(json.dumps(tree))
    if not isinstance(tree, dict):
        assert isinstance(result, PolicyError) or tree is None
    elif set(tree) - set(fields_of(Policy)):
        assert isinstance(result, PolicyError)


@bounded
@given(st.dictionaries(st.sampled_from(["deployments", "collectors", *SECTIONS]), TREES, max_size=3))
def test_any_structure_under_known_keys(tree: dict[str, Any]) -> None:
    outcome(json.dumps(tree, ensure_ascii=False).encode("utf-8", "replace").decode())


def items(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings of a model's own keys, so that what checks several of them at once is reached."""
    return st.dictionaries(st.sampled_from(sorted(fields_of(model))), VALUES | st.lists(VALUES, max_size=2), max_size=8)


@bounded
@given(st.fixed_dictionaries({}, optional={
    "alerts": st.dictionaries(
        st.sampled_from(sorted(BY_NAME)[:5]), items(AlertPolicy) | st.dictionaries(KEYS, VALUES, max_size=4), max_size=3
    ),
    "receivers": st.lists(
        st.dictionaries(st.sampled_from(sorted(fields_of(Receiver))), items(Slack) | items(Webhook) | VALUES), max_size=3
    ),
    "teams": st.lists(items(Team), max_size=3), "silences": st.lists(items(Silence), max_size=3),
    "slos": st.lists(items(Slo), max_size=3), "output": items(Output), "alertmanager": items(Alertmanager),
}))  # fmt: skip
def test_any_values_under_the_keys_of_alerts_and_those_who_are_told(tree: dict[str, Any]) -> None:
    result = outcome(json.dumps(tree, ensure_ascii=False).encode("utf-8", "replace").decode())
    if isinstance(result, Policy):
        assert all(settings_of(result, result.deployments[0], alert) for alert in ALL[:5])
        assert list(effective(result, DEFAULT))


@bounded
@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_mutations_of_the_default(chance: random.Random, times: int) -> None:
    lines = default_text().replace("# ", "", chance.choice([0, -1])).splitlines()
    for _ in range(times):
        at = chance.randrange(len(lines))
        line = lines[at]
        cut = chance.randrange(len(line) + 1)
        lines[at] = chance.choice([
            "", line * 2, line[:cut], line[cut:], line[:cut] + chance.choice(":{}[]-#&*!'\"\t9") + line[cut:],
            " " * chance.randrange(4) + line, chance.choice(lines), line.replace("s", "x"),
        ])  # fmt: skip
    outcome("\n".join(lines))


SECRET = "hunterTWOx9"
PLACES = [
    "{s}", "{s}: 1", "'{s}", "password: {s}", "deployments: {s}", "deployments: [{s}]",
    "deployments: [{{name: '{s}!'}}]",
    "deployments: [{{sources: {{database: 'postgresql://u:{s}@h/d'}}}}]",
    "deployments: [{{sources: {{database: {{url: 'postgresql://u:{s}@h/d'}}}}}}]",
    "deployments: [{{sources: {{database: {{password: {s}}}}}}}]",
    "deployments: [{{sources: {{database: {{passwort: {s}}}}}}}]",
    "deployments: [{{sources: {{database: {{schema: 'postgresql://u:{s}@h/d'}}}}}}]",
    "deployments: [{{sources: {{database: {{'postgresql://u:{s}@h/d'}}}}}}]",
    "deployments: [{{sources: {{database: {{password:{s}}}}}}}]",
    "deployments: [{{sources: {{health: {{url: 'http://u:{s}@h:99999'}}}}}}]",
    "deployments: [{{sources: {{health: {{url: 'http://[{s}'}}}}}}]", "deployments: [{{airflow: {{executor: '{s}'}}}}]",
    "deployments: [{{airflow: {{chart: '{s}', version: '{s}', release: '{s}'}}}}]",
    "collectors: {{jobs: {{interval: {s}, enabled: {s}, max_series: {s}}}}}", "collectors: {{jobs: !{s} 1}}",
    "collectors: {{jobs: !{s}!x 1}}", "collectors: &{s} 1", "collectors: *{s}", "collectors: %{s}",
    "%TAG !{s}! {s}\n---\na: 1",
    "collectors: \"\\x{s}\"", "collectors: 'a' {s}", "collectors: |{s}\n", "%{s} 1\n--- 1",
    "collectors: {{'password:{s}': 1, 'password:{s}': 2}}",
    "receivers: [{{name: a, slack: {{api_url: 'https://h/{s}', channel: '#a'}}}}]",
    "receivers: [{{name: a, slack: 'https://h/{s}'}}]",
    "receivers: [{{name: a, slack: {{api_url_file: 'https://h/{s}', channel: b}}}}]",
    "receivers: [{{name: a, pagerduty: {{routing_key: {s}}}}}]", "receivers: [{{name: a, pagerduty: {{routing_key_file: {s}}}}}]",
    "receivers: [{{name: a, pagerduty: {{routing_key_secret: {s}}}}}]",
    "receivers: [{{name: a, email: {{to: ['a@b'], auth_password: {s}}}}}]",
    "receivers: [{{name: a, webhook: {{url: 'https://h/?token={s}'}}}}]", "receivers: [{{name: a, webhook: {{url: 'https://u:{s}@h/'}}}}]",
    "teams: [{{name: a, receiver: {s}}}]", "output: {{labels: {{a: '{{{{{s}}}}}'}}}}", "output: {{runbook_url: 'https://u:{s}@h/{{alert}}'}}",
    "dashboards: {{grafana_url: 'https://u:{s}@h/'}}", "slos: [{{name: a, kind: {s}, objective: {s}, deadline: {s}}}]",
]  # fmt: skip


def test_no_secret_is_repeated_wherever_it_stands() -> None:
    for place in PLACES:
        result = outcome(place.format(s=SECRET))
        assert isinstance(result, PolicyError), place
        if place != "{s}: 1":  # a key on its own is named, else nobody finds the typo
            assert SECRET not in str(result), place
            assert SECRET not in repr(result.__cause__), place


@bounded
@given(TREES, st.randoms(use_true_random=False))
def test_no_value_is_repeated(tree: Any, chance: random.Random) -> None:
    def spiked(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: spiked(value) for key, value in node.items()}
        if isinstance(node, list):
            return [spiked(item) for item in node]
        return SECRET if chance.random() < 0.5 else f"postgresql://u:{SECRET}@h/d"

    assert SECRET not in str(outcome(json.dumps({"deployments": [spiked(tree)], "collectors": spiked(tree)})))


def test_the_default_itself_passes() -> None:
    assert outcome(default_text()) == load()
