"""Which alerts hush which others in the deployments of a policy, for Alertmanager and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from airflow_obs.catalog.inhibition import CAUSES, EDGES, PARTS, Edge, Effect, Part
from airflow_obs.generate.alertmanager.decision import SEVERITIES, decision
from airflow_obs.generate.alertmanager.matchers import Inhibition, Matcher, equal, matching, one_of
from airflow_obs.generate.kinds import alike
from airflow_obs.generate.rule import Emitted
from airflow_obs.generate.scopes import Withheld, decided
from airflow_obs.model import Severity
from airflow_obs.policy import Policy
from airflow_obs.policy.alertmanager import NOBODY

Decided = Sequence[Emitted | Withheld]
"""Of each alert what a deployment has of it, or why it has nothing."""

_LOUDEST_FIRST = tuple(Severity)
_TOLD = Matcher("shadow", "!=", "true")
"""A shadow alert, of which nobody is told, must not keep others from being told of."""

_NEEDS = """\
| part | needs | its alerts |
|---|---|---|
"""
_HELD = """\

While a cause fires, alerts of the same or lower severity of the same deployment are held back. "All of" a part are its alerts
above, but for the cause itself.

| cause | what is held back |
|---|---|
"""
_ENDS = """\

Of an alert that was told before its cause and ends while the cause fires, nobody is ever told that it is over: an incident that was
open stays open. Should it fire anew, that is told no sooner than it would have been repeated.
"""


def inhibitions(policy: Policy, kinds: Iterable[Decided] | None = None) -> tuple[Inhibition, ...]:
    """What Alertmanager has to hush: for each cause, and each severity that it has, the effects of that severity or a lower one.

    `kinds` are what the kinds of the policy's deployments have (`proven.Kind.decided`), where somebody knows them already.
    """
    made: list[Inhibition] = []
    teams = _told_teams(policy)
    for (cause, severity), edges in _in_force(policy, kinds).items():
        source = (equal("alertname", cause), equal("severity", severity.value), _TOLD, *teams[severity])
        quieter = _LOUDEST_FIRST[_LOUDEST_FIRST.index(severity) : -1]
        told = () if severity == _LOUDEST_FIRST[0] else (one_of("severity", [one.value for one in quieter]),)
        made += (
            Inhibition(source, (*target, *told), ("airflow", *labels)) for target, labels in _targets(_merged(edges))
        )
    return tuple(made)


def picture(policy: Policy, kinds: Iterable[Decided] | None = None) -> str:
    """What stands on what, and which alert holds back which, as Markdown; empty if none does."""
    causes: dict[str, list[Edge]] = {}
    for (cause, _), edges in _in_force(policy, kinds).items():
        causes[cause] = list(dict.fromkeys((*causes.get(cause, ()), *edges)))
    every = {edge.effect for edges in causes.values() for edge in edges}
    parts = [(part, [effect for effect in part.alerts if effect in every]) for part in PARTS]
    needs = [f"| {part.name} | {_and(part.needs)} | {_listed(of, part)} |\n" for part, of in parts if of]
    held = [f"| `{cause}` | {_held(cause, edges, parts)} |\n" for cause, edges in causes.items()]
    return "".join([_NEEDS, *needs, _HELD, *held, _ENDS]) if held else ""


def _told_teams(policy: Policy) -> Mapping[Severity, tuple[Matcher, ...]]:
    """For each severity with which causes are told to somebody: of which teams these are. One that nobody hears of hushes nothing.

    Of a policy without receivers every cause hushes: nobody is told of its effects either.
    """
    if not policy.receivers or policy.alertmanager.default:
        return dict.fromkeys(SEVERITIES, ())
    teams = decision(policy).teams
    told = {of: [one.team for one in teams if one.by_severity[of] != NOBODY] for of in SEVERITIES}
    return {severity: (one_of("team", names),) for severity, names in told.items() if names}


def _in_force(policy: Policy, kinds: Iterable[Decided] | None) -> Mapping[tuple[str, Severity], list[Edge]]:
    """What hushes what in some deployment, by the cause and its severity there, causes in the catalogue's order."""
    found: dict[tuple[str, Severity], dict[Edge, None]] = {}
    for decisions in [decided(one.policy, one.like) for one in alike(policy)] if kinds is None else kinds:
        chosen = {one.alert.name: one.chosen for one in decisions if isinstance(one, Emitted)}
        for edge in EDGES:
            cause, effect = chosen.get(edge.cause), chosen.get(edge.effect.alert)
            if cause is None or cause.shadow or effect is None:
                continue
            if _LOUDEST_FIRST.index(cause.severity) <= _LOUDEST_FIRST.index(effect.severity):
                found.setdefault((edge.cause, cause.severity), {})[edge] = None
    every = ((cause, severity) for cause in CAUSES for severity in _told_teams(policy))
    return {key: [edge for edge in EDGES if edge in found[key]] for key in every if key in found}


def _merged(edges: Iterable[Edge]) -> list[Edge]:
    """The same of one cause, with one edge for all parts of an effect."""
    patterns: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for edge in edges:
        key = (edge.cause, edge.effect.alert, edge.effect.label, edge.equal)
        patterns.setdefault(key, []).append(edge.effect.pattern)
    return [
        Edge(cause, Effect(alert, label, "|".join(of)), same) for (cause, alert, label, same), of in patterns.items()
    ]


def _targets(edges: Iterable[Edge]) -> Iterator[tuple[tuple[Matcher, ...], tuple[str, ...]]]:
    """What is hushed, and by which labels beside the deployment; one target for all that only differ in the alert."""
    whole: dict[tuple[str, ...], list[str]] = {}
    for edge in edges:
        if not edge.effect.label:
            whole.setdefault(edge.equal, []).append(edge.effect.alert)
    yield from (((one_of("alertname", alerts),), labels) for labels, alerts in whole.items())
    for edge in edges:
        if effect := edge.effect if edge.effect.label else None:
            yield (equal("alertname", effect.alert), matching(effect.label, effect.pattern)), edge.equal


def _held(cause: str, edges: Sequence[Edge], parts: Iterable[tuple[Part, Sequence[Effect]]]) -> str:
    """What a cause holds back: the names of parts of which it is everything (but itself), and the other alerts one by one."""
    whole: list[str] = []
    covered: set[Edge] = set()
    for part, effects in parts:
        those = {Edge(cause, effect, part.equal) for effect in effects if effect.alert != cause}
        if those and those <= set(edges):
            whole.append(f"{part.name}{_same(part.equal)}")
            covered |= those
    others = [
        _shown(edge.effect) + _same(edge.equal) for edge in _merged(edge for edge in edges if edge not in covered)
    ]
    return "; ".join([*([f"all of {_and(whole)}"] if whole else []), *others])


def _listed(effects: Iterable[Effect], part: Part) -> str:
    merged = _merged(Edge("", effect, part.equal) for effect in effects)
    return ", ".join(_shown(edge.effect) for edge in merged)


def _shown(effect: Effect) -> str:
    return f"`{effect.alert}`{f' with {effect.label} `{effect.pattern}`' if effect.label else ''}"


def _same(labels: Sequence[str]) -> str:
    return f" of the same {_and(labels)}" if labels else ""


def _and(words: Sequence[str]) -> str:
    return " and ".join(one for one in (", ".join(words[:-1]), *words[-1:]) if one)
