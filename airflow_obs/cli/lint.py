"""`airflow-obs lint`: what is wrong with a site's own rules."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from airflow_obs.cli import options


@click.command()
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="FILE…")
@options.policy_file
@click.option(
    "--label", "labels", multiple=True, metavar="NAME",
    help="A label that your Prometheus adds to every series, such as stage; may be given several times.",
)  # fmt: skip
def lint(files: tuple[Path, ...], policy: Path | None, labels: tuple[str, ...]) -> None:
    """Find what is wrong with your own alerts on these metrics: names and labels that do not exist, and rules that cannot work.

    Takes rule files of Prometheus and Mimir, and PrometheusRule and VMRule objects. How often Prometheus scrapes is said by
    output.scrape_interval of the policy.

    Exit codes: 0 nothing is wrong, 1 something is, 2 a file cannot be read.
    """
    from airflow_obs.errors import PolicyError
    from airflow_obs.generate.lint import Placed, Terms, findings, placed
    from airflow_obs.policy import load
    from airflow_obs.policy.loader import read

    terms = Terms(load(policy).output.scrape_interval, added=frozenset(labels))
    rules: list[Placed] = []
    unusable: list[PolicyError] = []
    for file in files:
        try:
            rules += placed(read(file, "rule file"), str(file))
        except PolicyError as error:
            unusable.append(error)
    if unusable:
        raise PolicyError([problem for error in unusable for problem in error.problems])
    found = findings(rules, terms)
    for finding in found:
        click.echo(finding)
    sys.exit(1 if found else 0)
