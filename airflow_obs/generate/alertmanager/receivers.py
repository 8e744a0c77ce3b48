"""A receiver of the policy as each reader wants it: alertmanager.yml with files of secrets, an AlertmanagerConfig with Secrets.

Sources: https://prometheus.io/docs/alerting/latest/configuration/ and the types of monitoring.coreos.com/v1alpha1
(prometheus-operator pkg/apis/monitoring/v1alpha1/alertmanager_config_types.go).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from airflow_obs.generate.alertmanager.integrations import Fields, Integration, fields
from airflow_obs.generate.yaml_text import Value
from airflow_obs.policy.receivers import Receiver, SecretKey

_SECRETS = {
    "slack": ("api_url", "apiURL"),
    "pagerduty": ("routing_key", "routingKey"),
    "opsgenie": ("api_key", "apiKey"),
    "email": ("auth_password", "authPassword"),
    "webhook": ("url", "urlSecret"),
    "msteams": ("webhook_url", "webhookUrl"),
    "msteamsv2": ("webhook_url", "webhookURL"),
}
"""The secret of each kind: its name in the policy and in Alertmanager (with _file there), and in an AlertmanagerConfig."""
_CUSTOM = {"api_url": "apiURL", "require_tls": "requireTLS", "links": "pagerDutyLinkConfigs"}
"""Names in an AlertmanagerConfig that are not just in another case."""


def raw(one: Receiver) -> dict[str, Value]:
    """An entry of alertmanager.yml's receivers; all its secrets are files."""
    written: dict[str, Value] = {"name": one.name}
    for kind, integration in _integrations(one):
        key = f"{_SECRETS[kind][0]}_file"
        written[f"{kind}_configs"] = [_given({key: getattr(integration, key), **fields(integration)})]
    return written


def custom(one: Receiver) -> dict[str, Value]:
    """An entry of an AlertmanagerConfig's receivers; all its secrets are Kubernetes secrets of its namespace."""
    written: dict[str, Value] = {"name": one.name}
    for kind, integration in _integrations(one):
        own, theirs = _SECRETS[kind]
        renamed = {_renamed(key): _custom(key, value) for key, value in _given(fields(integration)).items()}
        written[f"{kind}Configs"] = [_given({theirs: _selector(getattr(integration, f"{own}_secret")), **renamed})]
    return written


def _integrations(one: Receiver) -> Iterator[tuple[str, Integration]]:
    for kind in _SECRETS:
        if integration := getattr(one, kind):
            yield kind, integration


def _selector(secret: SecretKey | None) -> Value:
    return None if secret is None else {"name": secret.name, "key": secret.key}


def _custom(key: str, value: Value) -> Value:
    if isinstance(value, Mapping):
        return [{"key": name, "value": text} for name, text in value.items()]
    if key == "links" and isinstance(value, list):
        return [{"href": link["href"], "alt": link["text"]} for link in value]
    return value


def _renamed(key: str) -> str:
    first, *others = key.split("_")
    return _CUSTOM.get(key) or first + "".join(map(str.title, others))


def _given(written: Fields) -> Fields:
    """Without what is left to Alertmanager."""
    return {key: value for key, value in written.items() if value not in (None, [])}
