# mypy: ignore-errors
"""DAGs for airflow that wait to be triggered, and whose tasks end in every way that tasks end."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task
try:
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowSkipException

TRIGGERED = {
    "schedule": None,
    "start_date": datetime(2024, 1, 1, tzinfo=UTC),
    "default_args": {"owner": "e2e"},
    "tags": ["ends"],
}


@task
def numbers():
    """What a mapped task is expanded over: nobody knows how many instances it has before this has ended."""
    return [1, 2, 3]


@task
def each(number):
    """One instance for each number."""
    return number


@task
def opened(gate):
    """Run until somebody makes the file of this name."""
    while not Path(os.environ["AIRFLOW_HOME"], gate).exists():
        time.sleep(0.2)


@dag(**TRIGGERED)
def ends_well():
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def at_the_second_try(ti=None):
        if ti.try_number == 1:
            raise ValueError("failing is what the first try is for")

    @task
    def skips():
        raise AirflowSkipException

    at_the_second_try()
    skips()
    each.expand(number=numbers())


@dag(**TRIGGERED)
def ends_badly():
    @task
    def fails():
        raise ValueError("failing is what this task is for")

    @task
    def never_begins():
        pass

    fails() >> never_begins()


@dag(**TRIGGERED)
def ends_when_told():
    first, last = (opened.override(task_id=gate)(gate) for gate in ("first", "last"))
    found = numbers()
    first >> found
    each.expand(number=found) >> last


@dag(**TRIGGERED)
def ends_unbegun():
    @task(queue="without_worker")
    def waits():
        pass

    waits()


ends_well()
ends_badly()
ends_when_told()
ends_unbegun()
