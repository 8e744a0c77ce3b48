"""The Airflows that a site runs: what each is, how many of its components should be alive, and what can be read of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airflow_obs.policy.alerts import AlertsPolicy
from airflow_obs.policy.ingest import OtlpSource, StatsdSource
from airflow_obs.policy.knobs import Count, Duration, Flag, FromFile, HttpUrl, Server, Text, refused
from airflow_obs.policy.strict import Strict
from airflow_obs.policy.teams import TeamName

_EXECUTORS = tuple(f"{kind}Executor" for kind in (
    "Celery", "Kubernetes", "Local", "Sequential", "CeleryKubernetes", "LocalKubernetes",
))  # fmt: skip
_WORD = "[A-Za-z_][A-Za-z0-9_]*"
_EXECUTOR = rf"(?:{'|'.join(_EXECUTORS)}|(?:{_WORD}:)?{_WORD}(?:\.{_WORD})+)"

Name = Annotated[
    str, Text("[a-zA-Z0-9_.-]{1,63}", "1 to 63 letters, digits, `_`, `.` or `-`: it becomes a label of every series")
]
Version = Annotated[
    str, Text(r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,3})?(?:(?:a|b|rc)[0-9]{1,3})?", 'auto or like "2.10.5"', ("auto",))
]
Executor = Annotated[
    str,
    Text(
        rf"{_EXECUTOR}(?: *, *{_EXECUTOR})*",
        f"auto, or one or more (a comma between them) of {', '.join(_EXECUTORS)} or the dotted path of your own",
        ("auto", *_EXECUTORS),
    ),
]
ChartVersion = Annotated[str, Text(r"[0-9]+(?:\.[0-9]+){1,2}(?:[-+][0-9A-Za-z.+-]{1,40})?", 'like "1.18" or "1.18.0"')]
Chart = Annotated[
    Literal["official", "community", "none"],
    Text("", "official, community or none", ("official", "community", "none")),
]
Namespace = Annotated[
    str, Text("[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", "a Kubernetes name: 1 to 63 small letters, digits or `-`")
]
Release = Annotated[
    str, Text("[a-z0-9](?:[-.a-z0-9]{0,51}[a-z0-9])?", "a Helm release: 1 to 53 small letters, digits, `-` or `.`")
]
Schema = Annotated[
    str, Text("[A-Za-z_][A-Za-z0-9_$-]{0,62}", "the name of a PostgreSQL schema, without quotes, such as airflow")
]
Place = Annotated[
    str,
    Server(
        "null, or the replica's HOST or HOST:PORT, such as replica.example:5432: user, password and database are those of the URL"
    ),
]
QueueName = Annotated[
    str, Text(r"[!-~]{1,255}", "the name of a queue, such as default: 1 to 255 ASCII characters without spaces")
]

SECRET_KEYS = frozenset({
    "url", "uri", "dsn", "conn", "connection", "host", "port", "name", "database", "dbname", "user", "username", "role",
    "password", "passwd", "password_file", "secret", "sql_alchemy_conn", "sql_alchemy_conn_cmd", "db_url", "database_url",
    "broker_url", "vhost", "management_user", "management_password",
})  # fmt: skip
SECRETS = (
    "addresses and passwords of databases never live in the policy: set AIRFLOW_OBS_DB_URL or AIRFLOW_OBS_DB_URL_FILE "
    "in the environment, and remove this"
)
_BROKER_SECRETS = (
    "the broker's address and password never live in the policy: set AIRFLOW_OBS_BROKER_URL or AIRFLOW_OBS_BROKER_URL_FILE "
    "in the environment, and remove this"
)
_TLS_KEYS = frozenset(
    {"tls", "ssl", "sslmode", "ssl_mode", "sslrootcert", "sslcert", "sslkey", "ssl_ca", "ssl_cert", "ssl_key"}
)
_TLS = (
    "TLS to the database belongs into its URL (?sslmode=…, with MySQL ?ssl_mode=…), or into AIRFLOW_OBS_DB_SSLMODE, "
    "_SSLROOTCERT, _SSLCERT and _SSLKEY in the environment"
)
_REPLICA_KEYS = frozenset({"replicas", "read_replica", "standby", "hot_standby", "slave", "secondary"})
_REPLICA = "write `replica`: HOST or HOST:PORT of the one to read from"


class AirflowFacts(Strict):
    """What Airflow is and how it was installed."""

    version: Version = Field("auto", description="Airflow's version, or auto.")
    executor: Executor = Field(
        "auto",
        description="Executor, or several with a comma between them; auto takes what Airflow's settings here say.",
    )
    chart: Chart = Field("none", description="Helm chart that installed it: official, community or none.")
    chart_version: ChartVersion | None = Field(None, description='Version of that chart, in quotes ("1.18").')
    namespace: Namespace | None = Field(None, description="Kubernetes namespace that it runs in.")
    release: Release | None = Field(None, description="Helm release that it was installed as.")


class Replicas(Strict):
    """How many of each component should be alive; what is not said is only missed after it was there."""

    scheduler: Annotated[int, Count(0, 100)] | None = Field(None, description="Schedulers; null: one at least.")
    triggerer: Annotated[int, Count(0, 100)] | None = Field(None, description="Triggerers; null: any number.")
    dag_processor: Annotated[int, Count(0, 100)] | None = Field(
        None,
        description="Standalone dag processors; null: any number (2.x runs one inside each scheduler unless told otherwise).",
    )


class DatabaseSource(Strict):
    """The metadata database; its URL and password come from the environment."""

    schema_name: Schema | None = Field(
        None,
        alias="schema",
        description="Schema of Airflow's tables ([database] sql_alchemy_schema); null is the role's search_path.",
    )
    replica: Place | None = Field(
        None,
        description="HOST or HOST:PORT of a hot standby or read replica to read from instead of the host in the database's URL.",
    )

    elsewhere = (
        dict.fromkeys(SECRET_KEYS, SECRETS) | dict.fromkeys(_TLS_KEYS, _TLS) | dict.fromkeys(_REPLICA_KEYS, _REPLICA)
    )


class HealthSource(Strict):
    """The health endpoint of the webserver (2.x) or API server (3.x)."""

    url: Annotated[str, HttpUrl()] = Field(
        "auto", description="Where the webserver or API server listens; auto takes it from Airflow's own settings."
    )

    elsewhere = dict.fromkeys(
        frozenset({"user", "username", "password", "passwd", "token", "auth", "secret"}),
        "Airflow's health endpoint asks for no password, and secrets never live in the policy: remove it",
    )


class BrokerSource(Strict):
    """Celery's broker, Redis or RabbitMQ; its URL and password come from the environment."""

    queues: tuple[QueueName, ...] = Field((), description="Queues to show beside those that are found by themselves.")
    visibility_timeout: Annotated[float | Literal["auto"], Duration("1s", "30d", auto=True)] = Field(
        "auto",
        description="Redis delivers a task that is not done after this again; auto takes Airflow's setting, or its default of 1d.",
    )
    management_url: Annotated[str, HttpUrl(None)] | None = Field(
        None,
        description="RabbitMQ's management API, which knows all queues and alarms, asked as the broker's user; null does without.",
    )
    control: Annotated[bool, Flag()] = Field(
        default=True,
        description="Ask the workers over Celery's control protocol, which writes the addresses for replies into the broker.",
    )

    elsewhere = dict.fromkeys(SECRET_KEYS, _BROKER_SECRETS)


