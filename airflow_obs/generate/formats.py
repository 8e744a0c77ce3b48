"""The kinds of rule files: the same groups, as each program that takes them wants them wrapped."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from airflow_obs.generate.yaml_text import Value, indented, text_of
from airflow_obs.policy import Deployment
from airflow_obs.policy.output import Output

MANAGED_BY = "app.kubernetes.io/managed-by"


@dataclass(frozen=True)
class Wrapped:
    """What a format is made of: the deployment, what the policy says of output, and the groups as a YAML list."""

    deployment: Deployment
    output: Output
    groups: str

    @cached_property
    def spec(self) -> str:
        """The groups as they stand in a Kubernetes object."""
        return f"spec:\n{indented(prometheus(self.groups))}"


def prometheus(groups: str) -> str:
    """A rule file of Prometheus, and of Thanos' ruler."""
    return f"groups:\n{indented(groups)}"


def prometheusrule(of: Wrapped) -> str:
    """A PrometheusRule object for prometheus-operator."""
    return _object(of, "monitoring.coreos.com/v1", "PrometheusRule")


def vmrule(of: Wrapped) -> str:
    """A VMRule object for VictoriaMetrics' operator."""
    return _object(of, "operator.victoriametrics.com/v1beta1", "VMRule")


def mimir(of: Wrapped) -> str:
    """A file for `mimirtool rules`, which keeps each namespace of rules apart."""
    return text_of({"namespace": f"airflow-obs-{of.deployment.name}"}) + prometheus(of.groups)


FORMATS: Mapping[str, Callable[[Wrapped], str]] = {
    "prometheus": lambda of: prometheus(of.groups),
    "prometheusrule": prometheusrule,
    "vmrule": vmrule,
    "mimir": mimir,
}
"""By the name that the policy gives each, and its folder."""


def object_name(deployment: str) -> str:
    """A name of a Kubernetes object (RFC 1123) that no other deployment's has."""
    plain = re.sub("[^a-z0-9-]+", "-", deployment.lower()).strip("-")
    if plain == deployment:
        return f"airflow-obs-{plain}"
    # Two deployments may differ only in what such a name cannot say.
    told_apart = hashlib.sha256(deployment.encode()).hexdigest()[:8]
    return "-".join(filter(None, ("airflow-obs", plain, told_apart)))


def _object(of: Wrapped, version: str, kind: str) -> str:
    metadata: dict[str, Value] = {"name": object_name(of.deployment.name)}
    if namespace := of.output.rule_namespace or of.deployment.airflow.namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {**of.output.rule_labels, MANAGED_BY: "airflow-obs"}
    head = text_of({"apiVersion": version, "kind": kind, "metadata": metadata})
    return f"{head}{of.spec}"
