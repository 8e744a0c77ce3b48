"""What the policy's objectives on named DAGs and on dag runs need: runs that count for one, and whether its DAGs are in time."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge

SLO_DAGS = gauge(
    "slos", "slo_dags", "DAGs still in a file, paused or not, that the dag_id of the objective names now.", ("slo",)
)
SLO_DAG_RUNS = counter(
    "slos", "slo_dag_runs_total",
    "Dag runs that ended and count for an objective of kind dag_success, by outcome (success, failed); one that is cleared and"
    " ends again counts again.",
    ("slo", "outcome"),
)  # fmt: skip
SLO_DAG_GOOD = gauge(
    "slos", "slo_dag_good",
    "1 if the DAG keeps the objective, else 0: of dag_freshness now, of dag_deadline at the newest deadline that has passed."
    " A DAG that never succeeded does not; of one of which it is not known there is none.",
    ("slo", "dag_id"),
)  # fmt: skip
SLO_DAG_OVERDUE = gauge(
    "slos", "slo_dag_overdue",
    "1 from a deadline that the DAG missed until it succeeds after all, or is in time for another one; else 0.",
    ("slo", "dag_id"), shows=("X4",),
)  # fmt: skip
SLO_DEADLINE = gauge(
    "slos", "slo_deadline_timestamp_seconds", "The newest deadline of the objective that has passed.", ("slo",)
)
