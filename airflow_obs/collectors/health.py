"""What Airflow's own health endpoint says, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from airflow_obs.catalog import metrics
from airflow_obs.model import Reading
from airflow_obs.sources.health import Answer


@dataclass(frozen=True)
class Component:
    """A component that Airflow has ever seen, and whether its newest job is healthy."""

    name: str
    healthy: bool


@dataclass(frozen=True)
class Report:
    """The components, and the seconds that the endpoint took to answer."""

    components: list[Component]
    seconds: float


class Health:
    """It is HTTP 200 even when unhealthy, and judges only the newest job of each kind: a dead one of two is not in it."""

    name = "health"
    source = "health"

    def read(self, ask: Callable[[], Answer | None]) -> Report | None:
        """None while there is no endpoint to speak of."""
        if (answer := ask()) is None:
            return None
        statuses = {name: fields.get("status") for name, fields in answer.report.items()}
        seen = [Component(name, status == "healthy") for name, status in sorted(statuses.items()) if status is not None]
        return Report(seen, answer.seconds)

    def samples(self, report: Report | None) -> Iterator[Reading]:
        if report is None:
            return
        for component in report.components:
            yield metrics.HEALTH_COMPONENT.sample(component.healthy, component=component.name)
        yield metrics.HEALTH_LATENCY.sample(report.seconds)
