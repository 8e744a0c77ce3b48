"""What is recorded of each objective: families that Prometheus makes itself, once a minute, and alerts and dashboards read."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_obs.model import Recorded

MINUTE = 60
"""Seconds from one recording to the next, always: sums over a time count on it."""
HOUR, DAY = 3600, 86400
LABELS = ("slo", "team")

TIERS: Mapping[int, int] = {HOUR: HOUR // 12, 6 * HOUR: HOUR // 2, DAY: 2 * HOUR, 3 * DAY: 6 * HOUR}
"""Each long time over which the budget's spending is judged, and the twelfth of it in which it must still go on, in seconds.

https://sre.google/workbook/alerting-on-slos/, with 3 days where the budget is ten times 30 days' 1.
"""
UNJUDGED = 3 * DAY
"""Seconds within which an objective must have been judged by enough events."""

BAD = Recorded(
    "airflow_obs:slo_bad:minute",
    "Bad events in the last minute; of what is measured in time, the bad part of the minute.",
    LABELS,
)
EVENTS = Recorded(
    "airflow_obs:slo_events:minute",
    "Events in the last minute; of what is measured in time, 1 if it was judged.",
    LABELS,
)


def called(seconds: int) -> str:
    """A time in whole minutes as the names have it: 5m, 1h, 3d."""
    for unit, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m")):
        if seconds % unit == 0:
            return f"{seconds // unit}{name}"
    raise ValueError(f"no whole minutes: {seconds}")


EVENTS_OVER: Mapping[int, Recorded] = {
    seconds: Recorded(
        f"airflow_obs:slo_events:{called(seconds)}", "Events, or judged minutes, of so long a time.", LABELS
    )
    for seconds in TIERS
}
"""By the time over which they are counted, in seconds."""
EVENTS_ALTOGETHER = Recorded(
    "airflow_obs:slo_events:window", "Events, or judged minutes, of the objective's whole window.", LABELS
)
ERRORS = Recorded(
    "airflow_obs:slo_errors:ratio",
    "The bad part of all events or deadlines of the objective's window, or of all of its minutes, judged or not.",
    LABELS,
)
SPENT: Mapping[int, Recorded] = {
    seconds: Recorded(
        f"airflow_obs:slo_error_budget_spent:{called(seconds)}",
        "The part of the whole window's error budget that so long a time takes; of events, if the rest of the window has as many.",
        LABELS,
    )
    for seconds in sorted({*TIERS, *TIERS.values()})
}
"""By the time, in seconds."""
REMAINING = Recorded(
    "airflow_obs:slo_error_budget_remaining:ratio",
    "The part of the error budget that the window left; below 0 it is overdrawn.",
    LABELS,
    signed=True,
)
WINDOW = Recorded("airflow_obs:slo_window:seconds", "Over which time it is judged, as the policy has it.", LABELS)
CAUSE = Recorded(
    "airflow_obs:slo_cause:firing",
    "1 while a critical alert fires, for the same team, on what can burn an objective of its kind.",
    LABELS,
)
OBJECTIVE = Recorded("airflow_obs:slo_objective:ratio", "How much must be good, as the policy has it.", LABELS)
MIN_EVENTS = Recorded("airflow_obs:slo_min_events:count", "Fewer events than this prove nothing.", LABELS)

ALL: tuple[Recorded, ...] = (
    BAD, EVENTS, *EVENTS_OVER.values(), EVENTS_ALTOGETHER, ERRORS, *SPENT.values(), WINDOW, CAUSE, REMAINING, OBJECTIVE,
    MIN_EVENTS,
)  # fmt: skip
"""In the order in which they are recorded, but for the last two, which nothing else is made of."""
