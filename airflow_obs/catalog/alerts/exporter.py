"""Alerts of the exporter itself: what it cannot read, and what it loses of what Airflow sends."""

from __future__ import annotations

from decimal import Decimal

from airflow_obs import promql
from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.collectors import source_of
from airflow_obs.model import Knob, Severity
from airflow_obs.promql import Expr, Match, Number, Selector, count_by, max_by, min_by, sum_by

_ELSEWHERE = "|".join(
    sorted({one.collector for one in metrics.ALL if source_of(one.collector) not in ("database", "exporter")})
)
"""The collectors that read a source of their own name; all others read the database."""

_WORKERS, _BROKER = "workers", "broker"
"""Workers are asked over the broker, which has an alert of its own, as database and health endpoint have."""

LIMITS = ("series limit", "stream limit", "too many samples wait for a decision")
"""Why a sample that is well formed finds no room."""
HUNG_UP = "its sender hung up"
"""Why a request was refused by him who sent it."""

_WINDOW = Knob("window", "duration", "10m", "1s", "1d", "Over which time they are counted.")


def _failing(at: Scope) -> Expr:
    success = promql.labelled(at(metrics.COLLECTOR_SUCCESS), "source", "database")
    success = promql.labelled(success, "source", "$1", "collector", f"({_ELSEWHERE})")
    success = promql.labelled(success, "source", _BROKER, "collector", _WORKERS)
    failing = max_by(success, "airflow", "source", "collector").equals(0)
    down = max_by(at(metrics.SOURCE_UP, source=Match("!=", _WORKERS)), "airflow", "source").equals(0)
    return failing.on("airflow", "source").unless(down)


def _unreadable(at: Scope) -> Expr:
    return count_by(max_by(at(metrics.TABLE_READABLE), "airflow", "table").equals(0), "airflow") > 0


def _dropped(at: Scope) -> Expr:
    return max_by(promql.increase(at(metrics.SERIES_DROPPED), at.window), "airflow", "family") > 0


def _silent(at: Scope) -> Expr:
    return max_by(promql.increase(at(metrics.INGEST_SAMPLES), at.window), "airflow", "protocol").equals(0)


def _received(at: Scope, samples: Selector) -> Expr:
    each = max_by(promql.rate(samples, at.window), "airflow", "protocol", "outcome")
    return sum_by(each, "airflow", "protocol")


def _sample(at: Scope, outcome: str, slope: Decimal) -> Series:
    return at.series(metrics.INGEST_SAMPLES, 0, slope, protocol="statsd", outcome=outcome)


def _unknown_names(at: Scope) -> Expr:
    unknown = at(metrics.INGEST_SAMPLES, outcome="unmapped")
    return _received(at, unknown) / _received(at, at(metrics.INGEST_SAMPLES)) > at.threshold


def _lost(at: Scope) -> Expr:
    lost = max_by(promql.rate(at(metrics.INGEST_LOST), at.window), "airflow", "transport")
    taken = max_by(promql.rate(at(metrics.INGEST_PACKETS, transport="udp"), at.window), "airflow", "transport")
    return lost / (lost + taken) > at.threshold


def _refused(at: Scope) -> Expr:
    samples = at.happened(metrics.INGEST_REFUSED, reason=Match("=~", "|".join(LIMITS)))
    requests = promql.increase(at(metrics.INGEST_REQUESTS_REFUSED, reason=Match("!=", HUNG_UP)), at.window)
    return max_by(samples, "airflow", "reason").or_(max_by(requests, "airflow", "reason")) > at.threshold


def _config_refused(at: Scope) -> Expr:
    return min_by(at(metrics.CONFIG_RELOADED), "airflow", "config").equals(0)


def _push_failing(at: Scope) -> Expr:
    return min_by(at(metrics.PUSH_SUCCESS), "airflow", "destination").equals(0)


def _push_lost(at: Scope) -> Expr:
    return max_by(at.happened(metrics.PUSH_LOST), "airflow", "destination", "reason") > 0


def _sample_refused(at: Scope, number: Number, reason: str) -> Series:
    return at.series(metrics.INGEST_REFUSED, number, protocol="otlp", outcome="dropped", reason=reason)


def _requests_refused(at: Scope, slope: Number, reason: str) -> Series:
    return at.series(metrics.INGEST_REQUESTS_REFUSED, 0, slope, transport="http", reason=reason)