class KubernetesSource(Strict):
    """What Prometheus itself scrapes of the Kubernetes that Airflow runs in; the exporter reads none of it."""

    kube_state_metrics: Annotated[bool, Flag()] = Field(
        default=True, description="kube-state-metrics: pods, restarts, jobs, autoscalers."
    )
    cadvisor: Annotated[bool, Flag()] = Field(default=True, description="cAdvisor: memory and CPU of containers.")
    kubelet: Annotated[bool, Flag()] = Field(default=True, description="The kubelet: how full volumes are.")

    @model_validator(mode="after")
    def _some(self) -> KubernetesSource:
        if not (self.kube_state_metrics or self.cadvisor or self.kubelet):
            raise refused("all of it is switched off: switch on what Prometheus scrapes, or remove kubernetes")
        return self


class Sources(Strict):
    """What can be read: only what is listed exists, and an empty value means that it exists with its defaults."""

    database: DatabaseSource | None = Field(None, description="The metadata database.")
    health: HealthSource | None = Field(None, description="The health endpoint.")
    broker: BrokerSource | None = Field(
        None, description="Celery's broker and workers; without Celery there is nothing to report, which is no failure."
    )
    statsd: StatsdSource | None = Field(
        None,
        description="What Airflow sends here as StatsD; not listened for unless listed, or asked for by --statsd.listen-udp.",
    )
    otlp: OtlpSource | None = Field(
        None, description="What Airflow sends here as OpenTelemetry's OTLP; not listened for unless listed."
    )
    kubernetes: KubernetesSource | None = Field(
        None,
        description="What Prometheus scrapes of Kubernetes, for rules; it needs airflow.namespace, and of a chart airflow.release.",
    )

    elsewhere = dict.fromkeys(SECRET_KEYS - {"database"}, SECRETS)

    @model_validator(mode="after")
    def _some(self) -> Sources:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise refused(
                "no source is listed, so nothing could be read: list database, health, broker, statsd, otlp or kubernetes, or "
                "several of them"
            )
        return self

    @property
    def ingests(self) -> bool:
        """Whether anything is sent here, rather than read."""
        return self.statsd is not None or self.otlp is not None


