"""Who can be told: Alertmanager's receivers, with secrets only as files or as Kubernetes secrets."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, model_validator

from airflow_obs.policy.alertmanager import NOBODY
from airflow_obs.policy.knobs import Address, Count, Flag, HttpUrl, Text, all_refused, refused
from airflow_obs.policy.strict import Strict
from airflow_obs.policy.teams import ReceiverName

R = TypeVar("R", bound=Strict)

SINCE = {
    ("webhook", "url_file"): ("0.26", "url or url_secret"),
    ("msteams",): ("0.26", "a webhook"),
    ("msteams", "webhook_url_file"): ("0.28", "webhook_url_secret"),
    ("msteamsv2",): ("0.28", "a webhook"),
}
"""The first Alertmanager that takes a kind of receiver, or a key of one, and what does instead.

https://github.com/prometheus/alertmanager/blob/main/CHANGELOG.md; 0.27 lists `webhook_url_file` of msteams, too, but refuses a
receiver that has nothing else: https://github.com/prometheus/alertmanager/issues/3894
"""

_INLINE = frozenset({
    "api_url", "api_key", "routing_key", "service_key", "auth_password", "password", "auth_secret", "webhook_url", "url", "token",
    "key", "secret", "webhook", "http_config", "basic_auth", "authorization", "bearer_token", "credentials",
})  # fmt: skip

Path = Annotated[
    str,
    Text(
        r"/[^\0\n]{1,1000}", "a path that Alertmanager can read, from the root on, such as /etc/alertmanager/slack-url"
    ),
]
SendResolved = Annotated[bool, Flag()]
_RESOLVED = "Say when it is over, too."


def _instead(*keys: str) -> str:
    given = " or ".join(
        f"{key}_file (a path that Alertmanager reads) or {key}_secret (name and key of a Kubernetes secret)"
        for key in keys
    )
    return f"secrets never live in the policy: remove it, and give {given}"


class SecretKey(Strict):
    """A key of a Kubernetes secret, which prometheus-operator reads in the namespace of its AlertmanagerConfig."""

    name: Annotated[
        str,
        Text(
            "[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?",
            "the name of a Kubernetes secret: small letters, digits, `-` or `.`",
        ),
    ] = Field(description="Name of the Kubernetes secret.")
    key: Annotated[str, Text("[-._a-zA-Z0-9]{1,253}", "a key of that secret: letters, digits, `-`, `_` or `.`")] = (
        Field(description="Key in that secret.")
    )


class Slack(Strict):
    """A channel of Slack."""

    api_url_file: Path | None = Field(None, description="File that holds the URL of the incoming webhook.")
    api_url_secret: SecretKey | None = Field(None, description="Kubernetes secret that holds it.")
    channel: Annotated[str, Text(r"[#@]?[^\s#@]{1,80}", 'a channel in quotes, such as "#airflow-alerts"')] = Field(
        description="Channel or user."
    )
    send_resolved: SendResolved = Field(default=True, description=_RESOLVED)

    elsewhere = dict.fromkeys(_INLINE, _instead("api_url"))

    @model_validator(mode="after")
    def _secret(self) -> Slack:
        return _has_secret(self, "api_url")


class PagerDuty(Strict):
    """A service of PagerDuty, by its Events API v2."""

    routing_key_file: Path | None = Field(None, description="File that holds the integration key.")
    routing_key_secret: SecretKey | None = Field(None, description="Kubernetes secret that holds it.")
    url: Annotated[str, HttpUrl(None)] | None = Field(
        None,
        description="Where events are sent; null is PagerDuty's own (in the EU https://events.eu.pagerduty.com/v2/enqueue).",
    )
    send_resolved: SendResolved = Field(default=True, description=_RESOLVED)

    elsewhere = dict.fromkeys(_INLINE - {"url"}, _instead("routing_key"))

    @model_validator(mode="after")
    def _secret(self) -> PagerDuty:
        return _has_secret(self, "routing_key")


class Opsgenie(Strict):
    """Opsgenie, or what took its place at Atlassian."""

    api_key_file: Path | None = Field(None, description="File that holds the API key.")
    api_key_secret: SecretKey | None = Field(None, description="Kubernetes secret that holds it.")
    api_url: Annotated[str, HttpUrl(None)] | None = Field(
        None, description="Where it is; null is Opsgenie's own (in the EU https://api.eu.opsgenie.com/)."
    )
    responders: tuple[Annotated[str, Text(r"[^\n{}]{1,100}", "the name of a team in Opsgenie")], ...] = Field(
        (), description="Teams in Opsgenie that are responsible."
    )
    send_resolved: SendResolved = Field(default=True, description=_RESOLVED)

    elsewhere = dict.fromkeys(_INLINE - {"api_url"}, _instead("api_key"))

    @model_validator(mode="after")
    def _secret(self) -> Opsgenie:
        return _has_secret(self, "api_key")


Mailbox = Annotated[str, Text(r"[^\s,@<>]{1,64}@[^\s,@<>]{1,253}", "a mail address, such as oncall@example.com")]


class Email(Strict):
    """Mail."""

    to: tuple[Mailbox, ...] = Field(description="To whom.")
    sender: Mailbox | None = Field(
        None,
        alias="from",
        description="From whom; null takes Alertmanager's global smtp_from, if prometheus-operator has one.",
    )
    smarthost: Annotated[str, Address()] | None = Field(
        None, description="Mail server, HOST:PORT; null takes Alertmanager's global smtp_smarthost, likewise."
    )
    auth_username: Annotated[str, Text(r"[^\s:]{1,200}", "the name of a user of the mail server")] | None = Field(
        None, description="User at that server."
    )
    auth_password_file: Path | None = Field(None, description="File that holds that user's password.")
    auth_password_secret: SecretKey | None = Field(None, description="Kubernetes secret that holds it.")
    require_tls: Annotated[bool, Flag()] = Field(default=True, description="Send only where STARTTLS is offered.")
    send_resolved: SendResolved = Field(default=True, description=_RESOLVED)

    elsewhere = dict.fromkeys(_INLINE, _instead("auth_password"))

    @model_validator(mode="after")
    def _who(self) -> Email:
        if not self.to:
            raise refused("nobody would get this mail: give `to` at least one address")
        secret = self.auth_password_file or self.auth_password_secret
        if bool(self.auth_username) != bool(secret):
            raise refused(
                "a user needs a password and a password a user: give auth_username with auth_password_file or _secret"
            )
        return self


class Webhook(Strict):
    """A server that takes Alertmanager's webhook."""

    url: Annotated[str, HttpUrl(None)] | None = Field(
        None,
        description="Where it is, if there is nothing secret about it: without user, password and what follows a `?`.",
    )
    url_file: Path | None = Field(None, description="File that holds the URL; since Alertmanager 0.26.")
    url_secret: SecretKey | None = Field(None, description="Kubernetes secret that holds the URL.")
    max_alerts: Annotated[int, Count(0, 10_000)] = Field(0, description="Most alerts in one message; 0 is no bound.")
    send_resolved: SendResolved = Field(default=True, description=_RESOLVED)

    elsewhere = dict.fromkeys(_INLINE - {"url"}, _instead("url"))

    @model_validator(mode="after")
    def _somewhere(self) -> Webhook:
        given = [key for key in ("url", "url_file", "url_secret") if getattr(self, key)]
        if not given:
            raise refused("nobody knows where it is: give url, url_file or url_secret")
        if "url" in given and len(given) > 1:
            raise refused(f"{' and '.join(given)} contradict each other: keep one of them")
        return self


