"""The way of an alert through the routes that are written: of which file they are, and through which it goes."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from airflow_obs.generate.alertmanager.custom_resource import by_namespace, first
from airflow_obs.generate.alertmanager.decision import decision
from airflow_obs.generate.alertmanager.fitting import FILE, OBJECT
from airflow_obs.generate.alertmanager.routes import Route, root
from airflow_obs.policy import Deployment, Policy

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Trees:
    """The first routes, by the file that they are of."""

    by_file: Mapping[str, Route]

    def way(self, labels: Labels) -> tuple[str, tuple[Route, ...]]:
        """The file that is for an alert with these labels, and the routes through which it goes; nothing if none is."""
        for file, route in self.by_file.items():
            if all(matcher.fits(labels) for matcher in route.matchers):
                return file, route.path(labels)
        return "", ()

    def silences(self, labels: Labels) -> frozenset[str]:
        """The names of those that are for an alert with these labels."""
        _, path = self.way(labels)
        return frozenset((*path[-1].mute, *path[-1].active) if path else ())


def trees(policy: Policy, forms: Collection[str]) -> Trees:
    """Those of alertmanager.yml, which is for all alerts, unless only AlertmanagerConfigs are written."""
    if OBJECT in forms and FILE not in forms:
        return Trees({f"{OBJECT}/{namespace}.yaml": first(policy, namespace) for namespace in by_namespace(policy)})
    return Trees({f"{FILE}/alertmanager.yml": root(decision(policy), policy.alertmanager)})


def others(policy: Policy, labels: Labels, unknown: Collection[str]) -> Iterator[Labels]:
    """The same alert with each other alertname and deployment to which a silence may be limited, if these are `unknown`."""
    names = [name for one in policy.silences for name in one.alerts] if "alertname" in unknown else []
    deployments = policy.deployments if "airflow" in unknown else ()
    for name, deployment in itertools.product((None, *dict.fromkeys(names)), (None, *deployments)):
        yield {**labels, **({"alertname": name} if name else {}), **(_place(deployment) if deployment else {})}


def _place(deployment: Deployment) -> Labels:
    return {"airflow": deployment.name, "namespace": deployment.airflow.namespace or ""}