class Deployment(Strict):
    """One Airflow."""

    name: Name = Field(
        "airflow", validate_default=True, description='Becomes the label airflow="…" of every series; no two share it.'
    )
    airflow: AirflowFacts = Field(
        AirflowFacts(),
        description="What it is and how it was installed, for rules and manifests; the exporter reads only executor.",
    )
    replicas: Replicas = Field(
        Replicas(),
        description="How many of each should be alive, for rules: who does not say is told of what was there and is gone.",
    )
    sources: Sources = Field(
        Sources(database=DatabaseSource(), health=HealthSource(), broker=BrokerSource()),
        description="What can be read. When given, only what is listed exists.",
    )
    team: TeamName | None = Field(
        None, description="The team that alerts on this Airflow itself go to; null is the first of `teams`."
    )
    alerts: AlertsPolicy = Field(
        AlertsPolicy({}), description="What is otherwise for this Airflow than `alerts` below says for all."
    )

    elsewhere = dict.fromkeys(SECRET_KEYS - {"name", "database"}, SECRETS)

    @field_validator("name")
    @classmethod
    def _unique(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, FromFile):
            if earlier := info.context.names.get(name.casefold()):
                only = "" if earlier == name else ", but for the case of letters, by which not all tell files apart"
                raise refused(f"an earlier deployment is called {earlier} as well{only}: give each its own name")
            info.context.names[name.casefold()] = name
        return name

    @field_validator("sources")
    @classmethod
    def _named_in_kubernetes(cls, sources: Sources, info: ValidationInfo) -> Sources:
        facts = info.data.get("airflow")
        if sources.kubernetes is None or facts is None:
            return sources
        needed = {"namespace": facts.namespace, "release": facts.release or (facts.chart == "none")}
        if missing := [key for key, value in needed.items() if not value]:
            text = f"the series of Kubernetes cannot be told from those of others: add {' and '.join(missing)} under `airflow`"
            raise refused(text, ("sources", "kubernetes"))
        return sources
