"""What can burn the error budget of each kind of objective: where its team was told of that, a page tells it nothing new."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_obs.catalog.inhibition import CAUSES, EDGES
from airflow_obs.catalog.objective import QUEUED

BURN_FAST = "AirflowErrorBudgetBurnFast"
BURN_SLOW = "AirflowErrorBudgetBurnSlow"

_DOWN = tuple(name for name in CAUSES if any(edge.cause == name and edge.effect.alert == BURN_FAST for edge in EDGES))
"""What stops all of an Airflow's runs: of these Alertmanager knows as well."""
_HELD_UP = ("AirflowDatabaseConnectionsExhausted", "AirflowDatabaseLockWait")
_QUEUES = ("AirflowQueueWithoutWorker", "AirflowQueueStalled", "AirflowBrokerFull", "AirflowBrokerEvicting")
_QUEUE_TIME = (*_DOWN, *_HELD_UP, *_QUEUES)

BURNED_BY: Mapping[str, tuple[str, ...]] = {
    "schedule_delay": (*_DOWN, *_HELD_UP, "AirflowSchedulesOverdue"),
    "queue_time": _QUEUE_TIME,
    QUEUED: _QUEUE_TIME,
    "dag_freshness": (
        *_DOWN, *_HELD_UP, *_QUEUES,
        "AirflowSchedulesOverdue", "AirflowTriggererDown", "AirflowTriggererStalled", "AirflowDagsVanished",
    ),
    # What waits does not fail: runs that do, while a queue has no worker, are something else.
    "dag_success": (*_DOWN, *_HELD_UP, "AirflowBrokerEvicting"),
    "scheduler_availability": ("AirflowDatabaseDown", "AirflowSchedulerDown", *_HELD_UP),
}  # fmt: skip
"""By the kind of objective, but for that which is judged once a day and has no burn rate."""
