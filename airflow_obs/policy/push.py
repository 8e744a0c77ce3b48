"""Where the exporter sends its figures, beside being scraped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airflow_obs.catalog import metrics
from airflow_obs.errors import meant
from airflow_obs.policy.deployments import Sources
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.knobs import Address, Duration, HttpUrl, Text, refused
from airflow_obs.policy.output import Labels
from airflow_obs.policy.quantities import Bytes
from airflow_obs.policy.strict import Strict

PLACEHOLDERS = ("deployment", "metric", "labels")
"""What a template of StatsD names may hold between braces, beside the name of any label."""

LABELS = frozenset(label for metric in metrics.ALL for label in metric.labels) | {"airflow", "quantile"}
"""The labels that a series may have: those of our metrics, and what every one and some of other families have beside them."""

Path = Annotated[str, Text(r"[^\0\n]+", "the path of a file")]
Protocol = Annotated[Literal["http", "grpc"], Text("", "http or grpc", ("http", "grpc"))]
Compression = Annotated[Literal["gzip", "none"], Text("", "gzip or none", ("gzip", "none"))]
Transport = Annotated[Literal["udp", "tcp"], Text("", "udp or tcp", ("udp", "tcp"))]
TagStyle = Annotated[Literal["none", "datadog"], Text("", "none or datadog", ("none", "datadog"))]
Attributes = Annotated[
    dict[str, str],
    Labels(
        r"[a-z][a-z0-9_.]{0,127}",
        r"[^\0\n]{1,1000}",
        "the name of an attribute, such as deployment.environment.name",
        "a text of 1 to 1000 characters, in quotes",
        called="resource attributes",
    ),
]
Template = Annotated[
    str,
    Text(
        r"(?:[A-Za-z0-9_.-]|\{[A-Za-z_][A-Za-z0-9_]*\})+",
        "a name of letters, digits, `_`, `.` and `-`, with {metric}, {deployment}, {labels} or labels in braces",
    ),
]
Every = Annotated[float, Duration("1s", "1h")]

_HEADERS = (
    "headers may hold secrets, which never live in the policy: set OTEL_EXPORTER_OTLP_HEADERS or "
    "AIRFLOW_OBS_OTLP_HEADERS_FILE in the environment, and remove this"
)
_TLS = "TLS is what the endpoint's https:// says; its files are `ca_file`, `cert_file` and `key_file`"


class OtlpPush(Strict):
    """An OpenTelemetry Collector, or whoever else takes OTLP."""

    endpoint: Annotated[str, HttpUrl(example="https://collector.example:4318")] = Field(
        "auto",
        description="Where it is; auto takes OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, or localhost.",
    )
    protocol: Protocol = Field(
        "http", description="OTLP over http (protobuf, at /v1/metrics unless a path is given) or grpc."
    )
    interval: Every = Field("1m", validate_default=True, description="Time from one push to the next.")
    timeout: Annotated[float, Duration("500ms", "1m")] = Field(
        "10s",
        validate_default=True,
        description="A push that takes longer is given up, and waits in the buffer; at most half of the interval.",
    )
    compression: Compression = Field("gzip", description="How requests are packed: gzip or none.")
    ca_file: Path | None = Field(
        None,
        description="File with the authorities that the receiver's certificate is checked with; null takes the system's.",
    )
    cert_file: Path | None = Field(None, description="File with our certificate, for a receiver that asks for one.")
    key_file: Path | None = Field(None, description="File with its key.")
    resource: Attributes = Field(
        {},
        description="Resource attributes beside service.name, service.instance.id and those of OTEL_RESOURCE_ATTRIBUTES.",
    )
    buffer: Annotated[Decimal, Bytes("64KiB", "1GiB")] = Field(
        "16MiB",
        validate_default=True,
        description="Room, packed, for what a receiver that is away has not taken; the oldest makes way, and is counted.",
    )

    elsewhere = dict.fromkeys(
        ("headers", "header", "token", "api_key", "password", "user", "username", "bearer_token"), _HEADERS
    ) | dict.fromkeys(("tls", "ssl", "insecure"), _TLS)

    @field_validator("timeout")
    @classmethod
    def _within_interval(cls, timeout: float, info: ValidationInfo) -> float:
        interval = info.data.get("interval", 2 * timeout)
        if timeout > interval / 2:  # else a push that hangs would take the time of the next one
            text = f"the timeout ({text_of(timeout)}) is longer than half of the interval ({text_of(interval)})"
            raise refused(f"{text}: lower the timeout or raise the interval", ("timeout",), ("interval",))
        return timeout

    @model_validator(mode="after")
    def _both(self) -> OtlpPush:
        if bool(self.key_file) != bool(self.cert_file):
            raise refused("a certificate and its key go together: give both cert_file and key_file, or neither")
        return self


class StatsdPush(Strict):
    """A StatsD agent."""

    address: Annotated[str, Address()] = Field("localhost:8125", description="Where it listens, HOST:PORT.")
    transport: Transport = Field(
        "udp",
        description="udp, which nobody answers, so that what is lost is not noticed; or tcp, which waits for an agent that reads.",
    )
    interval: Every = Field("15s", validate_default=True, description="Time from one push to the next.")
    template: Template = Field(
        "{metric}.{deployment}.{labels}",
        description="How names are made of the metric and of its labels' values; with `tags: datadog` {labels} is empty.",
    )
    tags: TagStyle = Field("none", description="none puts labels into names; datadog sends them as DogStatsD's tags.")

    @field_validator("template")
    @classmethod
    def _of_what_there_is(cls, template: str) -> str:
        for placeholder in re.findall(r"\{(\w+)\}", template):
            if placeholder not in LABELS and placeholder not in PLACEHOLDERS:
                near = meant(placeholder, (*PLACEHOLDERS, *sorted(LABELS)))
                rest = f"did you mean {{{near}}}?" if near else "exporters/metrics.md lists the labels of each"
                raise refused(f"a name in braces is no label of any metric: {rest}")
        return template

    @model_validator(mode="after")
    def _told_apart(self) -> StatsdPush:
        if "{metric}" not in self.template:
            raise refused("a name without {metric} would be the same for all metrics: add it", ("statsd", "template"))
        if self.tags == "none" and "{labels}" not in self.template:
            text = "names without {labels} would be the same for many series: add it, or choose `tags: datadog`"
            raise refused(text, ("statsd", "template"))
        return self


class TextfilePush(Strict):
    """A file that node_exporter's textfile collector reads."""

    path: Annotated[
        str, Text(r"[^\0\n]+\.prom", "the path of a file whose name ends in .prom, for node_exporter reads no other")
    ] = Field(
        "/var/lib/prometheus/node-exporter/airflow.prom",
        description="The file; {deployment} in it stands for the deployment's name.",
    )
    interval: Every = Field("15s", validate_default=True, description="Time from one writing to the next.")

    @field_validator("path")
    @classmethod
    def _of_what_there_is(cls, path: str) -> str:
        if set("{}") & set(path.replace("{deployment}", "")):
            raise refused("nothing but {deployment} may stand in braces, which is replaced by the deployment's name")
        return path


