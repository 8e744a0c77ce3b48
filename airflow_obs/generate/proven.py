"""What the deployments of a policy have, decided once for each kind of them, and proved to work."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from airflow_obs.catalog.alerts.alert import Alert, Scope
from airflow_obs.catalog.alerts.slos import BURNING
from airflow_obs.catalog.objective import Objective
from airflow_obs.errors import PolicyError, Problem
from airflow_obs.generate.kinds import Names, alike, named, names
from airflow_obs.generate.lint.check import Terms, findings
from airflow_obs.generate.lint.finding import Finding, Placed
from airflow_obs.generate.objectives import SUBJECT, Judged, groups, measured, refused
from airflow_obs.generate.rule import Emitted
from airflow_obs.generate.scopes import Withheld, decided, objectives
from airflow_obs.generate.yaml_text import Value
from airflow_obs.policy import Deployment, Policy, tree
from airflow_obs.policy.alerts import looks_back
from airflow_obs.policy.explain import Path as At
from airflow_obs.policy.explain import is_written, problem
from airflow_obs.policy.loader import merged
from airflow_obs.promql import span

ABSENCE = "absence"
"""The subject whose alerts say that the series of others are gone."""


@dataclass
class Kind:
    """What is decided once for deployments that differ in nothing but names: `like` one of them, with stand-ins for its names.

    `of` are its alerts by subject, `new` the subjects in which it is like no kind before it. `judged` are its objectives, and
    those that it cannot be judged by. `first` are the names of the first deployment of this kind, `members` the places of all of
    them among the policy's.
    """

    like: Deployment
    first: Names
    decided: Sequence[Emitted | Withheld]
    of: Mapping[str, Sequence[Emitted]]
    new: Sequence[str]
    judged: Sequence[Judged]
    members: list[int]

    @property
    def recorded(self) -> list[Value]:
        """The rule groups of its objectives."""
        return groups(Scope(self.like.name, objectives=measured(self.judged)))


def proven(policy: Policy, site: Path | None) -> list[Kind]:
    """The kinds of the policy's deployments, each sound; `site` is the file of the policy, None for the default one.

    Raises PolicyError with everything in it with which an alert could not work.
    """
    found: list[Kind] = []
    known: set[Hashable] = set()
    for one in alike(policy):
        every = decided(one.policy, one.like)
        of = by_subject([it for it in every if isinstance(it, Emitted)])
        new = [subject for subject in of if _sameness(of, subject) not in known]
        known |= {_sameness(of, subject) for subject in new}
        first = names(policy, policy.deployments[one.members[0]])
        found.append(Kind(one.like, first, every, of, new, objectives(one.policy, one.like), one.members))
    wrong = [(sick, finding) for sick in found for finding in _judged(sick, policy.output.scrape_interval)]
    taken = list(_taken(policy, found))
    unjudged = list(
        refused(policy, {policy.deployments[place].name: one.judged for one in found for place in one.members})
    )
    deaf = [(one, *never) for one in found for never in _never(one)]
    if wrong or taken or unjudged or deaf or not any(one.of for one in found):
        where = merged(site)
        # Of what stands there for several deployments it is said once.
        problems = {_problem(policy, where, one, finding) for one, finding in wrong}
        problems |= {problem(where, ("output", "labels", label), why) for label, why in taken}
        problems |= {problem(where, path, why) for path, why in unjudged}
        problems |= {_unreachable(where, *never) for never in deaf}
        raise PolicyError(list(problems) or [problem(where, ("alerts",), "no alert is left: switch some of them on")])
    return found


def _taken(policy: Policy, kinds: Iterable[Kind]) -> Iterator[tuple[str, str]]:
    """Each label of the site's that an alert takes from its series, and what to say: with one value, several would be one."""
    every = [one for kind in kinds for those in kind.of.values() for one in those]
    for label in policy.output.labels:
        if of := next((one.alert.name for one in every if label in (one.expr.labels or ())), None):
            yield label, f"{of} takes a label {label} from its series: choose another name"


