"""`airflow-obs exporter`: serve the metrics of one Airflow."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from airflow_obs.cli import options


@click.command()
@options.policy_file
@click.option("--deployment", metavar="NAME", help="Which Airflow of the policy to serve, if it names several.")
@options.address
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
@options.log_level
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
    Paths: /metrics, /-/healthy, /-/ready (every collector tried once), / (a page)
    """
    from airflow_obs.exporter import run
    from airflow_obs.exporter.drop_in import StatsdFlags, with_flags
    from airflow_obs.policy.loader import load

    options.log_to_stderr(log_level)
    chosen = load(policy)
    which = with_flags(chosen.deployment(deployment), StatsdFlags(listen_udp, listen_tcp, mapping_config))
    sys.exit(run.once(chosen, which) if once else run.serve(chosen, which, address))
