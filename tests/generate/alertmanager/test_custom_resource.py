"""An AlertmanagerConfig is one that the operator takes, and what the operator makes of it tells whom the policy says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from airflow_obs.generate.alertmanager.custom_resource import custom_resource
from airflow_obs.generate.alertmanager.inhibition import inhibitions
from airflow_obs.policy import Policy
from tests.alertmanager_server import AlertmanagerServer, alertmanager
from tests.eventually import eventually
from tests.generate.alertmanager.site import CHAT, SILENCES, WEEK, deployment, routed
from tests.generate.alertmanager.test_routes import label_sets, receiver_of, silences_of
from tests.generate.test_rules import DURATION, LABEL, LABEL_VALUE, OBJECT_NAME, parsed, wrong

# The fields of monitoring.coreos.com/v1alpha1 that we use, as its Go types have them (pkg/apis/monitoring/v1alpha1/
# alertmanager_config_types.go); of `routes` the API server knows nothing, and the operator refuses unknown fields in them.
MATCHER = {"name": str, "value": str, "matchType": re.compile("=|!=|=~|!~")}
ROUTE: dict[str, Any] = {
    "receiver": str,
    "matchers?": [MATCHER],
    "groupBy?": [str],
    "groupWait?": DURATION,
    "groupInterval?": DURATION,
    "repeatInterval?": DURATION,
    "muteTimeIntervals?": [str],
    "activeTimeIntervals?": [str],
}
ROUTE["routes?"] = [ROUTE]
CLOCK = re.compile("((([01][0-9])|(2[0-3])):[0-5][0-9])|(24:00)")
DAY = "(?:sun|mon|tues|wednes|thurs|fri|satur)day"
MONTH = "(?:january|february|march|april|may|june|july|august|september|october|november|december|1[0-2]|[1-9])"
INTERVAL = {
    "times?": [{"startTime": CLOCK, "endTime": CLOCK}],
    "weekdays?": [re.compile(f"{DAY}(:{DAY})?")],
    "daysOfMonth?": [{"start": int, "end": int}],
    "months?": [re.compile(f"{MONTH}(:{MONTH})?")],
    "years?": [re.compile(r"2\d{3}(:2\d{3})?")],
}
OBJECT = {
    "apiVersion": re.compile("monitoring.coreos.com/v1alpha1"),
    "kind": re.compile("AlertmanagerConfig"),
    "metadata": {"name": OBJECT_NAME, "namespace": OBJECT_NAME, "labels": {LABEL: LABEL_VALUE}},
    "spec": {
        "route": ROUTE,
        "receivers": [{"name": str, re.compile("[a-z0-9]+Configs"): [dict]}],
        "inhibitRules?": [{"sourceMatch": [MATCHER], "targetMatch": [MATCHER], "equal": [str]}],
        "muteTimeIntervals?": [{"name": str, "timeIntervals": [INTERVAL]}],
    },
}
EVERY_TIME = {
    "name": "every-time", **WEEK, "months": ["july:august", "12"], "days_of_month": ["1:3", "-1"], "years": ["2027:2030"],
    "deployments": ["prod"],
}  # fmt: skip


def object_of(policy: Policy, namespace: str = "data") -> dict[str, Any]:
    made: dict[str, Any] = parsed(custom_resource(policy, namespace, inhibitions(policy)))
    return made


def routes_of(route: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield route
    for one in route.get("routes", ()):
        yield from routes_of(one)


def test_it_has_the_fields_of_its_kind_and_no_others() -> None:
    policy = routed(silences=(*SILENCES, EVERY_TIME))
    for namespace in ("data", "test"):
        made = object_of(policy, namespace)
        assert list(wrong(made, OBJECT)) == []
        assert made["metadata"]["namespace"] == namespace
        assert made["metadata"]["labels"] == {
            "release": "kube-prometheus-stack",
            "app.kubernetes.io/managed-by": "airflow-obs",
        }


def test_a_field_that_is_none_deep_in_the_routes_would_be_found() -> None:
    made = object_of(routed())
    made["spec"]["route"]["routes"][0]["group_by"] = ["airflow"]
    assert list(wrong(made, OBJECT)) == [".spec.route.routes[0]: group_by is unknown"]


def test_whatever_it_names_is_in_it() -> None:
    """The operator refuses the whole object otherwise."""
    for namespace in ("data", "test"):
        spec = object_of(routed(), namespace)["spec"]
        routes = list(routes_of(spec["route"]))
        intervals = {one["name"] for one in spec.get("muteTimeIntervals", ())}
        assert {route["receiver"] for route in routes} <= {one["name"] for one in spec["receivers"]}
        named = {
            name for route in routes for key in ("mute", "active") for name in route.get(f"{key}TimeIntervals", ())
        }
        assert named == intervals


def test_it_is_for_the_deployments_of_its_namespace_alone() -> None:
    policy = routed(deployment("prod"), deployment("beside"), deployment("staging", "test"))
    here, there = object_of(policy)["spec"], object_of(policy, "test")["spec"]
    assert here["route"]["matchers"] == [
        {"name": "namespace", "value": "data", "matchType": "="},
        {"name": "airflow", "value": "prod|beside", "matchType": "=~"},
    ]
    assert there["route"]["matchers"][1] == {"name": "airflow", "value": "staging", "matchType": "="}
    assert {one["name"] for one in here["muteTimeIntervals"]} == {"nights", "closing", "loads"}
    assert {one["name"] for one in there["muteTimeIntervals"]} == {"nights", "upgrades", "closing", "loads"}
    # Where a silence is for all deployments that there are, no route asks for them again.
    asked = [matcher["name"] for route in routes_of(there["route"]) for matcher in route.get("matchers", ())]
    assert asked.count("airflow") == 1


def test_every_time_is_said() -> None:
    policy = routed(silences=[EVERY_TIME])
    assert object_of(policy)["spec"]["muteTimeIntervals"] == [
        {
            "name": "every-time",
            "timeIntervals": [
                {
                    "weekdays": ["monday:friday"],
                    "times": [{"startTime": "09:00", "endTime": "17:00"}],
                    "months": ["july:august", "12"],
                    "daysOfMonth": [{"start": 1, "end": 3}, {"start": -1, "end": -1}],
                    "years": ["2027:2030"],
                }
            ],
        }
    ]


def by_operator(*objects: Mapping[str, Any]) -> str:
    """The alertmanager.yml that the operator makes of objects with OnNamespace, but for what their receivers do.

    Its own routes, here one for all pages, come after those of the objects.
    pkg/alertmanager/amcfg.go: routes first, each with its namespace and `continue`, names made each object's own.
    """
    whole: dict[str, Any] = {
        "route": {"receiver": "base", "routes": []},
        "receivers": [{"name": "base"}, {"name": "pages"}],
        "time_intervals": [],
    }
    for one in objects:
        namespace = one["metadata"]["namespace"]
        prefix = f"{namespace}/{one['metadata']['name']}/"
        route = _converted(one["spec"]["route"], prefix)
        others = [matcher for matcher in route["matchers"] if not matcher.startswith("namespace=")]
        whole["route"]["routes"].append({**route, "matchers": [*others, f'namespace="{namespace}"'], "continue": True})
        whole["receivers"] += [{"name": prefix + each["name"]} for each in one["spec"]["receivers"]]
        whole["time_intervals"] += [
            {"name": prefix + each["name"], "time_intervals": [{"weekdays": ["monday"]}]}
            for each in one["spec"].get("muteTimeIntervals", ())
        ]
    whole["route"]["routes"].append({"receiver": "pages", "matchers": ['severity="critical"']})
    return json.dumps(whole)


def _converted(route: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    names = {
        "groupBy": "group_by",
        "groupWait": "group_wait",
        "groupInterval": "group_interval",
        "repeatInterval": "repeat_interval",
    }
    return {
        "receiver": prefix + route["receiver"],
        "matchers": [f'{one["name"]}{one["matchType"]}"{one["value"]}"' for one in route["matchers"]],
        "routes": [_converted(one, prefix) for one in route.get("routes", ())],
        **{theirs: route[ours] for ours, theirs in names.items() if ours in route},
        **{
            f"{key}_time_intervals": [prefix + name for name in route[f"{key}TimeIntervals"]]
            for key in ("mute", "active")
            if f"{key}TimeIntervals" in route
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    objects = [object_of(routed(), namespace) for namespace in ("data", "test")]
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), by_operator(*objects)) as server:
        yield server


def test_what_the_operator_makes_of_it_tells_whom_the_policy_says_and_routes_after_it_are_told_too(
    server: AlertmanagerServer,
) -> None:
    policy = routed()
    space = {"prod": "data", "staging": "test"}
    every = [{**one, "namespace": space[one["airflow"]]} for one in label_sets() if one.get("airflow") in space]
    foreign = [{"alertname": "KubePodCrashLooping", "namespace": "data", "severity": "critical", "team": "platform"}]
    server.fire(*every, *foreign)
    eventually(lambda: len(server.alerts()) == len(every) + len(foreign), "all alerts are there")
    for alert in server.alerts():
        labels, told = alert["labels"], [one["name"] for one in alert["receivers"]]
        own = [f"{labels['namespace']}/airflow-obs/{receiver_of(policy, labels)}"] if "airflow" in labels else []
        after = ["pages"] if labels["severity"] == "critical" else []
        assert told == (own + after or ["base"]), labels


def test_the_silences_of_an_object_are_those_of_the_policy() -> None:
    policy = routed()
    for namespace, name in (("data", "prod"), ("test", "staging")):
        first = object_of(policy, namespace)["spec"]["route"]
        for labels in (one for one in label_sets() if one.get("airflow") == name):
            taken = _takes(first, {**labels, "namespace": namespace})
            silent = {*taken.get("muteTimeIntervals", ()), *taken.get("activeTimeIntervals", ())}
            assert silent == silences_of(policy, labels), labels


def _takes(route: Mapping[str, Any], labels: Mapping[str, str]) -> Mapping[str, Any]:
    """The route that takes an alert, by the rules of Alertmanager."""
    for one in route.get("routes", ()):
        if all(re.fullmatch(each["value"], labels.get(each["name"], "")) for each in one["matchers"]):
            return _takes(one, labels)
    return route


def test_who_tells_nobody_is_a_receiver_too() -> None:
    spec = object_of(routed(teams=[], silences=[], receivers=[CHAT], alertmanager={"shadow": "chat"}))["spec"]
    assert spec["receivers"][0] == {"name": "nobody"}
    assert spec["route"]["receiver"] == "nobody"
