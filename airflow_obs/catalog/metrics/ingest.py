"""What comes in from Airflow over StatsD and OTLP, accounted for: every packet, request and sample."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, info

INGEST_SAMPLES = counter(
    "ingest", "ingest_samples_total",
    "Samples received (StatsD: values, OTLP: data points) by protocol and outcome: mapped, unmapped (a name that nobody knows), "
    "invalid or dropped (on purpose, or at a limit).",
    ("protocol", "outcome"),
    shows=("X5",),
)  # fmt: skip
INGEST_REFUSED = counter(
    "ingest", "ingest_refused_samples_total", "Samples of which nothing became, by reason.",
    ("protocol", "outcome", "reason"),
    shows=("X5",),
)  # fmt: skip
INGEST_LAST = gauge(
    "ingest", "ingest_last_sample_timestamp_seconds", "When the newest sample came in.", ("protocol",), shows=("X5",)
)
INGEST_SERIES = gauge("ingest", "ingest_series", "Series held of what came in.")
INGEST_STREAMS = gauge(
    "ingest", "ingest_otlp_streams", "Streams of OTLP remembered, of each process its own, to tell what is new in them."
)
INGEST_PACKETS = counter(
    "ingest", "ingest_packets_total",
    "What came in, by transport: datagrams (udp), pieces of a stream (tcp), requests (http, grpc).",
    ("protocol", "transport"),
)  # fmt: skip
INGEST_LOST = counter(
    "ingest", "ingest_packets_lost_total", "Datagrams that the kernel dropped since nobody read them in time.",
    ("transport",), shows=("X5",),
)  # fmt: skip
INGEST_REQUESTS_REFUSED = counter(
    "ingest", "ingest_requests_refused_total", "Requests and connections refused whole, by reason.",
    ("transport", "reason"),
    shows=("X5",),
)  # fmt: skip
INGEST_RELAYED = counter(
    "ingest", "ingest_relayed_lines_total", "Lines passed on to another StatsD (sent), or not (dropped).", ("outcome",)
)
STATSD_STYLE = info(
    "ingest", "ingest_statsd_style_info",
    "How Airflow's StatsD sends its tags: plain (not at all), influxdb or datadog; undecided until the first lines show it.",
    ("style",),
)  # fmt: skip
