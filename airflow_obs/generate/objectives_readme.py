"""The part of the README beside the rules that is about objectives: what is promised, how much may fail, and what to know of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from string import Template

from airflow_obs.catalog import recording
from airflow_obs.catalog.objective import COUNTED, DAILY
from airflow_obs.generate.objectives import INSTEAD, Judged, Unmeasured, measured
from airflow_obs.policy import Policy
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.quantities import text_of_ratio
from airflow_obs.policy.slos import Slo


def objectives(policy: Policy, judged: Sequence[tuple[int, Sequence[Judged]]]) -> str:
    """The section; empty without objectives. `judged` has what each kind of deployment is judged by, after how many they are."""
    if not policy.slos:
        return ""
    text = resources.files("airflow_obs.generate").joinpath("objectives_readme.md").read_text("utf-8")
    return Template(text).substitute(
        rows="".join(map(_row, policy.slos)),
        recorded="".join(_recorded()),
        missing="".join(_missing(slo, judged) for slo in policy.slos),
        instead="".join(_instead(slo, judged) for slo in policy.slos),
        longest=text_of(max(slo.window for slo in policy.slos)),
    )


def _recorded() -> Iterator[str]:
    """A row for each thing that is said, of however many times."""
    for text in dict.fromkeys(family.help for family in recording.ALL):
        names = [family.name for family in recording.ALL if family.help == text]
        others = "".join(f", `:{name.rpartition(':')[2]}`" for name in names[1:])
        yield f"| `{names[0]}`{others} | {text} |\n"


def _row(slo: Slo) -> str:
    where = ", ".join(f"`{name}`" for name in slo.deployments) or "all deployments"
    cells = (f"`{slo.name}`", f"{text_of_ratio(slo.objective)}: {_good(slo)}", where, text_of(slo.window), _budget(slo))
    return f"| {' | '.join(cells)} |\n"


def _good(slo: Slo) -> str:
    dags = f"`{slo.dag_id}`" if slo.dag_id else "all DAGs"
    within = text_of(slo.threshold) if slo.threshold is not None else ""
    match slo.kind:
        case "schedule_delay":
            return f"scheduled runs start within {within} of when they are due"
        case "queue_time":
            return f"tasks are queued for {within} at most"
        case "dag_freshness":
            return f"the last success of {dags} is {within} old at most"
        case "dag_deadline":
            days = f", {', '.join(slo.weekdays)}" if slo.weekdays else ""
            return f"{dags} has succeeded by {slo.deadline} {slo.location or 'UTC'}{days}"
        case "dag_success":
            return f"runs of {dags} succeed"
        case "scheduler_availability":
            return "a scheduler is alive, and the database answers"


def _budget(slo: Slo) -> str:
    if of := "events" if slo.kind in COUNTED else "deadlines" if slo.kind == DAILY else "":
        return f"{text_of_ratio(1 - slo.objective)} of the {of}{' or minutes' if slo.kind in INSTEAD else ''}"
    return text_of(float(slo.window) * float(1 - slo.objective))


def _missing(slo: Slo, judged: Sequence[tuple[int, Sequence[Judged]]]) -> str:
    """Of how many deployments it says nothing, and why."""
    lacking: dict[str, int] = {}
    for count, those in judged:
        for one in those:
            if isinstance(one, Unmeasured) and one.of.name == slo.name:
                lacking[one.reason] = lacking.get(one.reason, 0) + count
    reasons = "; ".join(f"{_escaped(why)} (in {count})" for why, count in lacking.items())
    return f"- **{slo.name}** is not judged everywhere: {reasons}.\n" if reasons else ""


def _instead(slo: Slo, judged: Sequence[tuple[int, Sequence[Judged]]]) -> str:
    """Of how many deployments it counts tasks, and of how many it judges minutes."""
    if slo.kind not in INSTEAD:
        return ""
    kinds = [(count, one.kind) for count, those in judged for one in measured(those) if one.name == slo.name]
    tasks, minutes = (sum(count for count, kind in kinds if kind == which) for which in (slo.kind, INSTEAD[slo.kind]))
    said = [
        f"in {_deployments(tasks)} the tasks are counted that started, each by its own time in the queue"
        if tasks
        else "",
        f"in {_deployments(minutes)} minutes are judged, since it is not certain that Airflow says how long each task waited: bad "
        f"is a minute in which any task has been in the queue for longer than {text_of(slo.threshold or 0)}, as the database has it"
        if minutes
        else "",
    ]
    return f"- **{slo.name}**: {'; '.join(filter(None, said))}.\n" if any(said) else ""


def _deployments(count: int) -> str:
    return f"{count} deployment{'' if count == 1 else 's'}"


def _escaped(text: str) -> str:
    """The names of series as code, and nothing else that means something to Markdown."""
    return re.sub(r"([<|*])", r"\\\1", re.sub(r"\w*_\w*", r"`\g<0>`", text))
