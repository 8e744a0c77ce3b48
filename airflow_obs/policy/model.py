"""What a site may choose, as frozen values: the deployments it runs and how each collector reads them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airflow_obs.errors import UsageError
from airflow_obs.policy.dags import SERIES, DagsPolicy
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.ingest import OtlpSource, StatsdSource
from airflow_obs.policy.knobs import Count, Duration, Flag, FromFile, HttpUrl, Text, refused
from airflow_obs.policy.retention import Retention
from airflow_obs.policy.strict import Strict as _Knobs

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
QueueName = Annotated[
    str, Text(r"[!-~]{1,255}", "the name of a queue, such as default: 1 to 255 ASCII characters without spaces")
]

_SECRET_KEYS = frozenset({
    "url", "uri", "dsn", "conn", "connection", "host", "port", "name", "database", "dbname", "user", "username", "role",
    "password", "passwd", "password_file", "secret", "sql_alchemy_conn", "sql_alchemy_conn_cmd", "db_url", "database_url",
    "broker_url", "vhost", "management_user", "management_password",
})  # fmt: skip
_SECRETS = (
    "addresses and passwords of databases never live in the policy: set AIRFLOW_OBS_DB_URL or AIRFLOW_OBS_DB_URL_FILE "
    "in the environment, and remove this"
)
_BROKER_SECRETS = (
    "the broker's address and password never live in the policy: set AIRFLOW_OBS_BROKER_URL or AIRFLOW_OBS_BROKER_URL_FILE "
    "in the environment, and remove this"
)


class AirflowFacts(_Knobs):
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


class Replicas(_Knobs):
    """How many of each component should be alive."""

    scheduler: Annotated[int, Count(0, 100)] = Field(1, description="Schedulers.")
    triggerer: Annotated[int, Count(0, 100)] = Field(1, description="Triggerers.")
    dag_processor: Annotated[int, Count(0, 100)] = Field(
        1, description="Standalone dag processors (2.x runs one inside each scheduler unless told otherwise: then 0)."
    )


class DatabaseSource(_Knobs):
    """The metadata database; its URL and password come from the environment."""

    schema_name: Schema | None = Field(
        None,
        alias="schema",
        description="Schema of Airflow's tables ([database] sql_alchemy_schema); null is the role's search_path.",
    )

    elsewhere = _SECRET_KEYS, _SECRETS


class HealthSource(_Knobs):
    """The health endpoint of the webserver (2.x) or API server (3.x)."""

    url: Annotated[str, HttpUrl()] = Field(
        "auto", description="Where the webserver or API server listens; auto takes it from Airflow's own settings."
    )

    elsewhere = (
        frozenset({"user", "username", "password", "passwd", "token", "auth", "secret"}),
        "Airflow's health endpoint asks for no password, and secrets never live in the policy: remove it",
    )


class BrokerSource(_Knobs):
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

    elsewhere = _SECRET_KEYS, _BROKER_SECRETS


class Sources(_Knobs):
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

    elsewhere = _SECRET_KEYS - {"database"}, _SECRETS

    @model_validator(mode="after")
    def _some(self) -> Sources:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise refused(
                "no source is listed, so nothing could be read: list database, health, broker, statsd or otlp, or several of them"
            )
        return self

    @property
    def ingests(self) -> bool:
        """Whether anything is sent here, rather than read."""
        return self.statsd is not None or self.otlp is not None


class Deployment(_Knobs):
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
        description="How many of each component should be alive, for rules; the exporter shows how many are.",
    )
    sources: Sources = Field(
        Sources(database=DatabaseSource(), health=HealthSource(), broker=BrokerSource()),
        description="What can be read. When given, only what is listed exists.",
    )

    elsewhere = _SECRET_KEYS - {"name", "database"}, _SECRETS

    @field_validator("name")
    @classmethod
    def _unique(cls, name: str, info: ValidationInfo) -> str:
        if isinstance(info.context, FromFile):
            if name in info.context.names:
                raise refused(f"an earlier deployment is called {name} as well: give each its own name")
            info.context.names.add(name)
        return name


class CollectorPolicy(_Knobs):
    """How one collector runs; intervals and timeouts in seconds."""

    enabled: Annotated[bool, Flag()] = Field(description="false switches the collector off.")
    interval: Annotated[float, Duration("1s", "1h")] = Field(description="Time from one run to the next.")
    timeout: Annotated[float, Duration("100ms", "5m")] = Field(
        description="A run that takes longer is given up; never longer than the interval."
    )
    max_series: Annotated[int, Count(1, 1_000_000)] = Field(
        description="Most series of one metric; what is beyond is dropped and counted."
    )

    @field_validator("timeout")
    @classmethod
    def _within_interval(cls, timeout: float, info: ValidationInfo) -> float:
        interval = info.data.get("interval", timeout)
        if timeout > interval:
            text = f"the timeout ({text_of(timeout)}) is longer than the interval ({text_of(interval)})"
            raise refused(f"{text}: lower the timeout or raise the interval", ("timeout",), ("interval",))
        return timeout


class JobsPolicy(CollectorPolicy):
    """How the collector of schedulers, triggerers and dag processors runs."""

    alive_within: Annotated[float, Duration("1s", "1h")] = Field(
        description="A job whose heartbeat is older is dead; as [scheduler] scheduler_health_check_threshold."
    )
    forget: Annotated[float, Duration("1m", "7d")] = Field(description="How long a dead job stays visible.")

    @field_validator("forget")
    @classmethod
    def _after_death(cls, forget: float, info: ValidationInfo) -> float:
        if forget < info.data.get("alive_within", forget):
            text = "forget is shorter than alive_within, so that no dead job would ever be seen: raise forget"
            raise refused(text, ("forget",), ("alive_within",))
        return forget


class DagRunsPolicy(CollectorPolicy):
    """How the collector of dag runs runs."""

    overdue_after: Annotated[float, Duration("1s", "1d")] = Field(
        description="A DAG is overdue when its next run should have been created longer ago than this."
    )


class StuckTasksPolicy(CollectorPolicy):
    """How the collector of stuck task instances runs."""

    alive_within: Annotated[float, Duration("1s", "1h")] = Field(
        description="A scheduler whose heartbeat is older is dead, and its tasks are orphans."
    )
    heartbeat_overdue_after: Annotated[float, Duration("10s", "1h")] = Field(
        description="A running task's heartbeat is overdue after this; Airflow fails the task after 5m (or as it is configured)."
    )


class TriggersPolicy(CollectorPolicy):
    """How the collector of triggers runs."""

    alive_within: Annotated[float, Duration("1s", "1h")] = Field(
        description="A triggerer whose heartbeat is older is dead; as [triggerer] triggerer_health_check_threshold."
    )
    overdue_after: Annotated[float, Duration("1s", "1d")] = Field(
        description="A deferred task is overdue when its trigger timed out longer ago than this."
    )


class OutcomesPolicy(CollectorPolicy):
    """How the collector of outcomes runs."""

    max_followed: Annotated[int, Count(1_000, 1_000_000)] = Field(
        description="Most unfinished task instances followed one by one; the largest runs beyond are counted when they end."
    )


class WorkersPolicy(CollectorPolicy):
    """How the collector of Celery's workers runs."""

    forget: Annotated[float, Duration("1m", "7d")] = Field(
        description="How long a worker that no longer answers stays visible as down."
    )


