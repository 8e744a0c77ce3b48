# mypy: ignore-errors
"""DAGs for airflow that wait to be triggered, with a dot in their ids: each has a queue, whose workers tell of its tasks."""

import time
from datetime import UTC, datetime, timedelta

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task
try:
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:
    from airflow.exceptions import AirflowSkipException


def tells(queue):
    """A DAG of three tasks that have four tries."""

    @dag(
        dag_id=f"tells.{queue}",
        schedule=None,
        start_date=datetime(2024, 1, 1, tzinfo=UTC),
        default_args={"queue": queue},
    )
    def tells_of_its_tasks():
        @task
        def works():
            time.sleep(2)

        @task(retries=1, retry_delay=timedelta(seconds=1))
        def at_the_second_try(ti=None):
            if ti.try_number == 1:
                raise ValueError("failing is what the first try is for")

        @task
        def skips():
            raise AirflowSkipException

        works()
        at_the_second_try()
        skips()

    tells_of_its_tasks()


for queue in ("elsewhere", "told"):
    tells(queue)
