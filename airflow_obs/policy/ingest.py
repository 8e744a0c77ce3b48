"""What Airflow may send to the exporter, and where the exporter listens for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airflow_obs.policy import addresses
from airflow_obs.policy.knobs import Address, Count, Text, refused
from airflow_obs.policy.strict import Strict

PRESETS = ("official-chart",)
"""Mappings that we bring along."""

Prefix = Annotated[
    str,
    Text(
        r"[A-Za-z](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9_-])?",
        "what Airflow's names begin with, without the dot after it, such as airflow",
    ),
]
Mapping = Annotated[
    str,
    Text(r"[^\0\n]*[./][^\0\n]*", "null, official-chart, or the path of a mapping file of statsd_exporter", PRESETS),
]
Tags = Annotated[
    Literal["auto", "none", "influxdb", "datadog"],
    Text("", "auto, none, influxdb or datadog", ("auto", "none", "influxdb", "datadog")),
]
Unmapped = Annotated[Literal["keep", "drop"], Text("", "keep or drop", ("keep", "drop"))]
Listen = Annotated[str, Address(listen=True)]


class StatsdSource(Strict):
    """What Airflow sends as StatsD ([metrics] statsd_on)."""

    listen_udp: Listen | None = Field(":9125", description="Where StatsD comes in as UDP; null takes none.")
    listen_tcp: Listen | None = Field(":9125", description="Where StatsD comes in over TCP; null takes none.")
    prefix: Prefix = Field("airflow", description="What every name begins with: [metrics] statsd_prefix.")
    tags: Tags = Field(
        "auto",
        description="How Airflow sends labels: none, as statsd_influxdb_enabled or statsd_datadog_enabled do; auto finds out.",
    )
    mapping: Mapping | None = Field(
        None,
        description="Keep names for existing dashboards, too: official-chart, or the path of a mapping file of statsd_exporter.",
    )
    unmapped: Unmapped = Field(
        "keep",
        description="What becomes of names that nobody knows, and that a mapping file leaves out: kept as they are, or dropped.",
    )
    max_unmapped: Annotated[int, Count(0, 1_000_000)] = Field(
        10_000, description="Most series of names kept as they are."
    )
    relay: Annotated[str, Address()] | None = Field(
        None, description="Another StatsD, HOST:PORT, that gets a copy of every line as UDP; null for none."
    )

    @model_validator(mode="after")
    def _somewhere(self) -> StatsdSource:
        if self.listen_udp is None and self.listen_tcp is None:
            raise refused("StatsD can come in nowhere: give listen_udp or listen_tcp an address, or remove statsd")
        if self.relay and self.listen_udp and addresses.is_itself(self.relay, self.listen_udp):
            raise refused(
                "the relay is where StatsD comes in, so that every line would come for ever: name another",
                ("statsd", "relay"),
            )
        return self


class OtlpSource(Strict):
    """What Airflow sends as OTLP ([metrics] otel_on)."""

    listen_http: Listen | None = Field(
        ":4318", description="Where OTLP comes in over HTTP, at /v1/metrics; null takes none."
    )
    listen_grpc: Listen | None = Field(":4317", description="Where OTLP comes in over gRPC; null takes none.")
    prefix: Prefix = Field("airflow", description="What every name begins with: [metrics] otel_prefix.")

    @model_validator(mode="after")
    def _somewhere(self) -> OtlpSource:
        if self.listen_http is None and self.listen_grpc is None:
            raise refused("OTLP can come in nowhere: give listen_http or listen_grpc an address, or remove otlp")
        return self
