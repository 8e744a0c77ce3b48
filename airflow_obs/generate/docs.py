"""The reference of all metrics, made from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import OLDEST_RELEASE
from airflow_obs.catalog.collectors import source_of
from airflow_obs.catalog.failures import FAILURES, LOOK_FIRST
from airflow_obs.generate.names import names
from airflow_obs.generate.tree import MARKER, Tree
from airflow_obs.model import Failure, Kind, Metric

PAGE = "exporters/metrics.md"

_HEAD = f"""<!-- {MARKER} -->

# Metrics

Every series carries `airflow`, the deployment's name, too. Labels in parentheses are only there where Airflow knows them. Moments
are Unix seconds: `time() - …` is the age. *Since* is the first Airflow that has what the metric reads, *until* the last one where
later ones have it no more; before and after the family is empty. *Shows* names the failure modes at the end of this page.
"""
_WHAT_SHOWS = """
## Failure modes

Which metrics show which way of failing: look at the first one first, the others say more. Failure modes without any are seen
elsewhere: by Kubernetes, in logs.

| | failure mode | shown by |
|---|---|---|
"""
_FROM = {
    "exporter": "the exporter itself",
    "database": "the metadata database",
    "health": "the health endpoint",
    "broker": "Celery's broker",
    "workers": "Celery's workers, over the broker",
    "ingest": "what Airflow sends as StatsD or OTLP, and the taking of it",
}


def docs() -> Tree:
    """The page of metrics, and that of Airflow's own names."""
    metrics_page = _HEAD + "".join(_sections()) + _WHAT_SHOWS + "".join(map(_failure, FAILURES))
    return {PAGE: metrics_page, **names()}


def _sections() -> Iterator[str]:
    for collector in dict.fromkeys(metric.collector for metric in metrics.ALL):
        yield f"\n## {collector}\n\nFrom {_FROM[source_of(collector)]}.\n\n"
        yield "| metric | type | labels | since | until | shows | what it says |\n|---|---|---|---|---|---|---|\n"
        yield from (_row(metric) for metric in metrics.ALL if metric.collector == collector)


def _row(metric: Metric) -> str:
    labels = ", ".join((*metric.labels, *(f"({label})" for label in metric.optional)))
    shows = ", ".join(metric.shows)
    known = f"{metric.since or OLDEST_RELEASE} | {metric.until or ''}"
    also = f" Fed by `{metric.also}` where `{metric.collector}` does not, whatever the release." if metric.also else ""
    text = metric.help.replace("|", "\\|").replace("*", "\\*") + also
    return f"| `{metric.name}` | {metric.kind} | {labels} | {known} | {shows} | {text} |\n"


def _failure(failure: Failure) -> str:
    shown_by = ", ".join(f"`{metric.name}`" for metric in shown_by_metrics(failure))
    return f"| {failure.id} | {failure.name} | {shown_by} |\n"


def shown_by_metrics(failure: Failure) -> list[Metric]:
    """The metrics that show it: the one to look at first, then those that show nothing better; what only informs comes last."""
    first = LOOK_FIRST.get(failure.id)
    showing = [metric for metric in metrics.ALL if failure.id in metric.shows]
    return sorted(
        showing, key=lambda metric: (metric != first, metric.kind is Kind.INFO, metric.shows.index(failure.id))
    )
