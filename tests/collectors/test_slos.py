"""Objectives on DAGs: runs are counted once, and a DAG is fresh, in time or overdue, before a restart as after it."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors import last_runs, run_outcomes, successes
from airflow_obs.collectors.last_runs import WINDOW
from airflow_obs.collectors.outcome_poll import LATE
from airflow_obs.collectors.slos import SlosSeen
from airflow_obs.errors import SourceError
from airflow_obs.exporter.run import jobs
from airflow_obs.policy import loads
from airflow_obs.sources.database import Session
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import DISTINCT_POSTGRESQL_SCHEMAS, DISTINCT_SQLITE_SCHEMAS
from tests.collectors.collected import Collected
from tests.collectors.slo_watch import BY_SEVEN, FRESH, at, date_of_runs, succeed, watching
from tests.collectors.test_left_without_state import most_read, recorded
from tests.conftest import NewDatabase
from tests.states import a_dag, a_finished_dag_run, a_running_dag_run
from tests.states.cures import end_run
from tests.states.lives import Lives
from tests.states.many import copies_of
from tests.states.rows import update

SUCCEEDS = "kind: dag_success, name: succeeds"


@pytest.fixture
def db(new_database: NewDatabase) -> AirflowDatabase:
    """The newest Airflow, for what is alike in all of them."""
    return new_database(DISTINCT_SQLITE_SCHEMAS[-1])


@pytest.fixture
def postgresql(new_database: NewDatabase) -> AirflowDatabase:
    """The same on PostgreSQL."""
    return new_database(DISTINCT_POSTGRESQL_SCHEMAS[-1])


def counts(seen: Collected, slo: str = "succeeds") -> tuple[float | None, float | None]:
    """How many successes and how many failures were counted for an objective."""
    success, failed = (seen.one(metrics.SLO_DAG_RUNS, slo, outcome) for outcome in ("success", "failed"))
    return success, failed


# -- runs --------------------------------------------------------------------------------------------------------------


def test_each_end_is_counted_once(airflow_db: AirflowDatabase) -> None:
    lives = Lives(airflow_db)
    succeed(airflow_db, at("06:00"))
    open_before = lives.create(at("06:30"))
    with watching(airflow_db, SUCCEEDS, 'name: some, kind: dag_success, dag_id: "sal[ep]*"') as watch:
        assert counts(watch.at(at("07:00"))) == counts(watch.newest, "some") == (0, 0)
        lives.start(open_before, at("07:01"))
        lives.finish(open_before, at("07:05"))
        succeed(airflow_db, at("07:06"), state="failed")
        succeed(airflow_db, at("07:07"), "others")
        long = lives.create(at("07:07"))
        for _ in range(2):
            assert counts(watch.at(at("07:10"))) == (2, 1)
            assert counts(watch.newest, "some") == (1, 1)
        lives.start(long, at("07:11"))
        watch.at(at("07:12"))
        lives.finish(long, at("07:13"), "failed")
        assert counts(watch.at(at("07:14"))) == (2, 2)
        # Cleared, it ends again.
        lives.start(long, at("07:15"))
        assert counts(watch.at(at("07:16"))) == (2, 2)
        lives.finish(long, at("07:17"))
        assert counts(watch.at(at("07:18"))) == (3, 2)
        watch.restart()
        assert counts(watch.at(at("07:19"))) == (0, 0)


def test_a_replica_that_lags_shows_an_end_twice(db: AirflowDatabase) -> None:
    run = a_running_dag_run(db, started=at("06:00"))
    with watching(db, SUCCEEDS) as watch:
        watch.at(at("07:00"))
        for clock in ("07:01", "07:03"):
            update(db, "dag_run", {"state": "success", "end_date": at("07:01")}, run_id=run)
            assert counts(watch.at(at(clock))) == (1, 0)
            update(db, "dag_run", {"state": "running", "end_date": None}, run_id=run)
            watch.at(at(clock) + timedelta(minutes=1))


def test_a_run_that_ends_while_we_look(db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the statement that finds it new and the one that finds what is unfinished."""
    look = run_outcomes.unfinished
    with watching(db, SUCCEEDS) as watch:
        watch.at(at("07:00"))
        run = a_running_dag_run(db, started=at("07:01"))

        def ends_first(session: Session, limit: int) -> list[run_outcomes.Run]:
            update(db, "dag_run", {"state": "success", "end_date": at("07:02")}, run_id=run)
            return look(session, limit)

        monkeypatch.setattr(run_outcomes, "unfinished", ends_first)
        assert [counts(watch.at(at("07:02"))) for _ in range(2)] == [(1, 0)] * 2


