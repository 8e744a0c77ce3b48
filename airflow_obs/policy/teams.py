"""Who is told of what: teams, and the DAGs that are theirs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from airflow_obs.policy.knobs import Text
from airflow_obs.policy.strict import Strict

TeamName = Annotated[
    str, Text("[a-zA-Z0-9_.-]{1,63}", "a team: 1 to 63 letters, digits, `_`, `.` or `-`: it becomes the label team")
]
ReceiverName = Annotated[
    str, Text("[a-zA-Z0-9_.-]{1,63}", "the name of a receiver: 1 to 63 letters, digits, `_`, `.` or `-`")
]
Owner = Annotated[
    str,
    Text(
        r"[^\s,](?:[^,\n\r\t]{0,98}[^\s,])?",
        "an owner as Airflow shows it, or a glob such as data-*; one owner an item",
    ),
]
Prefix = Annotated[
    str, Text(r"[^\s,*?|()\[\]{}^$+\\]{1,250}", "what DAG ids begin with, such as payments_, without `*`")
]
Tag = Annotated[str, Text(r"[^\s,](?:[^,\n\r\t]{0,98}[^\s,])?", "a tag of DAGs; one tag an item")]


class Overrides(Strict):
    """Other receivers by severity; None is the team's own."""

    critical: ReceiverName | None = Field(None, description="Receiver of alerts that wake somebody.")
    warning: ReceiverName | None = Field(None, description="Receiver of tickets.")
    info: ReceiverName | None = Field(None, description="Receiver of what is only good to know.")


class Team(Strict):
    """A team, and what makes a DAG its own: any of its owners, prefixes or tags."""

    name: TeamName = Field(description="Becomes the label team of its alerts; no two share it.")
    owners: tuple[Owner, ...] = Field(
        (), description="Owners whose DAGs are the team's; globs, as Airflow spells them."
    )
    dag_prefixes: tuple[Prefix, ...] = Field((), description="What the ids of its DAGs begin with.")
    tags: tuple[Tag, ...] = Field((), description="Tags of its DAGs.")
    receiver: ReceiverName | None = Field(
        None, description="Who is told, one of `receivers`; null is `alertmanager.default`."
    )
    receivers: Overrides = Field(Overrides(), description="Other receivers for some severities.")
