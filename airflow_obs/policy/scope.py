"""The scope in which a deployment's alerts stand: what the policy says of it, and of the other alerts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.catalog.alerts.teams import team_dags
from airflow_obs.catalog.collectors import source_of
from airflow_obs.model import Severity
from airflow_obs.policy.alerts import AlertSettings
from airflow_obs.policy.deployments import Deployment
from airflow_obs.policy.lacking import LISTED_AS, first_lacking
from airflow_obs.policy.model import Policy
from airflow_obs.promql import Family


def scope(policy: Policy, deployment: Deployment) -> Scope:
    """What the policy says of a deployment, without a word of its alerts and objectives."""
    facts, sources = deployment.airflow, tuple(_sources(deployment))
    enabled = [name for name, one in policy.collectors.by_name().items() if one.enabled]
    return Scope(
        airflow=deployment.name,
        replicas={name: count for name, count in deployment.replicas if count is not None},
        executor=facts.executor,
        version=facts.version,
        chart=facts.chart,
        namespace=facts.namespace or "",
        release=facts.release or "",
        collectors=tuple(name for name in enabled if source_of(name) in sources),
        sources=sources,
        replica=bool(deployment.sources.database and deployment.sources.database.replica),
        retention="retention" in policy.model_fields_set,
        pushes=any(destination for _, destination in policy.push),
        teams=tuple(
            team_dags(team.name, team.owners, team.dag_prefixes, team.tags)
            for team in policy.teams
            if team.owners or team.dag_prefixes or team.tags
        ),
        team=deployment.team or next((team.name for team in policy.teams), ""),
    )


def among(bare: Scope, chosen: Mapping[str, AlertSettings]) -> dict[str, Scope]:
    """The scope of each of these alerts: its knobs, the thresholds of all, and which of them tell less loudly than it."""
    thresholds = {
        name: one.knobs["threshold"]
        for name, one in chosen.items()
        if one.enabled and not one.shadow and "threshold" in one.knobs
    }
    quieter = {severity: _quieter(chosen, severity) for severity in Severity}
    return {
        name: replace(bare, thresholds=thresholds, silent=quieter[one.severity], knobs=one.knobs)
        for name, one in chosen.items()
    }


def against(alert: Alert, at: Scope, families: Iterable[Family]) -> Iterator[str]:
    """What keeps an alert, whose expression reads these families, from its deployment."""
    if alert.executors and at.executor != "auto" and not any(kind in at.executor for kind in alert.executors):
        yield f"it concerns {' and '.join(alert.executors)}, and the executor is {at.executor}"
    for source in alert.sources:
        if source not in at.sources:
            yield f"it needs {LISTED_AS.get(source, source)}, which the deployment does not list"
    if why := first_lacking(families, at):
        yield why


def _quieter(chosen: Mapping[str, AlertSettings], severity: Severity) -> frozenset[str]:
    """The alerts that tell nobody, or tell it less loudly than with this severity."""
    louder = list(Severity)[: list(Severity).index(severity) + 1]
    return frozenset(
        name for name, one in chosen.items() if not one.enabled or one.shadow or one.severity not in louder
    )


def _sources(deployment: Deployment) -> Iterator[str]:
    """The names of what can be read, as collectors and foreign families name their sources."""
    listed = deployment.sources
    there = {
        "database": listed.database,
        "health": listed.health,
        "broker": listed.broker,
        "workers": listed.broker and listed.broker.control,
        "ingest": listed.ingests,
        "otlp": listed.otlp,
    }
    yield from (name for name, one in there.items() if one)
    if listed.kubernetes:
        yield from (name for name, one in listed.kubernetes if one)