def test_what_a_failing_look_missed_is_counted_by_the_next(postgresql: AirflowDatabase) -> None:
    run = a_running_dag_run(postgresql, started=at("06:00"))
    with watching(postgresql, SUCCEEDS) as watch:
        watch.at(at("07:00"))
        end_run(postgresql, "sales", run, "success")
        succeed(postgresql, at("07:01"))
        postgresql.execute("REVOKE SELECT (end_date) ON dag_run FROM airflow_obs")
        with pytest.raises(SourceError):
            watch.at(at("07:02"))
        postgresql.execute("GRANT SELECT (end_date) ON dag_run TO airflow_obs")
        assert counts(watch.at(at("07:03"))) == (2, 0)


def test_what_was_counted_stays_when_what_follows_fails(db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    a_dag(db)
    with watching(db, SUCCEEDS, FRESH) as watch, monkeypatch.context() as patch:
        watch.at(at("07:00"))
        succeed(db, at("07:01"))
        patch.setattr(successes, "AT_LEAST", "no number")
        with pytest.raises(TypeError):
            watch.at(at("07:02"))
        patch.undo()
        assert counts(watch.at(at("07:03"))) == (1, 0)


# -- freshness ---------------------------------------------------------------------------------------------------------


def test_fresh_while_the_newest_success_is_young(airflow_db: AirflowDatabase) -> None:
    a_dag(airflow_db, "sales", paused=True)
    run = a_running_dag_run(airflow_db, started=at("05:00"))
    with watching(airflow_db, FRESH) as watch:

        def fresh(now: datetime) -> float | None:
            return watch.at(now).one(metrics.SLO_DAG_GOOD, "fresh", "sales")

        assert fresh(at("06:10")) == 0  # never a success
        succeed(airflow_db, at("06:20"))
        succeed(airflow_db, at("07:10"), state="failed")
        assert [fresh(at(clock)) for clock in ("07:11", "07:20", "07:21")] == [1, 1, 0]
        # One that began before ends after.
        update(airflow_db, "dag_run", {"state": "success", "end_date": at("07:30")}, run_id=run)
        assert [fresh(at(clock)) for clock in ("07:31", "08:30", "08:31")] == [1, 1, 0]
        watch.restart()
        assert [fresh(at(clock)) for clock in ("08:30", "08:31")] == [1, 0]
        assert watch.newest.all(metrics.SLO_DAG_OVERDUE) == watch.newest.all(metrics.SLO_DEADLINE) == {}


def test_a_run_that_is_marked_a_success_is_met_at_once(db: AirflowDatabase) -> None:
    run = succeed(db, at("05:00"), state="failed")
    with watching(db, BY_SEVEN) as watch:
        assert watch.deadline(at("08:00")) == "overdue"
        update(db, "dag_run", {"state": "success", "end_date": at("08:01")}, run_id=run)
        assert watch.deadline(at("08:02")) == "made up"


def test_a_run_that_is_not_among_the_newest_is_met_as_it_ends(
    db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_runs, "WINDOW", 1)
    run = a_running_dag_run(db, started=at("05:00"))
    succeed(db, at("06:00"), state="failed")
    with watching(db, FRESH) as watch:
        assert watch.at(at("06:01")).one(metrics.SLO_DAG_GOOD, "fresh", "sales") is None
        update(db, "dag_run", {"state": "success", "end_date": at("06:10")}, run_id=run)
        for clock in ("06:11", "06:12"):
            assert watch.at(at(clock)).one(metrics.SLO_DAG_GOOD, "fresh", "sales") == 1


def test_which_dags(airflow_db: AirflowDatabase) -> None:
    for dag_id in ("team_a.load", "team_b.load", "Team_a.load"):
        succeed(airflow_db, at("06:00"), dag_id)
    a_dag(airflow_db, "team_a.gone", stale=True)
    slos = ("name: fresh, kind: dag_freshness, threshold: 1d", "name: some, kind: dag_success")
    named = [f'{slo}, dag_id: "{dags}"' for slo, dags in zip(slos, ("team_[ac].*", "*.load"), strict=True)]
    with watching(airflow_db, *named, SUCCEEDS) as watch:
        assert watch.at(at("07:00")).all(metrics.SLO_DAG_GOOD) == {("fresh", "team_a.load"): 1}
        assert watch.newest.all(metrics.SLO_DAGS) == {("fresh",): 1, ("some",): 3}
        gone = {"is_stale": True} if "is_stale" in airflow_db.tables["dag"].columns else {"is_active": False}
        update(airflow_db, "dag", gone, dag_id="team_a.load")
        assert watch.at(at("07:01")).all(metrics.SLO_DAG_GOOD) == {}
        assert watch.newest.all(metrics.SLO_DAGS) == {("fresh",): 0, ("some",): 2}


def test_bad_ones_come_first_lest_they_be_cut(db: AirflowDatabase) -> None:
    for dag_id, hour in (("a", "06:50"), ("b", "04:00"), ("c", "06:50"), ("d", "04:00")):
        succeed(db, at(hour), dag_id)
    with watching(db, BY_SEVEN.replace("sales", '"*"')) as watch:
        for metric in (metrics.SLO_DAG_GOOD, metrics.SLO_DAG_OVERDUE):
            assert [dag_id for _, dag_id in watch.at(at("08:00")).all(metric)] == ["b", "d", "a", "c"]


def test_of_many_dags_none_is_judged_before_its_runs_are_read(
    db: AirflowDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(successes, "AT_ONCE", 2)
    monkeypatch.setattr(successes, "AT_LEAST", 1)
    runs = {dag_id: succeed(db, at("04:50"), dag_id, "failed") for dag_id in "abc"}
    with watching(db, FRESH.replace("sales", '"*"')) as watch:
        sizes = [len(watch.at(at("07:00")).all(metrics.SLO_DAG_GOOD)) for _ in range(2)]
        assert sizes == [2, 3]
        # Then each in its turn.
        for run in runs.values():
            update(db, "dag_run", {"state": "success", "end_date": at("06:50")}, run_id=run)
        assert [sum(watch.at(at("07:00")).all(metrics.SLO_DAG_GOOD).values()) for _ in runs] == [1, 2, 3]


# -- deadlines ---------------------------------------------------------------------------------------------------------

CASES = {
    "in time": (("06:10",), "in time"),
    "just in time": (("07:00",), "in time"),
    "as early as may be": (("05:00",), "in time"),
    "too early, which is yesterday's": (("04:59",), "overdue"),
    "after all": (("07:01",), "made up"),
    "early, and after all": (("04:59", "07:20"), "made up"),
    "in time, and once more": (("06:10", "07:20"), "in time"),
    "early, and in time": (("04:10", "06:30"), "in time"),
    "never": ((), "overdue"),
}


@pytest.mark.parametrize(("ends", "verdict"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("restarted", [True, False])
def test_verdicts(db: AirflowDatabase, ends: tuple[str, ...], verdict: str, restarted: bool) -> None:
    """Whether the exporter was there all the time, or is started after all of it."""
    a_dag(db, "sales")
    succeed(db, at("06:00"), state="failed")
    with watching(db, BY_SEVEN) as watch:
        for clock in ends:
            if not restarted:
                watch.at(at(clock) - timedelta(minutes=2))
            succeed(db, at(clock))
            if not restarted:
                watch.at(at(clock))
        assert watch.deadline(at("08:00")) == verdict
        assert watch.newest.one(metrics.SLO_DEADLINE, "by-seven") == at("07:00").timestamp()


def test_a_verdict_holds_until_the_next_deadline(db: AirflowDatabase) -> None:
    succeed(db, at("06:30", 9))
    with watching(db, BY_SEVEN) as watch:
        assert [watch.deadline(at(*moment)) for moment in (("07:00", 9), ("23:00", 9), ("06:59", 10))] == [
            "in time"
        ] * 3
        assert [watch.deadline(at(clock)) for clock in ("07:00", "09:00")] == ["overdue"] * 2
        succeed(db, at("09:30"))
        assert watch.deadline(at("09:31")) == "made up"
        watch.restart()
        assert watch.deadline(at("09:32")) == "made up"
        succeed(db, at("06:59", 11))
        assert watch.deadline(at("06:59", 11)) == "made up"
        assert watch.deadline(at("07:00", 11)) == "in time"


def test_a_success_that_a_fast_clock_dates_after_the_deadline_hides_none_before(db: AirflowDatabase) -> None:
    succeed(db, at("06:00", 9), state="failed")
    with watching(db, BY_SEVEN) as watch:
        run = succeed(db, at("06:40"))
        watch.at(at("06:50"))
        succeed(db, at("07:00:05"))
        assert watch.deadline(at("06:59:59")) == "made up"  # yesterday's
        db.execute(f"DELETE FROM dag_run WHERE run_id = '{run}'")
        assert watch.deadline(at("07:00")) == "in time"


def test_a_busy_dag_is_judged_alike_after_a_restart(airflow_db: AirflowDatabase) -> None:
    """Though more of its runs than are read have ended since."""
    date = date_of_runs(airflow_db)
    for minute in range(-10, WINDOW + 30):
        start = at("07:00") + timedelta(minutes=minute)
        state = "success" if minute % 7 else "failed"
        end = start + timedelta(minutes=1)
        own: dict[str, Any] = {date: start}
        a_finished_dag_run(airflow_db, started=start, ended=end, state=state, **own)
    with watching(airflow_db, BY_SEVEN) as watch:
        assert watch.deadline(at("10:30")) == "in time"


def test_an_hour_without_the_database_around_the_deadline(db: AirflowDatabase) -> None:
    with watching(db, BY_SEVEN) as watch:
        a_dag(db, "sales")
        open_before = a_running_dag_run(db, started=at("06:00"))
        watch.at(at("06:30"))
        update(db, "dag_run", {"state": "success", "end_date": at("06:45")}, run_id=open_before)
        succeed(db, at("07:20"))
        assert watch.deadline(at("07:30")) == "in time"


def test_weekdays_and_zones(db: AirflowDatabase) -> None:
    slo = BY_SEVEN.replace("lead: 2h", 'lead: 1d, weekdays: ["monday:friday"], location: Europe/Paris')
    succeed(db, at("05:59", 6))  # a Friday, where it is an hour later
    with watching(db, slo) as watch:
        assert watch.deadline(at("06:00", 6)) == watch.deadline(at("05:59", 9)) == "in time"
        assert watch.newest.one(metrics.SLO_DEADLINE, "by-seven") == at("06:00", 6).timestamp()
        assert watch.deadline(at("06:00", 9)) == "overdue"


def test_the_lead_is_half_a_day_unless_the_policy_says_otherwise(db: AirflowDatabase) -> None:
    succeed(db, at("19:00", 9))
    with watching(db, BY_SEVEN.replace(", lead: 2h", "")) as watch:
        assert watch.deadline(at("07:00")) == "in time"
    with watching(db, BY_SEVEN.replace("lead: 2h", "lead: 11h59m")) as watch:
        assert watch.deadline(at("07:00")) == "overdue"


def test_a_dag_that_comes_later_is_not_judged_by_what_was_before(db: AirflowDatabase) -> None:
    with watching(db, BY_SEVEN, FRESH) as watch:
        watch.at(at("07:30"))
        a_dag(db, "sales")
        for clock in ("08:00", "08:59"):
            assert watch.at(at(clock)).all(metrics.SLO_DAG_GOOD) == watch.newest.all(metrics.SLO_DAG_OVERDUE) == {}
        assert watch.at(at("09:01")).all(metrics.SLO_DAG_GOOD) == {("fresh", "sales"): 0}
        succeed(db, at("09:30"))
        assert watch.deadline(at("09:31")) is None
        assert watch.deadline(at("07:00", 11)) == "overdue"


def test_another_database_is_another_story(db: AirflowDatabase) -> None:
    """With rows of another Airflow in its tables."""
    succeed(db, at("06:30"))
    with watching(db, BY_SEVEN, SUCCEEDS) as watch:
        assert watch.deadline(at("08:00")) == "in time"
        db.execute("DELETE FROM dag_run")
        for clock in ("05:30", "07:30"):
            succeed(db, at(clock), state="failed")
        assert watch.deadline(at("08:01")) == "overdue"
        assert counts(watch.newest) == (0, 0)


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_a_dag_that_there_is_not_is_said(db: AirflowDatabase, caplog: pytest.LogCaptureFixture) -> None:
    a_dag(db, "Sales")
    with watching(db, BY_SEVEN, SUCCEEDS) as watch, caplog.at_level(logging.INFO, "airflow_obs.collectors"):
        for _ in range(2):
            assert watch.at(at("08:00")).all(metrics.SLO_DAG_GOOD) == {}
        a_dag(db, "sales")
        watch.at(at("08:01"))
    place = "policy: dag_id of the SLO by-seven: 'sales'"
    missing = f"{place} matches none of 1 DAGs: correct it (upper and lower case differ), or remove it"
    assert caplog.messages == [missing, f"{place} matches a DAG now"]


def test_without_an_objective_on_dags_nothing_is_read(postgresql: AirflowDatabase) -> None:
    others = "name: alive, kind: scheduler_availability"
    with watching(postgresql, others) as watch, recorded() as statements:
        assert watch.at(at("08:00")).readings == ()
    assert not [statement for statement in statements if "dag" in statement and "pg_" not in statement]


def test_history_is_not_read(postgresql_db: AirflowDatabase) -> None:
    """With and without dates."""
    db = postgresql_db
    succeed(db, at("06:30"))
    date = date_of_runs(db)
    own = {
        "id": "(SELECT max(id) FROM dag_run) + n",
        "run_id": "run_id || n",
        date: f"{date} - n * interval '1 minute'",
    }
    copies_of(db, "dag_run", "true", "generate_series(1, 5000)", **own)
    if date == "logical_date":
        db.execute("UPDATE dag_run SET logical_date = NULL WHERE id % 2 = 0")
    db.execute("ANALYZE dag_run")
    with watching(db, BY_SEVEN, SUCCEEDS, FRESH) as watch:
        for _ in range(2):
            with recorded() as statements:
                watch.at(at("08:00"))
            asked = [statement for statement in statements if "dag_run" in statement and "pg_" not in statement]
            assert len(asked) >= 5
            for statement in asked:
                plan = db.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement.replace(":", "\\:"))[0][0][0]["Plan"]
                assert most_read(plan, "dag_run") <= 2 * LATE, statement


def test_a_deployment_has_its_own() -> None:
    slos = "\n".join(f"- {{{SUCCEEDS}-{name}, objective: 99%, deployments: [{name}]}}" for name in "ab")
    policy = loads(f"deployments: [{{name: a}}, {{name: b}}]\nslos:\n{slos}", "site.yaml")
    (one,) = (job.collector for job in jobs(policy, policy.deployment("b")) if job.collector.name == "slos")
    counted = Collected(tuple(one.samples(SlosSeen((), {}, {})))).all(metrics.SLO_DAG_RUNS)
    assert counted == {("succeeds-b", "success"): 0, ("succeeds-b", "failed"): 0}
