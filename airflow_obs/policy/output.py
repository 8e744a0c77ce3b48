"""What is generated, and how it looks: formats, labels, links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, field_validator
from pydantic_core import CoreSchema, core_schema

from airflow_obs.policy.deployments import Namespace
from airflow_obs.policy.knobs import Duration, Flag, HttpUrl, Text, all_refused, refused
from airflow_obs.policy.strict import Strict

Format = Literal["prometheus", "prometheusrule", "mimir", "vmrule"]
FORMATS: tuple[Format, ...] = get_args(Format)
RouteFormat = Literal["alertmanager", "alertmanagerconfig"]
ROUTE_FORMATS: tuple[RouteFormat, ...] = get_args(RouteFormat)
RESERVED = ("airflow", "alertname", "severity", "team", "namespace", "shadow")
"""Labels that the alerts have already."""


@dataclass(frozen=True)
class Labels:
    """Metadata of a mapping of labels: keys that match `key` and are none of `reserved`, values that match `value`."""

    key: str
    value: str
    key_is: str
    value_is: str
    reserved: tuple[str, ...] = ()
    called: str = "labels"

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "object",
            "propertyNames": {"pattern": f"^{self.key}$"},
            "additionalProperties": {"type": "string", "pattern": f"^{self.value}$"},
        }

    def _check(self, value: object) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise refused(f"write a mapping of {self.called}, such as {{environment: production}}")
        wrong: list[tuple[tuple[str, ...], str]] = []
        for key, text in value.items():
            if not re.fullmatch(self.key, key, re.ASCII):
                wrong.append(((key,), f"its key must be {self.key_is}"))
            elif key in self.reserved:
                wrong.append(((key,), f"the alerts have a label {key} already: choose another name"))
            elif not isinstance(text, str) or not re.fullmatch(self.value, text):
                wrong.append(((key,), f"must be {self.value_is}"))
        if wrong:
            raise all_refused(wrong)
        return dict(value)


AlertLabels = Annotated[
    dict[str, str],
    Labels(
        "(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,62}",
        r"[^\n{}]{1,200}",
        "a label of Prometheus: letters, digits and `_`, no digit first",
        "a text in one line without braces, in quotes if YAML takes it for something else",
        RESERVED,
    ),
]
ObjectLabels = Annotated[
    dict[str, str],
    Labels(
        r"(?:[a-z0-9][-.a-z0-9]{0,252}/)?[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?",
        "(?:[A-Za-z0-9](?:[-._A-Za-z0-9]{0,61}[A-Za-z0-9])?)?",
        "a label of Kubernetes, such as release or app.kubernetes.io/part-of",
        "a value of a Kubernetes label: at most 63 letters, digits, `-`, `_` or `.`, in quotes if YAML takes it for something else",
    ),
]


class Dashboards(Strict):
    """How dashboards find their data, and how alerts find the dashboards."""

    datasource: Annotated[str, Text(r"[^\n\"{}$]{1,100}", "the name of a data source in Grafana")] | None = Field(
        None, description="Prometheus among Grafana's data sources; null lets whoever looks choose."
    )
    folder: Annotated[str, Text(r"[^\n\"/{}]{1,100}", "the name of a folder in Grafana, without `/`")] = Field(
        "Airflow", description="Folder in Grafana."
    )
    grafana_url: Annotated[str, HttpUrl(None)] | None = Field(
        None, description="Where Grafana is, for the links of alerts; null gives them none."
    )


class Output(Strict):
    """What `gen` and `gen-rules` write."""

    formats: tuple[
        Annotated[
            Format,
            Text("", f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}", FORMATS),
        ],
        ...,
    ] = Field(
        FORMATS,
        description="Kinds of rule files: for Prometheus (and Thanos), prometheus-operator, Mimir, VictoriaMetrics' operator.",
        json_schema_extra={"minItems": 1},
    )
    routes: tuple[Annotated[RouteFormat, Text("", " or ".join(ROUTE_FORMATS), ROUTE_FORMATS)], ...] | None = Field(
        None,
        description=(
            "Kinds of routes: a whole alertmanager.yml, objects for prometheus-operator; null is those that the receivers fit, "
            "[] is none."
        ),
    )
    rule_labels: ObjectLabels = Field(
        {"release": "kube-prometheus-stack"},
        description="Labels of the operators' objects, by which they select them: the release's of its chart.",
    )
    rule_namespace: Namespace | None = Field(
        None,
        description=(
            "Namespace of these objects; null is each deployment's own. "
            "AlertmanagerConfigs stay in the namespace of their deployments."
        ),
    )
    interval: Annotated[float, Duration("1s", "1h")] | None = Field(
        30.0, description="How often the rules are evaluated; null leaves it to Prometheus."
    )
    scrape_interval: Annotated[float, Duration("1s", "1h")] = Field(
        30.0,
        description="How often Prometheus scrapes: an alert holds for two scrapes at least, and looks back for as long.",
    )
    runbook_url: Annotated[
        str,
        Text(
            r"https?://[^\s@{}\"\\]+\{alert\}[^\s@{}\"\\]*",
            "a URL with {alert} where the alert's name belongs, without user and password",
        ),
    ] = Field(
        "https://github.com/airflow-obs/airflow-obs/blob/main/airflow_obs/oncall/runbooks/{alert}.md",
        description="Link to each alert's runbook; better to a copy of your own, which is there when the internet is not.",
    )
    labels: AlertLabels = Field({}, description="Labels that every alert carries beside its own.")
    tests: Annotated[bool, Flag()] = Field(
        default=True, description="Write the alerts' tests for promtool beside the rules."
    )

    @field_validator("formats")
    @classmethod
    def _some(cls, formats: tuple[Format, ...]) -> tuple[Format, ...]:
        if not formats:
            raise refused("nothing would be written: name at least one, or remove the key")
        return formats

    @property
    def two_scrapes(self) -> float:
        """Seconds within which there are two samples of a series."""
        return 2 * self.scrape_interval
