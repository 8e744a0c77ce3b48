"""Who is told of the alerts of a policy: Alertmanager's configuration in every form that fits, its tests, and a README."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from airflow_obs.generate.alertmanager.config import config
from airflow_obs.generate.alertmanager.custom_resource import by_namespace, custom_resource
from airflow_obs.generate.alertmanager.fitting import FILE, OBJECT, fitting
from airflow_obs.generate.alertmanager.inhibition import Decided, inhibitions
from airflow_obs.generate.alertmanager.readme import readme
from airflow_obs.generate.alertmanager.route_tests import route_tests
from airflow_obs.generate.tree import Tree, marker, name_of
from airflow_obs.policy import Policy
from airflow_obs.policy.output import ROUTE_FORMATS

FOLDERS = ROUTE_FORMATS
CONFIG = f"{FILE}/alertmanager.yml"
TEST = "tests/routes.test.sh"
PAGE = f"{FILE}/README.md"


def routes(policy: Policy, site: Path | None = None, kinds: Iterable[Decided] | None = None) -> Tree:
    """The files below rules/; `site` is the file of the policy, None for that which comes with the program.

    `kinds` are what the kinds of the policy's deployments have, where somebody knows them already. Raises PolicyError where the
    receivers do not fit what is written.
    """
    forms = fitting(policy, site)
    if not forms:
        return {}
    kinds = None if kinds is None else list(kinds)
    hushed = inhibitions(policy, kinds)
    mark = marker(name_of(site))
    tree: dict[str, str] = {}
    if FILE in forms:
        tree[CONFIG] = config(policy, hushed)
        if policy.output.tests:
            tree[TEST] = route_tests(policy)
    if OBJECT in forms:
        tree |= {f"{OBJECT}/{name}.yaml": custom_resource(policy, name, hushed) for name in by_namespace(policy)}
    return {**{path: f"# {mark}\n{text}" for path, text in tree.items()}, PAGE: readme(policy, forms, kinds, mark)}
