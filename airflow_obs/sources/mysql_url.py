"""A URL of MySQL or MariaDB as PyMySQL takes it, whichever of their six drivers it was written for."""

from __future__ import annotations

import configparser
import logging
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import check_readable, say_once

_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""How much TLS there must be, from none to that with this very host (MySQL manual, --ssl-mode)."""
_CHECK_NAMES = ("aiomysql", "asyncmy", "mariadbconnector", "pymysql")
"""Drivers that, told of an authority, look at the host's name too; to the others, as to MySQL's client, that is VERIFY_CA."""
_FLAGS = (
    "ssl",
    "ssl_disabled",
    "ssl_check_hostname",
    "ssl_verify_cert",
    "ssl_verify_identity",
    "ssl_verify_server_cert",
)
_FILES = ("ssl_ca", "ssl_cert", "ssl_key")
_TLS = {"ssl_mode", "ssl_capath", "ssl_cipher", "ssl_key_password", *_FLAGS, *_FILES}
_TLS_OF_PYTHON = ("tls_ciphersuites", "tls_version", "tls_versions")
"""Python's own choice is TLS 1.2 and newer, which is what these are set for."""
_TRUE, _FALSE = ("1", "on", "required", "true", "yes"), ("0", "false", "no", "none", "off")
_PARTS = {
    "user": "username",
    "passwd": "password",
    "password": "password",
    "host": "host",
    "db": "database",
    "database": "database",
}
_SAME = {"socket": "unix_socket", "skip_ssl": "ssl_disabled", "username": "user", "option_files": "read_default_file"}
"""What option files and drivers call differently."""


def mysql(url: URL, setting: str) -> tuple[URL, dict[str, Any]]:
    """The URL for PyMySQL, and connect arguments: an SSLContext where TLS is asked for, the password as the server has it.

    Options that say how a driver fetches are dropped: Airflow's drivers have dozens, and to us they mean nothing. One of TLS that
    we cannot keep is refused instead, lest something be trusted that should not. Raises SourceNotConfigured.
    """
    options = _options(url.normalized_query)
    if path := options.pop("read_default_file", None):
        options = _option_file(path, options.get("read_default_group"), setting) | options
    port = options.get("port", "")
    if port and not port.isdecimal():
        raise SourceNotConfigured(f"database: {setting}: port is {port!r}, not a number")
    parts: dict[str, Any] = {part: options[name] for name, part in _PARTS.items() if name in options}
    parts |= {"port": int(port)} if port else {}
    # What stands in front of the ? goes before what stands behind it, and before an option file.
    parts |= {part: value for part in (*_PARTS.values(), "port") if (value := getattr(url, part)) is not None}
    if not parts.get("database"):
        raise SourceNotConfigured(
            f"database: {setting} names no database; write it like mysql://USER:…@HOST:3306/airflow"
        )
    if "unix_socket" not in options:
        parts.setdefault("host", "localhost")
    query = {name: value for name, value in options.items() if name == "unix_socket"} | {"charset": "utf8mb4"}
    tls = {
        name: value for name, value in options.items() if name.startswith(("ssl", "tls")) and name not in _TLS_OF_PYTHON
    }
    arguments = _arguments(tls, url.drivername.partition("+")[2], setting)
    if password := parts.get("password"):
        # PyMySQL would send it in Latin-1, and other clients send UTF-8.
        arguments["password"] = password.encode()
    return URL.create("mysql+pymysql", **parts, query=query), arguments


def _options(query: Mapping[str, Any]) -> dict[str, str]:
    named = ((name.lower().replace("-", "_"), values[-1]) for name, values in query.items())
    return {_SAME.get(name, name): value for name, value in named}


def _option_file(path: str, group: str | None, setting: str) -> dict[str, str]:
    """The options of [client], and over it of the group, in an option file of MySQL's."""
    path = str(Path(path).expanduser())
    check_readable(f"database: {setting}: read_default_file", path)
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        parser.read_string("\n".join(line for line in lines if not line.startswith("!")))  # !include, !includedir
    except (
        configparser.Error,
        OSError,
        UnicodeDecodeError,
    ) as error:  # which quotes the line, and that may be the one with the password
        raise SourceNotConfigured(
            f"database: {setting}: {path} cannot be read as an option file of MySQL ({type(error).__name__})"
        ) from None
    options: dict[str, str] = {}
    for section in ("client", group):
        if section and parser.has_section(section):
            options |= {name: _unquoted(value) for name, value in parser.items(section)}
    return _options({name: [value] for name, value in options.items()})


