"""Every alert fires when it should and is quiet when it should, whatever numbers a site chooses; and its cases can fail."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.generate import rule_tests
from airflow_obs.generate.rule import Emitted, rule
from airflow_obs.generate.yaml_text import text_of
from airflow_obs.model import Knob
from airflow_obs.policy.alerts import looks_back
from airflow_obs.promql import span
from tests.catalog.alert_policies import TEAMS, everywhere, of_everything, policy_of, rule_file, thresholds
from tests.tools import tool

FAILED = re.compile(r"name: (\w+) (\w+),")
"""How promtool begins to tell of a group of cases that failed."""


def written(
    of: Mapping[str, Emitted], folder: Path, judged_by: Mapping[str, Emitted] | None = None, cases: str = "fires quiet"
) -> list[Path]:
    """A file of cases for each alert, beside one of its rule alone: promtool judges all rules of a file in each case.

    The expressions are those of `judged_by`, if given, and only these `cases` are written. What happens when series vanish is a
    matter of several rules, and a case of the tests that are generated.
    """
    files = []
    for name, one in of.items():
        judged = {**rule(one), "expr": (judged_by or of)[name].expr.text}
        text, order = rule_file(one, judged)
        (folder / f"{name}.yaml").write_text(text)
        files.append(folder / f"{name}.test.yaml")
        groups = [case for case in rule_tests.tests(one, {}) if str(case["name"]).split()[1] in cases]  # type: ignore[call-overload,index]  # a mapping
        files[-1].write_text(
            text_of(
                {"rule_files": [f"{name}.yaml"], **order, "evaluation_interval": span(one.at.step), "tests": groups}
            )
        )
    return files


def promtool(files: list[Path]) -> str:
    """What `promtool test rules` says of the cases that fail; empty if none does."""
    done = subprocess.run([tool("promtool"), "test", "rules", *files], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_everything_is_emitted_where_every_source_is() -> None:
    assert set(of_everything(policy_of())) == {alert.name for alert in ALL}


def quick(_: Alert, knob: Knob, value: Decimal) -> Decimal:
    """As the drill has it, lest anybody wait."""
    return Decimal(30) if looks_back(knob) else value


def of_an_hour(_: Alert, knob: Knob, value: Decimal) -> Decimal:
    """No window of a day, through which promtool takes a second each."""
    return min(value, Decimal(3600)) if knob.name == "window" else value


def halved(alert: Alert, knob: Knob, value: Decimal) -> Decimal:
    """Half the threshold."""
    return value / 2 if knob.name == "threshold" else of_an_hour(alert, knob, value)


def doubled(alert: Alert, knob: Knob, value: Decimal) -> Decimal:
    """Twice the threshold, or half as far from all."""
    if knob.name != "threshold":
        return of_an_hour(alert, knob, value)
    return (1 + value) / 2 if knob.unit == "ratio" else value * 2


def with_numbers(change: Callable[[Alert, Knob, Decimal], Decimal], wait: str = "4s") -> dict[str, Emitted]:
    """All alerts with these numbers."""
    return of_everything(policy_of(everywhere(change, wait)))


def with_thresholds(change: Callable[[Alert, Knob, Decimal], Decimal]) -> dict[str, Emitted]:
    """Those of them that compare with a number which a site may choose."""
    of = with_numbers(change)
    return {alert.name: of[alert.name] for alert in thresholds()}


def of_teams() -> dict[str, Emitted]:
    """The alerts that name a team for each DAG."""
    return {name: one for name, one in of_everything(policy_of(teams=TEAMS)).items() if one.alert.per_dag}


VARIANTS: Mapping[str, Callable[[], dict[str, Emitted]]] = {
    "default": lambda: of_everything(policy_of()),
    "quick": lambda: with_numbers(quick),
    "halved": lambda: with_thresholds(halved),
    "doubled": lambda: with_thresholds(doubled),
    "teams": of_teams,
}


Shift = Callable[[Decimal, str], Decimal]
"""The value and unit of a knob to its value."""

NEAR: tuple[Shift, Shift] = (
    lambda value, unit: value - _little(value, unit),
    lambda value, unit: value + _little(value, unit),
)
FAR: tuple[Shift, Shift] = (
    lambda value, unit: value / 100 - (unit == "count") * 10**10,
    lambda value, unit: value * 100 + (unit == "count") * 10**10,
)


def _little(value: Decimal, unit: str) -> Decimal:
    """One more or less, or a fifth; of a duration three steps at least, since a condition has to hold for some."""
    if unit == "count" and value < 1000:
        return Decimal("1.5")
    return max(value / 5, Decimal(180) if unit == "duration" else Decimal(0))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_alert_fires_and_is_quiet_where_it_should(variant: str, tmp_path: Path) -> None:
    assert promtool(written(VARIANTS[variant](), tmp_path)) == ""


def shifted(shift: Shift) -> dict[str, Emitted]:
    """The alerts with a threshold, which a `shift` has moved, past its bounds where need be."""
    of = with_numbers(of_an_hour)
    moved = {}
    for alert in thresholds():
        one = of[alert.name]
        [knob] = [knob for knob in alert.knobs if knob.name == "threshold"]
        threshold = shift(one.at.threshold, knob.unit)
        moved[alert.name] = replace(one, at=replace(one.at, knobs={**one.at.knobs, "threshold": threshold}))
    return moved


def failing(judged_by: Mapping[str, Emitted], folder: Path, cases: str) -> dict[str, set[str]]:
    """Which cases of which alert fail when its rule has another threshold."""
    folder.mkdir()
    of = with_numbers(of_an_hour)
    failed: dict[str, set[str]] = {name: set() for name in judged_by}
    for alert, case in FAILED.findall(
        promtool(written({name: of[name] for name in judged_by}, folder, judged_by, cases))
    ):
        failed[alert].add(case)
    return failed


def test_the_cases_prove_the_threshold_from_both_sides(tmp_path: Path) -> None:
    """Were a rule's threshold a little aside, or far away, its cases would fail; which way that is, is the alert's own."""
    near, far = (
        [failing(shifted(shift), tmp_path / f"{cases}-{side}", cases) for side, shift in enumerate(shifts)]
        for shifts, cases in ((NEAR, "fires quiet"), (FAR, "fires"))
    )
    loose = {alert.name for alert in thresholds() if not any(side[alert.name] for side in near)}
    deaf = {alert.name for alert in thresholds() if not any(side[alert.name] for side in far)}
    assert (sorted(loose), sorted(deaf)) == ([], [])
