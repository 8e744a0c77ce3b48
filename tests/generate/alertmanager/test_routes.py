"""An alert goes where the policy says, whatever its labels, and the silences that hold for it are those of the policy."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_obs.generate.alertmanager.config import config
from airflow_obs.generate.alertmanager.decision import decision
from airflow_obs.generate.alertmanager.inhibition import inhibitions
from airflow_obs.generate.alertmanager.routes import Route, root
from airflow_obs.policy import Policy
from airflow_obs.policy.silences import WEEKDAYS
from tests.alertmanager_server import AlertmanagerServer, Sink, alertmanager
from tests.eventually import eventually
from tests.generate.alertmanager.site import SILENCES, TEAMS, deployment, routed
from tests.tools import tool

NAMES = ("AirflowDagRunTooLong", "AirflowTasksQueuedLong", "AirflowSchedulerDown")
EVERY_LABEL: Mapping[str, tuple[str | None, ...]] = {
    "alertname": NAMES,
    "airflow": ("prod", "staging", "unknown", None),
    "team": ("platform", "sales", "lab", "unknown", None),
    "severity": ("critical", "warning", "info", "none"),
    "shadow": ("true", None),
}


def label_sets(**others: tuple[str | None, ...]) -> list[dict[str, str]]:
    """Alerts with each value of each label; `others` stand instead of some."""
    labels = {**EVERY_LABEL, **others}
    every = (dict(zip(labels, values, strict=True)) for values in itertools.product(*labels.values()))
    watchdog = {"alertname": "AirflowWatchdog", "airflow": "prod", "severity": "none"}
    return [
        *({label: value for label, value in labels.items() if value is not None} for labels in every),
        *(watchdog, {**watchdog, "shadow": "true"}, {**watchdog, "team": "sales"}),
    ]


def receiver_of(policy: Policy, labels: Mapping[str, str]) -> str:
    """Who is told, read from the policy rule by rule."""
    chosen = policy.alertmanager
    if "airflow" not in labels:
        return chosen.default or "nobody"
    if labels["alertname"] == "AirflowWatchdog":
        return chosen.watchdog or "nobody"
    if labels.get("shadow") == "true":
        return chosen.shadow or "nobody"
    team = next((team for team in policy.teams if team.name == labels.get("team")), None)
    own = team and (getattr(team.receivers, labels["severity"], None) or team.receiver)
    return own or chosen.default or "nobody"


def silences_of(policy: Policy, labels: Mapping[str, str]) -> set[str]:
    """Those that are for it, read from the policy one by one."""
    if "airflow" not in labels or labels["alertname"] == "AirflowWatchdog" or receiver_of(policy, labels) == "nobody":
        return set()
    limits = {"airflow": "deployments", "team": "teams", "severity": "severities", "alertname": "alerts"}
    return {
        one.name
        for one in policy.silences
        if all(not getattr(one, key) or labels.get(label) in getattr(one, key) for label, key in limits.items())
    }


def tree_of(policy: Policy) -> Route:
    return root(decision(policy), policy.alertmanager)


def written(policy: Policy) -> str:
    return config(policy, inhibitions(policy))


def check(folder: Path, text: str) -> str:
    """What amtool says against it; nothing if it is sound."""
    (folder / "alertmanager.yml").write_text(text)
    done = subprocess.run(
        [tool("amtool"), "check-config", str(folder / "alertmanager.yml")], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), written(routed())) as server:
        yield server


@pytest.mark.parametrize(
    "policy",
    [
        routed(),
        routed(alertmanager={}),
        routed(teams=[], receivers=[], alertmanager={}, silences=SILENCES[:2]),
        routed(silences=[], teams=[]),
    ],
    ids=["everything", "no default", "nobody", "default alone"],
)
def test_amtool_takes_the_file_and_the_tree_is_what_the_policy_says(policy: Policy, tmp_path: Path) -> None:
    assert check(tmp_path, written(policy)) == ""
    tree = tree_of(policy)
    for labels in label_sets():
        takes = tree.path(labels)[-1]
        assert takes.receiver == receiver_of(policy, labels), labels
        assert {*takes.mute, *takes.active} == silences_of(policy, labels), labels


ODD = ("1.5", "true", "-", "1e3", "null", "a.b")
"""Names that YAML takes for something else than text, and patterns for more than themselves."""


def test_odd_names_are_names(tmp_path: Path) -> None:
    webhook = {"url": "http://h:1/x"}
    limits = {"deployments": ODD[:4], "teams": ODD[2:], "severities": ["info"]}
    policy = routed(
        *map(deployment, ODD),
        receivers=[{"name": name, "webhook": webhook} for name in ODD],
        teams=[{"name": name, "receiver": receiver} for name, receiver in zip(ODD, reversed(ODD), strict=True)],
        silences=[{"name": name, "weekdays": ["sunday"], **limits} for name in ODD],
        alertmanager={"default": "true", "shadow": "null", "watchdog": "-"},
    )
    tree = tree_of(policy)
    every = label_sets(airflow=(*ODD, "1x5"), team=(*ODD, "axb"))
    for labels in every:
        takes = tree.path(labels)[-1]
        assert takes.receiver == receiver_of(policy, labels), labels
        assert {*takes.mute, *takes.active} == silences_of(policy, labels), labels
    with alertmanager(tmp_path, written(policy)) as server:
        server.fire(*every)
        eventually(lambda: len(server.alerts()) == len(every), "all alerts are there")
        for alert in server.alerts():
            assert [one["name"] for one in alert["receivers"]] == [receiver_of(policy, alert["labels"])]


def test_a_real_alertmanager_sends_each_alert_where_the_tree_says(server: AlertmanagerServer) -> None:
    tree, every = tree_of(routed()), label_sets()
    server.fire(*every)
    wanted = {frozenset(labels.items()): [{"name": tree.path(labels)[-1].receiver}] for labels in every}

    def found() -> dict[frozenset[tuple[str, str]], Any]:
        return {frozenset(alert["labels"].items()): alert["receivers"] for alert in server.alerts()}

    eventually(lambda: len(found()) == len(wanted), "all alerts are there")
    assert found() == wanted


LIMITS = {
    "deployments": ("prod", "staging"),
    "teams": tuple(team["name"] for team in TEAMS),
    "severities": ("critical", "warning", "info"),
    "alerts": NAMES,
}


@st.composite
def silences(draw: st.DrawFn) -> list[dict[str, Any]]:
    def limits() -> dict[str, list[str]]:
        return {key: draw(st.lists(st.sampled_from(values), unique=True)) for key, values in LIMITS.items()}

    inside = [{"name": f"s{number}", "weekdays": ["sunday"], **limits()} for number in range(draw(st.integers(0, 5)))]
    return [*inside, {"name": "outside", "when": "outside", "weekdays": ["monday"], **limits()}]


@settings(max_examples=60, deadline=None)
@given(silences())
def test_silences_hold_for_what_they_are_limited_to_and_for_nothing_else(some: list[dict[str, Any]]) -> None:
    policy = routed(silences=some)
    tree = tree_of(policy)
    for labels in label_sets():
        takes = tree.path(labels)[-1]
        assert {*takes.mute, *takes.active} == silences_of(policy, labels), (labels, some)
        assert not {"outside"} & {*takes.mute}
        assert {*takes.active} <= {"outside"}


def test_many_silences_do_not_multiply() -> None:
    """Each deployment with silences of its own: as many routes as there are cells, not as there are sets of silences."""
    names = [f"d{number}" for number in range(40)]
    some = [
        {"name": f"{name}-{alert}", "weekdays": ["sunday"], "deployments": [name], "alerts": [alert]}
        for name in names
        for alert in NAMES
    ]
    policy = routed(*(deployment(name) for name in names), silences=some, teams=[])
    # Below each deployment one for each alert; for shadow, critical and other alerts.
    assert len(list(tree_of(policy).all)) == 3 * len(names) * (1 + len(NAMES)) + 5


def test_no_route_asks_for_what_another_has_taken() -> None:
    """Critical alerts have routes of their own: of the teams that are told apart, of all others, and of shadow."""
    for severities, routes in ((["critical"], 4), (["info"], 4), (["critical", "info"], 7)):
        tree = tree_of(routed(silences=[{"name": "s", "weekdays": ["sunday"], "severities": severities}]))
        assert len([route for route in tree.all if route.mute]) == routes


def test_no_team_has_a_route_that_is_told_what_others_are() -> None:
    matched = {matcher.text for route in tree_of(routed(silences=[])).all for matcher in route.matchers}
    assert {'team="platform"', 'team="sales"'} <= matched
    assert 'team="lab"' not in matched
    named = routed(silences=[{**SILENCES[1], "teams": ["lab"]}])
    assert 'team="lab"' in {matcher.text for route in tree_of(named).all for matcher in route.matchers}


def test_pages_are_one_for_an_alert_and_all_else_one_for_a_deployment() -> None:
    chosen = {"group_wait": "20s", "group_interval": "3m", "repeat_interval": "2h", "repeat_interval_others": "12h"}
    tree = tree_of(routed(alertmanager={"default": "chat", **chosen}))
    for team in ("platform", "sales", "lab", "unknown"):
        labels = {"alertname": "AirflowSchedulerDown", "airflow": "prod", "team": team}
        page = tree.path({**labels, "severity": "critical"})[-1].grouping
        assert (page.by, page.wait, page.interval, page.repeat) == (("airflow", "alertname", "slo"), 20, 180, 7200)
        for severity in ("warning", "info"):
            other = tree.path({**labels, "severity": severity})[-1].grouping
            assert (other.by, other.wait, other.interval, other.repeat) == (("airflow", "severity"), 20, 180, 43_200)


def test_the_watchdog_is_heard_of_as_often_as_is_said() -> None:
    """A message is repeated when a group is looked at and the last one is old enough; it is younger than the looks are apart."""
    tree = tree_of(routed(alertmanager={"watchdog": "heart", "watchdog_interval": "1m"}))
    grouping = tree.path({"alertname": "AirflowWatchdog", "airflow": "prod"})[-1].grouping
    assert (grouping.by, grouping.wait) == (("airflow",), 0)
    looks = [number * grouping.interval for number in range(1, 10)]
    assert next(look for look in looks if look > grouping.repeat) == 60
    assert grouping.interval < grouping.repeat, "or Alertmanager warns of it"


def telling(sink: Sink, *deployments: Mapping[str, Any], **sections: Any) -> str:
    """A configuration whose receivers are paths of the sink, that sends at once."""
    receivers = [
        {"name": name, "webhook": {"url": f"{sink.url}/{name}"}}
        for name in ("pager", "chat", "desk", "watchers", "heart")
    ]
    usual = {"default": "chat", "shadow": "watchers", "watchdog": "heart", "group_wait": "1s", "group_interval": "1s"}
    return written(routed(*deployments, receivers=receivers, alertmanager=usual, **{"silences": [], **sections}))


def test_one_message_for_each_page_and_one_for_all_other_alerts_of_a_deployment(tmp_path: Path) -> None:
    platform = {"airflow": "prod", "team": "platform"}
    with Sink() as sink, alertmanager(tmp_path, telling(sink)) as server:
        server.fire(
            *({**platform, "alertname": name, "severity": "critical"} for name in ("AirflowApiServerDown", "AirflowBrokerFull")),
            *({**platform, "alertname": "AirflowDagDeadlinePassed", "severity": "critical", "slo": slo} for slo in ("a", "b")),
            *({**platform, "alertname": name, "severity": "warning"} for name in NAMES),
            {**platform, "alertname": NAMES[0], "severity": "critical", "shadow": "true"},
            since=time.time(),  # what fires for longer than the wait does not wait
        )  # fmt: skip
        pages, [chat], [watched] = sink.until("/pager", 4), sink.until("/chat"), sink.until("/watchers")
    assert sorted(len(page.body["alerts"]) for page in pages) == [1, 1, 1, 1]
    # What PagerDuty and Opsgenie take for the same incident.
    assert len({page.body["groupKey"] for page in pages}) == 4
    assert {alert["labels"]["alertname"] for alert in chat.body["alerts"]} == set(NAMES)
    assert [alert["labels"]["shadow"] for alert in watched.body["alerts"]] == ["true"]


def day(offset: int) -> str:
    """A day of the week, so many days from now."""
    return WEEKDAYS[(datetime.now(UTC) + timedelta(days=offset)).isoweekday() % 7]


def test_nobody_is_told_during_a_silence(tmp_path: Path) -> None:
    now, later = {"weekdays": [day(-1), day(0), day(1)]}, {"weekdays": [day(3)]}
    some = [
        {"name": "upgrades", **now, "deployments": ["in-an-upgrade"]},
        {"name": "business", "when": "outside", **later, "deployments": ["out-of-hours"]},
        {"name": "later", **later, "deployments": ["told"]},
        {"name": "hours", "when": "outside", **now, "deployments": ["told"]},
    ]
    names = ("in-an-upgrade", "out-of-hours", "told", "last")
    with Sink() as sink:
        text = telling(sink, *map(deployment, names), silences=some)
        with alertmanager(tmp_path, text) as server:
            # Each in a group of its own, which waits as long as the others: what comes last comes after all of them.
            for name in names:
                server.fire({"airflow": name, "alertname": NAMES[0], "severity": "critical"}, since=time.time())
            told = sink.until("/chat", 2)
    assert {one.body["groupLabels"]["airflow"] for one in told} == {"told", "last"}
