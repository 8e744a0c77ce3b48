"""`airflow-obs policy`: what a site may choose, whether its file is sound, and what is in force."""

from __future__ import annotations

import re
from pathlib import Path

import click

from airflow_obs.cli import options
from airflow_obs.errors import UsageError, meant


@click.group()
def policy() -> None:
    """Look at the policy: its schema, its mistakes, what is in force."""


@policy.command()
def schema() -> None:
    """Print the JSON Schema of a policy, for editors (yaml-language-server)."""
    from airflow_obs.generate.policy import schema_text

    click.echo(schema_text(), nl=False)


@policy.command()
@options.policy_file
def check(policy: Path | None) -> None:
    """Say what is wrong with a policy, all at once: FILE:LINE:COLUMN and what to do; exit 2 if anything is.

    What `gen-rules` would refuse is refused here, and what it says of the routes is said on stderr.
    """
    from airflow_obs.generate.proven import proven
    from airflow_obs.policy.loader import load

    options.note_of_silence(policy)
    chosen = load(policy)
    proven(chosen, policy)
    options.notes_on_routes(chosen, policy)
    click.echo("ok")


@policy.command()
@options.policy_file
@click.argument("path", default="")
def explain(policy: Path | None, path: str) -> None:
    """Print what is in force, where it was written and what it is for; PATH is a part, such as alerts or collectors.jobs."""
    from airflow_obs.policy.effective import effective
    from airflow_obs.policy.loader import load, merged

    every = list(effective(load(policy), merged(policy)))
    # What a deployment says of an alert wins over what is said of all.
    anywhere = r"(?:deployments\[\d+\]\.)?" if path.startswith("alerts") else ""
    lines = [one for one in every if not path or re.match(rf"{anywhere}{re.escape(path)}(?![^.\[])", one.path)]
    if not lines:
        known = {one.path[: at.start()] for one in every for at in re.finditer(r"[.\[]|$", one.path)}
        near = meant(path, sorted(known))
        raise UsageError(f"PATH: the policy has no {path}" + (f": did you mean {near}?" if near else ""))
    click.echo("\n".join(map(str, lines)))
