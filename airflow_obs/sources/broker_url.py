"""Where Celery's broker is, found the way Airflow itself would find it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import (
    Environment,
    airflow_cfg,
    airflow_option,
    cfg_option,
    our_host,
    read_secret,
    section_options,
)
from airflow_obs.sources.executors import Executors

_PORTS = {
    "redis": 6379,
    "rediss": 6379,
    "sentinel": 26379,
    "amqp": 5672,
    "pyamqp": 5672,
    "librabbitmq": 5672,
    "amqps": 5671,
}
_SOCKETS = ("unix", "redis+socket")
_EXAMPLES = "redis://:<password>@host:6379/0 or amqp://user:<password>@host:5672/vhost"


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
        return None
    found = _from_our_url(environment) or _from_our_parts(environment)
    if found is None and (celery or not executor):
        found = _from_airflow(environment)
    if found is None:
        if celery:
            raise SourceNotConfigured(
                f"broker: the executor is {executor}, but no setting says where Celery's broker is; set AIRFLOW_OBS_BROKER_URL "
                "(or AIRFLOW_OBS_BROKER_URL_FILE, or AIRFLOW_OBS_BROKER_HOST and its companions), or AIRFLOW_HOME to a folder "
                "with Airflow's airflow.cfg"
            )
        return None
    return _address(*found, environment)


def _from_our_url(environment: Environment) -> tuple[str, str] | None:
    if path := environment.get("AIRFLOW_OBS_BROKER_URL_FILE"):
        return read_secret("AIRFLOW_OBS_BROKER_URL_FILE", path), f"AIRFLOW_OBS_BROKER_URL_FILE ({path})"
    if url := environment.get("AIRFLOW_OBS_BROKER_URL"):
        return url, "AIRFLOW_OBS_BROKER_URL"
    return None


def _from_our_parts(environment: Environment) -> tuple[str, str] | None:
    host = our_host(environment, "AIRFLOW_OBS_BROKER")
    if not host:
        return None
    scheme = environment.get("AIRFLOW_OBS_BROKER_SCHEME") or "redis"
    user = quote(environment.get("AIRFLOW_OBS_BROKER_USER") or "", safe="")
    password = environment.get("AIRFLOW_OBS_BROKER_PASSWORD") or ""
    if path := environment.get("AIRFLOW_OBS_BROKER_PASSWORD_FILE"):
        password = read_secret("AIRFLOW_OBS_BROKER_PASSWORD_FILE", path)
    login = f"{user}:{quote(password, safe='')}@" if user or password else ""
    name = quote(environment.get("AIRFLOW_OBS_BROKER_NAME") or "", safe="")
    setting = "AIRFLOW_OBS_BROKER_HOST and its companions"
    if host.startswith("/"):
        return f"redis+socket://{login}{host}" + (f"?virtual_host={name}" if name else ""), setting
    port = environment.get("AIRFLOW_OBS_BROKER_PORT") or str(_PORTS.get(scheme, 6379))
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SourceNotConfigured(f"broker: AIRFLOW_OBS_BROKER_PORT is {port!r}, not a port number (1 to 65535)")
    hosts = [f"[{one}]" if ":" in one else one for one in host.split(",")]
    return ";".join(f"{scheme}://{login}{one.strip()}:{port}/{name}" for one in hosts), setting


def _from_airflow(environment: Environment) -> tuple[str, str] | None:
    name, path = "AIRFLOW__CELERY__BROKER_URL", airflow_cfg(environment)
    remedy = "which is Airflow's to resolve, not ours; give us the URL itself in AIRFLOW_OBS_BROKER_URL (or _URL_FILE)"
    if url := environment.get(name):
        return url, name
    for suffix in ("_CMD", "_SECRET"):
        if environment.get(name + suffix):
            raise SourceNotConfigured(f"broker: the URL comes from {name}{suffix}, {remedy}")
    if url := cfg_option(environment, "celery", "broker_url"):
        return url, f"{path} [celery] broker_url"
    for suffix in ("_cmd", "_secret"):
        if cfg_option(environment, "celery", "broker_url" + suffix):
            raise SourceNotConfigured(f"broker: {path} has [celery] broker_url{suffix}, {remedy}")
    return None


def _address(url: str, setting: str, environment: Environment) -> BrokerAddress:
    options = _transport_options(environment)
    result_backend = airflow_option(environment, "celery", "result_backend")
    parts = [_split(one.strip(), setting) for one in url.strip().split(";") if one.strip()]
    scheme = parts[0].scheme if parts else ""
    if scheme not in _PORTS and scheme not in _SOCKETS:
        raise SourceNotConfigured(f"broker: {setting} {_unsupported(scheme)}")
    first = parts[0]
    user, password = (unquote(text) if text else None for text in (first.username, first.password))
    query = dict(parse_qsl(first.query))
    if scheme in _SOCKETS:
        number = query.get("virtual_host") or query.get("db") or "0"
        return BrokerAddress(
            "redis", url.strip(), setting, (), "/" + unquote(first.path).lstrip("/"), user, password,
            _number(number, setting), options=options, result_backend=result_backend,
        )  # fmt: skip
    hosts = tuple((unquote(part.hostname or "localhost"), part.port or _PORTS[scheme]) for part in parts)
    tls = _tls(scheme, query, environment)
    path = unquote(first.path[1:])
    if "amqp" in scheme or scheme == "librabbitmq":
        return BrokerAddress(
            "rabbitmq", url.strip(), setting, hosts, None, user or "guest", password or "guest",
            query.get("virtual_host") or path or "/", tls, options=options, result_backend=result_backend,
        )  # fmt: skip
    master = options.get("master_name") if scheme == "sentinel" else None
    if scheme == "sentinel" and not master:
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
            f"broker: {setting} is not a broker URL; write it like {_EXAMPLES}, with special characters of the password "
            "percent-encoded"
        ) from None
    return parts._replace(scheme=scheme.lower())


def _unsupported(scheme: str) -> str:
    # Only known names are repeated: what stands before :// may be anything, when people get it wrong.
    known = (
        scheme if scheme in {"sqs", "kafka", "confluentkafka", "filesystem", "memory", "gcpubsub", "mongodb"} else ""
    )
    what = f"is a URL of {known}, which is not supported" if known else "is a URL of a kind that is not supported"
    return f"{what}: Redis (redis, rediss, redis+socket, unix, sentinel) and RabbitMQ (amqp, amqps, pyamqp) are"


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
