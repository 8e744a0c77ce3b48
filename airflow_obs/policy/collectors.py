"""How each collector reads its source: when, for how long, and how much of it is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from airflow_obs.policy.durations import text_of
from airflow_obs.policy.knobs import Count, Duration, Flag, refused
from airflow_obs.policy.strict import Strict


class CollectorPolicy(Strict):
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


class Collectors(Strict):
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
    slos: CollectorPolicy = Field(description="What objectives on DAGs (`slos`) need to know of their runs.")
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
