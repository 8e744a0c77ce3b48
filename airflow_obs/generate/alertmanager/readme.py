"""The README beside the routes: how they are loaded, who is told of what, when not, and what holds back what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from importlib import resources
from string import Template

from airflow_obs.generate.alertmanager.custom_resource import by_namespace
from airflow_obs.generate.alertmanager.decision import SEVERITIES, Decision, Told, decision
from airflow_obs.generate.alertmanager.fitting import FILE, OBJECT
from airflow_obs.generate.alertmanager.inhibition import Decided, picture
from airflow_obs.generate.alertmanager.intervals import in_words
from airflow_obs.generate.alertmanager.notes import untended, untold
from airflow_obs.policy import Policy
from airflow_obs.policy.alertmanager import NOBODY
from airflow_obs.policy.durations import text_of
from airflow_obs.policy.silences import Silence

_FILE = """\
## alertmanager.yml

The whole configuration of an Alertmanager. It reads its secrets from the files that the policy names.

```sh
amtool check-config alertmanager.yml
${tests}```

Into the file of an Alertmanager that others use as well, take over:

- `routes`: the only child of our root, the one for `airflow!=""`, as the first child of theirs. It takes all our alerts, and no
  others, and nothing from the root above it.
- `receivers`, `time_intervals` and `inhibit_rules`: ours beside theirs. Where they have one of the same name, rename ours in the
  policy.

"""
_OBJECT = """\
## AlertmanagerConfig

For prometheus-operator, one object for each namespace: `kubectl apply --server-side -f ../alertmanagerconfig/`. Its labels
(`output.rule_labels`) must be those that `alertmanagerConfigSelector` selects, and its secrets lie in its namespace. All are called
`airflow-obs`: the deployments of one namespace stand in one policy.

- The operator puts these routes before those of your own Alertmanager, and lets each alert go on to them: a route of yours that
  fits it tells of it a second time (the receiver at their root does not). To be told once, begin them with one for
  `matchers: ['airflow!=""', 'namespace=~"${namespaces}"']` and a receiver without integrations.
- With the operator's usual `alertmanagerConfigMatcherStrategy` (`OnNamespace`) an object sees the alerts of its namespace only;
  ours carry that label.

"""
_SILENCES = """\
## Silences

They are Alertmanager's mute time intervals, and active ones (silent outside of them), not the silences of its web page. During one
nobody is told that an alert is over, either: an incident that was open stays open. What still fires at its end is told then.
AirflowWatchdog is never silent, nor is what is not ours.

| silence | silent | for |
|---|---|---|
{rows}
"""


def readme(policy: Policy, forms: Collection[str], kinds: Iterable[Decided] | None, marker: str) -> str:
    """The page for these forms of routes."""
    decided, chosen = decision(policy), policy.alertmanager
    tests = "sh ../tests/routes.test.sh\n" if policy.output.tests else ""
    load = (_FILE if FILE in forms else "") + (_OBJECT if OBJECT in forms else "")
    rows = "".join(f"| `{one.name}` | {in_words(one)} | {_for(one)} |\n" for one in policy.silences)
    text = resources.files("airflow_obs.generate.alertmanager").joinpath("readme.md").read_text("utf-8")
    return Template(text).substitute(
        marker=marker,
        load=Template(load).substitute(
            tests=tests,
            namespaces="|".join(by_namespace(policy)),
        ),
        table="".join(map(_row, (*decided.teams, decided.others))),
        rest=_rest(policy, decided, forms),
        untold="".join(f"- {line[0].upper()}{line[1:]}.\n" for line in untold(decided)),
        again=text_of(chosen.repeat_interval_others),
        pages=text_of(chosen.repeat_interval),
        silences=_SILENCES.format(rows=rows) if rows else "",
        inhibition=f"{picture(policy, kinds)}\n",
        wait=text_of(chosen.group_wait),
    )


def _row(told: Told) -> str:
    name = f"`{told.team}`" if told.team else "none, or one that the policy does not know"
    return f"| {' | '.join([name, *(_who(told.by_severity[severity]) for severity in SEVERITIES)])} |\n"


def _rest(policy: Policy, decided: Decision, forms: Collection[str]) -> str:
    told = {
        "Alerts that are only watched (`shadow: true`)": [_who(decided.shadow)],
        "AirflowWatchdog": [_who(decided.watchdog)],
        "Alerts that are not ours": [
            *(
                [f"{_who(decided.others.otherwise)}{' (alertmanager.yml)' if OBJECT in forms else ''}"]
                if FILE in forms
                else ()
            ),
            *(["no AlertmanagerConfig is for them: your own routes decide"] if OBJECT in forms else ()),
        ],
    }
    if OBJECT in forms:
        # Else that deployment is told of as all others are.
        alone = [] if FILE in forms else ["nobody"]
        told |= {
            f"Alerts of `{one.name}`": [*alone, untended(one.name)]
            for one in policy.deployments
            if not one.airflow.namespace
        }
    return "".join(f"- {what}: {'; '.join(who)}\n" for what, who in told.items())


def _who(receiver: str) -> str:
    return "nobody" if receiver == NOBODY else f"`{receiver}`"


def _for(silence: Silence) -> str:
    return "; ".join(_limits(silence)) or "all alerts"


def _limits(silence: Silence) -> Iterator[str]:
    for what, values in (
        ("deployment", silence.deployments),
        ("team", silence.teams),
        ("severity", silence.severities),
        ("alert", silence.alerts),
    ):
        if values:
            yield f"{what} {', '.join(f'`{value}`' for value in values)}"
