"""What runs of a policy: for each source one lane, with the collectors that read it in turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from airflow_obs.collectors.registry import Recipe, Shared, recipes
from airflow_obs.errors import UsageError
from airflow_obs.exporter.scrape import Job, Run, Source, Worker
from airflow_obs.policy import CollectorPolicy, Deployment, Policy
from airflow_obs.sources import discovery
from airflow_obs.sources.broker import Broker
from airflow_obs.sources.control import Workers
from airflow_obs.sources.database import Database
from airflow_obs.sources.health import HealthEndpoint
from airflow_obs.sources.replica import at_replica

Make = Callable[[threading.Event, Source | None], Source]
Plan = tuple[Recipe, CollectorPolicy]
"""A collector to be made, and when and for how long it runs."""


@dataclass
class Lane:
    """The collectors of one source, and the thread that runs them in turn once it was started.

    `of` is what the source is made of: lanes of equal `of` and `plans` do the same. `make` is given what ends the source, and the
    source that it replaces, once that has ended. `stop` ends the lane, and what its source waits for.
    """

    name: str
    of: tuple[object, ...]
    plans: tuple[Plan, ...]
    make: Make
    stop: threading.Event = field(default_factory=threading.Event)
    jobs: list[Job] = field(default_factory=list)
    worker: Worker | None = None

    def like(self, other: Lane) -> bool:
        """Whether the other does what this one does."""
        return (self.name, self.of, self.plans) == (other.name, other.of, other.plans)

    def anew(self) -> Lane:
        """One that does the same, not equipped yet."""
        return Lane(self.name, self.of, self.plans, self.make)

    @property
    def source(self) -> Source | None:
        """What it reads; None before it is equipped."""
        return self.jobs[0].source if self.jobs else None

    def equip(self, before: Lane | None = None) -> None:
        """Make its source and its collectors; of one `before` that has ended, it takes over the collectors that are the same."""
        ended = before is not None and before.worker is not None and not before.worker.is_alive()
        known = list(zip(before.plans, before.jobs, strict=True)) if before and ended else []
        source = self.make(self.stop, before.source if before and ended else None)
        for recipe, policy in self.plans:
            same = [job.collector for (made_of, _), job in known if made_of == recipe]
            self.jobs.append(Job(same[0] if same else recipe.made(), policy, source))

    def start(self, report: Callable[[Run], None]) -> None:
        """Begin to run; `report` gets every run."""
        self.worker = Worker(self.jobs, report, self.stop)
        self.worker.start()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, once it was told to."""
        if self.worker is not None:
            self.worker.join(timeout)


def lanes(policy: Policy, deployment: Deployment, shared: Shared) -> list[Lane]:
    """A lane for each source that can be read of a deployment; not equipped yet. What is sent to us is not among them."""
    sources = deployment.sources
    named = deployment.airflow.executor
    found: list[tuple[str, tuple[object, ...], Make]] = []
    if database := sources.database:
        schema, replica = database.schema_name, database.replica
        found.append(("database", (database,), lambda stop, _: _database(schema, replica, stop)))
    if health := sources.health:
        url = health.url
        found.append(("health", (health,), lambda *_: HealthEndpoint(_health_urls(url))))
    if broker := sources.broker:
        address, management = shared.settings.broker, broker.management_url
        found.append(("broker", (broker, named), lambda stop, _: Broker(address, management, stop)))
        if broker.control:
            found.append(("workers", (broker, named), lambda stop, _: Workers(address, stop)))
    by_name = policy.collectors.by_name()
    slos = [slo for slo in policy.slos if slo.applies_to(deployment.name)]
    every = recipes(policy.collectors, shared, broker, policy.dags, policy.retention, slos)
    made = [
        Lane(
            name,
            of,
            tuple((one, by_name[one.name]) for one in every if one.source == name and by_name[one.name].enabled),
            make,
        )
        for name, of, make in found
    ]
    return [lane for lane in made if lane.plans]


def nothing_to_export(deployment: Deployment) -> UsageError:
    """What is wrong with a deployment of which nothing can be read."""
    listed = [name for name, source in deployment.sources if source]
    if listed == ["kubernetes"]:
        return UsageError(
            f"policy: deployment {deployment.name} lists kubernetes alone, which Prometheus scrapes without us, so there is "
            "nothing to export: list database, health, broker, statsd or otlp under `sources`, or run no exporter for it"
        )
    return UsageError(
        f"policy: deployment {deployment.name} has no enabled collector for any of its sources ({', '.join(listed)}), so "
        "there is nothing to export: enable one under `collectors`"
    )


def shared_by(deployment: Deployment) -> Shared:
    """What the collectors of a deployment share."""
    named = deployment.airflow.executor
    return Shared(discovery.AirflowSettings(None if named == "auto" else named))


def all_jobs(of: Iterable[Lane]) -> list[Job]:
    """The jobs of some lanes."""
    return [job for lane in of for job in lane.jobs]


def _database(schema: str | None, replica: str | None, stop: threading.Event) -> Database:
    return Database(
        lambda: at_replica(discovery.database_url(), replica), lambda: schema or discovery.database_schema(), stop
    )


def _health_urls(url: str) -> Callable[[], tuple[list[str], bool]]:
    return discovery.health_urls if url == "auto" else lambda: ([url], True)
