"""Which setting says where Celery's broker is: ours, or those of Airflow."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from urllib.parse import quote

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import Environment, airflow_cfg, cfg_option, expanded, our_host, read_secret
from airflow_obs.sources.broker_schemes import PORTS, SOCKETS, unsupported

_HOST, _SCHEME = "AIRFLOW_OBS_BROKER_HOST", "AIRFLOW_OBS_BROKER_SCHEME"
_OURS = ("AIRFLOW_OBS_BROKER_URL_FILE", "AIRFLOW_OBS_BROKER_URL", _HOST)


def our_setting(environment: Environment) -> str | None:
    """The name of the setting of ours that says where the broker is, first one wins; None where there is none."""
    return next((name for name in _OURS if environment.get(name)), None)


def from_ours(environment: Environment) -> tuple[str, str] | None:
    """The URL by a setting of ours, and what messages call that setting; SourceNotConfigured when it cannot be used."""
    if path := environment.get("AIRFLOW_OBS_BROKER_URL_FILE"):
        return read_secret("AIRFLOW_OBS_BROKER_URL_FILE", path), f"AIRFLOW_OBS_BROKER_URL_FILE ({path})"
    if url := environment.get("AIRFLOW_OBS_BROKER_URL"):
        return url, "AIRFLOW_OBS_BROKER_URL"
    return _from_parts(environment)


def from_airflow(environment: Environment) -> tuple[str, str] | None:
    """The URL by Airflow's own settings, and what messages call the setting; SourceNotConfigured when only Airflow can read it."""
    name, path = "AIRFLOW__CELERY__BROKER_URL", airflow_cfg(environment)
    remedy = "which is Airflow's to resolve, not ours; give us the URL itself in AIRFLOW_OBS_BROKER_URL (or _URL_FILE)"
    if url := environment.get(name):
        return expanded(environment, url), name
    for suffix in ("_CMD", "_SECRET"):
        if environment.get(name + suffix):
            raise SourceNotConfigured(f"broker: the URL comes from {name}{suffix}, {remedy}")
    if url := cfg_option(environment, "celery", "broker_url"):
        return url, f"{path} [celery] broker_url"
    for suffix in ("_cmd", "_secret"):
        if cfg_option(environment, "celery", "broker_url" + suffix):
            raise SourceNotConfigured(f"broker: {path} has [celery] broker_url{suffix}, {remedy}")
    return None


def _from_parts(environment: Environment) -> tuple[str, str] | None:
    host = our_host(environment, "AIRFLOW_OBS_BROKER")
    if not host:
        return None
    scheme = _scheme(environment, host)
    user = quote(environment.get("AIRFLOW_OBS_BROKER_USER") or "", safe="")
    password = environment.get("AIRFLOW_OBS_BROKER_PASSWORD") or ""
    if path := environment.get("AIRFLOW_OBS_BROKER_PASSWORD_FILE"):
        password = read_secret("AIRFLOW_OBS_BROKER_PASSWORD_FILE", path)
    login = f"{user}:{quote(password, safe='')}@" if user or password else ""
    name = quote(environment.get("AIRFLOW_OBS_BROKER_NAME") or "", safe="")
    setting = f"{_HOST} and its companions"
    if host.startswith("/"):
        return f"redis+socket://{login}{host}" + (f"?virtual_host={name}" if name else ""), setting
    port = environment.get("AIRFLOW_OBS_BROKER_PORT") or str(PORTS[scheme])
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SourceNotConfigured(f"broker: AIRFLOW_OBS_BROKER_PORT is {port!r}, not a port number (1 to 65535)")
    return ";".join(f"{scheme}://{login}{_host(one.strip())}:{port}/{name}" for one in host.split(",")), setting


def _scheme(environment: Environment, host: str) -> str:
    scheme = (environment.get(_SCHEME) or "redis").strip().lower().removesuffix("://")
    if scheme not in PORTS and scheme not in SOCKETS:
        raise SourceNotConfigured(f"broker: {_SCHEME} is {unsupported(scheme)}")
    if host.startswith("/") and scheme not in {"redis", *SOCKETS}:
        raise SourceNotConfigured(
            f"broker: {_HOST} is the path of a socket, but {_SCHEME} is {scheme}, which has none: unset it, or name a host"
        )
    if not host.startswith("/") and scheme in SOCKETS:
        raise SourceNotConfigured(f"broker: {_SCHEME} is {scheme}, so {_HOST} must be the path of a socket: write /…")
    return scheme


def _host(host: str) -> str:
    """As a URL has it."""
    try:
        return f"[{IPv6Address(host.removeprefix('[').removesuffix(']'))}]"
    except ValueError:
        if re.fullmatch(r"[\w.-]+", host):
            return host
    raise SourceNotConfigured(
        f"broker: {_HOST} is not the name or address of a host alone: the port belongs in AIRFLOW_OBS_BROKER_PORT, the scheme in "
        "_SCHEME, the login in _USER and _PASSWORD, the database or vhost in _NAME (a whole URL in AIRFLOW_OBS_BROKER_URL)"
    )
