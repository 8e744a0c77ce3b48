"""The command line: parse, call, print, exit; each command imports its room when it runs."""

from __future__ import annotations

import gc
import logging
import sys
from pathlib import Path

import click

from airflow_obs import __version__
from airflow_obs.errors import AirflowObsError, PolicyError, redact

DEFAULT_PORT = 10912


class _Address(click.ParamType[tuple[str, int]]):
    """HOST:PORT, :PORT or [IPV6]:PORT; port 0 lets the kernel choose."""

    name = "host:port"

    def convert(self, value: str | tuple[str, int], *_: object) -> tuple[str, int]:
        from airflow_obs.policy import addresses

        if isinstance(value, tuple):
            return value
        try:
            return addresses.parse(value)
        except ValueError:
            self.fail(
                f"{value!r} is not HOST:PORT; write it like :{DEFAULT_PORT}, 127.0.0.1:{DEFAULT_PORT} or [::1]:{DEFAULT_PORT}"
            )


class _Redacting(logging.Formatter):
    """Keeps passwords out of every line, tracebacks of libraries included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


_policy = click.option(
    "--policy",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Policy file of the site, merged over the defaults. Without it the defaults stand.",
)
_address = click.option(
    "--web.listen-address", "address", type=_Address(), default=f":{DEFAULT_PORT}", show_default=True, metavar="HOST:PORT",
    help="Where to serve /metrics.",
)  # fmt: skip
_log_level = click.option(
    "--log.level", "log_level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True,
    help="Least severity that is logged (to stderr).",
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="airflow-obs")
def cli() -> None:
    """See Apache Airflow failing before its users do.

    Exit codes: 0 well, 1 found something (a failed collector), 2 could not run (bad flag, bad policy, nothing to read).
    """


@cli.command()
@_policy
@click.option("--deployment", metavar="NAME", help="Which Airflow of the policy to serve, if it names several.")
@_address
@click.option(
    "--once",
    is_flag=True,
    help="Collect once, print the metrics and exit: 0 all collectors succeeded, 1 some failed, 2 nothing could be read.",
)
@click.option(
    "--statsd.listen-udp", "listen_udp", metavar="HOST:PORT",
    help="Take StatsD over UDP here, such as :9125; empty takes none. As statsd_exporter has it.",
)  # fmt: skip
@click.option(
    "--statsd.listen-tcp", "listen_tcp", metavar="HOST:PORT",
    help="Take StatsD over TCP here, such as :9125; empty takes none. As statsd_exporter has it.",
)  # fmt: skip
@click.option(
    "--statsd.mapping-config", "mapping_config", metavar="FILE",
    help="Keep names that this mapping file of statsd_exporter gives, too; official-chart is one that we bring along.",
)  # fmt: skip
@_log_level
def exporter(
    policy: Path | None,
    deployment: str | None,
    address: tuple[str, int],
    once: bool,
    listen_udp: str | None,
    listen_tcp: str | None,
    mapping_config: str | None,
    log_level: str,
) -> None:
    """Serve the metrics of one Airflow for Prometheus.

    \b
    The metadata database is found in the first of these that is set:
      AIRFLOW_OBS_DB_URL_FILE, AIRFLOW_OBS_DB_URL,
      AIRFLOW_OBS_DB_HOST with _PORT, _USER, _PASSWORD or _PASSWORD_FILE, _NAME,
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, AIRFLOW__CORE__SQL_ALCHEMY_CONN,
      $AIRFLOW_HOME/airflow.cfg
    and so is Celery's broker:
      AIRFLOW_OBS_BROKER_URL_FILE, AIRFLOW_OBS_BROKER_URL,
      AIRFLOW_OBS_BROKER_HOST with _PORT, _USER, _PASSWORD or _PASSWORD_FILE,
      _NAME, _SCHEME,
      AIRFLOW__CELERY__BROKER_URL, $AIRFLOW_HOME/airflow.cfg
    What Airflow sends as StatsD or OTLP is taken where the policy or the flags say.

    \b
    Paths: /metrics, /-/healthy, /-/ready (every collector tried once), / (a page)
    """
    from airflow_obs.exporter import run
    from airflow_obs.exporter.drop_in import StatsdFlags, with_flags
    from airflow_obs.policy.loader import load

    _log_to_stderr(log_level)
    chosen = load(policy)
    which = with_flags(chosen.deployment(deployment), StatsdFlags(listen_udp, listen_tcp, mapping_config))
    sys.exit(run.once(chosen, which) if once else run.serve(chosen, which, address))


@cli.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=".", show_default=True, metavar="DIR",
    help="Folder under which the files are written.",
)  # fmt: skip
@click.option(
    "--check", is_flag=True, help="Write nothing: print what would change, and exit with 1 if anything would."
)
def gen(out: Path, check: bool) -> None:
    """Write what is generated from the catalogue: the reference of all metrics."""
    from airflow_obs.generate import tree
    from airflow_obs.generate.docs import docs

    if check:
        changes = tree.differences(docs(), out)
        click.echo(changes, nl=False)
        sys.exit(1 if changes else 0)
    for path in tree.write(docs(), out):
        click.echo(path)


@cli.command()
def grants() -> None:
    """Print the SQL that lets the role airflow_obs read what the exporter reads, column by column.

    \b
    As an administrator, once:
      CREATE ROLE airflow_obs LOGIN PASSWORD '...';
    As the owner of Airflow's tables, now and after every `airflow db migrate`:
      airflow-obs grants | psql "$AIRFLOW_DATABASE_URL"
    """
    from airflow_obs.sources.grants import script

    click.echo(script(), nl=False)


@cli.command()
@click.option("--fault", metavar="NAME", help="Make the simulated Airflow sick in one way.")
@click.option("--list-faults", is_flag=True, help="Print the faults, what each makes sick and which metrics show it.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds, not at Ctrl-C."
)
@click.option(
    "--web.listen-address", "address", metavar="HOST:PORT",
    help=f"Where its exporter serves.  [default: 127.0.0.1:{DEFAULT_PORT}, or the next free port]",
)  # fmt: skip
def demo(fault: str | None, list_faults: bool, seconds: float | None, address: str | None) -> None:
    """Watch a simulated Airflow with the exporter: nothing is needed, nothing is left behind.

    An embedded PostgreSQL with the schema of Airflow 3.3, rows that change as a busy Airflow changes them, an embedded Redis
    with the messages of its Celery and workers that answer, and the exporter as a process of its own, whose figures are shown.
    """
    from airflow_obs.demo import run

    _log_to_stderr("warning")
    sys.exit(run.list_faults() if list_faults else run.run(fault, seconds, address))


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Redacting("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # Libraries say at INFO what only their developers want to know.
    for library in ("tornado", "urllib3", "asyncio", "sqlalchemy"):
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))


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
