"""Of each receiver is written what Alertmanager and prometheus-operator take, and of its secrets nothing but where they are."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.generate.alertmanager.receivers import custom, raw
from airflow_obs.generate.yaml_text import Value, text_of
from airflow_obs.policy import loads
from airflow_obs.policy.receivers import Receiver
from tests.tools import tool

FILE, SECRET = "/etc/alertmanager/secret", {"name": "of-alertmanager", "key": "secret"}

KINDS: dict[str, dict[str, Any]] = {
    "slack": {"channel": "#airflow"},
    "pagerduty": {"url": "https://events.eu.pagerduty.com/v2/enqueue"},
    "opsgenie": {"api_url": "https://api.eu.opsgenie.com/", "responders": ["Data Platform"]},
    "email": {"to": ["a@example.com"], "from": "b@example.com", "smarthost": "mail:587", "auth_username": "user"},
    "webhook": {"max_alerts": 5},
    "msteams": {},
    "msteamsv2": {},
}
"""Every kind with all that it may have, but for its secret."""
SECRETS = {
    "slack": "api_url", "pagerduty": "routing_key", "opsgenie": "api_key", "email": "auth_password", "webhook": "url",
    "msteams": "webhook_url", "msteamsv2": "webhook_url",
}  # fmt: skip

SELECTOR = {"name": str, "key": str}
PAIRS = [{"key": str, "value": str}]
CUSTOM: dict[str, dict[str, Any]] = {
    "slack": {
        "sendResolved": bool, "apiURL": SELECTOR, "channel": str, "color": str, "title": str, "text": str, "fallback": str,
    },
    "pagerduty": {
        "sendResolved": bool, "routingKey": SELECTOR, "url": str, "description": str, "severity": str, "class": str,
        "group": str, "details": PAIRS, "pagerDutyLinkConfigs": [{"href": str, "alt": str}],
    },
    "opsgenie": {
        "sendResolved": bool, "apiKey": SELECTOR, "apiURL": str, "message": str, "description": str, "priority": str,
        "updateAlerts": bool, "responders": [{"name": str, "type": str}], "entity": str,
    },
    "email": {
        "sendResolved": bool, "to": str, "from": str, "smarthost": str, "authUsername": str, "authPassword": SELECTOR,
        "headers": PAIRS, "html": str, "text": str, "requireTLS": bool,
    },
    "webhook": {"sendResolved": bool, "urlSecret": SELECTOR, "maxAlerts": int},
    "msteams": {"sendResolved": bool, "webhookUrl": SELECTOR, "title": str, "text": str},
    "msteamsv2": {"sendResolved": bool, "webhookURL": SELECTOR, "title": str, "text": str},
}  # fmt: skip
"""Names and types in monitoring.coreos.com/v1alpha1 (alertmanager_config_types.go)."""


def receiver(kind: str, **secret: Any) -> Receiver:
    written = {"name": "everybody", kind: {**KINDS[kind], **secret}}
    [found] = loads(json.dumps({"receivers": [written]}), "site.yaml").receivers
    return found


def with_both(kind: str) -> Receiver:
    """It has its secret as a file and as a Kubernetes secret."""
    return receiver(kind, **{f"{SECRETS[kind]}_file": FILE, f"{SECRETS[kind]}_secret": SECRET})


def plain(written: Value) -> Any:
    """As whoever reads it gets it."""
    return json.loads(json.dumps(written))


def test_every_kind_is_known() -> None:
    assert set(KINDS) == set(Receiver.model_fields) - {"name"}


def config(one: Receiver) -> str:
    return text_of({"route": {"receiver": one.name}, "receivers": [raw(one)]})


@pytest.mark.parametrize("kind", ["slack", "pagerduty", "opsgenie", "email"])
def test_alertmanager_takes_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(config(with_both(kind)))
    done = subprocess.run([tool("amtool"), "check-config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["webhook", "msteams", "msteamsv2"])
def test_of_what_the_alertmanager_at_hand_does_not_know_the_names_are_right(kind: str) -> None:
    [written] = plain(raw(with_both(kind)))[f"{kind}_configs"]
    others = {"max_alerts"} if kind == "webhook" else {"title", "text"}
    assert set(written) == {f"{SECRETS[kind]}_file", "send_resolved", *others}


@pytest.mark.parametrize("kind", KINDS)
def test_prometheus_operator_takes_it(kind: str) -> None:
    written = plain(custom(with_both(kind)))
    assert set(written) == {"name", f"{kind}Configs"}
    [integration] = written[f"{kind}Configs"]
    check(integration, CUSTOM[kind])
    assert set(integration) == set(CUSTOM[kind])


def check(value: Any, schema: Any) -> None:
    """AssertionError unless the value has this form; texts must not be empty."""
    if isinstance(schema, dict):
        assert set(value) <= set(schema)
        for key, inner in value.items():
            check(inner, schema[key])
    elif isinstance(schema, list):
        assert value
        for inner in value:
            check(inner, schema[0])
    else:
        assert type(value) is schema
        assert value is not None
        assert value != ""


def test_an_address_needs_nothing_but_go_itself() -> None:
    """prometheus-operator reads templates of addresses without the functions that Alertmanager adds."""
    [pagerduty] = plain(custom(with_both("pagerduty")))["pagerdutyConfigs"]
    actions = {action for link in pagerduty["pagerDutyLinkConfigs"] for action in re.findall("{{(.*?)}}", link["href"])}
    words = {word for action in actions for word in re.findall(r"(?<![.\w])[a-zA-Z]+", action)}
    assert words == {"with", "index", "else", "end"}


@pytest.mark.parametrize("kind", KINDS)
def test_each_form_has_its_own_kind_of_secret(kind: str) -> None:
    assert FILE in json.dumps(raw(with_both(kind)))
    assert "of-alertmanager" not in json.dumps(raw(with_both(kind)))
    assert FILE not in json.dumps(custom(with_both(kind)))
    assert json.dumps(SECRET) in json.dumps(custom(with_both(kind)))


def test_an_address_that_is_no_secret_stands_in_both_forms() -> None:
    one = receiver("webhook", url="http://tickets:8080/")
    assert raw(one)["webhook_configs"] == [{"send_resolved": True, "url": "http://tickets:8080/", "max_alerts": 5}]
    assert custom(one)["webhookConfigs"] == [{"sendResolved": True, "url": "http://tickets:8080/", "maxAlerts": 5}]


def test_what_the_policy_leaves_open_is_left_to_alertmanager() -> None:
    [one] = loads("receivers: [{name: r, email: {to: [a@example.com, b@example.com]}}]", "site.yaml").receivers
    [email] = plain(raw(one))["email_configs"]
    assert set(email) == {"send_resolved", "to", "require_tls", "headers", "text", "html"}
    assert email["to"] == "a@example.com, b@example.com"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", [True, False])
def test_that_it_is_over_is_told_unless_the_policy_says_no(kind: str, said: bool) -> None:
    one = receiver(kind, **{f"{SECRETS[kind]}_file": FILE, f"{SECRETS[kind]}_secret": SECRET}, send_resolved=said)
    assert f"send_resolved: {str(said).lower()}\n" in text_of(raw(one))
    assert f"sendResolved: {str(said).lower()}\n" in text_of(custom(one))


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_stands_in_the_file_as_people_read_it(kind: str) -> None:
    written = raw(with_both(kind))
    lines = {line.strip() for line in text_of(written).splitlines()}
    assert {line.strip() for text in texts(written) if "\n" in text for line in text.splitlines()} <= lines


def texts(value: Value) -> Iterator[str]:
    """Every text in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from texts(inner)
