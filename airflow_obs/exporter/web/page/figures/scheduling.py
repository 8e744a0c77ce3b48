"""Figures of who schedules, of what is scheduled, and of how it ended."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.dag_processing import DAG_PROCESSOR_JOB
from airflow_obs.catalog.alerts.scheduler import NOTHING, SCHEDULER_JOB
from airflow_obs.catalog.alerts.triggerer import TRIGGERER_JOB
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.judgement import Test
from airflow_obs.exporter.web.page.wording import ago, count, duration, legible, listed
from airflow_obs.model import Metric

_HOSTS = 4
"""Members whose heartbeats are shown, the oldest."""
_TASK_STATES = ("running", "queued", "scheduled", "none", "deferred", "up_for_retry", "up_for_reschedule")
_RUN_STATES = ("running", "queued")


def schedulers(seen: Seen) -> Iterator[Figure]:
    """Those alive of each kind, with their heartbeats."""
    yield from _healthy(seen)
    if not seen.series(metrics.JOBS_ALIVE):
        return
    yield _members(
        seen, "schedulers", SCHEDULER_JOB,
        "AirflowSchedulerDown",
        AirflowSchedulerMissing=lambda at: (
            0 < alive(seen, SCHEDULER_JOB) < at.replicas.get("scheduler", 1) - at.threshold
        ),
    )  # fmt: skip
    yield _members(
        seen, "triggerers", TRIGGERER_JOB,
        "AirflowTriggererDown", AirflowTriggererMissing=_gone(seen, TRIGGERER_JOB),
    )  # fmt: skip
    yield _members(
        seen, "DAG processors", DAG_PROCESSOR_JOB,
        AirflowDagProcessorMissing=_gone(seen, DAG_PROCESSOR_JOB),
    )  # fmt: skip


def _healthy(seen: Seen) -> Iterator[Figure]:
    """By Airflow's own word."""
    if components := seen.by(metrics.HEALTH_COMPONENT, "component"):
        sick = sorted(one for one, healthy in components.items() if not healthy)
        text = f"{count(len(components) - len(sick))} of {count(len(components))}" + (
            f"; not: {listed(sick)}" if sick else ""
        )
        yield seen.figure("healthy, says Airflow", text, metrics.HEALTH_COMPONENT, "AirflowHealthUnhealthy")


def alive(seen: Seen, job_type: str) -> float:
    """How many have a fresh heartbeat."""
    return seen.total(metrics.JOBS_ALIVE, job_type=job_type)


def _gone(seen: Seen, job_type: str) -> bool:
    """None is left of those that beat not long ago: what is missing, where the policy does not say how many there should be."""
    return alive(seen, job_type) == 0 and bool(seen.series(metrics.JOB_HEARTBEAT, job_type=job_type))


def _members(seen: Seen, name: str, job_type: str, *alerts: str, **tests: Test) -> Figure:
    beats = seen.ages(metrics.JOB_HEARTBEAT, job_type=job_type)
    text = f"{count(alive(seen, job_type))} alive"
    if beats:
        text += "; heartbeat " + ", ".join(f"{legible(of['hostname'])} {ago(age)}" for age, of in beats[:_HOSTS])
    if len(beats) > _HOSTS:
        text += f", {len(beats) - _HOSTS} more are younger"
    return seen.figure(name, text, metrics.JOBS_ALIVE, *alerts, **tests)


def tasks(seen: Seen) -> Iterator[Figure]:
    """What there is to do, and what of it has waited too long."""
    if text := _by_state(seen, metrics.TASK_INSTANCES, _TASK_STATES):
        yield seen.figure("unfinished task instances", text, metrics.TASK_INSTANCES)
    if queued := seen.oldest(metrics.TASK_INSTANCES_OLDEST, state="queued"):
        yield seen.figure(
            "oldest queued", f"{duration(queued[0])}, in queue {legible(queued[1]['queue'])}", metrics.TASK_INSTANCES_OLDEST,
            AirflowTasksQueuedLong=lambda at: queued[0] > at.threshold,
        )  # fmt: skip
    if ready := seen.oldest(metrics.SCHEDULED_OLDEST, held_by=NOTHING):
        yield seen.figure(
            "oldest scheduled that nothing holds", duration(ready[0]), metrics.SCHEDULED_OLDEST,
            AirflowTasksStarving=lambda at: ready[0] > at.threshold,
        )  # fmt: skip
    if running := seen.oldest(metrics.TASK_INSTANCES_OLDEST, state="running"):
        text = f"{duration(running[0])}, in queue {legible(running[1]['queue'])}"
        yield seen.figure("longest running", text, metrics.TASK_INSTANCES_OLDEST)
    yield from _nobodys(seen)
    yield from _runs(seen)
    yield from _assets(seen)


