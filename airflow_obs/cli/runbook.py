"""`airflow-obs runbook`: what to do about an alert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from airflow_obs.cli import options

if TYPE_CHECKING:
    from airflow_obs.policy import Deployment


@click.command()
@click.argument("alert")
@options.policy_file
@click.option("--deployment", metavar="NAME", help="The Airflow that the alert is about.")
@click.option(
    "--label", "labels", multiple=True, metavar="NAME=VALUE",
    help="A label of the alert that fires, such as queue=default, or its Airflow's namespace, release, chart or executor.",
)  # fmt: skip
@click.option("--print", "printed", is_flag=True, help="Print it, which is all that there is so far.")
def runbook(alert: str, policy: Path | None, deployment: str | None, labels: tuple[str, ...], printed: bool) -> None:
    """Print the runbook of ALERT as Markdown: what it means, how to find the cause, what to do, and what not.

    Names in the commands that are known are set in: those of the deployment from the policy, and those of the alert from --label.
    Containers and workloads are called as the official Helm chart calls them, unless the policy says that it is the community's.
    The annotation `command` of every alert holds the call for what fired. A later release will look at the deployment and
    say what it finds; --print will then print the runbook alone, as now.
    """
    from airflow_obs.oncall.runbook import is_safe, without_place
    from airflow_obs.oncall.runbook import runbook as filled

    del printed
    given = options.pairs(labels)
    if unsafe := [name for name, value in given.items() if not is_safe(value)]:
        click.echo(f"airflow-obs: --label: not set in, since a shell would act upon it: {', '.join(unsafe)}", err=True)
    chart, executor = given.pop("chart", "none"), given.pop("executor", "auto")
    if nowhere := without_place(alert, given):
        click.echo(f"airflow-obs: --label: the runbook has no place for {', '.join(nowhere)}", err=True)
    one = _deployment(policy, deployment)
    if one is None:
        text = filled(alert, {"deployment": deployment, **given} if deployment else given, chart, executor)
    else:
        facts = one.airflow
        names = {"deployment": one.name, "namespace": facts.namespace, "release": facts.release}
        known = {name: value for name, value in names.items() if value}
        text = filled(alert, {**known, **given}, facts.chart, facts.executor)
    click.echo(text, nl=False)


def _deployment(policy: Path | None, deployment: str | None) -> Deployment | None:
    """The deployment that is meant, as far as somebody said it."""
    if policy is None:
        return None
    from airflow_obs.policy import load

    chosen = load(policy)
    if deployment is None and len(chosen.deployments) > 1:
        return None
    return chosen.deployment(deployment)
