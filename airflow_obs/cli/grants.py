"""`airflow-obs grants`: the SQL that lets the exporter read."""

from __future__ import annotations

import click


@click.command()
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
