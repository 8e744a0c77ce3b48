"""`airflow-obs demo`: a simulated Airflow to watch."""

from __future__ import annotations

import sys

import click

from airflow_obs.cli import options


@click.command()
@click.option("--fault", metavar="NAME", help="Make the simulated Airflow sick in one way.")
@click.option("--list-faults", is_flag=True, help="Print the faults, what each makes sick and which metrics show it.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds, not at Ctrl-C."
)
@click.option(
    "--web.listen-address", "address", metavar="HOST:PORT",
    help=f"Where its exporter serves.  [default: 127.0.0.1:{options.DEFAULT_PORT}, or the next free port]",
)  # fmt: skip
def demo(fault: str | None, list_faults: bool, seconds: float | None, address: str | None) -> None:
    """Watch a simulated Airflow with the exporter: nothing is needed, nothing is left behind.

    An embedded PostgreSQL with the schema of Airflow 3.3, rows that change as a busy Airflow changes them, an embedded Redis
    with the messages of its Celery and workers that answer, and the exporter as a process of its own, whose figures are shown.
    """
    from airflow_obs.demo import run

    options.log_to_stderr("warning")
    sys.exit(run.list_faults() if list_faults else run.run(fault, seconds, address))
