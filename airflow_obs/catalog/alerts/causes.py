"""Failures of the database that make others: an alert on a consequence is silent where the one on the cause tells."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Scope
from airflow_obs.promql import Expr, Number, max_by, min_by

DOWN = "AirflowDatabaseDown"
EXHAUSTED, LOCK_WAIT = "AirflowDatabaseConnectionsExhausted", "AirflowDatabaseLockWait"


def while_the_database_answers(at: Scope, of: Expr) -> Expr:
    """`of`, but nothing where the exporter cannot reach the database, if it is the one that Airflow needs."""
    known = "database" in at.sources and not at.replica and at.tells(DOWN)
    return of.on("airflow").unless(down(at)) if known else of


def unless_sessions_wait(at: Scope, of: Expr) -> Expr:
    """`of`, but nothing where a session has waited for a lock for so long that the alert on that may fire."""
    threshold = at.thresholds.get(LOCK_WAIT)
    if threshold is None or not at.tells(LOCK_WAIT) or not at.sees(metrics.DB_LOCK_WAIT_OLDEST):
        return of
    return of.on("airflow").unless(waits_for_a_lock(at, threshold))


def unless_no_connection_is_left(at: Scope, of: Expr) -> Expr:
    """`of`, but nothing where so few connections are left that the alert on that may fire."""
    threshold = at.thresholds.get(EXHAUSTED)
    if threshold is None or not at.tells(EXHAUSTED) or not at.sees(metrics.DB_CONNECTIONS_FREE):
        return of
    return of.on("airflow").unless(max_by(few_left(at, threshold), "airflow"))


def down(at: Scope) -> Expr:
    """0 where the exporter cannot reach the database."""
    return max_by(at(metrics.SOURCE_UP, source="database"), "airflow").equals(0)


def waits_for_a_lock(at: Scope, threshold: Number) -> Expr:
    """For how many seconds the session has waited that waits longest, if for more than `threshold`."""
    return max_by(at.age(metrics.DB_LOCK_WAIT_OLDEST), "airflow") > threshold


def few_left(at: Scope, threshold: Number) -> Expr:
    """How many connections may still be opened, of each limit that leaves fewer than `threshold`."""
    return min_by(at(metrics.DB_CONNECTIONS_FREE), "airflow", "limit") < threshold
