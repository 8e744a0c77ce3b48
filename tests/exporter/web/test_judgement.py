"""The verdict and the alerts: whatever one moment of an exporter decides is judged, by the alert's own expression and cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import pytest

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts import ALL, BY_NAME
from airflow_obs.catalog.alerts.alert import Series
from airflow_obs.errors import SourceUnreachable
from airflow_obs.exporter.board import Board
from airflow_obs.exporter.scrape import run
from airflow_obs.exporter.web.page.condition import configs, sent, sources
from airflow_obs.exporter.web.page.faults import Fault, faults
from airflow_obs.exporter.web.page.figures import topics
from airflow_obs.exporter.web.page.figures.figure import Seen
from airflow_obs.exporter.web.page.instant import Ambiguous, Moment, NotAtOnce, at_once
from airflow_obs.exporter.web.page.judgement import Judgement, judgement
from airflow_obs.exporter.web.page.status_page import status_page
from airflow_obs.exporter.web.page.verdict import verdict
from airflow_obs.generate.lint.nodes import parsed
from airflow_obs.generate.lint.values import windowed
from airflow_obs.model import External, Recorded
from airflow_obs.promql import Expr
from tests.catalog.alert_policies import of_everything, policy_of
from tests.exporter.fakes import FakeSource, gives, job, raises
from tests.exporter.web.test_figures import readings

SITE = policy_of()
EMITTED = of_everything(SITE)
JUDGED = {name: one for of in reversed(SITE.deployments) for name, one in judgement(SITE, of).alerts.items()}
DECIDED = sorted(name for name, one in JUDGED.items() if one.query is not None)
UNREACHABLE = SourceUnreachable("connection refused")


def fires(name: str) -> list[Series]:
    """The series with which an alert fires, of an exporter whose collectors succeed if nothing else is said."""
    at, cases = EMITTED[name].at, EMITTED[name].alert.cases(EMITTED[name].at)
    succeed = [] if cases.bare else [at.series(metrics.COLLECTOR_SUCCESS, 1, collector=one) for one in at.collectors]
    return [*cases.fires, *succeed]


def moment(series: Iterable[Series], at: int) -> Moment:
    """All that several exporters tell, as Prometheus has it."""
    found = defaultdict(list)
    for of in series:
        start, value, slope = [part for part in of.parts if part[0] <= at][-1]
        if value is not None:
            found[of.name].append((of.labels, float(value + slope * (at - start))))
    return Moment(lambda family: found.get(family, []), at)


def why_not(name: str) -> str:
    """Why one moment of an exporter does not decide an alert; empty if nothing is in the way."""
    alert, expr = BY_NAME[name], EMITTED[name].expr
    if alert.absence or alert.always_fires or alert.per_slo:
        return "it is about what is not there, about nothing, or about what Prometheus records"
    if any(isinstance(family, External | Recorded) for family in expr.families):
        return "it reads what others measure"
    return "it looks back" if windowed(parsed(expr.text)) else ""


@pytest.mark.parametrize("name", [alert.name for alert in ALL])
def test_every_alert_is_decided_here_or_cannot_be(name: str) -> None:
    assert (name in DECIDED) is (why_not(name) == "")


@pytest.mark.parametrize("name", DECIDED)
def test_expression_holds_of_a_moment_as_prometheus_has_it(name: str) -> None:
    of, query = EMITTED[name], JUDGED[name].query
    assert query is not None
    cases = of.alert.cases(of.at)
    [(labels, value)] = query(moment(fires(name), of.at.horizon))
    assert value == pytest.approx(float(cases.value))
    assert {label: text for label, text in labels.items() if text and label not in ("airflow", "team")} == {
        label: text for label, text in cases.labels.items() if label != "team"
    }
    assert query(moment(cases.quiet, of.at.horizon)) == []


def found(name: str, series: Iterable[Series]) -> list[Fault]:
    """What the page of an exporter says that has these series, of collectors that all succeed."""
    seen = Seen([readings(series, EMITTED[name].at.horizon)], Judgement(JUDGED), EMITTED[name].at.horizon)
    return faults([], seen.holding, topics(seen), [*sent(seen)], [*configs(seen)])


@pytest.mark.parametrize("name", DECIDED)
def test_no_alert_that_would_fire_leaves_the_page_green(name: str) -> None:
    wrong = found(name, fires(name))
    assert name in [one.alert for one in wrong]
    assert verdict(wrong, [], Judgement(JUDGED)).well is not True
    assert not any(left in one.what for one in wrong for left in ("{{", "$", "<")), "a template that nobody filled"


def of_board(board: Board) -> tuple[set[str], list[Fault], bool | None]:
    """The alerts that hold of a board, what its page says, and whether that is good."""
    judged = Judgement(JUDGED)
    seen = Seen(board.snapshot.readings, judged, board.snapshot.made)
    of_sources = sources(board.snapshot.statuses, seen, board.snapshot.made)
    wrong = faults(of_sources, seen.holding, topics(seen), [], [])
    return {one.judged.alert.name for one in seen.holding}, wrong, verdict(wrong, of_sources, judged).well


def test_collector_that_failed_with_a_source_that_answers_again_fails_with_its_error() -> None:
    source = FakeSource()
    first, second = job("locks", raises(UNREACHABLE), source), job("pools", gives(), source)
    board = Board("prod", [first, second])
    board.record(run(first))
    board.record(run(second))
    held, wrong, well = of_board(board)
    assert (held, well) == ({"AirflowCollectorFailing"}, False)
    assert [(one.what, one.error, one.alert) for one in wrong] == [
        ("collector locks fails", "connection refused", "AirflowCollectorFailing")
    ]
    page = status_page(board.snapshot, Judgement(JUDGED))
    assert ("source down" in page, "connection refused" in page) == (False, True)


@pytest.mark.parametrize(
    ("source", "alerts"),
    [("database", {"AirflowDatabaseDown", "AirflowDatabaseReplicaDown"}), ("broker", {"AirflowBrokerDown"})],
)
def test_source_that_goes_down_says_what_holds_of_it_once(source: str, alerts: set[str]) -> None:
    of = FakeSource(source)
    answers = [gives(), raises(UNREACHABLE)]
    going = job("broker" if source == "broker" else "locks", lambda: answers.pop(0)(), of)
    board = Board("prod", [going])
    board.record(run(going))
    assert of_board(board) == (set(), [], True)
    board.record(run(going))
    held, wrong, well = of_board(board)
    assert alerts <= held
    assert well is False
    assert {one.alert for one in wrong} >= alerts
    assert [one.error for one in wrong if one.error] == ["connection refused"]


def test_what_an_alert_says_in_no_other_words_is_said_in_its_own() -> None:
    name = "AirflowCollectorFailing"
    [fault] = found(name, fires(name))
    assert fault.what == "The collector locks fails, not the database (collector_success is 0)"


def test_nothing_seen_is_said_as_no_more_than_that() -> None:
    judged = Judgement(JUDGED)
    said = verdict([], [], judged)
    assert (said.well, said.title) == (True, "nothing wrong seen")
    exporters_own = sum(one.query is not None and not one.collectors for one in JUDGED.values())
    assert said.rests_on.startswith(f"Of the {exporters_own} alerts that this moment decides none holds. ")
    assert f" {len(JUDGED) - exporters_own} more take history" in said.rests_on
    assert judged.decided({one.collector for one in metrics.ALL}) == len(DECIDED)


def test_alert_is_decided_where_any_of_those_that_feed_a_family_succeeds() -> None:
    name = "AirflowDagImportErrors"
    only = Judgement({name: JUDGED[name]})
    assert JUDGED[name].collectors == {frozenset({"dag_processing", "ingest"})}
    assert [only.decided(of) for of in (set(), {"pools"}, {"ingest"}, {"dag_processing"})] == [0, 0, 1, 1]


def test_what_is_only_good_to_know_is_neither_good_nor_bad() -> None:
    name = "AirflowDagVersionsMultiply"
    [fault] = found(name, fires(name))
    assert fault.what == "21 versions of one DAG were made in a day (threshold 20)"
    said = verdict([fault], [], Judgement(JUDGED))
    assert (fault.minor, said.well) == (True, None)
    assert said.text.startswith("Nothing looks wrong, 1 is good to know")


def test_series_beyond_the_first_are_counted() -> None:
    name = "AirflowDagWedged"
    twice = [
        Series(of.name, {**of.labels, "dag_id": dag}, of.parts)
        for of in EMITTED[name].alert.cases(EMITTED[name].at).fires
        for dag in ("orders_load", "another")
    ]
    [fault] = found(name, twice)
    assert fault.what.startswith("Runs of orders_load wait behind one of ")
    assert fault.what.endswith("; 1 more alike")


@pytest.mark.parametrize(
    "text",
    [
        "airflow_obs_jobs_alive * on (job_type) group_left () airflow_obs_jobs_alive",
        "airflow_obs_jobs_alive * ignoring (job_type) airflow_obs_jobs_alive",
        "airflow_obs_jobs_alive > bool 1",
        "avg_over_time(airflow_obs_jobs_alive[5m])",
        "airflow_obs_jobs_alive offset 5m",
        "max without (job_type) (airflow_obs_jobs_alive)",
        "stddev by (job_type) (airflow_obs_jobs_alive)",
        "airflow_obs_jobs_alive % 2",
        "airflow_obs_unknown",
        "abs(airflow_obs_jobs_alive)",
        "clamp_min(airflow_obs_jobs_alive, 2 + 5)",
        'label_replace(airflow_obs_jobs_alive, "kind", "${1}", "job_type", "(.*)Job")',
        'label_replace(airflow_obs_jobs_alive, "kind", "$1s", "job_type", "(.*)Job")',
    ],
)
def test_what_is_not_understood_is_not_judged(text: str) -> None:
    with pytest.raises(NotAtOnce):
        at_once(Expr(text, frozenset(), frozenset({metrics.JOBS_ALIVE})))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("airflow_obs_jobs_alive / 0", [float("inf")]),
        ("2 * airflow_obs_jobs_alive > 5", [6]),
        ("5 < airflow_obs_jobs_alive", []),
        ('airflow_obs_jobs_alive{job_type!~"Sched.*"}', []),
        ('airflow_obs_jobs_alive{job_type=~"Sched"}', []),
        ("airflow_obs_jobs_alive or vector(1)", [3, 1]),
        ("airflow_obs_jobs_alive unless airflow_obs_jobs_alive", []),
        ("time() - airflow_obs_jobs_alive", [97]),
        ("clamp_min(airflow_obs_jobs_alive, 7)", [7]),
    ],
)
def test_operators_are_those_of_promql(text: str, values: list[float]) -> None:
    query = at_once(Expr(text, frozenset(), frozenset({metrics.JOBS_ALIVE})))
    assert [value for _, value in query(Moment(lambda _: [({"job_type": "SchedulerJob"}, 3.0)], 100))] == values


@pytest.mark.parametrize(
    ("text", "alive", "reserved"),
    [
        ("airflow_obs_jobs_alive > on (job_type) airflow_obs_pool_slots", 1, 2),
        ("airflow_obs_jobs_alive * on (job_type) airflow_obs_pool_slots", 2, 1),
    ],
)
def test_what_prometheus_refuses_to_match_is_not_decided(text: str, alive: int, reserved: int) -> None:
    families = {"airflow_obs_jobs_alive": alive, "airflow_obs_pool_slots": reserved}
    query = at_once(Expr(text, frozenset(), frozenset({metrics.JOBS_ALIVE, metrics.POOL_SLOTS})))
    asked = Moment(
        lambda of: [({"pool": str(at)}, 3.0 - 2 * (of != "airflow_obs_jobs_alive")) for at in range(families[of])], 0
    )
    with pytest.raises(Ambiguous):
        query(asked)
    judged = Judgement({"of_two": replace(next(iter(JUDGED.values())), query=query, collectors=frozenset())})
    assert judged.asked(asked) == ((), frozenset({"of_two"}))
    assert (judged.decided([]), judged.decided([], {"of_two"})) == (1, 0)


def test_alert_is_decided_only_where_all_that_it_reads_is_there() -> None:
    name = "AirflowQueueWithoutWorker"
    only = Judgement({name: JUDGED[name]})
    assert JUDGED[name].collectors == {frozenset({one}) for one in ("broker", "task_instances", "workers")}
    assert [only.decided({"broker", "workers"}), only.decided({"broker", "task_instances", "workers"})] == [0, 1]
