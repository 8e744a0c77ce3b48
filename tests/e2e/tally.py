"""What became of all tasks and runs, added up twice: by SQL over Airflow's tables, and from the exporter's counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from airflow_obs.catalog import metrics
from airflow_obs.catalog.airflow import FINISHED_RUN_STATES, FINISHED_STATES
from airflow_obs.model import Metric
from tests.embedded_postgres import EmbeddedPostgres

Tally = dict[tuple[str, ...], float]
"""By (name of the series, values of its labels …); what is 0 is not there."""
Ask = Callable[[str], Iterable[tuple[Mapping[str, str], float]]]
"""The labels and value of each series of a name."""

COUNTERS = (metrics.TASKS_FINISHED, metrics.TRIES_RETRIED, metrics.RUNS_FINISHED)
HISTOGRAMS = (metrics.TASK_DURATION, metrics.RUN_DURATION, metrics.RUN_START_DELAY)
NEGLIGIBLE = 1e-3
"""Seconds: sums are added up in another order."""

TASKS = f"""
    SELECT state, queue, count(*), count(end_date - start_date) * (state IN ('success', 'failed'))::int,
           sum(extract(epoch FROM end_date - start_date)) * (state IN ('success', 'failed'))::int
    FROM task_instance WHERE state IN {FINISHED_STATES} GROUP BY state, queue
"""
RETRIED = """
    SELECT queue, count(*) FROM task_instance_history WHERE state = 'failed' AND try_number <= max_tries GROUP BY queue
"""
RUNS = f"""
    SELECT state, run_type, count(*), count(end_date - start_date), sum(extract(epoch FROM end_date - start_date))
    FROM dag_run WHERE state IN {FINISHED_RUN_STATES} GROUP BY state, run_type
"""
STARTS = {
    2: """
    SELECT run_type, count(*), sum(greatest(0, extract(epoch FROM start_date - data_interval_end)))
    FROM dag_run WHERE run_type = 'scheduled' AND start_date IS NOT NULL GROUP BY run_type
""",
    3: """
    SELECT run_type, count(*), sum(greatest(0, extract(epoch FROM start_date - run_after)))
    FROM dag_run WHERE run_type <> 'backfill' AND start_date IS NOT NULL GROUP BY run_type
""",
}
"""By Airflow's first number."""


def in_database(postgres: EmbeddedPostgres, major: int) -> Tally:
    """Of all time, by queries over everything that nobody would dare on a large database."""
    tally: Tally = {}
    for state, queue, count, timed, seconds in postgres.execute(TASKS, "airflow"):
        tally[metrics.TASKS_FINISHED.name, state, queue] = count
        _put(tally, metrics.TASK_DURATION, timed, seconds, state, queue)
    for queue, count in postgres.execute(RETRIED, "airflow"):
        tally[metrics.TRIES_RETRIED.name, queue] = count
    for state, run_type, count, timed, seconds in postgres.execute(RUNS, "airflow"):
        tally[metrics.RUNS_FINISHED.name, state, run_type] = count
        _put(tally, metrics.RUN_DURATION, timed, seconds, state, run_type)
    for run_type, count, seconds in postgres.execute(STARTS[major], "airflow"):
        _put(tally, metrics.RUN_START_DELAY, count, seconds, run_type)
    return _without_nothing(tally)


def in_exporter(ask: Ask) -> Tally:
    """Since the start of the exporter that is asked, or whose Prometheus is."""
    named = [(metric, metric.name) for metric in COUNTERS]
    named += [(metric, f"{metric.name}_{part}") for metric in HISTOGRAMS for part in ("count", "sum")]
    return _without_nothing(
        {
            (name, *(labels[label] for label in metric.labels)): value
            for metric, name in named
            for labels, value in ask(name)
        }
    )


def difference(after: Tally, before: Tally) -> Tally:
    """What came to it between the two."""
    return _without_nothing({key: after.get(key, 0) - before.get(key, 0) for key in after.keys() | before.keys()})


def same(one: Tally, other: Tally) -> bool:
    """Whether the counts are equal, and the sums but for what is negligible."""
    return not difference(one, other)


def _put(tally: Tally, metric: Metric, count: int, seconds: float | None, *labels: str) -> None:
    tally[f"{metric.name}_count", *labels] = count
    tally[f"{metric.name}_sum", *labels] = float(seconds or 0)


def _without_nothing(tally: Tally) -> Tally:
    return {key: value for key, value in tally.items() if abs(value) > NEGLIGIBLE}
