"""The reasons for refusal that alerts name are those that the exporter gives."""

from __future__ import annotations

from airflow_obs.catalog.alerts.exporter import HUNG_UP, LIMITS
from airflow_obs.exporter.ingest.accounts import Reason, Refusal


def test_limits_are_reasons_of_the_exporter() -> None:
    assert {Reason.SERIES_LIMIT, Reason.STREAM_LIMIT, Reason.HOLD_LIMIT} == set(LIMITS)


def test_a_sender_that_hangs_up_is_a_reason_of_the_exporter() -> None:
    assert HUNG_UP == Refusal.HUNG_UP
