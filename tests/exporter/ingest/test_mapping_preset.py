"""The preset official-chart: the families and labels of the chart's statsd_exporter, from what Airflow sends."""

from __future__ import annotations

import re

import pytest

from airflow_obs.catalog import emitted
from airflow_obs.exporter.ingest.foreign import file as mapping_file
from airflow_obs.exporter.ingest.foreign.families import StatsdType, Target, escaped
from airflow_obs.model import Emission

PRESET = mapping_file.load("official-chart")
TYPES: dict[Emission, StatsdType] = {
    Emission.COUNTER: "counter", Emission.GAUGE: "gauge", Emission.TIMER: "observer",
}  # fmt: skip

CHART = {
    "dagrun.dependency-check.a_dag": "airflow_dagrun_dependency_check{dag_id=a_dag}",
    "operator_successes_BashOperator": "airflow_operator_successes{operator=BashOperator}",
    "operator_failures__PythonDecoratedOperator": "airflow_operator_failures{operator=_PythonDecoratedOperator}",
    "scheduler_heartbeat": "airflow_scheduler_heartbeat{type=counter}",
    "dag_processor_heartbeat": "airflow_dag_processor_heartbeat{type=counter}",
    "dag.a_dag.a_task.duration": "airflow_task_duration{dag_id=a_dag,task_id=a_task}",
    "dagrun.duration.success.a_dag": "airflow_dagrun_duration{dag_id=a_dag}",
    "dagrun.duration.failed.a_dag": "airflow_dagrun_failed{dag_id=a_dag}",
    "dagrun.schedule_delay.a_dag": "airflow_dagrun_schedule_delay{dag_id=a_dag}",
    "dag_processing.last_runtime.a_file": "airflow_dag_processing_last_runtime{dag_file=a_file}",
    "dag_processing.last_run.seconds_ago.a_file": "airflow_dag_processing_last_run_seconds_ago{dag_file=a_file}",
    "pool.open_slots.default_pool": "airflow_pool_open_slots{pool=default_pool}",
    "pool.used_slots.default_pool": "airflow_pool_used_slots{pool=default_pool}",
    "pool.starving_tasks.default_pool": "airflow_pool_starving_tasks{pool=default_pool}",
    "executor.open_slots.CeleryExecutor": "airflow_executor_open_slots{executor=CeleryExecutor}",
    "executor.queued_tasks.CeleryExecutor": "airflow_executor_queued_tasks{executor=CeleryExecutor}",
    "executor.running_tasks.CeleryExecutor": "airflow_executor_running_tasks{executor=CeleryExecutor}",
    "ti.running.default.a_dag.a_task": "airflow_ti_running{dag_id=a_dag,queue=default,task_id=a_task}",
    "ti.queued.default.a_dag.a_task": "airflow_ti_queued{dag_id=a_dag,queue=default,task_id=a_task}",
    "ti.scheduled.default.a_dag.a_task": "airflow_ti_scheduled{dag_id=a_dag,queue=default,task_id=a_task}",
    "ti.deferred.default.a_dag.a_task": "airflow_ti_deferred{dag_id=a_dag,queue=default,task_id=a_task}",
}
"""Every family of the chart 1.18's own mapping."""

MORE = {
    "dagrun.duration.success.team.a.dag": "airflow_dagrun_duration{dag_id=team.a.dag}",
    "dag_processing.last_duration.a_file": "airflow_dag_processing_last_runtime{dag_file=a_file}",
    "dag_processing.last_duration.a_bundle.a_file": "airflow_dag_processing_last_runtime{bundle=a_bundle,dag_file=a_file}",
    "pool.scheduled_slots.a.pool": "airflow_pool_scheduled_slots{pool=a.pool}",
}
"""What it takes beyond that, since Airflow sends it."""

LEFT_OUT = (
    "pool.open_slots", "ti.finish", "ti.start", "ti.finish.a_dag.a_task.success", "dagrun.duration.success", "operator_failures",
    "local_task_job.task_exit.17.a_dag.a_task.0", "dagrun.a_dag.first_task_scheduling_delay", "task.duration",
)  # fmt: skip
"""What lost its tags, or would be a family for each DAG."""


def _shown(name: str, type_: StatsdType = "observer") -> str | None:
    target = PRESET.match(f"airflow.{name}", type_, {})
    if not isinstance(target, Target):
        return None
    labels = ",".join(f"{label}={value}" for label, value in target.labels)
    return f"{target.family.name}{{{labels}}}"


@pytest.mark.parametrize(("name", "series"), [*CHART.items(), *MORE.items()])
def test_series(name: str, series: str) -> None:
    assert _shown(name) == series


@pytest.mark.parametrize("name", LEFT_OUT)
def test_left_out(name: str) -> None:
    assert _shown(name) is None


def test_only_airflows_own_prefix_is_mapped() -> None:
    assert PRESET.match("other.pool.open_slots.a", "gauge", {}) is None
    assert PRESET.match("x.airflow.dagbag_size", "gauge", {}) is None


def test_seconds_that_are_sent_as_milliseconds_are_seconds() -> None:
    """They have a bundle in their name: those of 3.2 and later. statsd_exporter divides what it takes for milliseconds."""
    scales = [
        target.scale
        for name in ("a_file", "a_bundle.a_file")
        if isinstance(target := PRESET.match(f"airflow.dag_processing.last_duration.{name}", "observer", {}), Target)
    ]
    assert scales == [1, 1_000]


def test_what_dashboards_know_by_the_name_that_statsd_exporter_gives_it_has_that_name() -> None:
    """Of everything that Airflow sends without an id in its name: that name, or none, but never another."""
    found = {}
    for signal in emitted.SIGNALS:
        if "{" in signal.name or (series := _shown(signal.name, TYPES[signal.kind])) is None:
            continue
        found[signal.name] = re.sub("{.*", "", series)
    assert {name: escaped(f"airflow.{name}") for name in found} == found
    assert {
        "dagbag_size", "dag_processing.total_parse_time", "dag_processing.import_errors", "scheduler.scheduler_loop_duration",
        "scheduler.critical_section_duration", "scheduler.tasks.starving", "executor.open_slots", "triggers.blocked_main_thread",
        "celery.task_timeout_error", "ti_failures", "ti_successes", "zombies_killed", "scheduler.orphaned_tasks.adopted",
    } <= set(found)  # fmt: skip
