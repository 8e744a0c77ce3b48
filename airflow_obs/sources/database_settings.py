"""Which setting says where Airflow's metadata database is: ours, or those of Airflow."""

from __future__ import annotations

import os
import re
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import (
    Environment,
    airflow_cfg,
    cfg_option,
    check_ours,
    check_readable,
    expanded,
    our_host,
    read_secret,
)

_PREFIX = "AIRFLOW_OBS_DB"
_HOST, _SCHEME, _MODE = f"{_PREFIX}_HOST", f"{_PREFIX}_SCHEME", f"{_PREFIX}_SSLMODE"
_CA, _CERTIFICATE, _KEY = f"{_PREFIX}_SSLROOTCERT", f"{_PREFIX}_SSLCERT", f"{_PREFIX}_SSLKEY"
_TLS_PARTS = ("SSLMODE", "SSLROOTCERT", "SSLCERT", "SSLKEY")
_PORTS = {"postgresql": "5432", "mysql": "3306", "mariadb": "3306"}
_MODES = {
    "disable": "DISABLED",
    "prefer": "PREFERRED",
    "require": "REQUIRED",
    "verify-ca": "VERIFY_CA",
    "verify-full": "VERIFY_IDENTITY",
}
"""libpq's words for how much TLS there must be, and what MySQL says for them."""
_SYSTEM = "system"
"""libpq's word for the authorities that the system trusts."""


def database_setting(environment: Environment) -> tuple[str, str] | None:
    """The URL and what messages call the setting that it came from, first one wins; None where no setting has it.

    Raises SourceNotConfigured when a setting cannot be used.
    """
    check_ours(environment, _PREFIX, _TLS_PARTS)
    looks = (_from_our_url, _from_our_parts, _from_airflow_environment, _from_airflow_cfg)
    return next((found for look in looks if (found := look(environment))), None)


def _from_our_url(environment: Environment) -> tuple[str, str] | None:
    if path := environment.get(f"{_PREFIX}_URL_FILE"):
        return read_secret(f"{_PREFIX}_URL_FILE", path), f"{_PREFIX}_URL_FILE ({path})"
    if url := environment.get(f"{_PREFIX}_URL"):
        return url, f"{_PREFIX}_URL"
    return None


def _from_our_parts(environment: Environment) -> tuple[str, str] | None:
    host = our_host(environment, _PREFIX, _TLS_PARTS)
    if not host:
        return None
    scheme = _scheme(environment)
    password = environment.get(f"{_PREFIX}_PASSWORD")
    if path := environment.get(f"{_PREFIX}_PASSWORD_FILE"):
        password = read_secret(f"{_PREFIX}_PASSWORD_FILE", path)
    port = environment.get(f"{_PREFIX}_PORT") or _PORTS[scheme]
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SourceNotConfigured(f"database: {_PREFIX}_PORT is {port!r}, not a port number (1 to 65535)")
    place = _place(scheme, host, port)
    url = URL.create(
        scheme,
        username=environment.get(f"{_PREFIX}_USER") or None,
        password=password,
        host=place.get("host"),
        port=place.get("port"),
        database=environment.get(f"{_PREFIX}_NAME") or "airflow",
        query=place.get("query", {}) | _tls(scheme, environment),
    )
    return url.render_as_string(hide_password=False), f"{_HOST} and its companions"


def _scheme(environment: Environment) -> str:
    scheme = (environment.get(_SCHEME) or "postgresql").strip().lower().removesuffix("://")
    if scheme not in _PORTS:
        raise SourceNotConfigured(f"database: {_SCHEME} is {scheme!r}: write {', '.join(_PORTS)}")
    return scheme


def _place(scheme: str, host: str, port: str) -> dict[str, Any]:
    """As parts of a URL; a host that is a path is a Unix socket: to libpq the folder of it, to MySQL itself."""
    if host.startswith("/"):
        return {"query": {"host": host, "port": port} if scheme == "postgresql" else {"unix_socket": host}}
    names = [_bare(one.strip()) for one in host.split(",")]
    if None in names or (len(names) > 1 and scheme != "postgresql"):
        raise SourceNotConfigured(
            f"database: {_HOST} is not the name or address of a host alone: the port belongs in {_PREFIX}_PORT, the kind of "
            f"database in _SCHEME, the login in _USER and _PASSWORD, the database in _NAME (a whole URL in {_PREFIX}_URL)"
        )
    return {"host": ",".join(map(str, names)), "port": int(port)}


def _bare(host: str) -> str | None:
    """A name, or an address without brackets; None for what is neither."""
    inner = host.removeprefix("[").removesuffix("]")
    try:
        return str(IPv6Address(inner))
    except ValueError:
        return host if re.fullmatch(r"[\w.-]+", host) else None


