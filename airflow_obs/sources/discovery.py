"""Where the database and the health endpoint are and what runs the tasks, found the way Airflow itself would find it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import URL

from airflow_obs.errors import SourceNotConfigured
from airflow_obs.sources.airflow_settings import Environment, airflow_option
from airflow_obs.sources.broker_url import BrokerAddress, broker_address
from airflow_obs.sources.database_settings import database_setting
from airflow_obs.sources.database_url import normalised
from airflow_obs.sources.executors import Executors


@dataclass(frozen=True)
class Found:
    """A URL and the setting it came from, which messages may name (the URL they may not: it can hold a password).

    `connect_args` go to the driver beside it, and before what it says.
    """

    url: URL
    setting: str
    connect_args: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


def database_url(environment: Environment = os.environ) -> Found:
    """Find the metadata database, first setting wins; raises SourceNotConfigured when there is none or it cannot be used.

    Asked again at every new connection, so that rotated secrets and certificates are read without a restart.
    """
    written = database_setting(environment)
    if written is None:
        raise SourceNotConfigured(
            "database: no setting says where Airflow's metadata database is; set AIRFLOW_OBS_DB_URL (or AIRFLOW_OBS_DB_URL_FILE, "
            "or AIRFLOW_OBS_DB_HOST, _USER, _PASSWORD and _NAME), or AIRFLOW_HOME to a folder with Airflow's airflow.cfg"
        )
    text, setting = written
    url, connect_args = normalised(text, setting)
    return Found(url, setting, connect_args)


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
