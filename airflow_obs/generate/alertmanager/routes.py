"""The tree of routes: which alerts go where, how they are grouped, how often somebody is told, and when not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from airflow_obs.generate.alertmanager.decision import SEVERITIES, Decision, Quiet, Told
from airflow_obs.generate.alertmanager.matchers import Matcher, equal, one_of
from airflow_obs.generate.yaml_text import Value
from airflow_obs.model import Severity
from airflow_obs.policy.alertmanager import NOBODY, Alertmanager
from airflow_obs.policy.durations import text_of

WATCHDOG = "AirflowWatchdog"
OURS = Matcher("airflow", "!=", "")
"""Every alert of ours says of which Airflow it is, and no other alert has that label."""

_LABELS = ("team", "severity", "airflow", "alertname")
"""To what a silence may be limited, in the order in which routes ask."""


@dataclass(frozen=True)
class Grouping:
    """Which alerts are one message, and how long it waits; in seconds: before the first, before the next, before it is repeated."""

    by: tuple[str, ...]
    wait: float
    interval: float
    repeat: float


@dataclass(frozen=True)
class Route:
    """One route: it takes the alerts that all its matchers fit, unless one of `routes`, of which the first that fits takes it.

    Silences, by their names: `mute` are those inside of whose times nobody is told, `active` those outside.
    """

    receiver: str
    matchers: tuple[Matcher, ...]
    grouping: Grouping
    routes: tuple[Route, ...] = ()
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()

    def path(self, labels: Mapping[str, str]) -> tuple[Route, ...]:
        """The routes through which an alert with these labels goes, from this one to that which takes it."""
        for route in self.routes:
            if all(matcher.fits(labels) for matcher in route.matchers):
                return (self, *route.path(labels))
        return (self,)

    @property
    def all(self) -> Iterable[Route]:
        """This route and all below it, as they stand in the file."""
        yield self
        for route in self.routes:
            yield from route.all


def root(decided: Decision, chosen: Alertmanager) -> Route:
    """The tree of a whole Alertmanager. What is not ours is its own: no silence is for it."""
    ours = tree(decided, chosen, (OURS,))
    return Route(decided.others.otherwise, (), _critical(chosen), (ours,))


def tree(decided: Decision, chosen: Alertmanager, matchers: tuple[Matcher, ...]) -> Route:
    """The route of all alerts of ours that these matchers fit, and those below it."""
    own_team = {name for quiet in decided.quiet for name in quiet.limits.get("team", ())}
    # A team that is told what those without a team are, and no silence names, needs no route.
    apart = [
        told
        for told in decided.teams
        if told.team in own_team or replace(told, team="") != decided.others
    ]  # fmt: skip
    teams = [_of_team(told, (equal("team", told.team),), decided.quiet, chosen) for told in apart]
    others = _of_team(decided.others, matchers, decided.quiet, chosen)
    first = (_watchdog(decided, chosen), _shadow(decided, chosen))
    return replace(others, routes=(*first, *teams, *others.routes))


def _watchdog(decided: Decision, chosen: Alertmanager) -> Route:
    # What is repeated when the last message is as old as the interval is one group interval late: it is looked at but then,
    # when the message is a moment too young. Half of the interval is when to look, three quarters how old the last must be.
    every = chosen.watchdog_interval
    grouping = Grouping(("airflow",), 0, every / 2, every * 3 / 4)
    return Route(decided.watchdog, (equal("alertname", WATCHDOG),), grouping)


def _shadow(decided: Decision, chosen: Alertmanager) -> Route:
    return _quieted(decided.shadow, (equal("shadow", "true"),), _others(chosen), decided.quiet, _LABELS)


def _of_team(told: Told, matchers: tuple[Matcher, ...], every: Iterable[Quiet], chosen: Alertmanager) -> Route:
    """The route of a team, and below it those of the severities that go elsewhere, or are grouped otherwise."""
    _, *labels = _LABELS
    _, *below = labels
    quiet = _kept(one.given("team", told.team) for one in every)
    apart = [
        severity
        for severity in SEVERITIES
        if told.by_severity[severity] != told.otherwise
        or (severity is Severity.CRITICAL and told.otherwise != NOBODY)
    ]  # fmt: skip
    own = [
        _quieted(
            told.by_severity[severity],
            (equal("severity", severity.value),),
            _critical(chosen) if severity is Severity.CRITICAL else _others(chosen),
            _kept(one.given("severity", severity.value) for one in quiet),
            below,
        )
        for severity in apart
    ]
    rest = [one.beyond("severity", apart) for one in quiet]
    route = _quieted(told.otherwise, matchers, _others(chosen), rest, labels)
    return replace(route, routes=(*own, *route.routes))


def _quieted(
    receiver: str, matchers: tuple[Matcher, ...], grouping: Grouping, quiet: Sequence[Quiet], labels: Sequence[str]
) -> Route:
    """A route, and one below it for each set of alerts to which other silences apply: label by label, values alike together."""
    if receiver == NOBODY:
        return Route(receiver, matchers, grouping)
    if not labels:
        named = {
            when: tuple(one.silence.name for one in quiet if one.silence.when == when) for when in ("inside", "outside")
        }
        return Route(receiver, matchers, grouping, (), named["inside"], named["outside"])
    label, *rest = labels
    alike: dict[tuple[int, ...], list[str]] = {}
    for value in dict.fromkeys(value for one in quiet for value in one.limits.get(label, ())):
        apply = tuple(at for at, one in enumerate(quiet) if one.given(label, value))
        alike.setdefault(apply, []).append(value)
    below = [
        _quieted(
            receiver, (one_of(label, values),), grouping, _kept(quiet[at].given(label, values[0]) for at in apply), rest
        )
        for apply, values in alike.items()
    ]
    route = _quieted(receiver, matchers, grouping, [one for one in quiet if label not in one.limits], rest)
    return replace(route, routes=(*below, *route.routes))


def _kept(some: Iterable[Quiet | None]) -> list[Quiet]:
    return [one for one in some if one]


def _critical(chosen: Alertmanager) -> Grouping:
    """A page an alert, and an objective: what has nothing to do with the first wakes somebody, too, and its effects are inhibited.

    What joins a message of which somebody knows wakes nobody: its group is what PagerDuty and Opsgenie take for the same incident.
    """
    return Grouping(("airflow", "alertname", "slo"), chosen.group_wait, chosen.group_interval, chosen.repeat_interval)


def _others(chosen: Alertmanager) -> Grouping:
    """One message for all of a deployment."""
    return Grouping(("airflow", "severity"), chosen.group_wait, chosen.group_interval, chosen.repeat_interval_others)


def written(route: Route, above: Route | None = None, *, custom: bool = False) -> dict[str, Value]:
    """The route as alertmanager.yml has it, or an AlertmanagerConfig (`custom`), without what it takes from the one above it.

    From the root, the only one for all alerts, it takes nothing: what is ours may stand below the root of others.
    """
    now, before = route.grouping, above and above.grouping
    entry: dict[str, Value] = {
        "receiver": route.receiver,
        "matchers": [matcher.custom if custom else matcher.text for matcher in route.matchers],
        "group_by": [] if before and now.by == before.by else list(now.by),
        "group_wait": "" if before and now.wait == before.wait else text_of(now.wait),
        "group_interval": "" if before and now.interval == before.interval else text_of(now.interval),
        "repeat_interval": "" if before and now.repeat == before.repeat else text_of(now.repeat),
        "mute_time_intervals": list(route.mute),
        "active_time_intervals": list(route.active),
        "routes": [written(one, route if route.matchers else None, custom=custom) for one in route.routes],
    }
    return {_camel(key) if custom else key: value for key, value in entry.items() if value}


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(map(str.capitalize, others))
