"""What the policy says of Alertmanager is true of the real one: what it takes, what it refuses, and from which release on."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from airflow_obs.errors import PolicyError
from airflow_obs.policy import Policy
from airflow_obs.policy.alertmanager import parsed
from airflow_obs.policy.receivers import SINCE
from airflow_obs.policy.silences import MONTHS, WEEKDAYS
from tests.tools import tool

Site = Callable[[str], Policy]

KINDS: dict[str, dict[str, Any]] = {
    "slack": {"api_url_file": "/x", "channel": "#a", "send_resolved": False},
    "pagerduty": {"routing_key_file": "/x", "url": "https://events.eu.pagerduty.com/v2/enqueue"},
    "opsgenie": {"api_key_file": "/x", "api_url": "https://api.eu.opsgenie.com/"},
    "email": {
        "to": "a@example.com", "from": "b@example.com", "smarthost": "mail:587", "auth_username": "u",
        "auth_password_file": "/x", "require_tls": True,
    },
    "webhook": {"url": "http://h:1/x", "max_alerts": 5},
    "msteams": {"webhook_url_file": "/x"},
    "msteamsv2": {"webhook_url_file": "/x"},
}  # fmt: skip


@pytest.fixture(scope="session")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], str]:
    """What amtool says against a configuration of Alertmanager; nothing if it is sound."""
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    amtool = tool("amtool")

    def refused(config: dict[str, Any]) -> str:
        path.write_text(json.dumps(config))
        done = subprocess.run([amtool, "check-config", str(path)], capture_output=True, text=True, check=False)
        return f"{done.stdout}{done.stderr}" if done.returncode else ""

    return refused


def release() -> tuple[int, ...]:
    """That of the amtool at hand."""
    said = subprocess.run([tool("amtool"), "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+\.\d+)", said.stdout + said.stderr)
    assert found
    return parsed(found[1])


def test_a_release_may_be_named_with_its_patch(site: Site) -> None:
    """As amtool prints it."""
    teams = "{name: r, msteamsv2: {webhook_url_file: /x}}"
    assert site(f'{{alertmanager: {{version: "0.28.1"}}, receivers: [{teams}]}}').alertmanager.version == "0.28.1"
    with pytest.raises(PolicyError, match=r"since 0\.28, and alertmanager\.version is 0\.27\.9"):
        site(f'{{alertmanager: {{version: "0.27.9"}}, receivers: [{teams}]}}')


def test_whom_it_tells_must_be_there(complaints: Callable[[str], list[str]]) -> None:
    said = "there is no receiver of that name: did you mean chat?"
    receivers = "receivers: [{name: chat, webhook: {url: http://h:1/x}}]"
    for key in ("default", "shadow", "watchdog"):
        assert complaints(f"{receivers}\nalertmanager: {{{key}: chta}}") == [
            f"site.yaml:2:{18 + len(key)}: alertmanager.{key}: {said}"
        ]


def telling(kind: str, keys: dict[str, Any]) -> dict[str, Any]:
    return {"route": {"receiver": "r"}, "receivers": [{"name": "r", f"{kind}_configs": [keys]}]}


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_policy_takes_that_alertmanager_takes(
    site: Site, refused: Callable[[dict[str, Any]], str], kind: str
) -> None:
    keys = KINDS[kind]
    written = {**keys, "to": [keys["to"]]} if kind == "email" else keys
    assert site(json.dumps({"receivers": [{"name": "r", kind: written}]})).receivers
    known = (kind,) not in SINCE or release() >= parsed(SINCE[(kind,)][0])
    assert bool(refused(telling(kind, keys))) != known


@pytest.mark.parametrize("path", SINCE, ids=".".join)
def test_what_it_is_said_to_know_since_it_does_not_know_before(
    refused: Callable[[dict[str, Any]], str], path: tuple[str, ...]
) -> None:
    kind, key = path if len(path) == 2 else (path[0], "webhook_url_file")
    assert bool(refused(telling(kind, {key: "/x"}))) == (release() < parsed(SINCE[path][0]))


def intervals() -> list[dict[str, Any]]:
    """Times that a silence may give, and many that look like it."""
    days = [
        *WEEKDAYS,
        "monday:friday",
        "friday:monday",
        "saturday:sunday",
        "sunday:saturday",
        "Monday",
        "mon",
        "monday:",
    ]
    months = [
        "1",
        "12",
        "1:3",
        "3:1",
        "december",
        *itertools.starmap("{}:{}".format, itertools.pairwise(MONTHS)),
        "12:january",
    ]
    of_month = [
        "1",
        "31",
        "-1",
        "-31",
        "0",
        "32",
        "1:5",
        "5:1",
        "-3:-1",
        "-1:-3",
        "1:-1",
        "28:-1",
        "-1:1",
        "-5:31",
        "31:-31",
    ]
    clocks = [
        ("09:00", "17:00"),
        ("17:00", "09:00"),
        ("00:00", "24:00"),
        ("9:00", "17:00"),
        ("00:00", "24:01"),
        ("09:00", "09:00"),
    ]
    return [
        *({"weekdays": [one]} for one in days), *({"months": [one]} for one in months),
        *({"days_of_month": [one]} for one in of_month), *({"years": [one]} for one in ("2027", "2027:2028", "2028:2027")),
        *({"times": [{"start_time": start, "end_time": end}]} for start, end in clocks),
        {"weekdays": ["sunday"], "times": [{"start_time": "00:00", "end_time": "24:00"}]},
        *({"weekdays": ["sunday"], "location": zone} for zone in ("UTC", "Europe/Paris", "Nowhere/Else")),
    ]  # fmt: skip


def test_no_silence_passes_that_alertmanager_refuses(site: Site, refused: Callable[[dict[str, Any]], str]) -> None:
    taken = []
    for interval in intervals():
        try:
            site(json.dumps({"silences": [{"name": "s", **interval}]}))
        except PolicyError:
            continue
        taken.append(interval)
    assert {"times": [{"start_time": "00:00", "end_time": "24:00"}]} not in taken  # which is for ever
    assert {"weekdays": ["sunday"], "times": [{"start_time": "00:00", "end_time": "24:00"}]} in taken
    assert {"weekdays": ["monday:friday"]} in taken
    assert {"days_of_month": ["-3:-1"]} in taken
    assert 30 < len(taken) < len(intervals()) - 15
    named = [{"name": f"s{index}", "time_intervals": [one]} for index, one in enumerate(taken)]
    assert not refused({"route": {"receiver": "r"}, "receivers": [{"name": "r"}], "time_intervals": named})
