"""Where the database and the health endpoint are and what runs the tasks, found the way Airflow itself would find it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import (
    Environment,
    airflow_cfg,
    airflow_option,
    cfg_option,
    expanded,
    our_host,
    read_secret,
)
from airflow_obs.sources.broker_url import BrokerAddress, broker_address
from airflow_obs.sources.executors import Executors

_ASYNCPG_ONLY = (
    "async_fallback",
    "prepared_statement_cache_size",
    "prepared_statement_name_func",
    "statement_cache_size",
)


@dataclass(frozen=True)
class Found:
    """A URL and the setting it came from, which messages may name (the URL they may not: it can hold a password)."""

    url: URL
    setting: str


def database_url(environment: Environment = os.environ) -> Found:
    """Find the metadata database, first setting wins; raises SourceNotConfigured when there is none or it cannot be used.

    Asked again at every new connection, so that a rotated secret file is read without a restart.
    """
    for look in (_from_our_url, _from_our_parts, _from_airflow_environment, _from_airflow_cfg):
        if found := look(environment):
            return Found(_normalised(*found), found[1])
    raise SourceNotConfigured(
        "database: no setting says where Airflow's metadata database is; set AIRFLOW_OBS_DB_URL (or AIRFLOW_OBS_DB_URL_FILE, "
        "or AIRFLOW_OBS_DB_HOST, _USER, _PASSWORD and _NAME), or AIRFLOW_HOME to a folder with Airflow's airflow.cfg"
    )


class AirflowSettings:
    """What Airflow's own settings say here of its executor and of Celery, read anew whenever they are asked.

    `executor` is the one that the policy names, which goes before them.
    """

    def __init__(self, executor: str | None = None, environment: Environment = os.environ) -> None:
        self._executor = executor
        self._environment = environment

    def executor(self) -> str | None:
        """The executor, or several with a comma between them; None where nobody says."""
        return self._executor or airflow_option(self._environment, "core", "executor")

    def default_queue(self) -> str | None:
        """The queue of tasks that name none: by default Airflow's own default where there is Celery, else None."""
        named = airflow_option(self._environment, "operators", "default_queue")
        return named or ("default" if self.celery() else None)

    def kubernetes_queue(self) -> str:
        """The queue that CeleryKubernetesExecutor keeps from Celery."""
        return airflow_option(self._environment, "celery_kubernetes_executor", "kubernetes_queue") or "kubernetes"

    def broker(self) -> BrokerAddress | None:
        """Celery's broker, None where there is none; raises SourceNotConfigured as broker_address does."""
        return broker_address(self.executor(), self._environment)

    def celery(self) -> bool:
        """Whether Celery runs tasks: by the executor, or where that does not tell, by whether anything speaks of a broker."""
        executor = self.executor()
        if executor and (known := Executors.parsed(executor).celery) is not None:
            return known
        try:
            return self.broker() is not None
        except SourceNotConfigured:
            return True


def database_schema(environment: Environment = os.environ) -> str | None:
    """The PostgreSQL schema of Airflow's tables (`[database] sql_alchemy_schema`), or None for the role's search_path."""
    return airflow_option(environment, "database", "sql_alchemy_schema")


def health_urls(environment: Environment = os.environ) -> tuple[list[str], bool]:
    """Base URLs to try for the health endpoint, best first, and whether a setting named them (else they are a guess)."""
    named = [
        url
        for section, option in (("api", "base_url"), ("webserver", "base_url"))
        if (url := airflow_option(environment, section, option)) and url.startswith(("http://", "https://"))
    ]
    if named:
        return named, True
    guesses = []
    for section, host_option, port_option in (
        ("api", "host", "port"),
        ("webserver", "web_server_host", "web_server_port"),
    ):
        host, port = (
            airflow_option(environment, section, host_option),
            airflow_option(environment, section, port_option),
        )
        if host or port:
            guesses.append(f"http://{_reachable(host)}:{port or '8080'}")
    return list(dict.fromkeys(guesses)) or ["http://localhost:8080"], False