class IngestPolicy(CollectorPolicy):
    """How what Airflow sends is kept and shown."""

    max_total: Annotated[int, Count(1, 10_000_000)] = Field(
        description="Most series of all metrics together; samples of further ones are dropped and counted."
    )
    forget: Annotated[float, Duration("10s", "30d")] = Field(
        description="A gauge of which nothing has come for this long is gone."
    )
    forget_counters: Annotated[float, Duration("10s", "365d")] = Field(
        description="So are counters and histograms after this; what comes later begins at 0, which hides one event from rate()."
    )


class Collectors(_Knobs):
    """One field per collector."""

    jobs: JobsPolicy = Field(description="Heartbeats of schedulers, triggerers and dag processors.")
    task_instances: CollectorPolicy = Field(description="Unfinished task instances by state, queue and pool.")
    dag_runs: DagRunsPolicy = Field(description="Unfinished dag runs and overdue DAGs.")
    dag_processing: CollectorPolicy = Field(description="Import errors and how long each DAG file takes to parse.")
    pools: CollectorPolicy = Field(description="Slots of each pool.")
    outcomes: OutcomesPolicy = Field(description="How task instances and dag runs ended, and how long they took.")
    dags: CollectorPolicy = Field(description="Per DAG: its newest runs, its next one, its owner and tags.")
    assets: CollectorPolicy = Field(description="Updates of assets that wait to start a DAG.")
    deadlines: CollectorPolicy = Field(description="Deadlines, SLA misses, and callbacks that wait.")
    bundles: CollectorPolicy = Field(
        description="When bundles were refreshed, and how many versions of DAGs come of them."
    )
    locks: CollectorPolicy = Field(description="Locks on Airflow's tables, and who waits for whom.")
    vacuum: CollectorPolicy = Field(description="When busy tables were vacuumed, and what keeps vacuum from its work.")
    replication: CollectorPolicy = Field(description="Replication slots, and how far behind replicas are.")
    clean_up: CollectorPolicy = Field(description="What `airflow db clean` should have deleted.")
    task_events: CollectorPolicy = Field(description="What the scheduler logs about tasks that went astray.")
    stuck_tasks: StuckTasksPolicy = Field(description="Task instances that nobody works on.")
    starvation: CollectorPolicy = Field(description="Task instances and dag runs that wait, by what holds them.")
    triggers: TriggersPolicy = Field(description="Triggers, and the deferred tasks that wait for them.")
    database: CollectorPolicy = Field(description="The database server: connections, locks, long transactions.")
    tables: CollectorPolicy = Field(description="Size, rows and oldest row of each table.")
    health: CollectorPolicy = Field(description="What Airflow's health endpoint says.")
    broker: CollectorPolicy = Field(
        description="Celery's broker: the depth of each queue, and how the server is doing."
    )
    workers: WorkersPolicy = Field(description="Celery's workers: alive, busy, and which queues each consumes from.")
    ingest: IngestPolicy = Field(description="What Airflow sends as StatsD or OTLP.")

    def by_name(self) -> dict[str, CollectorPolicy]:
        """Every collector's policy by the collector's name, in the order of this model."""
        return {name: getattr(self, name) for name in type(self).model_fields}


