"""The command line: parse, call, print, exit; each command imports its room when it runs."""

from __future__ import annotations

import gc
import sys

import click

from airflow_obs import __version__
from airflow_obs.cli import demo, explain, exporter, gen, grants, lint, policy, routes, rules, runbook
from airflow_obs.errors import AirflowObsError, PolicyError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="airflow-obs")
def cli() -> None:
    """See Apache Airflow failing before its users do.

    Exit codes: 0 well, 1 found something (a failed collector), 2 could not run (bad flag, bad policy, nothing to read).
    """


for command in (
    exporter.exporter, gen.gen, rules.gen_rules, lint.lint, policy.policy, explain.explain, routes.routes, runbook.runbook,
    grants.grants, demo.demo,
):  # fmt: skip
    cli.add_command(command)


def main() -> None:
    """Run the command line. Errors meant for the user go to stderr, without a traceback, and exit with 2."""
    # What is imported stays: to look for garbage in it, again and again, takes a sixth of a command's start.
    gc.set_threshold(50_000, 20, 100)
    try:
        cli(prog_name="airflow-obs")
    except AirflowObsError as error:
        # A policy's problems begin with file:line:col, where editors look for it.
        prefix = "" if isinstance(error, PolicyError) else "airflow-obs: "
        click.echo("\n".join(prefix + line for line in str(error).splitlines()), err=True)
        sys.exit(2)
