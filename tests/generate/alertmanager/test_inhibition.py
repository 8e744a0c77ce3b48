"""Alertmanager hushes effects of the same deployment, and only while their cause is told of, and no more quietly than they."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import pytest

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.inhibition import CAUSES
from airflow_obs.generate.alertmanager.config import config
from airflow_obs.generate.alertmanager.inhibition import inhibitions, picture
from airflow_obs.generate.alertmanager.matchers import Inhibition
from airflow_obs.generate.proven import proven
from airflow_obs.generate.scopes import emitted
from airflow_obs.policy import Policy
from tests.alertmanager_server import AlertmanagerServer, alertmanager
from tests.eventually import eventually
from tests.generate.fleet import one, policy

Labels = Mapping[str, str]

PROMISES = (
    {"name": "alive", "kind": "scheduler_availability", "objective": "99.9%"},
    {"name": "by-seven", "kind": "dag_deadline", "objective": "95%", "deadline": "07:00", "dag_id": "load"},
)

FLEET = policy(
    one("as-it-is"),
    one("elsewhere"),
    one("queues"),
    one("promises"),
    one("teams"),
    one("narrow"),
    one("shadow", alerts={"AirflowDatabaseDown": {"shadow": True}}),
    one("quiet", alerts={"AirflowDatabaseDown": {"severity": "warning"}}),
    one(
        "louder",
        alerts={"AirflowDatabaseDown": {"severity": "warning"}, "AirflowDagProcessorMissing": {"severity": "critical"}},
    ),
    one(
        "loud", alerts={"AirflowHealthUnhealthy": {"severity": "critical"}, "AirflowDatabaseDown": {"severity": "info"}}
    ),
    slos=PROMISES,
)
"""Deployments in which the same alerts are worth something else."""
NARROW = ("AirflowSchedulesOverdue", "AirflowQueueWithoutWorker", "AirflowQueueStalled", "AirflowTriggererDown")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), config(FLEET, inhibitions(FLEET))) as running:
        yield running


def firing(deployment: str, *names: str, **series: str) -> list[Labels]:
    """These alerts of the deployment, all with these labels of their series."""
    own = {one.alert.name: one.labels for one in emitted(FLEET, FLEET.deployment(deployment))}
    return [{"alertname": name, **own[name], **series} for name in names]


def hushed(server: AlertmanagerServer) -> set[tuple[str, str, str]]:
    """Deployment, name, and what else tells it from others of each alert that is hushed."""
    return {
        (labels["airflow"], labels["alertname"], labels.get("queue", labels.get("slo", labels.get("component", ""))))
        for labels in (alert["labels"] for alert in server.alerts() if alert["status"]["inhibitedBy"])
    }


def test_effects_are_hushed_where_their_cause_is_told_no_more_quietly(server: AlertmanagerServer) -> None:
    database = ("AirflowDatabaseDown", "AirflowSchedulerDown", "AirflowSchedulerMissing", "AirflowVolumeFull")
    health = [
        health
        for deployment in ("quiet", "loud")
        for health in firing(deployment, "AirflowHealthUnhealthy", component="scheduler")
    ]
    queues = [
        *firing("queues", "AirflowQueueWithoutWorker", queue="gpu"),
        *firing("queues", "AirflowTasksQueuedLong", queue="gpu"),
        *firing("queues", "AirflowTasksQueuedLong", queue="default"),
    ]
    processors = [
        *firing("louder", "AirflowDatabaseDown", "AirflowDagProcessorMissing"),
        *firing("quiet", "AirflowDagProcessorMissing"),
    ]
    objectives = [
        *firing("promises", "AirflowErrorBudgetBurnFast", slo="alive"),
        *firing("promises", "AirflowErrorBudgetBurnSlow", slo="alive"),
        *firing("promises", "AirflowErrorBudgetBurnSlow", slo="another"),
        *firing("teams", "AirflowErrorBudgetBurnFast", slo="mine", team="platform"),
        *firing("teams", "AirflowErrorBudgetBurnFast", slo="theirs", team="payments"),
        *firing("teams", "AirflowNoTaskStarts", team="platform"),
        # Of one queue: what that burns is silent by its own expression, and the rest is told of.
        *firing("narrow", "AirflowErrorBudgetBurnFast", "AirflowErrorBudgetBurnSlow", slo="mine", team="platform"),
        *firing("narrow", *NARROW, team="platform"),
    ]
    # What must hush comes last, so that all others have had their chance to.
    server.fire(
        *health, *queues, *objectives, *processors, *firing("elsewhere", *database[1:]),
        *firing("shadow", *database), *firing("quiet", *database), *firing("loud", *database), *firing("as-it-is", *database),
    )  # fmt: skip
    expected = {
        ("as-it-is", "AirflowSchedulerDown", ""),
        ("as-it-is", "AirflowSchedulerMissing", ""),
        ("queues", "AirflowTasksQueuedLong", "gpu"),
        ("promises", "AirflowErrorBudgetBurnSlow", "alive"),
        ("narrow", "AirflowErrorBudgetBurnSlow", "mine"),
        ("teams", "AirflowErrorBudgetBurnFast", "mine"),
        # By the scheduler that is down, whether or not somebody is told why.
        ("elsewhere", "AirflowSchedulerMissing", ""),
        ("shadow", "AirflowSchedulerMissing", ""),
        ("quiet", "AirflowSchedulerMissing", ""),
        ("quiet", "AirflowDagProcessorMissing", ""),
        ("loud", "AirflowSchedulerMissing", ""),
        ("quiet", "AirflowHealthUnhealthy", "scheduler"),
        ("loud", "AirflowHealthUnhealthy", "scheduler"),
    }
    eventually(lambda: hushed(server) >= expected, "the effects are hushed")
    assert hushed(server) == expected


def test_a_warning_hushes_what_is_no_louder_than_it() -> None:
    by_cause = [rule for rule in inhibitions(FLEET) if rule.source[0].value == "AirflowDatabaseDown"]
    assert {rule.source[1].value for rule in by_cause} == {"critical", "warning", "info"}
    [database] = firing("quiet", "AirflowDatabaseDown")
    [loud], [scheduler] = (firing("quiet", name) for name in ("AirflowSchedulerDown", "AirflowSchedulerMissing"))
    assert (hushes(by_cause, database, loud), hushes(by_cause, database, scheduler)) == (False, True)
    assert not [rule for rule in by_cause if rule.source[1].value != "critical" if rule.target[0].fits(loud)]
    [whisper] = firing("loud", "AirflowDatabaseDown")
    [failed] = firing("loud", "AirflowDagRunFailed")
    [missing] = firing("loud", "AirflowSchedulerMissing")
    assert (hushes(by_cause, whisper, failed), hushes(by_cause, whisper, missing)) == (True, False)


def test_who_answers_for_a_promise_hears_that_it_is_broken_unless_he_is_told_why() -> None:
    [down] = firing("as-it-is", "AirflowSchedulerDown")
    passed = firing("as-it-is", "AirflowErrorBudgetBurnFast", "AirflowErrorBudgetBurnSlow", "AirflowDagDeadlinePassed")
    rules = list(inhibitions(policy(one("as-it-is"), slos=PROMISES)))
    mine, theirs = {"team": "platform"}, {"team": "payments"}
    for effect in passed:
        assert hushes(rules, {**down, **mine}, {**effect, **mine})
        assert not hushes(rules, {**down, **mine}, {**effect, **theirs})
        assert hushes(rules, down, effect), "where there are no teams"


@pytest.mark.parametrize(
    ("teams", "default", "hushing"),
    [
        ([{"name": "a", "receiver": "desk"}, {"name": "b"}], None, {"a"}),
        ([{"name": "a", "receiver": "desk"}, {"name": "b", "receivers": {"critical": "desk"}}], None, {"a", "b"}),
        ([{"name": "a", "receivers": {"warning": "desk"}}, {"name": "b"}], None, set()),
        ([{"name": "a"}, {"name": "b"}], "desk", {"", "a", "b"}),
    ],
)
def test_a_cause_of_which_nobody_is_told_hushes_nothing(
    teams: list[Labels], default: str | None, hushing: set[str]
) -> None:
    desk = {"name": "desk", "webhook": {"url": "http://desk.example.com/"}}
    told = policy(one("as-it-is"), teams=teams, receivers=[desk], alertmanager={"default": default})
    cause, effect = firing("as-it-is", "AirflowDatabaseDown", "AirflowSchedulerDown")
    of = {team for team in ("", "a", "b") if hushes(list(inhibitions(told)), {**cause, "team": team}, effect)}
    assert of == hushing
    assert ("AirflowDatabaseDown" in picture(told)) is bool(hushing)


def test_while_nobody_is_told_of_anything_the_causes_are_those_that_will_be() -> None:
    cause, effect = firing("as-it-is", "AirflowDatabaseDown", "AirflowSchedulerDown")
    assert hushes(list(inhibitions(policy(one("as-it-is"), teams=[{"name": "a"}]))), {**cause, "team": "a"}, effect)


def hushes(rules: list[Inhibition], source: Labels, target: Labels) -> bool:
    """Whether one of these alerts keeps the other from being told of, by what the rules say."""
    return any(
        all(matcher.fits(source) for matcher in rule.source)
        and all(matcher.fits(target) for matcher in rule.target)
        and all(source.get(label, "") == target.get(label, "") for label in rule.equal)
        for rule in rules
    )


def test_alertmanager_understands_each_rule_as_we_do(server: AlertmanagerServer) -> None:
    """Of every cause, beside every other alert, in a deployment of its own."""
    series = {
        "component": "scheduler",
        "source": "health",
        "runner": "triggerer",
        "queue": "gpu",
        "pod": "prod-worker-0",
    }
    every = firing("as-it-is", *(alert.name for alert in ALL if alert.name not in NEVER), **series)
    rules = list(inhibitions(FLEET))
    expected, alerts = set[tuple[str, str]](), list[Labels]()
    for cause in (labels for labels in every if labels["alertname"] in CAUSES):
        here = [{**labels, "airflow": cause["alertname"]} for labels in every if labels["alertname"] not in CAUSES]
        source = {**cause, "airflow": cause["alertname"]}
        alerts += (source, *here)
        expected |= {(cause["alertname"], labels["alertname"]) for labels in here if hushes(rules, source, labels)}
    assert {cause for cause, _ in expected} >= {"AirflowDatabaseDown", "AirflowBrokerDown", "AirflowVolumeFull"}
    server.fire(*alerts)

    def found() -> set[tuple[str, str]]:
        return {(airflow, name) for airflow, name, _ in hushed(server) if airflow in CAUSES}

    eventually(lambda: found() >= expected, "all are hushed")
    assert found() == expected


NEVER = {alert.name for alert in ALL} - {one.alert.name for one in emitted(FLEET, FLEET.deployments[0])}
"""Alerts that the fleet has not."""


def test_a_label_that_fits_one_word_alone_has_that_value() -> None:
    matchers = {matcher.text for rule in inhibitions(FLEET) for matcher in rule.target}
    assert {'component="metadatabase"', 'source=~"database|health"'} <= matchers


def test_who_is_switched_off_neither_hushes_nor_is_hushed() -> None:
    off = {"AirflowBrokerDown": {"enabled": False}, "AirflowSchedulerMissing": {"enabled": False}}
    named = named_in(policy(one("without", alerts=off)))
    assert "AirflowSchedulerDown" in named
    assert not named & set(off)
    # Elsewhere they are there.
    assert named_in(policy(one("without", alerts=off), one("with"))) > named | set(off)


def named_in(of: Policy) -> set[str]:
    """The alerts of all rules."""
    matchers = chain.from_iterable((*rule.source, *rule.target) for rule in inhibitions(of))
    return {name for matcher in matchers if matcher.name == "alertname" for name in matcher.value.split("|")}


def test_alerts_that_another_deployment_has_make_no_pair() -> None:
    causes = ("AirflowDatabaseDown", "AirflowDatabaseStale", "AirflowSchedulerDown")
    only = policy(
        one("database", alerts={"AirflowSchedulerMissing": {"enabled": False}}),
        one("scheduler", alerts={cause: {"enabled": False} for cause in causes}),
    )
    assert "AirflowSchedulerMissing" not in named_in(only)


def test_what_is_known_of_the_deployments_is_not_worked_out_again() -> None:
    assert inhibitions(FLEET, [kind.decided for kind in proven(FLEET, None)]) == inhibitions(FLEET)


def test_people_read_which_hushes_which() -> None:
    shown = [
        line[2:-2].split(" | ") for line in picture(policy(one("prod"), slos=PROMISES)).splitlines() if "| " in line
    ]
    rows = {first: tuple(others) for first, *others in shown}
    assert len(rows) == len(shown)
    assert "nobody is ever told that it is over: an incident that was\nopen stays open" in picture(policy(one("prod")))
    assert rows["queue"] == (
        "scheduler, workers and api",
        "`AirflowNoTaskStarts`, `AirflowTasksQueuedLong`, `AirflowTaskRequeuesRunningOut`",
    )
    # A cause is not among what it holds back itself.
    assert rows["`AirflowSchedulerDown`"] == (
        "all of scheduler, queue, runs and objectives of the same team; `AirflowHealthUnhealthy` with component `scheduler`",
    )
    one_queue = "`AirflowTasksQueuedLong` of the same queue; `AirflowTaskRequeuesRunningOut`"
    assert rows["`AirflowQueueWithoutWorker`"] == (one_queue,)
    [volume] = [
        line for line in picture(policy(one("prod", sources={"kubernetes": {}}))).splitlines() if "Full" in line
    ]
    assert volume == "| `AirflowVolumeFull` | `AirflowVolumeFilling` of the same persistentvolumeclaim |"


def test_a_part_of_which_something_is_louder_than_the_cause_is_not_held_back_as_a_whole() -> None:
    louder = policy(
        one(
            "prod",
            alerts={"AirflowTasksQueuedLong": {"severity": "critical"}, "AirflowNoTaskStarts": {"severity": "warning"}},
        )
    )
    assert "| `AirflowNoTaskStarts` | all of runs; `AirflowTaskRequeuesRunningOut` |" in picture(louder)
