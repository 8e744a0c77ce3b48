"""`airflow-obs grants`: the SQL that lets the exporter read."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--for",
    "kind",
    type=click.Choice(["postgresql", "mysql"]),
    default="postgresql",
    show_default=True,
    help="The server under Airflow; mysql is MariaDB too.",
)
def grants(kind: str) -> None:
    """Print the SQL that lets the role airflow_obs read what the exporter reads, column by column.

    \b
    As an administrator, once:
      CREATE ROLE airflow_obs LOGIN PASSWORD '...';
    As the owner of Airflow's tables, now and after every `airflow db migrate`:
      airflow-obs grants | psql "$AIRFLOW_DATABASE_URL"

    \b
    On MySQL and MariaDB, as an administrator, once:
      CREATE USER airflow_obs@'%' IDENTIFIED BY '...';
      GRANT PROCESS ON *.* TO airflow_obs@'%';
    Now and after every `airflow db migrate`, with the name of Airflow's database:
      airflow-obs grants --for mysql | mysql -N airflow | mysql airflow
    """
    from airflow_obs.sources.grants import script

    click.echo(script(kind), nl=False)
