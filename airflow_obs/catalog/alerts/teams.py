"""Whose alert one on a DAG is: the DAG's team, found in `dag_info` by the DAG's id, owners and tags."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from airflow_obs.catalog import metrics
from airflow_obs.catalog.alerts.alert import Scope, Series, TeamDags
from airflow_obs.promql import Expr, Match, labelled, max_by, select

DAG = ("airflow", "dag_id")
"""What tells one DAG from all others; an expression of an alert on DAGs has exactly these labels."""

DAG_ID = "orders_load"
"""The DAG of the cases."""
_OWNER, _TAGS = "sales-data", ",hourly,sales,"


def team_dags(team: str, owners: Iterable[str], dag_prefixes: Iterable[str], tags: Iterable[str]) -> TeamDags:
    """A team's DAGs as regular expressions that Go and Python read alike: any of its owners (globs), prefixes or tags."""
    return TeamDags(
        team,
        dag_id=_any("{}.*", map(re.escape, dag_prefixes)),
        owner=_any("(.*, )?{}(, .*)?", map(_glob, owners)),
        tags=_any(".*,{},.*", map(re.escape, tags)),
    )


def by_team(of: Expr, at: Scope) -> Expr:
    """`of`, which has the labels in DAG, with a label team: that of the first team whose DAG it is, else the deployment's.

    Of each DAG the right side has one series, whatever several exporters say of its owner for a while.
    """
    if not at.teams:
        return of
    every = labelled(max_by(at(metrics.DAG_INFO), *DAG), "team", _literally(at.team))
    teams = functools.reduce(lambda left, right: left.on(*DAG).or_(right), [*_own(at), every])
    return of.on(*DAG).group_left("team").times(teams)


def one_dag(at: Scope) -> Series:
    """For cases: that there is the DAG DAG_ID; `labels_of` are the labels of an alert on it."""
    return at.series(metrics.DAG_INFO, 1, dag_id=DAG_ID, owner=_OWNER, tags=_TAGS)


def labels_of(at: Scope) -> Mapping[str, str]:
    """For cases: the labels that an alert on the DAG DAG_ID takes from its series."""
    dag = {"dag_id": DAG_ID}
    team = team_of(at, DAG_ID, _OWNER, _TAGS)
    return dag | {"team": team} if team else dag


def team_of(at: Scope, dag_id: str, owner: str, tags: str) -> str:
    """What `by_team` finds for a DAG with these labels in `dag_info`."""
    for one in at.teams:
        patterns = ((one.dag_id, dag_id), (one.owner, owner), (one.tags, tags))
        if any(pattern and re.fullmatch(pattern, value) for pattern, value in patterns):
            return one.team
    return at.team


def _own(at: Scope) -> Iterable[Expr]:
    for one in at.teams:
        patterns = {"dag_id": one.dag_id, "owner": one.owner, "tags": one.tags}
        found = [
            max_by(select(metrics.DAG_INFO, {"airflow": at.airflow, label: Match("=~", pattern)}), *DAG)
            for label, pattern in patterns.items()
            if pattern
        ]
        if found:
            yield labelled(functools.reduce(Expr.or_, found), "team", _literally(one.team))


def _literally(team: str) -> str:
    """As label_replace wants it, where $1 would stand for a group."""
    return team.replace("$", "$$")


def _any(pattern: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    inside = choices[0] if len(choices) == 1 else f"({'|'.join(choices)})"
    return pattern.format(inside) if choices else ""


def _glob(owner: str) -> str:
    """`*` is any text of one owner, `?` any character of it."""
    special = {"*": "[^,]*", "?": "[^,]"}
    return "".join(special.get(character, re.escape(character)) for character in owner)
