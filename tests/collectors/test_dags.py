"""DAGs one by one: how the last run of each ended, what runs and what is due, and which DAGs have series at all."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.collectors import last_runs
from airflow_obs.collectors.dags import Dags
from airflow_obs.model import Metric
from airflow_obs.policy import DagsPolicy
from tests.airflow_database import AirflowDatabase
from tests.airflow_schemas import Kind
from tests.collectors.collected import BUDGET, Collected, collect, read, source
from tests.collectors.conftest import Ago
from tests.conftest import NewDatabase
from tests.states import (
    a_dag,
    a_finished_dag_run,
    a_queued_dag_run,
    a_running_dag_run,
    a_task_instance_queued,
    a_task_instance_running,
    a_task_instance_up_for_retry,
    a_task_instance_without_state,
    an_archived_try,
)
from tests.states.rows import insert


class Watched:
    """One collector that reads the same database again and again, as the exporter does."""

    def __init__(self, db: AirflowDatabase, policy: DagsPolicy | None = None) -> None:
        self._db = db
        self._dags = Dags(policy or DagsPolicy())

    def seen(self) -> Collected:
        """What it says now."""
        return read(self._db, self._dags)

    def ids(self) -> set[str]:
        """The DAGs that have series now."""
        return {dag_id for (dag_id,) in self.seen().all(metrics.DAG_PAUSED)}


def end(db: AirflowDatabase, run_id: str, state: str, moment: datetime) -> None:
    """The run ends; where its DAG's other columns are left alone."""
    table = db.tables["dag_run"]
    aware = db.kind is Kind.POSTGRESQL
    with db.engine.begin() as connection:
        moments = {"end_date": moment if aware else moment.replace(tzinfo=None)}
        connection.execute(table.update().where(table.c.run_id == run_id).values(state=state, **moments))


def test_whose_it_is(airflow_db: AirflowDatabase) -> None:
    a_dag(airflow_db, "pay", owners="zoe, data , zoe", tags=["payments", "a,b"])
    a_dag(airflow_db, "bare", owners=None, paused=True)
    a_dag(airflow_db, "gone", stale=True)
    seen = collect(airflow_db, "dags")
    bundle = ("dags-folder",) if "bundle_name" in airflow_db.tables["dag"].columns else ()
    assert set(seen.all(metrics.DAG_INFO)) == {
        ("pay", "data, zoe", ",a b,payments,", *bundle), ("bare", "", "", *bundle),
    }  # fmt: skip
    assert seen.all(metrics.DAG_PAUSED) == {("pay",): 0, ("bare",): 1}
    assert seen.one(metrics.DAGS_LEFT_OUT) == 0


def test_no_run_ends_before_it_has_begun(airflow_db: AirflowDatabase, ago: Ago) -> None:
    """The clocks of those who write the two moments may differ."""
    a_finished_dag_run(airflow_db, started=ago(minutes=1), ended=ago(minutes=3))
    seen = collect(airflow_db, "dags")
    assert seen.one(metrics.DAG_LAST_RUN_DURATION, "sales") == 0
    assert seen.one(metrics.DAG_LAST_RUN_END, "sales") == ago(minutes=3).timestamp()


def test_no_owner_and_no_tag_is_cut(sqlite_db: AirflowDatabase) -> None:
    names = [f"name {number:02} that is rather long" for number in range(20)]
    a_dag(sqlite_db, "many", owners=",".join(names), tags=names)
    a_dag(sqlite_db, "fits", owners="x" * 250, tags=["x" * 100, "y" * 100, "z" * 48])
    seen = {dag_id: (owner, tags) for dag_id, owner, tags, *_ in collect(sqlite_db, "dags").all(metrics.DAG_INFO)}
    owner, tags = seen["many"]
    *owners, more = owner.split(", ")
    assert more == "…"
    assert owners == names[: len(owners)]
    assert tags == f",{','.join([*names[: tags.count('name')], '…'])},"
    assert 220 < len(owner) <= 250 >= len(tags) - 2 > 220
    assert seen["fits"] == ("x" * 250, f",{'x' * 100},{'y' * 100},{'z' * 48},")
    assert not re.fullmatch(".*,name 0,.*", tags)