def _reachable(host: str | None) -> str:
    """Where to find a server that listens on `host`: one that listens on every interface is here."""
    if host in {None, "", "0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
        return "localhost"
    return f"[{host}]" if ":" in str(host) else str(host)


def _from_our_url(environment: Environment) -> tuple[str, str] | None:
    if path := environment.get("AIRFLOW_OBS_DB_URL_FILE"):
        return read_secret("AIRFLOW_OBS_DB_URL_FILE", path), f"AIRFLOW_OBS_DB_URL_FILE ({path})"
    if url := environment.get("AIRFLOW_OBS_DB_URL"):
        return url, "AIRFLOW_OBS_DB_URL"
    return None


def _from_our_parts(environment: Environment) -> tuple[str, str] | None:
    host = our_host(environment, "AIRFLOW_OBS_DB")
    if not host:
        return None
    password = environment.get("AIRFLOW_OBS_DB_PASSWORD")
    if path := environment.get("AIRFLOW_OBS_DB_PASSWORD_FILE"):
        password = read_secret("AIRFLOW_OBS_DB_PASSWORD_FILE", path)
    port = environment.get("AIRFLOW_OBS_DB_PORT") or "5432"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise SourceNotConfigured(f"database: AIRFLOW_OBS_DB_PORT is {port!r}, not a port number (1 to 65535)")
    url = URL.create(
        "postgresql",
        username=environment.get("AIRFLOW_OBS_DB_USER") or None,
        password=password,
        **_place(host, port),
        database=environment.get("AIRFLOW_OBS_DB_NAME") or "airflow",
    )
    return url.render_as_string(hide_password=False), "AIRFLOW_OBS_DB_HOST and its companions"


def _place(host: str, port: str) -> dict[str, Any]:
    """As parts of a URL; a host that is a path is the folder of a Unix socket, as libpq has it."""
    return {"query": {"host": host, "port": port}} if host.startswith("/") else {"host": host, "port": int(port)}


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


def _normalised(text: str, setting: str) -> URL:
    """The same database through the drivers we ship, whatever driver Airflow itself uses."""
    try:
        url = make_url(text.strip())
        # An @ in the password ends it: the rest is taken for the host, and would be shown as such in messages.
        before_password = text.partition("://")[2].partition(":")[0]
        if url.get_backend_name() != "sqlite" and text.count("@") - before_password.count("@") > 1:
            raise ValueError("@")
    except (ArgumentError, ValueError):
        raise SourceNotConfigured(
            f"database: {setting} is not a database URL; write it like postgresql://USER:…@HOST:5432/airflow, with special "
            "characters of the password percent-encoded"
        ) from None
    return _dialect(url.drivername.partition("+")[0], setting)(url, setting)


def _dialect(name: str, setting: str) -> Callable[[URL, str], URL]:
    try:
        return _DIALECTS[name]
    except KeyError:
        raise SourceNotConfigured(
            f"database: {setting} is a {name} URL; this release reads PostgreSQL and SQLite"
        ) from None


def _postgresql(url: URL, _setting: str) -> URL:
    query = {name: value for name, value in url.query.items() if name not in _ASYNCPG_ONLY}
    if ssl := query.pop("ssl", None):  # asyncpg's spelling of libpq's sslmode
        query.setdefault("sslmode", ssl)
    return url.set(drivername="postgresql+psycopg2", query=query)


def _sqlite(url: URL, setting: str) -> URL:
    if not url.database or url.database == ":memory:":
        raise SourceNotConfigured(f"database: {setting} names no file; write it like sqlite:////opt/airflow/airflow.db")
    return url.set(drivername="sqlite+pysqlite", query={})


_DIALECTS: dict[str, Callable[[URL, str], URL]] = {
    "postgres": _postgresql,
    "postgresql": _postgresql,
    "sqlite": _sqlite,
}
