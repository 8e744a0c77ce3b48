"""Figures of the DAG files and of who reads them."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_obs.catalog import metrics
from airflow_obs.exporter.web.page.figures.figure import Figure, Seen
from airflow_obs.exporter.web.page.wording import ago, count, duration, legible


def parsing(seen: Seen) -> Iterator[Figure]:
    """What does not import, and when files were last read."""
    if (errors := seen.value(metrics.IMPORT_ERRORS)) is not None:
        yield seen.figure(
            "files that fail to import", count(errors), metrics.IMPORT_ERRORS,
            "AirflowDagImportErrors",
        )  # fmt: skip
    newest, oldest = seen.oldest(metrics.NEWEST_PARSE), seen.oldest(metrics.OLDEST_PARSE)
    if newest:
        yield seen.figure(
            "newest parse", ago(newest[0]), metrics.NEWEST_PARSE,
            AirflowDagProcessorStalled=lambda at: newest[0] > at.threshold,
        )  # fmt: skip
    if oldest:
        yield seen.figure(
            "oldest parse", ago(oldest[0]), metrics.OLDEST_PARSE,
            AirflowDagParsingBehind=lambda at: oldest[0] > at.threshold and (not newest or newest[0] <= at.threshold),
        )  # fmt: skip
    if durations := seen.by(metrics.PARSE_DURATION, "dag_file"):
        file = max(durations, key=durations.__getitem__)
        yield seen.figure(
            "slowest file", f"{duration(durations[file])}, {legible(file)}", metrics.PARSE_DURATION,
            "AirflowDagFileSlow",
        )  # fmt: skip
    active = {bundle for bundle, value in seen.by(metrics.BUNDLE_ACTIVE, "bundle").items() if value}
    if stale := next((one for one in seen.ages(metrics.BUNDLE_REFRESHED) if one[1]["bundle"] in active), None):
        yield seen.figure(
            "bundle refreshed longest ago", f"{ago(stale[0])}, {legible(stale[1]['bundle'])}", metrics.BUNDLE_REFRESHED,
            AirflowDagBundleStale=lambda at: stale[0] > at.threshold,
        )  # fmt: skip
    if dags := seen.by(metrics.DAGS, "state"):
        text = ", ".join(f"{count(dags[state])} {state}" for state in ("active", "paused", "stale") if state in dags)
        yield seen.figure("DAGs", text, metrics.DAGS)