class Teams(Strict):
    """A channel of Microsoft Teams."""

    webhook_url_file: Path | None = Field(
        None, description="File that holds the URL of the connector or workflow; since Alertmanager 0.28."
    )
    webhook_url_secret: SecretKey | None = Field(None, description="Kubernetes secret that holds that URL.")
    send_resolved: SendResolved = Field(default=True, description=_RESOLVED)

    elsewhere = dict.fromkeys(_INLINE, _instead("webhook_url"))

    @model_validator(mode="after")
    def _secret(self) -> Teams:
        return _has_secret(self, "webhook_url")


class Receiver(Strict):
    """One or more places that are told of the same alerts."""

    name: ReceiverName = Field(description="What `teams` call it; no two share it.")
    slack: Slack | None = Field(None, description="A channel of Slack.")
    pagerduty: PagerDuty | None = Field(None, description="A service of PagerDuty (Events API v2).")
    opsgenie: Opsgenie | None = Field(None, description="Opsgenie.")
    email: Email | None = Field(None, description="Mail.")
    webhook: Webhook | None = Field(None, description="A server that takes Alertmanager's webhook.")
    msteams: Teams | None = Field(
        None, description="Microsoft Teams by a connector, which Microsoft retires; since Alertmanager 0.26."
    )
    msteamsv2: Teams | None = Field(None, description="Microsoft Teams by a workflow; since Alertmanager 0.28.")

    elsewhere = dict.fromkeys(
        frozenset(
            f"{kind}_configs" for kind in ("slack", "pagerduty", "opsgenie", "email", "webhook", "msteams", "msteamsv2")
        ),
        ("a receiver has at most one of each kind: write it without `_configs`, as a mapping"),
    )

    @model_validator(mode="after")
    def _named(self) -> Receiver:
        if self.name == NOBODY:
            raise all_refused([(("name",), "so is called what tells nobody: choose another name")])
        return self

    @model_validator(mode="after")
    def _somewhere(self) -> Receiver:
        if not any(value for name, value in self if name != "name"):
            raise refused("nobody is told: give it slack, pagerduty, opsgenie, email, webhook, msteams or msteamsv2")
        return self


def _has_secret(receiver: R, key: str) -> R:
    if not (getattr(receiver, f"{key}_file") or getattr(receiver, f"{key}_secret")):
        raise refused(
            f"give {key}_file (a path that Alertmanager reads) or {key}_secret (name and key of a Kubernetes secret)"
        )
    return receiver
