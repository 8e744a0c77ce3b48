"""Where Celery's broker is, found the way Airflow itself would find it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import Environment, airflow_option, say_once, section_options
from airflow_obs.sources.broker_schemes import EXAMPLES, PORTS, RABBITMQ, SENTINEL, SOCKETS, unsupported
from airflow_obs.sources.broker_settings import from_airflow, from_ours, our_setting
from airflow_obs.sources.executors import Executors


@dataclass(frozen=True)
class Tls:
    """How to speak TLS: paths of PEM files (None: the system's authorities, no certificate of ours), and whether to verify."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True
    check_hostname: bool = True


@dataclass(frozen=True)
class BrokerAddress:
    """A broker and the setting that it came from, which messages may name (the URL they may not: it holds a password)."""

    kind: Literal["redis", "rabbitmq"]
    url: str = field(repr=False)
    """The whole URL as Celery takes it: one, or several with `;` between them (Sentinel, RabbitMQ's nodes)."""
    setting: str
    hosts: tuple[tuple[str, int], ...]
    """(host, port) of the server; of each sentinel; of each RabbitMQ node. Empty for a Unix socket."""
    socket: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str = ""
    """Redis: the number of the database. RabbitMQ: the vhost, decoded ("/" is the default)."""
    tls: Tls | None = None
    sentinel_master: str | None = None
    """Redis: the name of the master that the sentinels at `hosts` watch."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    """[celery_broker_transport_options], values parsed (numbers, lists, mappings), for Celery and for us."""
    result_backend: str | None = field(default=None, repr=False)

    @property
    def lone_user(self) -> bool:
        """Whether the URL has a user and no password."""
        return self.user is not None and not any(_passwords(self.url))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every password in it, as it is and percent-encoded, for redact().

        A user without a password is one of them: people write redis://password@host, where it takes a colon before it.
        """
        found = {self.password, *_passwords(self.url), *_passwords(self.result_backend or "")}
        found |= {self.user} if self.lone_user else set()
        found.add(_mapping(self.options.get("sentinel_kwargs")).get("password"))
        return tuple({text for one in found if one for text in (str(one), quote(str(one), safe=""))})


def broker_address(executor: str | None = None, environment: Environment = os.environ) -> BrokerAddress | None:
    """Find the broker, first setting wins; None when `executor` has no Celery in it, or nothing speaks of a broker.

    For an executor of the site's own, which may use Celery or not, only settings of ours count: Airflow has a broker_url of its
    own for everybody. Raises SourceNotConfigured when a setting cannot be used, or is missing though the executor needs it.
    """
    celery = Executors.parsed(executor).celery if executor else None
    if celery is False:
        if ours := our_setting(environment):
            say_once(
                logging.INFO,
                f"broker: {ours} is not used, since the executor is {executor}, which has no Celery in it; if that is wrong, name "
                "the executor in the policy (deployments: airflow: executor) or in AIRFLOW__CORE__EXECUTOR, else unset it",
            )
        return None
    found = from_ours(environment)
    if found is None and (celery or not executor):
        found = from_airflow(environment)
    if found is None:
        if celery:
            raise SourceNotConfigured(
                f"broker: the executor is {executor}, but no setting says where Celery's broker is; set AIRFLOW_OBS_BROKER_URL "
                "(or AIRFLOW_OBS_BROKER_URL_FILE, or AIRFLOW_OBS_BROKER_HOST and its companions), or AIRFLOW_HOME to a folder "
                "with Airflow's airflow.cfg"
            )
        return None
    return _address(*found, environment)


def _address(url: str, setting: str, environment: Environment) -> BrokerAddress:
    options = _transport_options(environment)
    result_backend = airflow_option(environment, "celery", "result_backend")
    parts = [_split(one.strip(), setting) for one in url.strip().split(";") if one.strip()]
    if not parts:
        raise SourceNotConfigured(f"broker: {setting} is empty: write a URL like {EXAMPLES}")
    first, scheme = parts[0], parts[0].scheme
    if scheme not in PORTS and scheme not in SOCKETS:
        raise SourceNotConfigured(f"broker: {setting} is a URL of {unsupported(scheme)}")
    _check_alike(parts, setting)
    user, password = (unquote(text) if text else None for text in (first.username, first.password))
    query = dict(parse_qsl(first.query))
    if scheme in SOCKETS:
        number = query.get("virtual_host") or query.get("db") or "0"
        return BrokerAddress(
            "redis", url.strip(), setting, (), "/" + unquote(first.path).lstrip("/"), user, password,
            _number(number, setting), options=options, result_backend=result_backend,
        )  # fmt: skip
    hosts = tuple(_places(parts))
    tls = _tls(scheme, query, environment)
    path = unquote(first.path[1:])
    if scheme in RABBITMQ:
        return BrokerAddress(
            "rabbitmq", url.strip(), setting, hosts, None, user or "guest", password or "guest",
            query.get("virtual_host") or path or "/", tls, options=options, result_backend=result_backend,
        )  # fmt: skip
    master = options.get("master_name") if scheme == SENTINEL else None
    if scheme == SENTINEL and not master:
        raise SourceNotConfigured(
            f"broker: {setting} names sentinels, but no setting says which master they watch; set "
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__MASTER_NAME, as Airflow needs it too"
        )
    database = _number(query.get("virtual_host") or path or "0", setting)
    return BrokerAddress(
        "redis", url.strip(), setting, hosts, None, user, password, database, tls,
        str(master) if master else None, options, result_backend,
    )  # fmt: skip


def _split(url: str, setting: str) -> SplitResult:
    scheme, separator, rest = url.partition("://")
    try:
        # The schemes of Celery follow the rules of http, whatever the standard library thinks of them.
        parts = urlsplit("http://" + rest)
        # An unencoded / ? # in the password ends it: the rest would be taken for something else, and shown in messages.
        if not separator or parts.port == 0 or "@" in parts.path + parts.query or parts.fragment:
            raise ValueError("@")
    except ValueError:
        raise SourceNotConfigured(
            f"broker: {setting} is not a broker URL; write it like {EXAMPLES}, with special characters of the password "
            "percent-encoded"
        ) from None
    return parts._replace(scheme=scheme.lower())


def _check_alike(parts: Sequence[SplitResult], setting: str) -> None:
    """Raises SourceNotConfigured when a URL differs from the first one in more than its host and port.

    Celery would go from one to the other with another login, scheme or vhost; to us they are nodes of one broker. What a URL
    leaves out, Kombu takes from the one before it, but for the login; of sentinels, that too is the first one's.
    """
    first = parts[0]
    for nth, part in enumerate(parts[1:], 2):
        inherits = first.scheme == SENTINEL and part.username is None and part.password is None
        for what, differs in (
            ("scheme", part.scheme != first.scheme),
            ("user or password", not inherits and _login(part) != _login(first)),
            ("path (database or vhost)", bool(part.path[1:]) and _name(part) != _name(first)),
            ("options after the ?", bool(part.query) and part.query != first.query),
        ):
            if differs:
                raise SourceNotConfigured(
                    f"broker: {setting}: URL {nth} of {len(parts)} differs from the first in its {what}; they are nodes of one "
                    "broker, so write them alike but for host and port"
                )


def _login(part: SplitResult) -> tuple[str, ...]:
    default = "guest" if part.scheme in RABBITMQ else ""
    return tuple(unquote(text or "") or default for text in (part.username, part.password))


def _name(part: SplitResult) -> str:
    return unquote(part.path[1:]) or ("/" if part.scheme in RABBITMQ else "0")


def _places(parts: Sequence[SplitResult]) -> Iterator[tuple[str, int]]:
    """Host and port of each; a port that is left out is that of the URL before, as Kombu has it (but of sentinels)."""
    port = PORTS[parts[0].scheme]
    for part in parts:
        yield unquote(part.hostname or "localhost"), part.port or port
        if part.scheme != SENTINEL:
            port = part.port or port


def _number(text: str, setting: str) -> str:
    number = text.strip("/") or "0"
    if not number.isdecimal():
        raise SourceNotConfigured(
            f"broker: {setting} ends with something that is no number of a Redis database: write .../0"
        )
    return str(int(number))


def _tls(scheme: str, query: Mapping[str, str], environment: Environment) -> Tls | None:
    """As kombu reads the URL, and over it what Airflow makes of [celery] ssl_…."""
    active = (airflow_option(environment, "celery", "ssl_active") or "").lower() in {"1", "true", "t"}
    if not active and scheme not in {"rediss", "amqps"} and not any(name.startswith("ssl") for name in query):
        return None
    ca, certificate, key = (
        (airflow_option(environment, "celery", ours) if active else None) or query.get(theirs) or query.get(amqp)
        for ours, theirs, amqp in (
            ("ssl_cacert", "ssl_ca_certs", "ca_certs"),
            ("ssl_cert", "ssl_certfile", "certfile"),
            ("ssl_key", "ssl_keyfile", "keyfile"),
        )
    )
    verify = active or query.get("ssl_cert_reqs", "").lower().removeprefix("cert_") != "none"
    return Tls(ca, certificate, key, verify, query.get("ssl_check_hostname", "").lower() != "false")


def _transport_options(environment: Environment) -> dict[str, Any]:
    section = section_options(environment, "celery_broker_transport_options")
    texts = {"master_name", "global_keyprefix", "sep", "queue_order_strategy", "unacked_key", "unacked_index_key"}
    options = {name: text if name in texts else _value(text) for name, text in section.items()}
    if "sentinel_kwargs" in options and not isinstance(options["sentinel_kwargs"], dict):
        raise SourceNotConfigured(
            'broker: [celery_broker_transport_options] sentinel_kwargs is not a JSON object, such as {"password": "…"}'
        )
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text.lower() if text in {"True", "False"} else text)
    except ValueError:
        return text


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _passwords(urls: str) -> Iterator[str]:
    for url in urls.split(";"):
        with suppress(ValueError):
            if password := urlsplit("http://" + url.partition("://")[2]).password:
                yield unquote(password)
