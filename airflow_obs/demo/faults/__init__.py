"""The registry of faults; a new one is a class in a file of its subject and a line here."""

from __future__ import annotations

from airflow_obs.demo.faults.assets import AssetsWaiting
from airflow_obs.demo.faults.broker import MessagesLost, RedisEvicting, RedisFrozen, UnackedNearVisibilityTimeout
from airflow_obs.demo.faults.clean_up import CleanUpOverdue, UndatedRows
from airflow_obs.demo.faults.dag_processing import (
    BundleNotRefreshed,
    DagFileBreaks,
    DagProcessorStalled,
    DagsVanish,
    DagVersionChurn,
)
from airflow_obs.demo.faults.database import Deadlocks, IdleInTransaction, TableBloat, VacuumHeldBack
from airflow_obs.demo.faults.deadlines import DeadlinesMissed
from airflow_obs.demo.faults.fault import Fault
from airflow_obs.demo.faults.pools import DagWedgedAtMaxRuns, DeferredHoldPool, PoolExhausted, Starvation
from airflow_obs.demo.faults.schedulers import OneSchedulerOfTwoDead, SchedulerCreatesNoRuns, SchedulerDead
from airflow_obs.demo.faults.tasks import (
    ExecutorStateMismatch,
    FailuresWave,
    HeartbeatsLost,
    RequeuesExhausted,
    TasksWithoutOwner,
)
from airflow_obs.demo.faults.triggerer import TriggererDead, TriggersOverdue
from airflow_obs.demo.faults.workers import QueueWithoutWorker, TasksStuckInQueued, WorkerCatatonic
from airflow_obs.errors import UsageError

ALL: tuple[type[Fault], ...] = (
    SchedulerDead,
    OneSchedulerOfTwoDead,
    SchedulerCreatesNoRuns,
    TasksStuckInQueued,
    RequeuesExhausted,
    TasksWithoutOwner,
    HeartbeatsLost,
    ExecutorStateMismatch,
    FailuresWave,
    DagProcessorStalled,
    DagFileBreaks,
    PoolExhausted,
    DeferredHoldPool,
    DagWedgedAtMaxRuns,
    Starvation,
    IdleInTransaction,
    TableBloat,
    RedisFrozen,
    RedisEvicting,
    MessagesLost,
    UnackedNearVisibilityTimeout,
    WorkerCatatonic,
    QueueWithoutWorker,
    TriggererDead,
    TriggersOverdue,
    AssetsWaiting,
    DeadlinesMissed,
    DagsVanish,
    BundleNotRefreshed,
    DagVersionChurn,
    Deadlocks,
    VacuumHeldBack,
    CleanUpOverdue,
    UndatedRows,
)


def by_name(name: str) -> Fault:
    """The fault of that name, not begun. Raises UsageError for an unknown one, with those there are."""
    for fault in ALL:
        if fault.name == name:
            return fault()
    known = ", ".join(fault.name for fault in ALL)
    raise UsageError(f"--fault: there is no fault {name!r}: choose one of {known}")


def table() -> str:
    """Every fault with what it makes sick and the metrics that show it, as aligned text."""
    width = max(len(fault.name) for fault in ALL)
    lines = []
    for fault in ALL:
        lines.append(f"{fault.name:<{width}}  {fault.sick}")
        lines.extend(f"{'':<{width}}    {metric.name}" for metric in fault.shows)
    return "\n".join(lines)
