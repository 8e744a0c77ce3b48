"""Alerts on what answers requests: the API server of 3.x, the webserver of 2.x, and what their health endpoint says."""

from __future__ import annotations

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Alert, Cases, Scope, Series
from airflow_obs.catalog.alerts.causes import (
    unless_no_connection_is_left,
    unless_sessions_wait,
    while_the_database_answers,
)
from airflow_obs.model import Severity
from airflow_obs.promql import Expr, Match, max_by, over_time

_BEFORE_3 = Match("=~", "2[.].*")
_REMEMBERED = 86400
"""Seconds for which it is remembered which release it was, while the database does not answer."""
_OPTIONAL = ("triggerer", "dag_processor")
"""Components that a deployment may do without; the endpoint calls one that was ever there unhealthy for good."""


def _unanswered(at: Scope) -> Expr:
    return max_by(at(metrics.SOURCE_UP, source="health"), "airflow").equals(0)


def _tells_release(at: Scope) -> bool:
    """Whether only the database says which Airflow it is."""
    return at.version == "auto" and "database" in at.collectors


def _is_before_3(at: Scope) -> Expr:
    """By what the database says, or said last."""
    now = max_by(at(metrics.AIRFLOW_INFO), "airflow")
    last = max_by(over_time("last", at(metrics.AIRFLOW_INFO, release=_BEFORE_3), _REMEMBERED), "airflow")
    return max_by(at(metrics.AIRFLOW_INFO, release=_BEFORE_3), "airflow").or_(last.on("airflow").unless(now))


def _api_server_down(at: Scope) -> Expr:
    """Without the database, or with all who ask it waiting, the server answers nobody, which another alert says."""
    down = while_the_database_answers(at, unless_no_connection_is_left(at, unless_sessions_wait(at, _unanswered(at))))
    return down.on("airflow").unless(_is_before_3(at)) if _tells_release(at) else down


def _webserver_down(at: Scope) -> Expr:
    down = while_the_database_answers(at, _unanswered(at))
    return down.on("airflow").and_(_is_before_3(at)) if _tells_release(at) else down


def _is_2(at: Scope) -> bool:
    return at.version.startswith("2.")


def _unhealthy(at: Scope) -> Expr:
    unwanted = [component for component in _OPTIONAL if at.replicas.get(component, 1) == 0]
    every = at(metrics.HEALTH_COMPONENT)
    wanted = at(metrics.HEALTH_COMPONENT, component=Match("!~", "|".join(unwanted))) if unwanted else every
    return max_by(wanted, "airflow", "component").equals(0)


def _release(at: Scope, release: str) -> tuple[Series, ...]:
    if not _tells_release(at):
        return ()
    return (
        at.series(
            metrics.AIRFLOW_INFO, 1, alembic_head="a", release=release, database="postgresql", database_version="15"
        ),
    )


def _down_cases(at: Scope, release: str, other: str) -> Cases:
    """The nearest healthy neighbour is the other generation of Airflow, where that is what tells them apart."""
    down, well = (at.series(metrics.SOURCE_UP, up, source="health") for up in (0, 1))
    quiet = (down, *_release(at, other)) if _tells_release(at) else (well,)
    return Cases(fires=(down, *_release(at, release)), quiet=quiet, value=0)


API = (
    Alert(
        "AirflowApiServerDown", "api", ("A1", "A2"), Severity.CRITICAL, "2m",
        expr=_api_server_down,
        summary="The API server does not answer (up {{ $value }})",
        impact="Tasks cannot start, and running ones are ended after three heartbeats that failed; nobody can use the UI.",
        when=lambda at: not _is_2(at) and (at.version != "auto" or _tells_release(at)),
        sources=("health",),
        cases=lambda at: _down_cases(at, "3.1.0+", "2.10.3+"),
    ),
    Alert(
        "AirflowWebserverDown", "api", ("A1", "A2"), Severity.WARNING, "5m",
        expr=_webserver_down,
        summary="The webserver does not answer (up {{ $value }})",
        impact="Nobody can use the UI or the REST API; scheduling and tasks go on.",
        # Where nobody says which Airflow it is, the milder one of the two.
        when=lambda at: _is_2(at) or at.version == "auto",
        sources=("health",),
        cases=lambda at: _down_cases(at, "2.10.3+", "3.1.0+"),
    ),
    Alert(
        "AirflowHealthUnhealthy", "api", ("S1", "G3", "R1", "D1"), Severity.WARNING, "5m",
        expr=_unhealthy,
        summary="Airflow's own health endpoint calls the {{ $labels.component }} unhealthy (healthy {{ $value }})",
        impact="By Airflow's own judgement that component does no work.",
        cases=lambda at: Cases(
            fires=(at.series(metrics.HEALTH_COMPONENT, 0, component="scheduler"),),
            quiet=(at.series(metrics.HEALTH_COMPONENT, 1, component="scheduler"),),
            value=0,
            labels={"component": "scheduler"},
        ),
    ),
)  # fmt: skip
