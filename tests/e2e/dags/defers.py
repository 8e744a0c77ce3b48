# mypy: ignore-errors
"""A dag for airflow whose task is deferred to the triggerer, as long as the test lasts, in a pool that counts it."""

from datetime import UTC, datetime, timedelta

try:
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import DAG, BaseOperator
except ImportError:
    from airflow import DAG
    from airflow.models.baseoperator import BaseOperator
    from airflow.triggers.temporal import TimeDeltaTrigger


class Wait(BaseOperator):
    """Wait for an hour without a slot of the executor."""

    def execute(self, context):  # noqa: ARG002 (Airflow calls it so)
        """Hand over to the triggerer."""
        self.defer(trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="resume")

    def resume(self, context, event=None):
        """Be done."""


with DAG("defers", schedule="@once", start_date=datetime(2024, 1, 1, tzinfo=UTC)):
    Wait(task_id="wait", pool="with_deferred", queue="elsewhere")