def _tls(scheme: str, environment: Environment) -> dict[str, str]:
    """The options of the URL for what _SSLMODE and its kin say, which mean the same whatever the database.

    Refuses what libpq, or the client of MySQL, would take and then verify less than somebody thinks.
    """
    mode = (environment.get(_MODE) or "").strip().lower()
    ca, certificate, key = (environment.get(name) or "" for name in (_CA, _CERTIFICATE, _KEY))
    if mode and mode not in _MODES:
        unsupported = ", which tries without TLS first and is not supported" if mode == "allow" else ""
        raise SourceNotConfigured(f"database: {_MODE} is {mode!r}{unsupported}: write {', '.join(_MODES)}")
    named = f"{_MODE} is {mode}" if mode else f"{_MODE} is not set"
    if ca and mode in {"", "disable", "prefer"}:
        raise SourceNotConfigured(
            f"database: {_CA} is set, but {named}, which verifies nothing: write verify-full there"
        )
    if mode.startswith("verify") and not ca and not (scheme == "postgresql" and _libpq_has_authority(environment)):
        raise SourceNotConfigured(
            f"database: {named}, but {_CA} is not set: write the path of the authority's certificate there, or with "
            f"verify-full `{_SYSTEM}` for the authorities that the system trusts"
        )
    if ca == _SYSTEM and mode != "verify-full":
        raise SourceNotConfigured(
            f"database: {_CA} is {_SYSTEM}, but {named}: anybody has a certificate of an authority that the system trusts, so "
            "write verify-full there"
        )
    if bool(certificate) != bool(key):
        there, lacking = (_CERTIFICATE, _KEY) if certificate else (_KEY, _CERTIFICATE)
        raise SourceNotConfigured(f"database: {there} is set, but {lacking} is not: set both, or none")
    if certificate and mode in {"", "disable", "prefer"}:
        raise SourceNotConfigured(
            f"database: {_CERTIFICATE} is set, but {named}, with which it may never be shown: write require or verify-full there"
        )
    for name, path in ((_CA, ca), (_CERTIFICATE, certificate), (_KEY, key)):
        if path and path != _SYSTEM:
            check_readable(name, path)
    if scheme == "postgresql":
        options = {"sslmode": mode, "sslrootcert": ca, "sslcert": certificate, "sslkey": key}
    else:
        # With an authority at hand libpq's `require` verifies it, and MySQL's REQUIRED does not.
        word = _MODES["verify-ca" if ca and mode == "require" else mode] if mode else ""
        # No authority is to us, on MySQL, the system's.
        options = {"ssl_mode": word, "ssl_ca": ca if ca != _SYSTEM else "", "ssl_cert": certificate, "ssl_key": key}
    return {name: value for name, value in options.items() if value}


def _libpq_has_authority(environment: Environment) -> bool:
    """Whether libpq knows by itself whom to trust (PostgreSQL manual, libpq, sslrootcert)."""
    home = environment.get("HOME")
    # Path.exists would raise where we may not look.
    in_home = bool(home) and os.access(Path(str(home), ".postgresql", "root.crt"), os.R_OK)
    return bool(environment.get("PGSSLROOTCERT")) or in_home


def _from_airflow_environment(environment: Environment) -> tuple[str, str] | None:
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN"):
        if url := environment.get(name):
            return expanded(environment, url), name
        for suffix in ("_CMD", "_SECRET"):
            if environment.get(name + suffix):
                raise SourceNotConfigured(
                    f"database: {name}{suffix} is Airflow's to resolve, not ours; give us the URL itself in AIRFLOW_OBS_DB_URL "
                    "or AIRFLOW_OBS_DB_URL_FILE"
                )
    return None


def _from_airflow_cfg(environment: Environment) -> tuple[str, str] | None:
    path = airflow_cfg(environment)
    for section in ("database", "core"):
        if url := cfg_option(environment, section, "sql_alchemy_conn"):
            return url, f"{path} [{section}] sql_alchemy_conn"
        for suffix in ("_cmd", "_secret"):
            if cfg_option(environment, section, "sql_alchemy_conn" + suffix):
                raise SourceNotConfigured(
                    f"database: {path} has [{section}] sql_alchemy_conn{suffix}, which is Airflow's to resolve, not ours; give us "
                    "the URL itself in AIRFLOW_OBS_DB_URL or AIRFLOW_OBS_DB_URL_FILE"
                )
    # Airflow's own default, which a generated 3.x airflow.cfg only holds as a comment.
    default = path.parent / "airflow.db"
    return (f"sqlite:///{default}", str(default)) if default.is_file() else None
