"""What nobody can know after a restart is not judged: a DAG is in time or overdue by what is known, or neither."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors import last_runs
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DISTINCT_SQLITE_SCHEMAS
from tests.collectors.slo_watch import BY_SEVEN, FRESH, at, date_of_runs, succeed, watching
from tests.conftest import NewDatabase
from tests.states import a_dag, a_finished_dag_run
from tests.states.rows import update


@pytest.fixture
def db(new_database: NewDatabase) -> AirflowDatabase:
    """The newest Airflow, for what is alike in all of them."""
    return new_database(DISTINCT_SQLITE_SCHEMAS[-1])


@pytest.mark.parametrize("dated", [True, False])
def test_what_older_runs_did_than_those_read(db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch, dated: bool) -> None:
    monkeypatch.setattr(last_runs, "WINDOW", 3)
    own: dict[str, Any] = {} if dated else {date_of_runs(db): None}

    def run(ended: datetime, state: str = "failed") -> None:
        a_finished_dag_run(db, started=ended - timedelta(minutes=1), ended=ended, state=state, **own)

    with watching(db, BY_SEVEN, FRESH) as watch:

        def verdicts(now: datetime) -> tuple[str | None, float | None]:
            return watch.deadline(now), watch.newest.one(metrics.SLO_DAG_GOOD, "fresh", "sales")

        # Whichever three are read of those without a date, the success is not among them.
        for day, clock in ((9, "05:00"), (10, "06:10"), (10, "06:20")):
            run(at(clock, day))
        watch.at(at("06:21"))
        run(at("06:30"), "success")
        for clock in ("06:40", "06:45", "06:50"):
            run(at(clock))
        assert verdicts(at("07:10")) == ("in time", 1)
        watch.restart()
        assert verdicts(at("07:10")) == (None, None)
        # Whoever looked an hour ago, or read what is that old, knows.
        known = at("07:40") if dated else at("08:10")
        assert [verdicts(known - timedelta(seconds=1)), verdicts(known)] == [(None, None), (None, 0)]
        assert verdicts(at("07:00", 11)) == ("overdue", 0)


def test_runs_of_the_time_of_the_deadline_are_enough(db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many came later."""
    monkeypatch.setattr(last_runs, "WINDOW", 3)
    for clock in ("04:00", "05:00", "06:00", "06:30", "09:01", "09:02", "09:03"):
        own: dict[str, Any] = {date_of_runs(db): at(clock)}
        a_finished_dag_run(db, started=at(clock), ended=at(clock), state="failed", **own)
    with watching(db, BY_SEVEN) as watch:
        assert watch.deadline(at("10:00")) == "overdue"


def test_runs_with_a_date_say_nothing_of_those_without(db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_runs, "WINDOW", 3)
    undated: dict[str, Any] = {date_of_runs(db): None}
    for day in (6, 7, 8, 9):
        succeed(db, at("06:00", day), state="failed")
    with watching(db, BY_SEVEN) as watch:
        assert watch.deadline(at("08:00")) == "overdue"
        for minute in range(4):
            moment = at("06:30") + timedelta(minutes=minute)
            a_finished_dag_run(db, started=moment, ended=moment, state="failed", **undated)
        watch.restart()
        assert watch.deadline(at("08:01")) is None


@pytest.mark.parametrize("ends_again", [False, True])
def test_how_a_cleared_run_had_ended(airflow_db: AirflowDatabase, ends_again: bool) -> None:
    succeed(airflow_db, at("05:30"), state="failed")
    date = date_of_runs(airflow_db)
    own: dict[str, Any] = {date: at("06:30")}
    run = a_finished_dag_run(airflow_db, started=at("06:30"), ended=at("06:40"), state="success", **own)
    with watching(airflow_db, BY_SEVEN) as watch:
        watch.at(at("08:00"))
        cleared = {"state": "running", "start_date": at("08:01"), "end_date": None}
        counts_clearings = "clear_number" in airflow_db.tables["dag_run"].columns
        update(airflow_db, "dag_run", cleared | ({"clear_number": 1} if counts_clearings else {}), run_id=run)
        if ends_again:
            update(airflow_db, "dag_run", {"state": "failed", "end_date": at("08:02")}, run_id=run)
        assert watch.deadline(at("08:10")) == "in time"
        watch.restart()
        assert watch.deadline(at("08:10")) == (None if counts_clearings else "overdue")
        # One of after the deadline hides nothing.
        update(airflow_db, "dag_run", {date: at("07:30")}, run_id=run)
        watch.restart()
        assert watch.deadline(at("08:10")) == "overdue"
        assert watch.deadline(at("07:00", 11)) == "overdue"


@pytest.mark.parametrize("runs", [False, True])
def test_a_dag_without_a_run_of_before(airflow_db: AirflowDatabase, runs: bool) -> None:
    """After a restart it may be new; its run is dated before it was made."""
    a_dag(airflow_db, "sales")
    if runs:
        succeed(airflow_db, at("07:30"), state="failed")
    with watching(airflow_db, BY_SEVEN, FRESH) as watch:
        for clock in ("08:00", "08:10"):
            watch.restart()
            assert watch.at(at(clock)).all(metrics.SLO_DAG_GOOD) == watch.newest.all(metrics.SLO_DAG_OVERDUE) == {}
        known = at("08:29") if runs else at("09:10")
        assert watch.at(known - timedelta(seconds=1)).all(metrics.SLO_DAG_GOOD) == {}
        assert watch.at(known).all(metrics.SLO_DAG_GOOD) == {("fresh", "sales"): 0}
        assert watch.deadline(at("07:00", 11)) == "overdue"
        watch.restart()
        assert watch.deadline(at("07:01", 11)) == ("overdue" if runs else None)
