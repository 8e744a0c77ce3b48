"""The rules of a policy, in every format that it asks for, their tests, who is told of them, and a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from airflow_obs.generate.formats import FORMATS, Wrapped, prometheus
from airflow_obs.generate.kinds import named, names
from airflow_obs.generate.objectives import SUBJECT
from airflow_obs.generate.proven import ABSENCE, Kind, proven
from airflow_obs.generate.routes import FOLDERS as ROUTES
from airflow_obs.generate.routes import routes
from airflow_obs.generate.rule import Emitted, rule
from airflow_obs.generate.rule_tests import tests
from airflow_obs.generate.rules_readme import Page, rules_readme
from airflow_obs.generate.scopes import USUAL
from airflow_obs.generate.tree import Tree, marker, name_of
from airflow_obs.generate.yaml_text import Value, text_of
from airflow_obs.policy import Deployment, Policy
from airflow_obs.promql import span

MOST_RULES = 20
"""Of one group: Mimir's default limit."""
PROMETHEUS = "prometheus"
"""The format with a file for each subject: promtool judges all rules of its files for each test, and takes minutes over all."""
TESTS = "tests"
"""The folder of the promtool tests."""


def rules(policy: Policy, site: Path | None = None, formats: Sequence[str] = ()) -> Tree:
    """Everything below rules/; `site` is the file of the policy, None for that which comes with the program.

    Of `formats` only the rule files, if any are named. Raises PolicyError with all in it with which an alert could not work.
    """
    kinds = proven(policy, site)
    head = f"# {marker(name_of(site))}\n"
    tree: dict[str, str] = {}
    most = 0
    for one in kinds:
        written = {subject: groups(policy, one.like, subject, of) for subject, of in one.of.items()}
        if recorded := one.recorded:
            written[SUBJECT] = [*recorded, *written.get(SUBJECT, ())]
        most = max(most, sum(map(len, written.values())))
        texts = {subject: text_of(those) for subject, those in written.items()}
        for place in one.members:
            deployment = policy.deployments[place]
            own = {subject: named(text, names(policy, deployment)) for subject, text in texts.items()}
            tree |= _rule_files(policy, deployment, own, formats or policy.output.formats)
        if policy.output.tests and not formats:
            tree |= _test_files(policy, one, texts)
    tree = {path: head + text for path, text in tree.items()}
    if formats:
        return tree
    told = routes(policy, site, [one.decided for one in kinds])
    decisions = [(len(one.members), one.decided) for one in kinds]
    judged = [(len(one.members), one.judged) for one in kinds]
    return {**tree, **told, **rules_readme(Page(policy, site, decisions, most, MOST_RULES, judged, set(told)))}


def folders(formats: Sequence[str] = ()) -> list[str]:
    """The folders in which all is generated: those of these formats, or all."""
    return [*formats] or [*FORMATS, TESTS, *ROUTES]


def groups(policy: Policy, deployment: Deployment, subject: str, of: Sequence[Emitted]) -> list[Value]:
    """The rule groups of one subject: one, or several where there are too many rules for one."""
    written: list[Value] = []
    for start in range(0, len(of), MOST_RULES):
        number = f"-{start // MOST_RULES + 1}" if start else ""
        group: dict[str, Value] = {"name": f"airflow-obs/{deployment.name}/{subject}{number}"}
        if interval := policy.output.interval:
            group["interval"] = span(Decimal(str(interval)))
        group["rules"] = [rule(one) for one in of[start : start + MOST_RULES]]
        written.append(group)
    return written


def _rule_files(
    policy: Policy, deployment: Deployment, texts: Mapping[str, str], formats: Sequence[str]
) -> dict[str, str]:
    """The files of one deployment; `texts` are the groups of each subject."""
    files = _raw_files(PROMETHEUS, deployment.name, texts) if PROMETHEUS in formats else {}
    wrapped = Wrapped(deployment, policy.output, "".join(texts.values()))
    return files | {f"{name}/{deployment.name}.yaml": FORMATS[name](wrapped) for name in formats if name != PROMETHEUS}


def _raw_files(folder: str, deployment: str, texts: Mapping[str, str]) -> dict[str, str]:
    return {f"{folder}/{deployment}.{subject}.yaml": prometheus(text) for subject, text in texts.items()}


def _test_files(policy: Policy, one: Kind, texts: Mapping[str, str]) -> dict[str, str]:
    """The tests of what no kind before has, for its first deployment.

    promtool reads rules only as Prometheus does: where the site wants no such files, those that are tested lie below the tests.
    """
    absence = {of.alert.name: of for of in one.of.get(ABSENCE, ())}
    beside = PROMETHEUS in policy.output.formats
    rule_files = f"../{PROMETHEUS}" if beside else "rules"
    files: dict[str, str] = {}
    for subject in one.new:
        judged = dict.fromkeys([subject, ABSENCE] if absence else [subject])
        if not beside:
            files |= _raw_files(f"{TESTS}/rules", one.first.airflow, {name: texts[name] for name in judged})
        for step in sorted({of.at.step for of in one.of[subject]}):
            file: dict[str, Value] = {
                "rule_files": [f"{rule_files}/{one.first.airflow}.{name}.yaml" for name in judged],
                **(_order(one) if subject == SUBJECT else {}),
                "evaluation_interval": span(step),
                "tests": [group for of in one.of[subject] if of.at.step == step for group in tests(of, absence)],
            }
            every = "" if step == USUAL else f".{span(step)}"
            files[f"{TESTS}/{one.first.airflow}.{subject}{every}.test.yaml"] = text_of(file)
    return {path: named(text, one.first) for path, text in files.items()}


def _order(one: Kind) -> dict[str, Value]:
    """What is recorded comes before the alerts that read it; promtool goes by chance else."""
    recorded = [str(group["name"]) for group in one.recorded if isinstance(group, Mapping)]
    return {"group_eval_order": [*recorded, f"airflow-obs/{one.like.name}/{SUBJECT}"]}
