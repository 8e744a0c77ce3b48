"""`airflow-obs explain`: everything about one alert, as it is in one deployment."""

from __future__ import annotations

from pathlib import Path

import click

from airflow_obs.cli import options


@click.command()
@click.argument("alert")
@options.policy_file
@click.option("--deployment", metavar="NAME", help="For which Airflow of the policy, if it names several.")
def explain(alert: str, policy: Path | None, deployment: str | None) -> None:
    """Print what ALERT is made of: its expression, each number and where it was written, its metrics, what it needs.

    If the deployment does not have it, why; and how to change it.
    """
    from airflow_obs.catalog.alerts.named import named
    from airflow_obs.generate.explain import explained
    from airflow_obs.policy import load
    from airflow_obs.policy.loader import merged

    one = named(alert)
    chosen = load(policy)
    click.echo(explained(chosen, merged(policy), chosen.deployment(deployment), one), nl=False)
