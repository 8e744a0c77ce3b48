"""What a site may choose of each alert, made from the alerts' declarations, and what it has chosen."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    RootModel,
    ValidationInfo,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from airflow_obs.catalog import alerts as catalogue
from airflow_obs.catalog.alerts.alert import Alert
from airflow_obs.model import Knob, Severity
from airflow_obs.policy import durations, quantities
from airflow_obs.policy.knobs import Count, Duration, Flag, Text, refused
from airflow_obs.policy.strict import Strict

if TYPE_CHECKING:
    from airflow_obs.policy.deployments import Deployment
    from airflow_obs.policy.model import Policy

SEVERITIES = tuple(severity.value for severity in (Severity.CRITICAL, Severity.WARNING, Severity.INFO))

_ASIDE = re.compile(r" \((?=[^()]*(?:\$value|<))[^()]*\)")
"""What stands in parentheses and is about the number."""
_LABEL = re.compile(r"\{\{[^{}]*\$labels\.(\w+)[^{}]*\}\}")
_VALUE = re.compile(r"\{\{[^{}]*\}\}")

SeverityWord = Annotated[Severity, Text("", "critical, warning or info", SEVERITIES), AfterValidator(Severity)]


class AlertPolicy(Strict):
    """What a site wants otherwise of one alert; None for what stays."""

    enabled: Annotated[bool, Flag()] | None = Field(None, description="Whether there is such an alert at all.")
    severity: SeverityWord | None = Field(
        None, description="critical wakes somebody, warning is a ticket, info explains another alert."
    )
    wait: Annotated[float, Duration("0s", "7d")] | None = Field(
        None, alias="for", description="How long it must hold before it fires."
    )
    shadow: Annotated[bool, Flag()] | None = Field(
        None,
        description="Whether it fires with the label shadow and reaches nobody, to be watched before it is trusted.",
    )

    elsewhere = dict.fromkeys(
        frozenset({"expr", "expression", "query", "promql", "labels", "annotations", "summary", "runbook_url"}),
        (
            "the policy holds choices, never PromQL or texts: switch this alert off with `enabled: false` and write a rule of your "
            "own beside ours, or see `output` for labels and runbooks"
        ),
    )


class _Declared(Mapping[str, FieldInfo]):
    """The field of each alert; its model is made when it is asked for: a site names few of them, and each takes a millisecond."""

    def __getitem__(self, name: str) -> FieldInfo:
        alert = catalogue.BY_NAME[name]
        annotation: Any = model_of(alert) | None
        return FieldInfo(annotation=annotation, default=None, description=f"{sentence(alert)}.")

    def __iter__(self) -> Iterator[str]:
        return iter(catalogue.BY_NAME)

    def __len__(self) -> int:
        return len(catalogue.BY_NAME)


@dataclass(frozen=True)
class _ByAlert:
    """Metadata of a mapping from names of alerts to what is wanted otherwise of each."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                alert.name: {
                    **handler(model_of(alert).__pydantic_core_schema__),
                    "description": f"{sentence(alert)}.",
                    "default": written(alert),
                }
                for alert in catalogue.ALL
            },
            "additionalProperties": False,
        }

    def _check(self, value: object, info: ValidationInfo) -> dict[str, AlertPolicy]:
        if not isinstance(value, Mapping):
            raise refused("write a mapping: the names of alerts, each with what should be otherwise")
        named = tuple(alert.name for alert in catalogue.ALL if alert.name in value)
        # the problems that it raises are those of the policy, each in its place
        chosen = _model_of_all(named).model_validate(value, context=info.context)
        return {name: given for name, given in chosen if given is not None}