class Policy(_Knobs):
    """Everything a site chooses."""

    deployments: tuple[Deployment, ...] = Field(
        description="The Airflows to observe; one exporter process serves one of them.",
        json_schema_extra={"minItems": 1},
    )
    collectors: Collectors = Field(description="How each collector reads its source.")
    dags: DagsPolicy = Field(DagsPolicy(), validate_default=True, description="Which DAGs have series of their own.")
    retention: Retention = Field(
        Retention(), description="How long Airflow's rows should be kept, which shows whether anybody cleans up."
    )

    elsewhere = _SECRET_KEYS - {"name", "database"}, _SECRETS

    @field_validator("deployments")
    @classmethod
    def _some(cls, deployments: tuple[Deployment, ...]) -> tuple[Deployment, ...]:
        # pydantic's min_length counts only the sound items, and so would call a list of unsound ones empty
        if not deployments:
            raise refused("the list is empty: write at least one item, or remove the key")
        return deployments

    @field_validator("dags")
    @classmethod
    def _none_cut(cls, dags: DagsPolicy, info: ValidationInfo) -> DagsPolicy:
        collectors = info.data.get("collectors")
        if collectors is not None and dags.top * SERIES > (most := collectors.dags.max_series):
            text = (
                f"{dags.top} DAGs (dags.top) have up to {dags.top * SERIES} series of one metric, and "
                f"collectors.dags.max_series is {most}: lower the one or raise the other"
            )
            raise refused(text, ("collectors", "dags", "max_series"), ("dags", "top"))
        return dags

    def deployment(self, name: str | None = None) -> Deployment:
        """The deployment called `name`, or the only one for None; raises UsageError naming those that there are."""
        known = ", ".join(deployment.name for deployment in self.deployments)
        if name is None and len(self.deployments) == 1:
            return self.deployments[0]
        if name is None:
            raise UsageError(f"the policy has several deployments: choose one with --deployment ({known})")
        for deployment in self.deployments:
            if deployment.name == name:
                return deployment
        raise UsageError(f"--deployment: the policy has no deployment of that name, only {known}")
