"""Who is told of one alert, explained: by which routes, how often, when not, and what would hold it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from airflow_obs.generate.alertmanager.alert_labels import Labelled, labelled
from airflow_obs.generate.alertmanager.decision import SEVERITIES
from airflow_obs.generate.alertmanager.fitting import fitting
from airflow_obs.generate.alertmanager.inhibition import inhibitions
from airflow_obs.generate.alertmanager.intervals import in_words
from airflow_obs.generate.alertmanager.matchers import Inhibition, Matcher
from airflow_obs.generate.alertmanager.notes import untended
from airflow_obs.generate.alertmanager.routes import WATCHDOG, Route
from airflow_obs.generate.alertmanager.walk import Trees, others, trees
from airflow_obs.generate.scopes import decided
from airflow_obs.generate.yaml_text import Value
from airflow_obs.policy import Policy
from airflow_obs.policy.alertmanager import NOBODY
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.strict import Strict

_UNWRITTEN = "no routes are written (output.routes is []): these are what alertmanager.yml would have"


@dataclass(frozen=True)
class Explained:
    """What becomes of an alert with these labels: the routes that it takes, whom the last one tells, and what keeps it from that.

    `file` is that of the routes; if none is for the alert there are no routes, and `remarks` say so beside all else that whoever
    asked should know. `integrations` are the kinds of places at which the receiver is told, `silences` are named with their
    times, `perhaps` are those that depend on what was not given, and `hushed` are the inhibitions that are for such an alert;
    without an alertname nobody knows them.
    """

    alert: Labelled
    remarks: tuple[str, ...]
    file: str
    path: tuple[Route, ...]
    integrations: tuple[str, ...]
    silences: tuple[tuple[str, str], ...]
    perhaps: tuple[tuple[str, str], ...]
    hushed: tuple[Inhibition, ...] | None

    @property
    def route(self) -> Route | None:
        """That which takes the alert, if any does."""
        return self.path[-1] if self.path else None

    @property
    def receiver(self) -> str:
        """Who is told."""
        return self.route.receiver if self.route else NOBODY


def explained(policy: Policy, given: Mapping[str, str], site: Path | None = None) -> list[Explained]:
    """What becomes of an alert of which these labels are known; of one whose severity nobody can tell, for each severity.

    The routes are those that are written; of alertmanager.yml, where others are, too. `site` is the file of the policy. Raises
    PolicyError where the receivers do not fit what is written.
    """
    forms = fitting(policy, site)
    alert = labelled(policy, given)
    ours = "airflow" in alert.labels
    every = [alert.with_severity(one) for one in SEVERITIES] if ours and "severity" not in alert.labels else [alert]
    hushing: Iterable[Inhibition] | None = None
    if alert.deployment and "alertname" in alert.labels:
        # What other deployments have does not matter to this one.
        hushing = inhibitions(policy, [decided(policy, alert.deployment)])
    remarks = () if forms else (_UNWRITTEN,)
    return [_explained(policy, one, trees(policy, forms), hushing, remarks) for one in every]


def _explained(
    policy: Policy, alert: Labelled, written: Trees, hushing: Iterable[Inhibition] | None, remarks: tuple[str, ...]
) -> Explained:
    file, path = written.way(alert.labels)
    if not path:
        remarks = (*remarks, _unrouted(policy, alert))
    receiver = next((one for one in policy.receivers if path and one.name == path[-1].receiver), None)
    silent = written.silences(alert.labels)
    perhaps = {name for labels in others(policy, alert.labels, alert.unknown) for name in written.silences(labels)}
    return Explained(
        alert,
        (*alert.remarks, *remarks),
        file,
        path,
        tuple(kind for kind, value in receiver or () if isinstance(value, Strict)),
        tuple((one.name, in_words(one)) for one in policy.silences if one.name in silent),
        tuple((one.name, in_words(one)) for one in policy.silences if one.name in perhaps - silent),
        None if hushing is None else tuple(one for one in hushing if _all_fit(one.target, alert.labels)),
    )


def _unrouted(policy: Policy, alert: Labelled) -> str:
    """Why no object is for the alert."""
    if "airflow" not in alert.labels:
        return (
            "no AlertmanagerConfig is for alerts that are not ours: your own Alertmanager has routes for them, or none"
        )
    name = alert.labels["airflow"]
    if any(one.name == name and not one.airflow.namespace for one in policy.deployments):
        return untended(name)
    return f"no AlertmanagerConfig is for {name} in the namespace {alert.labels.get('namespace') or '(none)'}"


def _all_fit(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.fits(labels) for matcher in matchers)


def as_text(one: Explained) -> str:
    """For people."""
    labels = one.alert.labels
    wide, wider = max(map(len, labels), default=0), max(map(len, labels.values()), default=0)
    parts = {
        "warning": one.remarks,
        "labels": [f"{label:{wide}}  {value:{wider}}  {one.alert.origins[label]}" for label, value in labels.items()],
        f"by the routes of {one.file}": [_matched(each) for each in one.path],
        "told": list(_told(one)),
        "silent": [f"{name}: {times}" for name, times in one.silences],
        "perhaps silent, since only for some alerts or deployments": [
            f"{name}: {times}" for name, times in one.perhaps
        ],
        "held back while one of these fires": [_source(each) for each in one.hushed or ()],
    }
    return "".join(
        f"{head}\n{''.join(f'  {line}'.rstrip() + chr(10) for line in lines)}" for head, lines in parts.items() if lines
    )


def _told(one: Explained) -> Iterator[str]:
    if one.route is None:
        yield "nobody by these files: no route is for this alert"
    elif one.receiver == NOBODY:
        yield f"nobody is told: name {_to_name(one.alert.labels)}"
    else:
        grouping = one.route.grouping
        yield f"{one.receiver} ({', '.join(one.integrations)})"
        yield (
            f"of what takes this route, one message for each {' and '.join(grouping.by)}: the first after "
            f"{text_of(grouping.wait)}, what changes after {text_of(grouping.interval)}, what still fires again after "
            f"{text_of(grouping.repeat)}"
        )


def _to_name(labels: Mapping[str, str]) -> str:
    """What the policy would have to name for somebody to be told of such an alert."""
    if "airflow" not in labels:
        return "alertmanager.default"
    if labels.get("alertname") == WATCHDOG:
        return "alertmanager.watchdog"
    if labels.get("shadow") == "true":
        return "alertmanager.shadow"
    return "a receiver for the team, or alertmanager.default"


def as_data(one: Explained) -> dict[str, Value]:
    """For programs."""
    grouping = one.route.grouping if one.route else None
    return {
        "labels": dict(one.alert.labels),
        "origins": dict(one.alert.origins),
        "file": one.file or None,
        "routes": [[matcher.text for matcher in each.matchers] for each in one.path],
        "receiver": None if one.receiver == NOBODY else one.receiver,
        "integrations": list(one.integrations),
        "group_by": list(grouping.by) if grouping else [],
        "group_wait": text_of(grouping.wait) if grouping else None,
        "group_interval": text_of(grouping.interval) if grouping else None,
        "repeat_interval": text_of(grouping.repeat) if grouping else None,
        "silences": [{"name": name, "times": times} for name, times in one.silences],
        "perhaps_silences": [{"name": name, "times": times} for name, times in one.perhaps],
        "held_back_by": None if one.hushed is None else [
            {"source": [matcher.text for matcher in each.source], "equal": list(each.equal)} for each in one.hushed
        ],
        "notes": list(one.remarks),
    }  # fmt: skip


def _matched(route: Route) -> str:
    return ", ".join(matcher.text for matcher in route.matchers) or "all alerts"


def _source(one: Inhibition) -> str:
    same = f", with the same {' and '.join(one.equal)}"
    return f"{', '.join(matcher.text for matcher in one.source)}{same}"
