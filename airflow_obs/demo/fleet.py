"""Starts the process that answers Celery's control protocol for the simulated workers."""

from __future__ import annotations

import sys

from airflow_obs.demo import fleet_process
from airflow_obs.demo.keeper import Keeper, our_environment
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.roster import FILE
from airflow_obs.errors import AirflowObsError

NAME = "workers"


def start(keeper: Keeper, redis: Redis) -> None:
    """Start it; it answers as soon as there is a roster. Raises AirflowObsError when it cannot be started."""
    env = our_environment() | {fleet_process.BROKER: redis.url}
    keeper.start(NAME, [sys.executable, "-m", fleet_process.__name__, str(redis.folder / FILE)], env=env)


def check(keeper: Keeper) -> None:
    """Raises AirflowObsError, with its last lines, when it has stopped."""
    if (code := keeper.exit_code(NAME)) is not None:
        raise AirflowObsError(f"demo: the workers' process stopped with exit code {code}:\n{keeper.last_lines(NAME)}")