def by_subject(of: Iterable[Emitted]) -> dict[str, list[Emitted]]:
    """The alerts of each subject, in the catalogue's order."""
    subjects: dict[str, list[Emitted]] = {}
    for one in of:
        subjects.setdefault(one.alert.subject, []).append(one)
    return subjects


def _judged(one: Kind, interval: float) -> list[Finding]:
    """What is wrong with the alerts in which it is like no other."""
    placed = (_placed(of) for subject in one.new for of in one.of[subject])
    return findings(placed, Terms(interval, generated=True))


def _placed(of: Emitted) -> Placed:
    wait = span(of.chosen.wait) if of.chosen.wait else ""
    return Placed(of.at.airflow, 1, of.expr.text, of.alert.name, "", wait, of.labels, of.annotations)


def _problem(policy: Policy, where: tree.Mapping, one: Kind, finding: Finding) -> Problem:
    """The finding at the number of the policy that is to blame: one that the site wrote, else how often it scrapes."""
    [of] = [of for those in one.of.values() for of in those if of.alert.name == finding.rule]
    what = named(f"{finding.what}: {finding.remedy}", one.first)
    for key in _to_blame(of.alert, of.at.knobs, finding.check, policy.output.two_scrapes):
        for section in (("deployments", one.members[0], "alerts"), ("alerts",)):
            path: At = (*section, finding.rule, key)
            if is_written(where, path):
                return problem(where, path, what)
    if finding.check in ("for", "range"):
        what = f"{finding.what}: scrape more often, or switch the alert off with `enabled: false`"
        return problem(where, ("output", "scrape_interval"), f"{finding.rule}: {what}")
    return problem(where, ("alerts",), f"{finding.rule}: {what} [{finding.check}]")


def _to_blame(alert: Alert, knobs: Mapping[str, Decimal], check: str, least: float) -> Iterator[str]:
    """Keys of the alert in the policy of which a finding may come, the likeliest first."""
    if check == "for":
        yield "for"
    elif check == "range":
        times = [knob for knob in alert.knobs if knob.unit == "duration"]
        yield from (knob.name for knob in times if looks_back(knob) and knobs[knob.name] < least)
        yield from (knob.name for knob in times if not looks_back(knob))


def _never(one: Kind) -> Iterator[tuple[Emitted, Objective, str]]:
    """Each alert on a budget's spending, an objective, and the number that this could not pass even if all were bad."""
    for of in one.of.get(SUBJECT, ()):
        for key, seconds in zip(("sooner", "threshold"), BURNING.get(of.alert.name, ()), strict=False):
            for objective in of.at.objectives:
                if objective.burns and of.at.knobs[key] * objective.budget >= seconds:
                    yield of, objective, key


def _unreachable(where: tree.Mapping, one: Kind, of: Emitted, objective: Objective, key: str) -> Problem:
    """At the number that the site wrote: what it has not written can be reached."""
    sections: Sequence[At] = (("deployments", one.members[0], "alerts"), ("alerts",))
    paths = [(*section, of.alert.name, key) for section in sections]
    path = next((path for path in paths if is_written(where, path)), ("slos",))
    what = f"{objective.name} could not spend as much in that time if all were bad: lower it, or raise the objective"
    return problem(where, path, what)


def _sameness(subjects: Mapping[str, Sequence[Emitted]], subject: str) -> Hashable:
    """What the rules and tests of a subject follow from."""
    return tuple(
        (
            of.alert.name, of.chosen.severity, of.chosen.wait, of.chosen.shadow, tuple(at.knobs.items()),
            at.executor, at.version, at.chart, at.release, at.namespace, at.team, at.teams, tuple(at.replicas.items()),
            at.collectors, at.sources, at.always, at.objectives if subject == SUBJECT else (), of.expr.text,
        )
        for of in (*subjects[subject], *subjects.get(ABSENCE, ()))
        for at in [of.at]
    )  # fmt: skip
