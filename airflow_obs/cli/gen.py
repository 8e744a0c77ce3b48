"""`airflow-obs gen`: write what is generated, or prove it current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from airflow_obs.cli import options


@click.command()
@options.policy_file
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True, metavar="DIR",
    help="Folder under which the files are written.",
)  # fmt: skip
@click.option("--check", is_flag=True, help=options.CHECK_HELP)
def gen(policy: Path | None, out: Path, check: bool) -> None:
    """Write everything that is generated: the reference of all metrics, the policy's rules and routes with their tests."""
    from airflow_obs.generate.docs import docs
    from airflow_obs.generate.peers import peers
    from airflow_obs.generate.policy import policy_files
    from airflow_obs.generate.rules import rules
    from airflow_obs.policy import load

    chosen = load(policy)
    below_rules = {f"rules/{path}": text for path, text in rules(chosen, policy).items()}
    options.notes_on_routes(chosen, policy)
    tree = {**docs(), **below_rules, **peers(), **policy_files(out)}
    sys.exit(options.write_or_check(tree, out, ("exporters", "rules"), policy, check=check))
