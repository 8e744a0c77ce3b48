"""`airflow-obs gen-rules`: the alerts of a policy as rule files, written or proved current."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from airflow_obs.cli import options

FORMATS = ("prometheus", "prometheusrule", "mimir", "vmrule")


@click.command("gen-rules")
@options.policy_file
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default="rules", show_default=True, metavar="DIR",
    help="Folder under which the files are written.",
)  # fmt: skip
@click.option("--check", is_flag=True, help=options.CHECK_HELP)
@click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True,
    help="Only files of this kind, without tests and README; may be given several times.  [default: all that the policy asks for]",
)  # fmt: skip
def gen_rules(policy: Path | None, out: Path, check: bool, formats: tuple[str, ...]) -> None:
    """Write the alerts of the policy as rules, with their tests for promtool.

    \b
    DIR/prometheus/NAME.SUBJECT.yaml    for Prometheus and Thanos' ruler
    DIR/prometheusrule/NAME.yaml        PrometheusRule, for prometheus-operator
    DIR/vmrule/NAME.yaml                VMRule, for VictoriaMetrics' operator
    DIR/mimir/NAME.yaml                 for mimirtool rules sync
    DIR/tests/NAME.SUBJECT.test.yaml    for promtool test rules
    DIR/README.md                       every alert, and how to load them

    NAME is a deployment of the policy.

    Files below DIR that an earlier run wrote and that are no longer generated are removed; files of yours, and those of a policy
    in another file, are never touched.
    """
    from airflow_obs.generate.rules import folders, rules
    from airflow_obs.policy import load

    options.note_of_silence(policy)
    tree = rules(load(policy), policy, formats)
    sys.exit(options.write_or_check(tree, out, folders(formats), policy, check=check))
