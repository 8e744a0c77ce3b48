"""Signals of dag runs, DAG files, assets and the triggerer."""

from __future__ import annotations

from airflow_obs.catalog import metrics as m
from airflow_obs.catalog.emitted.define import counted, gauged, refused, timed
from airflow_obs.model import Emission, Signal, Unit

DAGS: tuple[Signal, ...] = (
    *(
        timed(
            f"dagrun.duration.{state}", m.EMITTED_RUN_DURATION, f"dagrun.duration.{state}.{{dag_id}}", state=state
        )
        for state in ("success", "failed")
    ),
    timed("dagrun.schedule_delay", m.RUN_SCHEDULE_DELAY, "dagrun.schedule_delay.{dag_id}"),
    timed(
        "dagrun.first_task_scheduling_delay", m.RUN_FIRST_TASK_DELAY, "dagrun.{dag_id}.first_task_scheduling_delay"
    ),
    timed("dagrun.first_task_start_delay", m.RUN_FIRST_TASK_START, since="3.3"),
    timed("dagrun.dependency-check", m.RUN_DEPENDENCY_CHECK, "dagrun.dependency-check.{dag_id}", unit=Unit.TIMER),
    counted("dag.callback_exceptions", m.CALLBACK_EXCEPTIONS),
    *(
        counted(
            f"dag.serialization.{outcome}", m.DAG_SERIALIZATIONS,
            f"dag.serialization.{outcome}.{{dag_id}}.{{bundle_name}}", since="3.4", outcome=outcome,
        )
        for outcome in ("version_created", "version_updated")
    ),
    *(
        counted(f"deadline_alerts.deadline_{outcome}", m.DEADLINE_ALERTS, since=since, outcome=outcome)
        for outcome, since in (("created", "3.2"), ("creation_failed", "3.4"), ("missed", "3.2"), ("not_missed", "3.2"))
    ),
    # -- assets, which were datasets in 2.x
    *(
        signal
        for kind, since, until in (("dataset", "2.6", "2.11"), ("asset", "3.0", None))
        for signal in (
            counted(f"{kind}.updates", m.ASSET_UPDATES, since=since, until=until),
            counted(f"{kind}.triggered_dagruns", m.ASSET_RUNS, since=since, until=until),
            gauged(f"{kind}.orphaned", m.ASSETS_ORPHANED, since=since, until=until),
        )
    ),
    # -- DAG processing
    counted("dag_processor_heartbeat", m.DAG_PROCESSOR_HEARTBEATS, since="3.0"),
    # The second spelling is that of 2.x, the first that of 3.2 and later; 3.0 and 3.1 have none.
    timed(
        "dag_processing.last_duration", m.PARSE_DURATION,
        "dag_processing.last_duration.{bundle_name}.{file_name}", "dag_processing.last_duration.{file_name}",
        unit=Unit.PARSE,
    ),
    gauged(
        "dag_processing.last_run.seconds_ago", m.FILE_LAST_PARSED, "dag_processing.last_run.seconds_ago.{file_name}", ago=True
    ),
    gauged("dag_processing.last_num_of_db_queries.{file_name}", m.PARSE_QUERIES, since="2.10", until="3.3"),
    gauged("dag_processing.total_parse_time", m.TOTAL_PARSE_DURATION),
    gauged("dagbag_size", m.DAG_BAG),
    gauged("dag_processing.import_errors", m.IMPORT_ERRORS),
    gauged("dag_processing.file_path_queue_size", m.FILES_QUEUED, since="2.6"),
    counted("dag_processing.file_path_queue_update_count", m.FILES_QUEUE_UPDATES, since="2.6"),
    counted("dag_processing.processes", m.PARSES_STARTED, falls=m.PARSES_ENDED),
    counted("dag_processing.processor_timeouts", m.PARSE_TIMEOUTS),
    refused(
        "dag_file_processor_timeouts", Emission.COUNTER, "the old name of dag_processing.processor_timeouts, sent beside it",
        until="3.3",
    ),
    counted("dag_processing.manager_stalls", m.MANAGER_STALLS, until="3.3"),
    counted("dag_file_refresh_error", m.FILE_REFRESH_ERRORS, until="3.3"),
    counted("dag_processing.other_callback_count", m.CALLBACKS_RECEIVED, since="2.6", kind="other"),
    counted("dag_processing.sla_callback_count", m.CALLBACKS_RECEIVED, since="2.6", until="2.11", kind="sla"),
    counted("dag_processing.callback_only_count", m.CALLBACK_ONLY_RUNS, since="3.1"),
    timed("collect_db_dags", m.DAGS_COLLECTED, unit=Unit.TIMER, until="3.3"),
    timed("serde.load_serializers", m.SERIALIZERS_LOADED, unit=Unit.TIMER, since="2.6"),
    timed("airflow.io.load_filesystems", m.FILESYSTEMS_LOADED, unit=Unit.TIMER, since="2.8"),
    # -- the triggerer
    counted("triggerer_heartbeat", m.TRIGGERER_HEARTBEATS, since="2.8"),
    gauged("triggers.running", m.TRIGGERER_RUNNING, "triggers.running.{hostname}"),
    gauged("triggerer.capacity_left", m.TRIGGERER_CAPACITY, "triggerer.capacity_left.{hostname}", since="3.0"),
    counted("triggers.blocked_main_thread", m.TRIGGERS_BLOCKED),
    counted("triggers.failed", m.TRIGGERS_FAILED),
    counted("triggers.succeeded", m.TRIGGERS_SUCCEEDED),
    timed("triggerer.batch_trigger_creation_duration", m.TRIGGER_BATCH, since="3.4"),
    timed("triggerer.trigger_queue_delay", m.TRIGGER_QUEUE_DELAY, since="3.4"),
)  # fmt: skip
