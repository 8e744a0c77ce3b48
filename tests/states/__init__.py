"""Rows of an Airflow database, written by builders named by state, on the schema of any release.

Moments are aware datetimes that the caller gives. Parents that a foreign key demands are made when they are not there.
"""

from tests.states.dag_runs import a_finished_dag_run, a_queued_dag_run, a_running_dag_run
from tests.states.dags import a_dag, an_import_error
from tests.states.jobs import (
    a_buried_scheduler,
    a_dag_processor,
    a_finished_task_job,
    a_killed_scheduler,
    a_live_scheduler,
    a_live_triggerer,
    a_running_task_job,
    a_stopped_scheduler,
)
from tests.states.surroundings import a_log_row, a_pool, an_archive_table
from tests.states.task_instances import (
    TaskKey,
    a_finished_task_instance,
    a_task_instance,
    a_task_instance_deferred,
    a_task_instance_queued,
    a_task_instance_running,
    a_task_instance_scheduled,
    a_task_instance_up_for_reschedule,
    a_task_instance_up_for_retry,
    a_task_instance_without_state,
    an_archived_try,
)

__all__ = [
    "TaskKey",
    "a_buried_scheduler",
    "a_dag",
    "a_dag_processor",
    "a_finished_dag_run",
    "a_finished_task_instance",
    "a_finished_task_job",
    "a_killed_scheduler",
    "a_live_scheduler",
    "a_live_triggerer",
    "a_log_row",
    "a_pool",
    "a_queued_dag_run",
    "a_running_dag_run",
    "a_running_task_job",
    "a_stopped_scheduler",
    "a_task_instance",
    "a_task_instance_deferred",
    "a_task_instance_queued",
    "a_task_instance_running",
    "a_task_instance_scheduled",
    "a_task_instance_up_for_reschedule",
    "a_task_instance_up_for_retry",
    "a_task_instance_without_state",
    "an_archive_table",
    "an_archived_try",
    "an_import_error",
]