def test_the_team_of_its_bundle(airflow_db: AirflowDatabase) -> None:
    a_dag(airflow_db, "pay")
    knows = "dag_bundle_team" in airflow_db.tables and "team_name" in airflow_db.tables["dag_bundle_team"].columns
    if knows:
        insert(airflow_db, "team", {"name": "finance"})
        insert(airflow_db, "dag_bundle_team", {"dag_bundle_name": "dags-folder", "team_name": "finance"})
    ((*_, last),) = collect(airflow_db, "dags").all(metrics.DAG_INFO)
    assert (last == "finance") == knows


def test_next_run(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(airflow_db, "due", next_run_due=ago(minutes=5))
    a_dag(airflow_db, "paused", paused=True, next_run_due=ago(minutes=5))
    a_dag(airflow_db, "unscheduled")
    limited = "exceeds_max_non_backfill" in airflow_db.tables["dag"].columns
    if limited:
        a_dag(airflow_db, "full", next_run_due=ago(minutes=5), exceeds_max_non_backfill=True)
    assert collect(airflow_db, "dags").all(metrics.DAG_NEXT_RUN) == {("due",): ago(minutes=5).timestamp()}


def test_open_runs(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_running_dag_run(airflow_db, started=ago(minutes=9))
    a_running_dag_run(airflow_db, started=ago(minutes=3))
    a_queued_dag_run(airflow_db, queued=ago(minutes=1))
    seen = collect(airflow_db, "dags")
    assert seen.all(metrics.DAG_UNFINISHED_RUNS) == {("sales", "queued"): 1, ("sales", "running"): 2}
    assert seen.one(metrics.DAG_OLDEST_RUN, "sales") == ago(minutes=9).timestamp()
    assert not seen.all(metrics.DAG_LAST_RUN_END)
    assert not seen.all(metrics.DAG_LAST_SUCCESS)


def test_how_the_last_run_ended(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_dag_run(airflow_db, started=ago(hours=3), ended=ago(hours=2))
    a_finished_dag_run(airflow_db, started=ago(minutes=9), ended=ago(minutes=4), state="failed")
    a_running_dag_run(airflow_db, started=ago(minutes=3))
    seen = collect(airflow_db, "dags")
    assert seen.one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0
    assert seen.one(metrics.DAG_LAST_RUN_END, "sales") == ago(minutes=4).timestamp()
    assert seen.one(metrics.DAG_LAST_RUN_DURATION, "sales") == 300
    assert seen.one(metrics.DAG_LAST_SUCCESS, "sales") == ago(hours=2).timestamp()


def test_runs_are_met_as_they_end(airflow_db: AirflowDatabase, ago: Ago) -> None:
    watched = Watched(airflow_db)
    older = a_running_dag_run(airflow_db, started=ago(minutes=40))
    assert watched.seen().one(metrics.DAG_LAST_RUN_END, "sales") is None
    # One begins and ends between two reads, the others were open at the read before.
    a_finished_dag_run(airflow_db, started=ago(minutes=20), ended=ago(minutes=15))
    long = a_running_dag_run(airflow_db, started=ago(minutes=30))
    assert watched.seen().one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 1
    end(airflow_db, older, "failed", ago(minutes=9))
    assert watched.seen().one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 1
    end(airflow_db, long, "failed", ago(minutes=5))
    seen = watched.seen()
    assert seen.one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0
    assert seen.one(metrics.DAG_LAST_RUN_DURATION, "sales") == 25 * 60
    assert seen.one(metrics.DAG_LAST_SUCCESS, "sales") == ago(minutes=15).timestamp()
    # It is cleared, and succeeds.
    end(airflow_db, long, "running", ago(minutes=5))
    assert watched.seen().one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 1
    end(airflow_db, long, "success", ago(minutes=1))
    assert watched.seen().one(metrics.DAG_LAST_SUCCESS, "sales") == ago(minutes=1).timestamp()


def test_a_last_run_that_is_deleted_or_run_again(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_dag_run(airflow_db, started=ago(hours=9), ended=ago(hours=8))
    again = a_finished_dag_run(airflow_db, started=ago(hours=7), ended=ago(hours=6))
    failed = a_finished_dag_run(airflow_db, started=ago(hours=5), ended=ago(hours=4), state="failed")
    a_finished_dag_run(airflow_db, "other", started=ago(hours=3), ended=ago(hours=2))
    watched = Watched(airflow_db)
    assert watched.seen().one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0
    airflow_db.execute(f"DELETE FROM dag_run WHERE run_id = '{failed}'")
    seen = watched.seen()
    assert seen.one(metrics.DAG_LAST_RUN_END, "sales") == seen.one(metrics.DAG_LAST_SUCCESS, "sales")
    assert seen.one(metrics.DAG_LAST_RUN_END, "sales") == ago(hours=6).timestamp()
    end(airflow_db, again, "running", ago(hours=6))
    assert watched.seen().one(metrics.DAG_LAST_SUCCESS, "sales") == ago(hours=8).timestamp()
    end(airflow_db, again, "failed", ago(minutes=1))
    seen = watched.seen()
    assert seen.one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0
    assert seen.one(metrics.DAG_LAST_SUCCESS, "sales") == ago(hours=8).timestamp()
    airflow_db.execute("DELETE FROM dag_run WHERE dag_id = 'sales'")
    assert set(watched.seen().all(metrics.DAG_LAST_RUN_END)) == {("other",)}


def test_a_success_of_long_ago_outlasts_the_newest_run(
    sqlite_db: AirflowDatabase, ago: Ago, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it is beyond the window shows that nothing else was forgotten when the newest run was deleted."""
    monkeypatch.setattr(last_runs, "WINDOW", 2)
    watched = Watched(sqlite_db)
    a_finished_dag_run(sqlite_db, started=ago(hours=9), ended=ago(hours=8))
    watched.seen()
    for hours in (6, 5, 4, 3):
        a_finished_dag_run(sqlite_db, started=ago(hours=hours + 1), ended=ago(hours=hours), state="failed")
    watched.seen()
    monkeypatch.setattr(last_runs, "TAIL", 0)
    sqlite_db.execute("DELETE FROM dag_run WHERE id = (SELECT max(id) FROM dag_run)")
    seen = watched.seen()
    assert seen.one(metrics.DAG_LAST_SUCCESS, "sales") == ago(hours=8).timestamp()
    assert seen.one(metrics.DAG_LAST_RUN_END, "sales") == ago(hours=4).timestamp()


def test_a_clock_that_is_ahead_hides_no_newer_run(airflow_db: AirflowDatabase, ago: Ago) -> None:
    a_finished_dag_run(airflow_db, started=ago(hours=1), ended=ago(hours=-2), state="failed")
    watched = Watched(airflow_db)
    assert watched.seen().one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0
    a_finished_dag_run(airflow_db, started=ago(minutes=5), ended=ago(minutes=1))
    assert watched.seen().one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 1


def test_a_run_that_is_marked_long_after_its_end(airflow_db: AirflowDatabase, ago: Ago) -> None:
    watched = Watched(airflow_db)
    run = a_finished_dag_run(airflow_db, started=ago(hours=9), ended=ago(hours=8), state="failed")
    assert watched.seen().one(metrics.DAG_LAST_SUCCESS, "sales") is None
    end(airflow_db, run, "success", ago(minutes=1))
    assert watched.seen().one(metrics.DAG_LAST_SUCCESS, "sales") == ago(minutes=1).timestamp()


def test_a_dag_whose_runs_are_not_among_the_newest(
    airflow_db: AirflowDatabase, ago: Ago, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_runs, "TAIL", 0)
    a_finished_dag_run(airflow_db, started=ago(days=9), ended=ago(days=8))
    a_finished_dag_run(airflow_db, started=ago(days=8), ended=ago(days=7), state="failed")
    seen = collect(airflow_db, "dags")
    assert seen.one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0
    assert seen.one(metrics.DAG_LAST_SUCCESS, "sales") == ago(days=8).timestamp()


def test_runs_without_a_logical_date(airflow_db: AirflowDatabase, ago: Ago, monkeypatch: pytest.MonkeyPatch) -> None:
    """3.x gives none to a run that an asset triggered."""
    monkeypatch.setattr(last_runs, "TAIL", 0)
    if "logical_date" not in airflow_db.tables["dag_run"].columns:
        return
    a_finished_dag_run(airflow_db, started=ago(days=9), ended=ago(days=8))
    a_finished_dag_run(airflow_db, started=ago(days=4), ended=ago(days=3), logical_date=None)
    a_finished_dag_run(airflow_db, started=ago(days=2), ended=ago(days=1), logical_date=None, state="failed")
    seen = collect(airflow_db, "dags")
    assert seen.one(metrics.DAG_LAST_RUN_END, "sales") == ago(days=1).timestamp()
    assert seen.one(metrics.DAG_LAST_SUCCESS, "sales") == ago(days=3).timestamp()


def test_another_database_is_another_story(new_database: NewDatabase, sqlite_db: AirflowDatabase, ago: Ago) -> None:
    other = new_database(sqlite_db.schema)
    for hours in (3, 2, 1):
        a_finished_dag_run(sqlite_db, started=ago(hours=hours + 1), ended=ago(hours=hours))
    a_finished_dag_run(other, started=ago(days=4), ended=ago(days=3), state="failed")
    dags = Dags(DagsPolicy())
    assert read(sqlite_db, dags).one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 1
    assert read(other, dags).one(metrics.DAG_LAST_RUN_SUCCESS, "sales") == 0


def test_include_and_exclude(sqlite_db: AirflowDatabase) -> None:
    for dag_id in ("team_a.load", "team_a.tmp_1", "team_b.load", "Team_a.load"):
        a_dag(sqlite_db, dag_id)
    chosen = Watched(sqlite_db, DagsPolicy(include=("team_[ac].*", "nothing"), exclude=("*.tmp_?",)))
    assert chosen.ids() == {"team_a.load"}
    assert Watched(sqlite_db, DagsPolicy(include=())).ids() == set()
    none = DagsPolicy(include=("team_?.*",), exclude=("*.tmp_?",), top=0)
    assert Watched(sqlite_db, none).seen().readings == (metrics.DAGS_LEFT_OUT.sample(2),)


def test_the_most_active_are_shown_and_do_not_take_turns(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    def runs(dag_id: str, count: int) -> None:
        for _ in range(count):
            a_finished_dag_run(sqlite_db, dag_id, started=ago(minutes=2), ended=ago(minutes=1))

    runs("busy", 6)
    runs("calm", 3)
    a_dag(sqlite_db, "idle", paused=True)
    watched = Watched(sqlite_db, DagsPolicy(top=1))
    assert watched.ids() == {"busy"}
    assert watched.seen().one(metrics.DAGS_LEFT_OUT) == 2
    runs("calm", 5)
    assert watched.ids() == {"busy"}
    runs("calm", 6)
    assert watched.ids() == {"calm"}


def test_a_busy_dag_stays_when_it_is_paused(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    for _ in range(3):
        a_finished_dag_run(sqlite_db, "busy", started=ago(minutes=2), ended=ago(minutes=1))
    a_finished_dag_run(sqlite_db, "calm", started=ago(minutes=2), ended=ago(minutes=1))
    a_dag(sqlite_db, "a_paused_one", paused=True)
    a_dag(sqlite_db, "new")
    watched = Watched(sqlite_db, DagsPolicy(top=1))
    assert watched.ids() == {"busy"}
    sqlite_db.execute("UPDATE dag SET is_paused = true WHERE dag_id = 'busy'")
    assert watched.ids() == Watched(sqlite_db, DagsPolicy(top=1)).ids() == {"busy"}
    # Of those without any run, the one that may have some comes first.
    assert Watched(sqlite_db, DagsPolicy(top=3)).ids() == {"busy", "calm", "new"}


def test_a_dag_that_stopped_running_leaves(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    for hours in range(9):
        a_finished_dag_run(sqlite_db, "stopped", started=ago(hours=hours + 1), ended=ago(hours=hours))
    a_dag(sqlite_db, "daily")
    dags = Dags(DagsPolicy(top=1))
    shown = []
    with closing(source(sqlite_db.exporter_url)) as database:
        for day in range(6):
            now = datetime.now(UTC) + timedelta(days=day)
            a_finished_dag_run(sqlite_db, "daily", started=now, ended=now)
            with database.session(BUDGET) as session:
                shown += [dag.dag_id for dag in dags.read(replace(session, now=now)).dags]
    assert (shown[0], shown[-1]) == ("stopped", "daily")


def test_runs_of_long_ago_do_not_count(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    for _ in range(9):
        a_finished_dag_run(sqlite_db, "stopped", started=ago(days=40), ended=ago(days=39))
    a_finished_dag_run(sqlite_db, "daily", started=ago(hours=3), ended=ago(hours=2))
    assert Watched(sqlite_db, DagsPolicy(top=1)).ids() == {"daily"}


def test_a_dag_that_is_named_comes_first(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    a_dag(sqlite_db, "seldom")
    for dag_id in ("busy", "calm"):
        a_finished_dag_run(sqlite_db, dag_id, started=ago(minutes=2), ended=ago(minutes=1))
    a_finished_dag_run(sqlite_db, "busy", started=ago(minutes=2), ended=ago(minutes=1))
    assert Watched(sqlite_db, DagsPolicy(top=2)).ids() == {"busy", "calm"}
    assert Watched(sqlite_db, DagsPolicy(top=2, include=("*", "sel*"))).ids() == {"busy", "seldom"}


def test_what_is_remembered_goes_with_the_dag(sqlite_db: AirflowDatabase, ago: Ago) -> None:
    for number in range(3):
        a_finished_dag_run(sqlite_db, f"dag_{number}", started=ago(minutes=2), ended=ago(minutes=1))
    dags = Dags(DagsPolicy())
    assert len(read(sqlite_db, dags).all(metrics.DAG_LAST_RUN_END)) == 3
    gone = "is_stale = true" if "is_stale" in sqlite_db.tables["dag"].columns else "is_active = false"
    sqlite_db.execute(f"UPDATE dag SET {gone} WHERE dag_id <> 'dag_1'")
    assert len(read(sqlite_db, dags).all(metrics.DAG_LAST_RUN_END)) == 1
    assert set(dags._runs.last) == set(dags._runs.activity) == set(dags._runs._looked_up) == {"dag_1"}


def test_tasks_on_request(airflow_db: AirflowDatabase, ago: Ago) -> None:
    for _ in range(2):
        a_task_instance_queued(airflow_db, queued_at=ago(minutes=5), task_id="load", run_id=f"run_{_}")
    a_task_instance_running(airflow_db, started=ago(minutes=3), task_id="check")
    key = a_task_instance_up_for_retry(airflow_db, failed_at=ago(minutes=3), task_id="flaky", try_number=2)
    an_archived_try(airflow_db, key, started=ago(minutes=9), ended=ago(minutes=8), state="queued")
    a_task_instance_without_state(airflow_db, created=ago(minutes=3), task_id="later")
    a_task_instance_running(airflow_db, started=ago(minutes=3), dag_id="other")
    policy = DagsPolicy(exclude=("other",), task_level=True)
    assert Watched(airflow_db, policy).seen().all(metrics.DAG_TASK_INSTANCES) == {
        ("sales", "load", "queued"): 2, ("sales", "check", "running"): 1, ("sales", "flaky", "up_for_retry"): 1,
    }  # fmt: skip
    assert not collect(airflow_db, "dags").all(metrics.DAG_TASK_INSTANCES)


@pytest.mark.parametrize(
    "metric", [one for one in metrics.ALL if one.collector == "dags" and one.labels], ids=lambda one: one.name
)
def test_every_series_says_which_dag(metric: Metric) -> None:
    assert metric.labels[0] == "dag_id"