def _nobodys(seen: Seen) -> Iterator[Figure]:
    if ghosts := seen.total(metrics.GHOSTS):
        yield seen.figure(
            "unfinished tasks of finished runs", count(ghosts), metrics.GHOSTS,
            "AirflowGhostTasks",
        )  # fmt: skip
    if orphans := seen.total(metrics.ORPHANS):
        yield seen.figure(
            "tasks of a scheduler that is gone", count(orphans), metrics.ORPHANS,
            "AirflowOrphanedTasks",
        )  # fmt: skip
    if silent := seen.total(metrics.HEARTBEATS_OVERDUE):
        yield seen.figure(
            "running tasks without heartbeat", count(silent), metrics.HEARTBEATS_OVERDUE,
            "AirflowTaskHeartbeatsOverdue",
        )  # fmt: skip


def _runs(seen: Seen) -> Iterator[Figure]:
    if text := _by_state(seen, metrics.DAG_RUNS, _RUN_STATES):
        yield seen.figure("unfinished DAG runs", text, metrics.DAG_RUNS)
    if waiting := seen.oldest(metrics.QUEUED_RUNS_OLDEST, held_by=NOTHING):
        yield seen.figure(
            "oldest queued run that nothing holds", duration(waiting[0]), metrics.QUEUED_RUNS_OLDEST,
            AirflowDagRunsNotStarted=lambda at: waiting[0] > at.threshold,
        )  # fmt: skip
    if (overdue := seen.value(metrics.DAGS_OVERDUE)) is not None:
        yield seen.figure("DAGs whose next run is overdue", count(overdue), metrics.DAGS_OVERDUE)
    if left := seen.oldest(metrics.NEXT_RUN_LEFT):
        yield seen.figure(
            "longest that a run is due and not created", duration(left[0]), metrics.NEXT_RUN_LEFT,
            AirflowSchedulesOverdue=lambda at: left[0] > at.threshold,
        )  # fmt: skip


def _assets(seen: Seen) -> Iterator[Figure]:
    if waiting := seen.oldest(metrics.ASSETS_QUEUED_OLDEST, dag_state="active"):
        yield seen.figure(
            "longest that an asset's update waits", duration(waiting[0]), metrics.ASSETS_QUEUED_OLDEST,
            "AirflowAssetUpdatesWaiting",
        )  # fmt: skip


def outcomes(seen: Seen) -> Iterator[Figure]:
    """How what has ended did."""
    for name, metric in (("tasks", metrics.TASKS_FINISHED), ("DAG runs", metrics.RUNS_FINISHED)):
        if ended := seen.total(metric):
            text = f"{count(seen.total(metric, state='failed'))} of {count(ended)} failed"
            yield seen.figure(f"{name} since this exporter started", text, metric)
    paused = {dag for dag, value in seen.by(metrics.DAG_PAUSED, "dag_id").items() if value}
    success = seen.by(metrics.DAG_LAST_RUN_SUCCESS, "dag_id")
    failed = sorted(dag for dag, value in success.items() if not value and dag not in paused)
    if success:
        text = f"{count(len(failed))} of {count(len(success))}" + (f": {listed(failed)}" if failed else "")
        yield seen.figure("DAGs whose newest run failed", text, metrics.DAG_LAST_RUN_SUCCESS)
    if old := next((one for one in seen.ages(metrics.DAG_LAST_SUCCESS) if one[1]["dag_id"] in failed), None):
        yield seen.figure(
            "longest without success of those that fail", f"{duration(old[0])}, {legible(old[1]['dag_id'])}",
            metrics.DAG_LAST_SUCCESS, AirflowDagWithoutSuccess=lambda at: old[0] > at.threshold,
        )  # fmt: skip
    if long := next((one for one in seen.ages(metrics.DAG_OLDEST_RUN) if one[1]["dag_id"] not in paused), None):
        yield seen.figure(
            "longest DAG run", f"{duration(long[0])}, {legible(long[1]['dag_id'])}", metrics.DAG_OLDEST_RUN,
            "AirflowDagRunTooLong", "AirflowDagWedged",
        )  # fmt: skip


def _by_state(seen: Seen, metric: Metric, states: tuple[str, ...]) -> str:
    """How many in each state in which there are any, as "12 queued, 3 running"; empty if there are no series."""
    if not seen.series(metric):
        return ""
    counts = [(seen.total(metric, state=state), state) for state in states]
    names = {"none": "not scheduled yet"}
    shown = [f"{count(number)} {names.get(state, state.replace('_', ' '))}" for number, state in counts if number]
    return ", ".join(shown) or "none"
