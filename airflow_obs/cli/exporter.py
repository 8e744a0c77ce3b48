"""`airflow-obs exporter`: serve the metrics of one Airflow."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from airflow_obs.cli import options
from airflow_obs.errors import UsageError


@click.command()
@options.policy_file
@click.option("--deployment", metavar="NAME", help="Which Airflow of the policy to serve, if it names several.")
@click.option(
    "--web.listen-address", "addresses", type=options.Address(), multiple=True, metavar="HOST:PORT|unix:PATH",
    default=(f":{options.DEFAULT_PORT}",), show_default=True, help="Where to serve /metrics; may be given several times.",
)  # fmt: skip
@click.option(
    "--web.config.file", "config_file", type=click.Path(path_type=Path), metavar="FILE",
    help="TLS, client certificates, passwords and rate limit, in the format of Prometheus' exporters; read again when it changes.",
)  # fmt: skip
@click.option(
    "--web.systemd-socket",
    "systemd_socket",
    is_flag=True,
    help="Serve on the sockets that systemd has opened, instead of --web.listen-address.",
)
@click.option(
    "--web.enable-lifecycle", "lifecycle", is_flag=True,
    help="Let POST /-/reload read the policy again, as SIGHUP always does.",
)  # fmt: skip
@click.option(
    "--web.hide-versions",
    "hide_versions",
    is_flag=True,
    help="Name no version of the exporter and of its Python to clients.",
)
@click.option(
    "--once",
    is_flag=True,
    help="Collect once, print the metrics and exit: 0 all collectors succeeded, 1 some failed, 2 nothing could be read.",
)
@click.option("--push", is_flag=True, help="With --once: send to whom the policy's `push` names, and print nothing.")
@click.option(
    "--textfile", metavar="FILE",
    help="Write the metrics to this file (….prom), too, for node_exporter's textfile collector; with --once, there alone.",
)  # fmt: skip
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
@options.log_level
def exporter(
    policy: Path | None,
    deployment: str | None,
    addresses: tuple[str, ...],
    config_file: Path | None,
    systemd_socket: bool,
    lifecycle: bool,
    hide_versions: bool,
    once: bool,
    push: bool,
    textfile: str | None,
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
      _SCHEME (postgresql, mysql, mariadb),
      _SSLMODE, _SSLROOTCERT, _SSLCERT, _SSLKEY,
      AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, AIRFLOW__CORE__SQL_ALCHEMY_CONN,
      $AIRFLOW_HOME/airflow.cfg
    and so is Celery's broker:
      AIRFLOW_OBS_BROKER_URL_FILE, AIRFLOW_OBS_BROKER_URL,
      AIRFLOW_OBS_BROKER_HOST with _PORT, _USER, _PASSWORD or _PASSWORD_FILE,
      _NAME, _SCHEME,
      AIRFLOW__CELERY__BROKER_URL, $AIRFLOW_HOME/airflow.cfg
    What Airflow sends as StatsD or OTLP is taken where the policy or the flags say.

    \b
    Paths: /metrics, /-/healthy, /-/ready (every collector tried once), / (a page),
      /-/reload (POST; with --web.enable-lifecycle)
    """
    if not once:
        # One that comes while we start is for nothing, but no reason to end: the policy is not read yet.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _check_together(once=once, push=push, systemd_socket=systemd_socket)
    from airflow_obs.exporter import run
    from airflow_obs.exporter.drop_in import StatsdFlags, with_flags, with_textfile
    from airflow_obs.exporter.reload import Chosen
    from airflow_obs.exporter.web.endpoint import Endpoint
    from airflow_obs.policy.loader import load

    options.log_to_stderr(log_level)

    def choose(*, again: bool = True) -> Chosen:
        if again and policy and policy.exists() and not policy.is_file():
            raise UsageError(
                f"--policy {policy}: is no file, so that it cannot be read a second time; restart the exporter"
            )
        chosen = load(policy)
        if textfile is not None:
            chosen = with_textfile(chosen, textfile, alone=once and not push)
        return chosen, with_flags(chosen.deployment(deployment), StatsdFlags(listen_udp, listen_tcp, mapping_config))

    if once:
        sys.exit(run.once(*choose(again=False), push=push or textfile is not None))
    sys.exit(
        run.serve(
            choose(again=False), choose, Endpoint(addresses, config_file, systemd_socket, lifecycle, not hide_versions)
        )
    )


def _check_together(*, once: bool, push: bool, systemd_socket: bool) -> None:
    """Raise UsageError for flags that would mean nothing beside each other."""
    context = click.get_current_context()
    of_the_daemon = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.opts[0].startswith(("--web.", "--statsd."))
        and parameter.name
        and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]
    if once and of_the_daemon:
        raise UsageError(f"{of_the_daemon[0]}: not with --once, which serves and takes nothing: leave one of them out")
    if push and not once:
        raise UsageError("--push: only with --once; a daemon pushes to whom the policy's `push` names by itself")
    if systemd_socket and "--web.listen-address" in of_the_daemon:
        raise UsageError(
            "--web.systemd-socket: not with --web.listen-address: the sockets are those that systemd opened"
        )
