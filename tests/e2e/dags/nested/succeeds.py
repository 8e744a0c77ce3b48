# mypy: ignore-errors
"""A DAG for airflow that succeeds, once a year, so that no midnight adds a run to a test; its file lies in a folder of its own."""

from datetime import UTC, datetime

try:
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task


@dag(schedule="@yearly", start_date=datetime(2024, 1, 1, tzinfo=UTC), catchup=False)
def succeeds():
    @task
    def work():
        return 1

    work()


succeeds()
