"""What a site promises its users: service level objectives, and whether their alerts could ever fire."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from airflow_obs.catalog import metrics
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.knobs import Count, Duration, Glob, Text, all_refused, refused
from airflow_obs.policy.quantities import Ratio, text_of_ratio
from airflow_obs.policy.silences import WEEKDAYS, Clock, DeploymentName, Range, Zone
from airflow_obs.policy.strict import Strict
from airflow_obs.policy.teams import TeamName

PAGE_BUDGET = Decimal("0.02")
"""The part of the error budget that is spent within `PAGE_WINDOW` when a page is due: 14.4 times too fast over 30 days.

https://sre.google/workbook/alerting-on-slos/
"""
PAGE_WINDOW = 3600
"""In seconds. Below 50 of these in the window, a page would be due while the budget is kept: no window is that short."""

KINDS = ("schedule_delay", "queue_time", "dag_freshness", "dag_deadline", "dag_success", "scheduler_availability")
NEEDS = {
    "schedule_delay": ("threshold",),
    "queue_time": ("threshold",),
    "dag_freshness": ("dag_id", "threshold"),
    "dag_deadline": ("dag_id", "deadline"),
    "dag_success": (),
    "scheduler_availability": (),
}
"""What each kind needs."""
TAKES = {"dag_deadline": ("location", "weekdays", "lead"), "dag_success": ("dag_id",)}
"""What some kinds take beside that."""
LEAD = 12 * 3600.0
"""How long before its deadline a success counts unless the site says otherwise, in seconds."""
_HISTOGRAMS = {"schedule_delay": metrics.RUN_START_DELAY, "queue_time": metrics.TRY_QUEUED}
DeadlineDay = Annotated[
    str,
    Range("", lambda *_: True, "a day such as saturday, or a range such as saturday:monday", WEEKDAYS),
]


def days_of(weekdays: Sequence[str]) -> frozenset[int]:
    """The days, 0 for sunday, of what was written: days, or ranges that may go on into the next week; all where nothing was."""
    ranges = [[WEEKDAYS.index(day) for day in one.split(":")] for one in weekdays]
    week = len(WEEKDAYS)
    return frozenset(
        (ends[0] + number) % week for ends in ranges for number in range((ends[-1] - ends[0]) % week + 1)
    ) or frozenset(range(week))


class Slo(Strict):
    """One objective."""

    name: Annotated[
        str,
        Text("[a-z][a-z0-9-]{0,62}", "the name of an objective: 1 to 63 small letters, digits or `-`, a letter first"),
    ] = Field(description="Becomes the label slo; no two share it.")
    kind: Annotated[
        Literal[
            "schedule_delay", "queue_time", "dag_freshness", "dag_deadline", "dag_success", "scheduler_availability"
        ],
        Text("", ", ".join(KINDS[:-1]) + f" or {KINDS[-1]}", KINDS),
    ] = Field(
        description=(
            "What is good: schedule_delay and queue_time within threshold, a dag_freshness (age of the last success) within it, "
            "a success by the dag_deadline, dag_success (runs), scheduler_availability (time)."
        )
    )
    window: Annotated[float, Duration("7d", "90d")] = Field(30 * 86400.0, description="Over which time it is judged.")
    objective: Annotated[Decimal, Ratio("50%", "99.999%")] = Field(description="How much of it must be good.")
    threshold: Annotated[float, Duration("1s", "30d")] | None = Field(
        None, description="The longest delay, time in the queue or age that is still good."
    )
    deadline: Clock | None = Field(
        None, description='Time of the day by which the DAG must have succeeded, in quotes ("07:00").'
    )
    location: Annotated[str, Zone()] | None = Field(None, description="Time zone of the deadline; null is UTC.")
    weekdays: tuple[DeadlineDay, ...] = Field(
        (), description='Days of the week that have the deadline ("monday:friday"); none given is every day.'
    )
    lead: Annotated[float, Duration("1m", "1d")] | None = Field(
        None, description="How long before the deadline a success counts as that day's; null is 12h."
    )
    dag_id: Annotated[str, Glob()] | None = Field(None, description="The DAG, or a glob of several; null is all.")
    deployments: tuple[DeploymentName, ...] = Field((), description="For which Airflows; none given is all.")
    team: TeamName | None = Field(None, description="Who is told; null is the deployment's team.")
    min_events: Annotated[int, Count(0, 1_000_000)] = Field(
        10,
        description="Fewer runs or tasks than this within a window alert nobody; of what is measured in time it is ignored.",
    )

    @field_validator("objective")
    @classmethod
    def _reachable(cls, objective: Decimal, info: ValidationInfo) -> Decimal:
        window = info.data.get("window")
        # a deadline that is missed pages by itself, whatever its budget
        if window is None or info.data.get("kind") == "dag_deadline":
            return objective
        burn = PAGE_BUDGET * Decimal(window) / PAGE_WINDOW
        # all being bad is a burn rate of 1 / (1 - objective)
        if 1 / (1 - objective) > burn:
            return objective
        lowest = (1 - 1 / burn).quantize(Decimal("0.0001"), ROUND_FLOOR) + Decimal("0.0001")
        text = (
            f"the page at {burn.normalize():f} times the budget could never fire: with a window of {text_of(window)} the lowest "
            f"objective is {text_of_ratio(lowest)}: raise the objective or shorten the window"
        )
        raise refused(text, ("objective",), ("window",))

    @model_validator(mode="after")
    def _complete(self) -> Slo:
        needed = NEEDS[self.kind]
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise refused(f"{self.kind} needs {' and '.join(missing)}: add {'it' if len(missing) == 1 else 'them'}")
        taken = {*needed, *TAKES.get(self.kind, ())}
        wrong: list[tuple[tuple[str, ...], str]] = [
            ((key,), f"{self.kind} takes no {key}: remove it")
            for key in ("threshold", "deadline", "location", "weekdays", "lead", "dag_id")
            if key not in taken and getattr(self, key) not in {None, ()}
        ]
        if (histogram := _HISTOGRAMS.get(self.kind)) and self.threshold not in histogram.buckets:
            bounds = ", ".join(map(text_of, histogram.buckets))
            wrong.append((("threshold",), f"must be one of the bounds that are counted by: {bounds}"))
        if wrong:
            raise all_refused(wrong)
        return self

    def applies_to(self, deployment: str) -> bool:
        """Whether it is an objective of the deployment of that name."""
        return not self.deployments or deployment in self.deployments
