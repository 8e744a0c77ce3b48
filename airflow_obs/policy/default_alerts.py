"""The part of the default policy that shows every alert with its numbers, made from the alerts' declarations."""

from __future__ import annotations

import re
from collections.abc import Sequence

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.policy.alerts import sentence, written

_BLOCK = re.compile(r"(?<=from the alerts' declarations\n).*?(?=  # <<<\n)", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9._/%+-]+")


def with_alerts(text: str, alerts: Sequence[Alert] = ALL) -> str:
    """The text of the default policy with these alerts between its two marks. Raises ValueError if they are not there."""
    done, times = _BLOCK.subn(lambda _: "".join(map(_shown, alerts)), text)
    if times != 1:
        raise ValueError("default.yaml: the marks of the alerts' section are gone: put them back")
    return done


def _shown(alert: Alert) -> str:
    values = ", ".join(f"{key}: {_scalar(value)}" for key, value in written(alert).items())
    return f"  # {sentence(alert)}.\n  # {alert.name}: {{{values}}}\n"


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return text if _PLAIN.fullmatch(text) else f'"{text}"'
