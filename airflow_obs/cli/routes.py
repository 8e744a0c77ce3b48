"""`airflow-obs routes`: who is told of what."""

from __future__ import annotations

import json
from pathlib import Path

import click

from airflow_obs.cli import options


@click.group()
def routes() -> None:
    """Look at who is told of alerts."""


@routes.command()
@options.policy_file
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE",
    help="A label of the alert, such as team=platform, severity=critical, airflow=prod or alertname=AirflowSchedulerDown; of an "
    "alert on a DAG also its dag_id, owner or tags, of one on an objective its slo. May be given several times, each label once.",
)  # fmt: skip
@click.option(
    "--format", "written", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="For people, or for programs.",
)  # fmt: skip
def explain(policy: Path | None, labels: tuple[str, ...], written: str) -> None:
    """Print who is told of an alert with these labels, by which routes, how often, when not, and what would hold it back.

    What is not given follows from the policy as it would for the alert; where each label comes from is printed with it. The routes
    are those that gen-rules writes: those of alertmanager.yml, or if only AlertmanagerConfigs are written, those of the one for the
    deployment's namespace.
    """
    from airflow_obs.generate.alertmanager.explain import as_data, as_text, explained
    from airflow_obs.policy import load

    found = explained(load(policy), options.pairs(labels), policy)
    if written == "json":
        click.echo(json.dumps([as_data(one) for one in found], ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(map(as_text, found)), nl=False)