def _unquoted(value: str | None) -> str:
    if value is None:  # an option that is there, and no more
        return "true"
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _arguments(tls: Mapping[str, str], driver: str, setting: str) -> dict[str, Any]:
    if unknown := sorted(set(tls) - _TLS):
        raise SourceNotConfigured(
            f"database: {setting}: {unknown[0]} is no option of TLS that we can keep; there are {', '.join(sorted(_TLS))}"
        )
    mode = _mode(tls, driver, setting)
    if mode == "DISABLED":
        return {"ssl_disabled": True}
    authority = "ssl_ca" in tls or "ssl_capath" in tls
    if mode == "VERIFY_CA" and not authority:
        raise SourceNotConfigured(
            f"database: {setting}: VERIFY_CA needs ssl_ca, the path of the authority's certificate: anybody has a certificate of "
            "one that the system trusts"
        )
    if authority and not mode.startswith("VERIFY"):
        say_once(
            logging.WARNING,
            f"database: {setting}: with ssl_mode={mode} its ssl_ca verifies nothing; write VERIFY_IDENTITY",
        )
    if mode == "PREFERRED" and "ssl_cert" not in tls:
        return {}  # which is how PyMySQL understands silence; a context means to it that TLS is required
    return {"ssl": _context(mode, tls, setting)}


def _mode(tls: Mapping[str, str], driver: str, setting: str) -> str:
    """What the options say together: by ssl_mode, or as their driver takes the others."""
    if word := tls.get("ssl_mode", "").upper():
        if word not in _MODES:
            raise SourceNotConfigured(f"database: {setting}: ssl_mode is none of {', '.join(_MODES)}")
        return word
    wants = {name: _flag(name, tls[name], setting) for name in _FLAGS if name in tls}
    if wants.get("ssl_disabled") or wants.get("ssl") is False:
        return "DISABLED"
    if wants.get("ssl_verify_identity") or wants.get("ssl_verify_server_cert"):
        return "VERIFY_IDENTITY"
    if wants.get("ssl_verify_cert") is False or wants.get("ssl_verify_server_cert") is False:
        return "REQUIRED"
    if wants.get("ssl_verify_cert") or "ssl_ca" in tls or "ssl_capath" in tls:
        by_name = wants.get("ssl_verify_identity", wants.get("ssl_check_hostname", driver in _CHECK_NAMES))
        return "VERIFY_IDENTITY" if by_name else "VERIFY_CA"
    return "REQUIRED" if set(tls) - {"ssl_disabled"} else "PREFERRED"


def _flag(name: str, value: str, setting: str) -> bool:
    if value.lower() not in {*_TRUE, *_FALSE}:
        more = " (files go in ssl_ca, ssl_cert and ssl_key)" if name == "ssl" else ""
        raise SourceNotConfigured(f"database: {setting}: {name} is neither true nor false{more}")
    return value.lower() in _TRUE


def _context(mode: str, tls: Mapping[str, str], setting: str) -> ssl.SSLContext:
    """Made by hand, since ssl.create_default_context refuses the certificates that a MySQL makes for itself (Python 3.13)."""
    for name in _FILES:
        if name in tls:
            check_readable(f"database: {setting}: {name}", tls[name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "VERIFY_IDENTITY"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("VERIFY") else ssl.CERT_NONE
    if context.verify_mode == ssl.CERT_REQUIRED:
        with _said(setting, "ssl_ca or ssl_capath: no certificate in PEM form is there"):
            if "ssl_ca" in tls or "ssl_capath" in tls:
                context.load_verify_locations(tls.get("ssl_ca"), tls.get("ssl_capath"))
            else:
                context.load_default_certs()
    if "ssl_key" in tls and "ssl_cert" not in tls:
        raise SourceNotConfigured(f"database: {setting}: ssl_key is set, but ssl_cert is not: set both, or none")
    if "ssl_cert" in tls:
        with _said(setting, "ssl_cert and ssl_key are no certificate and its key in PEM form"):
            # Given no password, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(tls["ssl_cert"], tls.get("ssl_key"), tls.get("ssl_key_password", ""))
    if "ssl_cipher" in tls:
        with _said(setting, "ssl_cipher names no cipher that OpenSSL has"):
            context.set_ciphers(tls["ssl_cipher"])
    return context


@contextmanager
def _said(setting: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # of which SSLError is one
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise SourceNotConfigured(f"database: {setting}: {what} ({reason})") from None
