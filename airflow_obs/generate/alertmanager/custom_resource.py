"""AlertmanagerConfig objects: the same for prometheus-operator, one for each namespace that has deployments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from airflow_obs.generate.alertmanager import intervals, receivers
from airflow_obs.generate.alertmanager.decision import decision
from airflow_obs.generate.alertmanager.matchers import Inhibition, equal, one_of
from airflow_obs.generate.alertmanager.routes import Route, tree, written
from airflow_obs.generate.formats import MANAGED_BY
from airflow_obs.generate.yaml_text import Value, text_of
from airflow_obs.policy import Deployment, Policy
from airflow_obs.policy.alertmanager import NOBODY

NAME = "airflow-obs"
"""What each object is called: there is one in a namespace."""


def by_namespace(policy: Policy) -> Mapping[str, Sequence[Deployment]]:
    """The deployments of each namespace; those that name none have no object."""
    found: dict[str, list[Deployment]] = {}
    for one in policy.deployments:
        if one.airflow.namespace:
            found.setdefault(one.airflow.namespace, []).append(one)
    return found


def first(policy: Policy, namespace: str) -> Route:
    """The first route of the object for a namespace, as the operator leaves it, and all below it."""
    deployments = by_namespace(policy)[namespace]
    names = [one.name for one in deployments]
    return tree(
        decision(policy, deployments), policy.alertmanager, (equal("namespace", namespace), one_of("airflow", names))
    )


def custom_resource(policy: Policy, namespace: str, inhibitions: Sequence[Inhibition]) -> str:
    """The object for the deployments of a namespace, but for its marker.

    The operator takes the matcher on the namespace from the first route and adds its own, and lets alerts go on to the routes
    after it: one route holds all others, and is only for alerts of these deployments.
    """
    decided = decision(policy, by_namespace(policy)[namespace])
    spec: dict[str, Value] = {
        "route": written(first(policy, namespace), custom=True),
        "inhibitRules": [_inhibition(one) for one in inhibitions],
        "receivers": [
            *([{"name": NOBODY}] if NOBODY in decided.receivers else []),
            *map(receivers.custom, policy.receivers),
        ],
        "muteTimeIntervals": [intervals.custom(one.silence) for one in decided.quiet],
    }
    labels = {**policy.output.rule_labels, MANAGED_BY: "airflow-obs"}
    return text_of({
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels},
        "spec": {key: value for key, value in spec.items() if value},
    })  # fmt: skip


def _inhibition(one: Inhibition) -> dict[str, Value]:
    return {
        "sourceMatch": [matcher.custom for matcher in one.source],
        "targetMatch": [matcher.custom for matcher in one.target],
        "equal": list(one.equal),
    }
