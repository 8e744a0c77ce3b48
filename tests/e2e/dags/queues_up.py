# mypy: ignore-errors
"""A dag for airflow whose tasks queue up behind a pool of one slot: the first sleeps as long as the test lasts."""

import time
from datetime import UTC, datetime

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


@dag(schedule="@once", start_date=datetime(2024, 1, 1, tzinfo=UTC), max_active_runs=1)
def queues_up():
    @task(pool="one_slot")
    def work(number):
        time.sleep(1800)
        return number

    for number in range(4):
        work(number)


queues_up()
