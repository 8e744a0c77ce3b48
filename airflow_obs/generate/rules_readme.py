"""The README beside the rules: every alert with its numbers, what is not there and why, and how each kind of file is loaded."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from airflow_obs.catalog.alerts import ALL
from airflow_obs.catalog.alerts.unseen import UNSEEN
from airflow_obs.catalog.collectors import source_of
from airflow_obs.catalog.failures import BY_ID
from airflow_obs.generate.objectives import Judged
from airflow_obs.generate.objectives_readme import objectives
from airflow_obs.generate.routes import TEST as ROUTES_TEST
from airflow_obs.generate.rule import Emitted, shown
from airflow_obs.generate.scopes import Withheld
from airflow_obs.generate.tree import Tree, marker, name_of
from airflow_obs.model import Metric, Recorded, Severity
from airflow_obs.policy import Policy
from airflow_obs.policy.alerts import sentence
from airflow_obs.policy.lacking import EXPORTER
from airflow_obs.promql import span

PAGE = "README.md"
MIMIR_GROUPS = 70
"""Groups that Mimir lets a tenant have by default."""

_READERS = {
    "prometheus": ("Prometheus, Thanos' ruler", "name `prometheus/*.yaml` among `rule_files`"),
    "prometheusrule": (
        "prometheus-operator",
        "`kubectl apply --server-side -f prometheusrule/`; its labels (`output.rule_labels`) must be those that Prometheus selects",
    ),
    "vmrule": ("VictoriaMetrics' operator", "`kubectl apply --server-side -f vmrule/`"),
    "mimir": (
        "Mimir's ruler",
        "`mimirtool rules sync mimir/*.yaml`, which keeps a namespace of rules for each deployment",
    ),
}
_ROUTES = {
    "alertmanager": ("Alertmanager", "[its README](alertmanager/README.md) says so, and who is told of what"),
    "alertmanagerconfig": ("prometheus-operator", "`kubectl apply --server-side -f alertmanagerconfig/`"),
}
_CALLED = {"ingest": "StatsD or OTLP", "kube_state_metrics": "kube-state-metrics", "cadvisor": "cAdvisor"}

_COLUMNS = "| alert | severity | for | numbers | shows | needs | fires when |\n|---|---|---|---|---|---|---|\n"
_ABOUT_TESTS = """
Each alert has three tests: `fires`, with the numbers of the policy; `quiet`, with the nearest series that must not make it
fire; and `vanished`: it has fired, all that it reads is gone, and then it is silent and an alert on absence says so. A test
file is named after how often it has the rules judged where that is not once a minute (`NAME.dags.1h.test.yaml`). Of
deployments that differ in nothing but names the first alone has tests.
"""


@dataclass(frozen=True)
class Page:
    """What the README is made of; `groups` is the largest number of rule groups that a deployment has, `most` the rules in one.

    `site` is the file of the policy, None for that which comes with the program. `decided` has what was decided for each kind of
    deployment, after the number of those that are of it, and `judged` likewise by which objectives these can be judged. `routes`
    are the paths of what Alertmanager takes.
    """

    policy: Policy
    site: Path | None
    decided: Sequence[tuple[int, Sequence[Emitted | Withheld]]]
    groups: int
    most: int
    judged: Sequence[tuple[int, Sequence[Judged]]] = ()
    routes: Collection[str] = ()


def rules_readme(page: Page) -> Tree:
    """The README as a file."""
    emitted: dict[str, list[tuple[int, Emitted]]] = {}
    withheld: dict[str, dict[str, int]] = {}
    for count, those in page.decided:
        for one in those:
            if isinstance(one, Emitted):
                emitted.setdefault(one.alert.name, []).append((count, one))
            else:
                reasons = withheld.setdefault(one.alert.name, {})
                reasons[one.reason] = reasons.get(one.reason, 0) + count
    here = [alert for alert in ALL if alert.name in emitted]
    pages = sum(any(one.chosen.severity is Severity.CRITICAL for _, one in emitted[alert.name]) for alert in here)
    output = page.policy.output
    raw = "prometheus" if "prometheus" in output.formats else "tests/rules"
    folders: list[tuple[str, str, str]] = [(name, *_READERS[name]) for name in _READERS if name in output.formats]
    folders += [(name, *_ROUTES[name]) for name in _ROUTES if any(path.startswith(f"{name}/") for path in page.routes)]
    if output.tests:
        folders.append(("tests", "promtool", "`promtool test rules tests/*.yaml`, from this folder"))
    subjects = {
        subject: [one for one in here if one.subject == subject]
        for subject in dict.fromkeys(alert.subject for alert in here)
    }
    text = _template().substitute(
        marker=marker(name_of(page.site)),
        policy="the policy" if page.site else "the default policy",
        deployments=_deployments([one.name for one in page.policy.deployments]),
        number=len(here),
        pages=pages,
        folders="".join(f"| `{name}/` | {reader} | {load} |\n" for name, reader, load in folders),
        proof=f"promtool check rules {raw}/*.yaml\npromtool test rules tests/*.yaml\n{_routes_proof(page)}"
        if output.tests
        else "",
        about_tests=_ABOUT_TESTS if output.tests else "",
        subjects="".join(
            f"### {subject}\n\n{_COLUMNS}{''.join(_row(emitted[one.name], page) for one in alerts)}\n"
            for subject, alerts in subjects.items()
        ),
        objectives=objectives(page.policy, page.judged),
        withheld=_withheld(withheld, emitted),
        unseen="".join(f"- {name}, {BY_ID[name].name}: {reason}.\n" for name, reason in sorted(UNSEEN.items())),
        most=page.most,
        groups=page.groups,
        fleet=_too_many_for_mimir(page.groups),
    )
    return {PAGE: text}


def _too_many_for_mimir(groups: int) -> str:
    """How many deployments of so many groups are too many."""
    fit = MIMIR_GROUPS // max(groups, 1)
    return f"more than {fit} deployment{'' if fit == 1 else 's'}" if fit else "even one deployment"


def _routes_proof(page: Page) -> str:
    return f"sh {ROUTES_TEST}  # with amtool\n" if ROUTES_TEST in page.routes else ""


def _template() -> Template:
    return Template(resources.files("airflow_obs.generate").joinpath("rules_readme.md").read_text("utf-8"))


def _withheld(reasons: Mapping[str, Mapping[str, int]], emitted: Container[str]) -> str:
    lines = [f"- {alert.name}: {_cell(_reasons(reasons[alert.name]))}.\n" for alert in ALL if alert.name not in emitted]
    return f"## Not here\n\n{''.join(lines)}\n" if lines else ""


def _deployments(names: Sequence[str]) -> str:
    return f"the deployment `{names[0]}`" if len(names) == 1 else f"{len(names)} deployments"


def _row(found: Sequence[tuple[int, Emitted]], page: Page) -> str:
    those = [one for _, one in found]
    alert, here, every = those[0].alert, sum(count for count, _ in found), len(page.policy.deployments)
    some = "" if here == every else f" (in {here} of {every} deployments)"
    cells = (
        f"[{alert.name}]({those[0].annotations['runbook_url']})",
        _either(f"{one.chosen.severity}{' (shadow)' if one.chosen.shadow else ''}" for one in those),
        _either(span(one.chosen.wait) if one.chosen.wait else "0s" for one in those),
        _either(
            ", ".join(f"{name} {shown(alert, name, value)}" for name, value in one.at.knobs.items()) for one in those
        ),
        ", ".join(alert.failures),
        _either(map(_needs, those)) + some,
        _cell(sentence(alert)),
    )
    return f"| {' | '.join(cells)} |\n"


def _reasons(found: Mapping[str, int]) -> str:
    """Why no deployment has an alert; how many for each reason, if there are several."""
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{reason} (in {count})" for reason, count in found.items())


def _needs(of: Emitted) -> str:
    sources = {
        source_of(family.collector) if isinstance(family, Metric) else family.source
        for family in of.expr.families
        if not isinstance(family, Recorded)
    } | set(of.alert.sources)
    return ", ".join(_CALLED.get(source, source) for source in sorted(sources - {EXPORTER})) or "the exporter"


def _either(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(texts))


def _cell(text: str) -> str:
    return re.sub(r"([<|*_])", r"\\\1", text)