class Push(Strict):
    """Who gets the figures beside Prometheus; nobody unless listed."""

    otlp: OtlpPush | None = Field(None, description="As OTLP, to an OpenTelemetry Collector.")
    statsd: StatsdPush | None = Field(None, description="As StatsD, to an agent.")
    textfile: TextfilePush | None = Field(None, description="Into a file, for node_exporter's textfile collector.")

    def heard_by(self, sources: Sources) -> Iterator[tuple[str, str, str]]:
        """Pairs that must not be one place: a destination's name and address, and where these sources listen for its like."""
        if self.statsd and sources.statsd:
            over_udp = self.statsd.transport == "udp"
            listen = sources.statsd.listen_udp if over_udp else sources.statsd.listen_tcp
            if listen:
                yield "statsd", self.statsd.address, listen
        if self.otlp and sources.otlp and self.otlp.endpoint != "auto":
            listen = sources.otlp.listen_http if self.otlp.protocol == "http" else sources.otlp.listen_grpc
            parts = urlsplit(self.otlp.endpoint)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            if listen:
                yield "otlp", f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}", listen


def to_itself(deployment: str) -> str:
    """What is wrong with a destination that is the exporter itself."""
    return (
        f"that is where {deployment} takes what Airflow sends: the figures would come back as Airflow's; name another"
    )
