"""The destinations that a policy names."""

from __future__ import annotations

import os

from airflow_obs.errors import UsageError
from airflow_obs.exporter.push.pusher import Destination
from airflow_obs.policy import Deployment
from airflow_obs.policy.addresses import is_itself
from airflow_obs.policy.push import Push, to_itself


def destinations(push: Push, deployment: Deployment) -> list[Destination]:
    """Each of them, not sent to yet.

    Raises UsageError where a file, or a setting in the environment, cannot be used, and for one that is the exporter itself.
    """
    found: list[Destination] = []
    name = deployment.name
    # Imported where they are used: OpenTelemetry's SDK alone takes longer to load than all the rest.
    if push.otlp:
        # gRPC's core writes to stderr by itself what we say of a failure in our own words.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from airflow_obs.exporter.push.otlp.destination import Otlp
        from airflow_obs.exporter.push.otlp.settings import place

        found.append(Otlp(push.otlp, name))
        # Where `auto` leads is known by now.
        there = push.otlp.model_copy(update={"endpoint": str(place(push.otlp, os.environ))})
        push = push.model_copy(update={"otlp": there})
    if push.statsd:
        from airflow_obs.exporter.push.statsd import Statsd

        found.append(Statsd(push.statsd, name))
    if push.textfile:
        from airflow_obs.exporter.push.textfile import Textfile

        found.append(Textfile(push.textfile, name))
    for kind, address, listen in push.heard_by(deployment.sources):
        if is_itself(address, listen):
            raise UsageError(f"push.{kind}: {address}: {to_itself(name)}")
    return found
