# mypy: ignore-errors
"""A dag for airflow that waits to be triggered: more tasks than a worker takes, and some for which there is no worker."""

import time
from datetime import UTC, datetime

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1, tzinfo=UTC))
def crowds():
    @task(queue="crowded")
    def work(number):
        time.sleep(1800)
        return number

    @task(queue="nobody")
    def never(number):
        return number

    for number in range(5):
        work(number)
    for number in range(2):
        never(number)


crowds()
