"""Globs of the policy that choose no DAG are said, once."""

from __future__ import annotations

import logging

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors.dags import Dags
from airflow_obs.policy import DagsPolicy
from tests.airflow_database import AirflowDatabase
from tests.collectors.collected import read
from tests.states import a_dag


class Said:
    """One collector that reads the same database again and again, and what it says in the log meanwhile."""

    def __init__(self, db: AirflowDatabase, policy: DagsPolicy, log: pytest.LogCaptureFixture) -> None:
        log.set_level(logging.INFO, "airflow_obs.collectors")
        self._db, self._dags, self._log = db, Dags(policy), log

    def next(self) -> list[str]:
        """The lines of one more run."""
        self._log.clear()
        read(self._db, self._dags)
        return [f"{record.levelname} {record.getMessage()}" for record in self._log.records]


def warning(place: str, glob: str, dags: int) -> str:
    text = f"WARNING policy: {place}: '{glob}' matches none of {dags} DAGs"
    return f"{text}: correct it (upper and lower case differ), or remove it"


def test_a_glob_that_matches_no_dag(airflow_db: AirflowDatabase, caplog: pytest.LogCaptureFixture) -> None:
    policy = DagsPolicy(include=("paymets", "sales.*", "*"), exclude=("*.tmp", "Sales.*"))
    said = Said(airflow_db, policy, caplog)
    # As long as there is no DAG, nobody knows.
    assert said.next() == []
    a_dag(airflow_db, "payments")
    a_dag(airflow_db, "sales.load")
    a_dag(airflow_db, "gone.tmp", stale=True)
    assert said.next() == [
        warning("dags.include[0]", "paymets", 2),
        warning("dags.exclude[0]", "*.tmp", 2),
        warning("dags.exclude[1]", "Sales.*", 2),
    ]
    assert said.next() == []
    a_dag(airflow_db, "new.tmp")
    assert said.next() == ["INFO policy: dags.exclude[0]: '*.tmp' matches a DAG now"]
    # What has matched is no mistake, whatever becomes of its DAGs.
    airflow_db.execute("DELETE FROM dag WHERE dag_id IN ('new.tmp', 'sales.load')")
    assert said.next() == []
    airflow_db.execute("DELETE FROM dag")
    assert said.next() == []
    a_dag(airflow_db, "other")
    assert said.next() == []


def test_the_same_glob_twice_is_two_mistakes(sqlite_db: AirflowDatabase, caplog: pytest.LogCaptureFixture) -> None:
    a_dag(sqlite_db, "pay")
    said = Said(sqlite_db, DagsPolicy(include=("x", "x"), exclude=("x",)), caplog)
    places = ("dags.include[0]", "dags.include[1]", "dags.exclude[0]")
    assert said.next() == [warning(place, "x", 1) for place in places]


def test_nothing_is_said_of_dags_that_nobody_reads(
    sqlite_db: AirflowDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    a_dag(sqlite_db, "pay")
    assert Said(sqlite_db, DagsPolicy(include=("x",), top=0), caplog).next() == []


def test_the_default_and_lists_that_are_empty_say_nothing(
    sqlite_db: AirflowDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    a_dag(sqlite_db, "pay")
    assert Said(sqlite_db, DagsPolicy(), caplog).next() == []
    assert Said(sqlite_db, DagsPolicy(include=()), caplog).next() == []


def test_the_others_are_read_all_the_same(sqlite_db: AirflowDatabase) -> None:
    a_dag(sqlite_db, "pay")
    seen = read(sqlite_db, Dags(DagsPolicy(include=("typo", "pay"))))
    assert seen.all(metrics.DAG_PAUSED) == {("pay",): 0}
