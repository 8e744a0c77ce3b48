"""python -m airflow_obs: the same as airflow-obs."""

from airflow_obs.cli import main

main()
