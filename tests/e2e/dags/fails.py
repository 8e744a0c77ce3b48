# mypy: ignore-errors
"""A dag for airflow whose only task fails."""

from datetime import UTC, datetime

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


@dag(schedule="@once", start_date=datetime(2024, 1, 1, tzinfo=UTC))
def fails():
    @task
    def work():
        raise ValueError("failing is what this task is for")

    work()


fails()
