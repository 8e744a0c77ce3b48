"""Families of others that alerts read: of kube-state-metrics, cAdvisor, the kubelet and Prometheus itself."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_obs.model import External, Kind

_STATE_DOCS = "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload"
_CADVISOR_DOCS = "https://github.com/google/cadvisor/blob/master/docs/storage/prometheus.md"
_KUBELET_DOCS = "https://kubernetes.io/docs/reference/instrumentation/metrics/"

_POD = ("namespace", "pod")
_CONTAINER = (*_POD, "container")
_AUTOSCALER = ("namespace", "horizontalpodautoscaler")
_CRON_JOB = ("namespace", "cronjob")
_JOB = ("namespace", "job_name")
_VOLUME = ("namespace", "persistentvolumeclaim")


def _state(page: str, name: str, labels: tuple[str, ...], kind: Kind = Kind.GAUGE) -> External:
    return External(name, kind, "kube_state_metrics", labels, f"{_STATE_DOCS}/{page}-metrics.md")


# -- kube-state-metrics: pods ------------------------------------------------------------------------------------------

POD_INFO = _state("pod", "kube_pod_info", (*_POD, "created_by_kind"))
POD_CREATED = _state("pod", "kube_pod_created", _POD)
POD_PHASE = _state("pod", "kube_pod_status_phase", (*_POD, "phase"))
POD_REASON = _state("pod", "kube_pod_status_reason", (*_POD, "reason"))
"""Up to 2.19 there are series of 0 for the reasons that do not hold; later ones only have those that do."""
POD_DISRUPTION = _state("pod", "kube_pod_status_disruption_reason", (*_POD, "reason"))
"""From 2.20 on: evictions over the API (a drained node), which leave no reason in the pod's status."""
RESTARTS = _state("pod", "kube_pod_container_status_restarts_total", _CONTAINER, Kind.COUNTER)
WAITING_REASON = _state("pod", "kube_pod_container_status_waiting_reason", (*_CONTAINER, "reason"))
INIT_WAITING_REASON = _state("pod", "kube_pod_init_container_status_waiting_reason", (*_CONTAINER, "reason"))
TERMINATED_REASON = _state("pod", "kube_pod_container_status_terminated_reason", (*_CONTAINER, "reason"))
LAST_TERMINATED_REASON = _state("pod", "kube_pod_container_status_last_terminated_reason", (*_CONTAINER, "reason"))
LIMITS = _state("pod", "kube_pod_container_resource_limits", (*_CONTAINER, "resource"))

# -- kube-state-metrics: workloads -------------------------------------------------------------------------------------

DEPLOYMENT_REPLICAS = _state("deployment", "kube_deployment_spec_replicas", ("namespace", "deployment"))
DEPLOYMENT_READY = _state("deployment", "kube_deployment_status_replicas_available", ("namespace", "deployment"))
STATEFULSET_REPLICAS = _state("statefulset", "kube_statefulset_replicas", ("namespace", "statefulset"))
STATEFULSET_READY = _state("statefulset", "kube_statefulset_status_replicas_ready", ("namespace", "statefulset"))
AUTOSCALER_REPLICAS = _state(
    "horizontalpodautoscaler", "kube_horizontalpodautoscaler_status_current_replicas", _AUTOSCALER
)
AUTOSCALER_MAX = _state("horizontalpodautoscaler", "kube_horizontalpodautoscaler_spec_max_replicas", _AUTOSCALER)
AUTOSCALER_MIN = _state("horizontalpodautoscaler", "kube_horizontalpodautoscaler_spec_min_replicas", _AUTOSCALER)
CRON_JOB_SCHEDULED = _state("cronjob", "kube_cronjob_status_last_schedule_time", _CRON_JOB)
CRON_JOB_SUCCEEDED = _state("cronjob", "kube_cronjob_status_last_successful_time", _CRON_JOB)
"""Not there before the first success."""
JOB_STARTED = _state("job", "kube_job_status_start_time", _JOB)
JOB_SUCCEEDED = _state("job", "kube_job_status_succeeded", _JOB)

# -- cAdvisor, kubelet -------------------------------------------------------------------------------------------------

MEMORY_WORKING_SET = External("container_memory_working_set_bytes", Kind.GAUGE, "cadvisor", _CONTAINER, _CADVISOR_DOCS)
OOM_EVENTS = External("container_oom_events_total", Kind.COUNTER, "cadvisor", _CONTAINER, _CADVISOR_DOCS)
VOLUME_FREE = External("kubelet_volume_stats_available_bytes", Kind.GAUGE, "kubelet", _VOLUME, _KUBELET_DOCS)
VOLUME_SIZE = External("kubelet_volume_stats_capacity_bytes", Kind.GAUGE, "kubelet", _VOLUME, _KUBELET_DOCS)
KUBELET_NODE = External("kubelet_node_name", Kind.GAUGE, "kubelet", ("node",), _KUBELET_DOCS)

# -- Prometheus --------------------------------------------------------------------------------------------------------

ALERTS = External(
    "ALERTS", Kind.GAUGE, "prometheus", ("airflow", "alertname", "alertstate", "severity", "shadow", "team"),
    "https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/",
)  # fmt: skip
"""1 for each alert of a rule, pending or firing, with its labels."""

ALL: tuple[External, ...] = tuple(value for value in list(globals().values()) if isinstance(value, External))

ALWAYS: Mapping[str, External] = {
    "kube_state_metrics": POD_INFO,
    "cadvisor": MEMORY_WORKING_SET,
    "kubelet": KUBELET_NODE,
}
"""Of each source a family that it always has where an Airflow runs; the kubelet's volumes need not be of any size."""
