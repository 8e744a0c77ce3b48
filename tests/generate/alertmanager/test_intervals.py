"""The times of a silence are those of Alertmanager's time interval, and can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_obs.generate.alertmanager.intervals import in_words, raw
from airflow_obs.generate.yaml_text import text_of
from airflow_obs.policy.silences import Silence
from tests.generate.alertmanager.site import WEEK
from tests.generate.alertmanager.test_routes import check
from tests.generate.test_rules import parsed


def silence(**times: Any) -> Silence:
    return Silence.model_validate(
        {"name": "s", **{key: tuple(value) if isinstance(value, list) else value for key, value in times.items()}}
    )


EVERY: dict[str, Any] = {
    **WEEK, "months": ["july:august", "12"], "days_of_month": ["1:3", "-1"], "years": ["2027:2030"],
    "location": "Europe/Paris",
}  # fmt: skip


def test_every_time_is_said_and_alertmanager_takes_it(tmp_path: Path) -> None:
    made = parsed(text_of(raw(silence(**EVERY))))
    assert made == {"name": "s", "time_intervals": [EVERY]}
    route = {"receiver": "r", "routes": [{"matchers": ["a=b"], "receiver": "r", "mute_time_intervals": ["s"]}]}
    assert check(tmp_path, json.dumps({"route": route, "receivers": [{"name": "r"}], "time_intervals": [made]})) == ""


def test_what_is_not_said_is_not_there() -> None:
    assert raw(silence(weekdays=["sunday"])) == {"name": "s", "time_intervals": [{"weekdays": ["sunday"]}]}


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (
            {**WEEK, "when": "outside", "location": "Europe/Paris"},
            "outside of monday to friday, 09:00 to 17:00 (Europe/Paris)",
        ),
        ({"weekdays": ["saturday", "sunday"]}, "saturday or sunday (UTC)"),
        ({"days_of_month": ["-3:-1"], "months": ["12"]}, "day -3 to -1 of the month, month 12 (UTC)"),
        ({"years": ["2027"], "months": ["july:august"]}, "july to august, 2027 (UTC)"),
    ],
)
def test_it_can_be_read(times: dict[str, Any], said: str) -> None:
    assert in_words(silence(**times)) == said
