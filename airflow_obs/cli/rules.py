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
    """Write the alerts of the policy as rules, with their tests for promtool, and who is told of them, for Alertmanager.

    \b
    DIR/prometheus/NAME.SUBJECT.yaml    for Prometheus and Thanos' ruler
    DIR/prometheusrule/NAME.yaml        PrometheusRule, for prometheus-operator
    DIR/vmrule/NAME.yaml                VMRule, for VictoriaMetrics' operator
    DIR/mimir/NAME.yaml                 for mimirtool rules sync
    DIR/tests/NAME.SUBJECT.test.yaml    for promtool test rules
    DIR/README.md                       every alert, and how to load them
    DIR/alertmanager/alertmanager.yml   for Alertmanager: routes, receivers, silences, inhibition
    DIR/alertmanagerconfig/SPACE.yaml   AlertmanagerConfig, for prometheus-operator
    DIR/tests/routes.test.sh            their tests, for amtool
    DIR/alertmanager/README.md          who is told of what, and when not

    NAME is a deployment of the policy, SPACE a namespace in which some of them run.

    Files below DIR that an earlier run wrote and that are no longer generated are removed; files of yours, and those of a policy
    in another file, are never touched.
    """
    from airflow_obs.generate.rules import folders, rules
    from airflow_obs.policy import load

    options.note_of_silence(policy)
    chosen = load(policy)
    tree = rules(chosen, policy, formats)
    if not formats:
        options.notes_on_routes(chosen, policy)
    sys.exit(options.write_or_check(tree, out, folders(formats), policy, check=check))
