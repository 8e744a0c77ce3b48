"""One real Alertmanager beside the drill's Prometheus, and what each receiver was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.alertmanager_server import AlertmanagerServer, Sink


@dataclass(frozen=True)
class Told:
    """What a message says of one alert: whether it fires or is resolved, its labels and annotations."""

    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.labels["alertname"]


@dataclass(frozen=True)
class Message:
    """One message: to which receiver, when (Unix seconds), of which group, and the alerts in it."""

    receiver: str
    moment: float
    group: str
    alerts: tuple[Told, ...]


@dataclass(frozen=True)
class Pager:
    """The Alertmanager with the drill's routes, and the sink of all its receivers."""

    server: AlertmanagerServer
    sink: Sink

    def messages(self, deployment: str) -> list[Message]:
        """All that anybody was told of a deployment so far, the oldest first."""
        return [
            Message(
                one.path.strip("/"),
                one.moment,
                one.body["groupKey"],
                tuple(Told(alert["status"], alert["labels"], alert["annotations"]) for alert in one.body["alerts"]),
            )
            for one in list(self.sink.received)
            if any(alert["labels"].get("airflow") == deployment for alert in one.body["alerts"])
        ]

    def known(self, deployment: str) -> dict[str, set[str]]:
        """The names of the alerts of a deployment that are with Alertmanager now, each with those of the causes that hush it."""
        every = self.server.alerts(f'airflow="{deployment}"')
        names = {alert["fingerprint"]: str(alert["labels"]["alertname"]) for alert in every}
        known: dict[str, set[str]] = {}
        for alert in every:
            # A cause is of the same deployment, and may be over by now.
            causes = {names[one] for one in alert["status"]["inhibitedBy"] if one in names}
            known.setdefault(names[alert["fingerprint"]], set()).update(causes)
        return known