EXPORTER = (
    Alert(
        "AirflowCollectorFailing", "exporter", ("X5",), Severity.WARNING, "15m",
        expr=_failing,
        summary="The collector {{ $labels.collector }} fails, not the {{ $labels.source }} (collector_success is {{ $value }})",
        impact="Its figures are missing, and the alerts that read them cannot fire.",
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.COLLECTOR_SUCCESS, 0, collector="locks"),
                at.series(metrics.COLLECTOR_SUCCESS, 0, collector="health"),
                at.series(metrics.SOURCE_UP, 1, source="database"),
                at.series(metrics.SOURCE_UP, 0, source="health"),
            ),
            quiet=(
                at.series(metrics.COLLECTOR_SUCCESS, 0, collector="locks", instance="a"),
                at.series(metrics.COLLECTOR_SUCCESS, 1, collector="locks", instance="b"),
                at.series(metrics.COLLECTOR_SUCCESS, 0, collector="health", instance="a"),
                at.series(metrics.COLLECTOR_SUCCESS, 0, collector="workers", instance="a"),
                at.series(metrics.SOURCE_UP, 1, source="database", instance="a"),
                at.series(metrics.SOURCE_UP, 0, source="broker", instance="a"),
                at.series(metrics.SOURCE_UP, 0, source="workers", instance="a"),
                at.series(metrics.SOURCE_UP, 0, source="health", instance="a"),
            ),
            value=0,
            labels={"collector": "locks", "source": "database"},
            bare=True,
        ),
    ),
    Alert(
        "AirflowTablesUnreadable", "exporter", ("X5",), Severity.WARNING, "15m",
        expr=_unreadable,
        summary="The exporter's role may not read {{ $value }} of Airflow's tables",
        impact="Figures of these tables are missing, and the alerts that read them cannot fire.",
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.TABLE_READABLE, 0, table="log"),
                at.series(metrics.TABLE_READABLE, 0, table="xcom"),
                at.series(metrics.TABLE_READABLE, 1, table="job"),
            ),
            quiet=(at.series(metrics.TABLE_READABLE, 1, table="log"),),
            value=2,
        ),
    ),
    Alert(
        "AirflowSeriesDropped", "exporter", ("X5",), Severity.WARNING, "0s",
        expr=_dropped,
        summary="The exporter dropped {{ $value | humanize }} series of {{ $labels.family }}: more than max_series",
        impact="Some queues, DAGs, pools or tables have no figures, and alerts cannot fire for them.",
        knobs=(Knob("window", "duration", "30m", "1s", "1d", "Over which time they are counted: a few runs of the collector."),),
        cases=lambda at: Cases(
            fires=(at.series(metrics.SERIES_DROPPED, 0, 3 / at.window, family=metrics.DAG_INFO.name),),
            quiet=(at.series(metrics.SERIES_DROPPED, 3, family=metrics.DAG_INFO.name),),
            value=3,
            labels={"family": metrics.DAG_INFO.name},
        ),
    ),
    Alert(
        "AirflowExporterConfigRefused", "exporter", ("X5",), Severity.WARNING, "5m",
        expr=_config_refused,
        summary="The exporter did not take its newest {{ $labels.config }} file (config_last_reload_successful is {{ $value }})",
        impact="What was changed there is not in force, and after a restart the exporter does not come up.",
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.CONFIG_RELOADED, 0, config="policy"),
                at.series(metrics.CONFIG_RELOADED, 1, config="web"),
            ),
            quiet=(
                at.series(metrics.CONFIG_RELOADED, 1, config="policy"),
                at.series(metrics.CONFIG_RELOADED, 1, config="web"),
            ),
            value=0,
            labels={"config": "policy"},
        ),
    ),
    Alert(
        "AirflowPushFailing", "exporter", ("X5",), Severity.WARNING, "15m",
        expr=_push_failing,
        summary="The exporter's figures do not reach {{ $labels.destination }} (push_success is {{ $value }})",
        impact="Whoever looks there sees old figures, and loses for good what the buffer cannot hold.",
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.PUSH_SUCCESS, 0, destination="otlp"),
                at.series(metrics.PUSH_SUCCESS, 1, destination="textfile"),
            ),
            quiet=(
                at.series(metrics.PUSH_SUCCESS, 1, destination="otlp"),
                at.series(metrics.PUSH_SUCCESS, 1, destination="textfile"),
            ),
            value=0,
            labels={"destination": "otlp"},
        ),
        when=lambda at: at.pushes,
    ),
    Alert(
        "AirflowPushLost", "exporter", ("X5",), Severity.WARNING, "0s",
        expr=_push_lost,
        summary="{{ $value | humanize }} snapshots for {{ $labels.destination }} are lost: {{ $labels.reason }}",
        impact="Whoever looks there has a gap for good, and counts that are too low.",
        knobs=(Knob("window", "duration", "30m", "1s", "1d", "Over which time they are counted."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.PUSH_LOST, 1, destination="otlp", reason="buffer full").since(at.news),
                at.series(metrics.PUSH_LOST, 0, destination="otlp", reason="refused"),
            ),
            quiet=(
                at.series(metrics.PUSH_LOST, 1, destination="otlp", reason="buffer full"),
                at.series(metrics.PUSH_LOST, 0, destination="otlp", reason="refused"),
            ),
            value=1,
            labels={"destination": "otlp", "reason": "buffer full"},
        ),
        when=lambda at: at.pushes,
    ),
    Alert(
        "AirflowIngestSilent", "exporter", ("X5",), Severity.WARNING, "5m",
        expr=_silent,
        summary="Airflow sends nothing over {{ $labels.protocol }} any more: {{ $value }} samples in <window>",
        impact="All that only Airflow itself can tell is missing: loop times, executor slots, parse times, killed tasks.",
        knobs=(Knob("window", "duration", "5m", "1s", "1d", "Over which time nothing came; schedulers send every few seconds."),),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.INGEST_SAMPLES, 5000, protocol="statsd", outcome="mapped"),
                at.series(metrics.INGEST_SAMPLES, 0, protocol="statsd", outcome="invalid"),
                at.series(metrics.INGEST_SAMPLES, 0, 1, protocol="otlp", outcome="mapped"),
            ),
            quiet=(
                at.series(metrics.INGEST_SAMPLES, 5000, protocol="statsd", outcome="mapped"),
                at.series(metrics.INGEST_SAMPLES, 0, 1 / at.window, protocol="statsd", outcome="dropped"),
            ),
            value=0,
            labels={"protocol": "statsd"},
        ),
    ),
    Alert(
        "AirflowIngestUnmapped", "exporter", ("X5",), Severity.WARNING, "15m",
        expr=_unknown_names,
        summary="{{ $value | humanizePercentage }} of the {{ $labels.protocol }} samples have unknown names (over <threshold>)",
        impact="None of the metrics that these samples should feed is there; most likely the prefix differs from Airflow's.",
        knobs=(Knob("threshold", "ratio", "50%", "1%", "99%", "Share of the samples whose names are unknown."), _WINDOW),
        cases=lambda at: Cases(
            fires=(_sample(at, "unmapped", Decimal(10)), _sample(at, "mapped", Decimal(0))),
            quiet=(
                _sample(at, "unmapped", 9 * at.threshold),
                _sample(at, "mapped", 10 - 9 * at.threshold),
            ),
            value=1,
            labels={"protocol": "statsd"},
        ),
    ),
    Alert(
        "AirflowIngestPacketsLost", "exporter", ("X5",), Severity.WARNING, "5m",
        expr=_lost,
        summary="{{ $value | humanizePercentage }} of Airflow's packets are lost before they are read (threshold <threshold>)",
        impact="Counts of what Airflow sends are too low, and gauges may stand at an old value.",
        knobs=(Knob("threshold", "ratio", "1%", "0.01%", "99%", "Share of the datagrams that may be lost."), _WINDOW),
        cases=lambda at: Cases(
            fires=(
                at.series(metrics.INGEST_LOST, 0, 10, transport="udp"),
                at.series(metrics.INGEST_PACKETS, 0, 0, protocol="statsd", transport="udp"),
            ),
            quiet=(
                at.series(metrics.INGEST_LOST, 0, 9 * at.threshold, transport="udp"),
                at.series(metrics.INGEST_PACKETS, 0, 10 - 9 * at.threshold, protocol="statsd", transport="udp"),
            ),
            value=1,
            labels={"transport": "udp"},
        ),
    ),
    Alert(
        "AirflowIngestRefused", "exporter", ("X5",), Severity.WARNING, "0s",
        expr=_refused,
        summary="{{ $value | humanize }} samples or requests of Airflow's were refused: {{ $labels.reason }} (over <threshold>)",
        impact="What they said is lost; without room it is that of new queues, DAGs or processes.",
        knobs=(Knob("threshold", "count", 10, 0, 1_000_000, "How many may be refused for one reason within the window."), _WINDOW),
        cases=lambda at: Cases(
            fires=(
                _sample_refused(at, at.threshold + 1, LIMITS[0]).since(at.horizon // at.step * at.step - 2 * at.step),
                _requests_refused(at, at.threshold * Decimal("0.9") / at.window, "too large"),
            ),
            quiet=(
                _sample_refused(at, at.threshold + 1, LIMITS[0]),
                _sample_refused(at, at.threshold, LIMITS[1]).since(at.horizon // at.step * at.step - 2 * at.step),
                at.series(metrics.INGEST_REFUSED, 0, 1, protocol="otlp", outcome="dropped", reason="excluded by dags"),
                _requests_refused(at, at.threshold * Decimal("0.9") / at.window, "too large"),
                _requests_refused(at, Decimal(1000), HUNG_UP),
            ),
            value=at.threshold + 1,
            labels={"reason": LIMITS[0]},
        ),
    ),
)  # fmt: skip