class AlertsPolicy(RootModel[Annotated[Mapping[str, AlertPolicy], _ByAlert()]]):
    """What a site wants otherwise of the alerts, by their names."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    fields: ClassVar[Mapping[str, FieldInfo]] = _Declared()

    def of(self, name: str) -> AlertPolicy | None:
        """What is wanted otherwise of the alert of that name, None for nothing."""
        return self.root.get(name)


@functools.lru_cache(maxsize=64)
def _model_of_all(names: tuple[str, ...]) -> type[Strict]:
    fields: dict[str, Any] = {name: (model_of(catalogue.BY_NAME[name]) | None, None) for name in names}
    return create_model("Alerts", __base__=Strict, **fields)


@functools.cache
def model_of(alert: Alert) -> type[AlertPolicy]:
    """The model of what may be chosen of one alert."""
    if not alert.knobs:
        return AlertPolicy
    fields: dict[str, Any] = {
        knob.name: (Annotated[float | Decimal, _kind(knob)] | None, Field(None, description=knob.description))
        for knob in alert.knobs
    }
    return create_model(alert.name, __base__=AlertPolicy, __doc__=f"{sentence(alert)}.", **fields)


def _kind(knob: Knob) -> Duration | quantities.Ratio | quantities.Bytes | quantities.Number | Count:
    low, high = str(knob.low), str(knob.high)
    match knob.unit:
        case "duration":
            return Duration(low, high)
        case "ratio":
            return quantities.Ratio(low, high)
        case "bytes":
            return quantities.Bytes(low, high)
        case "count":
            return Count(int(knob.low), int(knob.high))
        case "number":
            return quantities.Number(float(knob.low), float(knob.high))


def sentence(alert: Alert) -> str:
    """The alert's summary for a reader of the policy: without the numbers that only a firing alert has, and without a stop."""
    text = _ASIDE.sub("", alert.summary)
    for knob in alert.knobs:
        text = text.replace(f"<{knob.name}>", str(knob.default))
    return _VALUE.sub("…", _LABEL.sub(r"<\1>", text)).rstrip(".")


def written(alert: Alert) -> dict[str, Any]:
    """What the alert declares, as it stands in a policy; one that nobody is to be told of has no severity to speak of."""
    return {
        "enabled": True,
        **({"severity": alert.severity.value} if alert.severity.value in SEVERITIES else {}),
        "for": alert.wait,
        "shadow": False,
        **{knob.name: knob.default for knob in alert.knobs},
    }


def looks_back(knob: Knob) -> bool:
    """Whether it is a time over which series are looked at."""
    return knob.unit == "duration" and "window" in knob.name


def raised(alert: Alert, least: float) -> dict[str, str]:
    """Those of the alert's own times, by their keys in the policy, that are shorter than `least` seconds, with that instead.

    One sample is no proof, so that they follow how often Prometheus scrapes, unless the site wrote them; none at all stays none.
    """
    times = {"for": alert.wait, **{knob.name: str(knob.default) for knob in alert.knobs if looks_back(knob)}}
    return {key: durations.text_of(least) for key, text in times.items() if 0 < durations.parse(text) < least}


@dataclass(frozen=True)
class AlertSettings:
    """What is in force for one alert of one deployment; `wait` in seconds, knobs in base units (seconds, ratio of 1, bytes)."""

    enabled: bool
    severity: Severity
    wait: float
    shadow: bool
    knobs: Mapping[str, Decimal]


def settings(policy: Policy, deployment: Deployment, alert: Alert) -> AlertSettings:
    """What the deployment says of the alert, else what the site says, else what the alert declares, which two scrapes may raise."""
    given: dict[str, Any] = {}
    for section in (policy.alerts, deployment.alerts):
        if (chosen := section.of(alert.name)) is not None:
            given |= {name: value for name, value in chosen if value is not None}
    at_least = {key: durations.parse(text) for key, text in raised(alert, policy.output.two_scrapes).items()}
    return AlertSettings(
        enabled=given.get("enabled", True),
        severity=given.get("severity", alert.severity),
        wait=given.get("wait", at_least.get("for", durations.parse(alert.wait))),
        shadow=given.get("shadow", False),
        knobs={knob.name: exact(knob, given.get(knob.name, at_least.get(knob.name))) for knob in alert.knobs},
    )


def exact(knob: Knob, chosen: float | Decimal | None = None) -> Decimal:
    """The knob's value in base units: the one chosen, else the declared one."""
    value = _read(knob, knob.default) if chosen is None else chosen
    if isinstance(value, Decimal):
        return value
    # milliseconds are what a duration is written in at the finest, so that this is exact
    return Decimal(round(value * 1000)) / 1000 if knob.unit == "duration" else Decimal(value)


def _read(knob: Knob, written: str | int | float) -> float | Decimal:
    match knob.unit:
        case "duration":
            return durations.parse(str(written))
        case "ratio":
            return quantities.ratio(str(written))
        case "bytes":
            return quantities.bytes_(str(written))
        case "count" | "number":
            return quantities.number(float(written)) if isinstance(written, float) else Decimal(written)
