"""Which DAGs a site wants to see one by one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_obs.policy.knobs import Count, Flag, Glob
from airflow_obs.policy.strict import Strict

SERIES = 2
"""Most series that one DAG has of one metric, if its tasks are not counted: its queued runs and its running ones."""


class DagsPolicy(Strict):
    """Which DAGs have series of their own; patterns are globs over the whole DAG id, in its own case."""

    include: tuple[Annotated[str, Glob()], ...] = Field(
        ("*",),
        description='Globs of the DAG ids that may have series of their own: "*" is any text, "?" any character.',
    )
    exclude: tuple[Annotated[str, Glob()], ...] = Field(
        (), description="Globs of those that have none, even when included."
    )
    top: Annotated[int, Count(0, 100_000)] = Field(
        500,
        description="Most DAGs with series of their own: those with the most runs of late, paused or not; 0 is none.",
    )
    task_level: Annotated[bool, Flag()] = Field(
        default=False, description="Count the unfinished task instances of these DAGs by task, too."
    )
