# mypy: ignore-errors
"""A dag for airflow that succeeds, every day; its file lies in a folder of its own."""

from datetime import UTC, datetime

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


@dag(schedule="@daily", start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False)
def succeeds():
    @task
    def work():
        return 1

    work()


succeeds()
