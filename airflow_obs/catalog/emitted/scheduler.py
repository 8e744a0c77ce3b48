"""Signals of the schedulers: their loops, pools, task instances and dag runs."""

from __future__ import annotations

from airflow_obs.catalog import metrics as m
from airflow_obs.catalog.emitted.define import counted, gauged, refused, timed
from airflow_obs.model import Emission, Signal, Unit

_CACHES = ("api_server", "3.2"), ("scheduler", "3.3")

SCHEDULER: tuple[Signal, ...] = (
    counted("scheduler_heartbeat", m.SCHEDULER_HEARTBEATS),
    timed("scheduler.scheduler_loop_duration", m.SCHEDULER_LOOP, unit=Unit.TIMER, since="2.5"),
    timed("scheduler.critical_section_duration", m.CRITICAL_SECTION, unit=Unit.TIMER),
    timed("scheduler.critical_section_query_duration", m.CRITICAL_QUERY, unit=Unit.TIMER, since="2.5"),
    counted("scheduler.critical_section_busy", m.CRITICAL_BUSY),
    counted("scheduler.loop_exceptions", m.LOOP_EXCEPTIONS, since="3.4"),
    gauged("scheduler.tasks.executable", m.SCHEDULER_EXECUTABLE),
    gauged("scheduler.tasks.starving", m.SCHEDULER_STARVING),
    refused("scheduler.tasks.running", Emission.GAUGE, "always 0 in the releases that send it", until="2.5"),
    counted("scheduler.orphaned_tasks.adopted", m.ORPHANS_HANDLED, outcome="adopted"),
    counted("scheduler.orphaned_tasks.cleared", m.ORPHANS_HANDLED, outcome="cleared"),
    counted("scheduler.tasks.killed_externally", m.KILLED_EXTERNALLY),
    counted("zombies_killed", m.HEARTBEATLESS_KILLED, until="2.11"),
    counted("task_instances_without_heartbeats_killed", m.HEARTBEATLESS_KILLED, since="3.0"),
    counted("scheduler.zombies.detected", m.HEARTBEATLESS_FOUND, since="3.4"),
    counted("scheduler.executor_events.processed", m.EXECUTOR_EVENTS, since="3.4"),
    counted("scheduler.executor_events.failed", m.EXECUTOR_EVENT_FAILURES, since="3.4"),
    gauged("scheduler.executor_events.batch_size", m.EXECUTOR_EVENT_BATCH, since="3.4"),
    # -- pools: 2.4 and 2.5 have the legacy names only
    *(
        gauged(name, to, f"{name}.{{pool_name}}", since=since)
        for name, to, since in (
            ("pool.open_slots", m.POOL_OPEN, None),
            ("pool.running_slots", m.POOL_RUNNING, None),
            ("pool.queued_slots", m.POOL_QUEUED, None),
            ("pool.deferred_slots", m.POOL_DEFERRED, "2.7"),
            ("pool.scheduled_slots", m.POOL_SCHEDULED, "2.10"),
            ("pool.starving_tasks", m.POOL_STARVING, None),
        )
    ),
    # -- task instances and dag runs, counted in the database every 30 seconds
    *(
        gauged(
            f"ti.{state}", m.SCHEDULER_TASK_INSTANCES, f"ti.{state}.{{queue}}.{{dag_id}}.{{task_id}}",
            since=since, state=state,
        )
        for state, since in (("running", "3.0"), ("scheduled", "3.2"), ("queued", "3.2"), ("deferred", "3.2"))
    ),
    *(
        gauged(
            f"scheduler.dagruns.{state}", m.SCHEDULER_DAG_RUNS, f"scheduler.dagruns.{state}.{{dag_id}}",
            since=since, state=state,
        )
        for state, since in (("running", "3.2"), ("queued", "3.4"))
    ),
    # -- jobs of any component
    counted("{job_name}_start", m.JOBS_STARTED),
    counted("{job_name}_end", m.JOBS_ENDED),
    counted("{job_name}_heartbeat_failure", m.JOB_HEARTBEAT_FAILURES),
    # -- caches of DAGs
    *(
        counted(f"{component}.dag_bag.cache_{outcome}", m.DAG_BAG_LOOKUPS, since=since, component=component, outcome=outcome)
        for component, since in _CACHES
        for outcome in ("hit", "miss")
    ),
    *(
        counted(f"{component}.dag_bag.cache_clear", m.DAG_BAG_CLEARED, since=since, component=component)
        for component, since in _CACHES
    ),
    *(
        gauged(f"{component}.dag_bag.cache_size", m.DAG_BAG_SIZE, since=since, component=component)
        for component, since in _CACHES
    ),
)  # fmt: skip
