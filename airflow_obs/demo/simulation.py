"""The servers of one simulated Airflow, and the world that lives in them."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_obs.demo import fleet, postgres
from airflow_obs.demo.keeper import Keeper
from airflow_obs.demo.postgres import Original, Server
from airflow_obs.demo.redis import Redis
from airflow_obs.demo.world import World, utc_now


@dataclass(frozen=True)
class Simulation:
    """A busy Airflow, its work in full swing; whoever starts it lets its world step, and closes that at the end."""

    server: Server
    redis: Redis
    world: World


def start(keeper: Keeper, seed: int = 1, original: Original | None = None) -> Simulation:
    """A new one, for which the keeper starts PostgreSQL (a copy of `original`), Redis and the workers' process.

    Raises AirflowObsError when one of them does not come up.
    """
    redis = Redis(keeper)
    fleet.start(keeper, redis)
    server = postgres.start(keeper, original)
    redis.wait()
    return Simulation(server, redis, World(server.connect, redis, utc_now(), seed))
