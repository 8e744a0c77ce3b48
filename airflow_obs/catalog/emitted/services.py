"""Signals of connection tests and of some providers, and those of the clients themselves."""

from __future__ import annotations

from airflow_obs.catalog import metrics as m
from airflow_obs.catalog.emitted.define import counted, gauged, refused, timed
from airflow_obs.model import Emission, Signal, Unit

SERVICES: tuple[Signal, ...] = (
    *(
        gauged(f"connection_test.{state}", m.CONNECTION_TESTS, since="3.3", state=state)
        for state in ("pending", "active")
    ),
    *(
        counted(f"connection_test.{outcome}", m.CONNECTION_TESTS_ENDED, since="3.3", outcome=outcome)
        for outcome in ("success", "failed", "reaped")
    ),
    timed("connection_test.dispatch_duration", m.CONNECTION_TEST_DISPATCH, unit=Unit.TIMER, since="3.3"),
    timed("connection_test.hook_duration", m.CONNECTION_TEST_DURATION, unit=Unit.TIMER, since="3.3"),
    # -- OpenLineage and common.ai: providers, which any release may have
    counted("ol.emit.failed", m.OPENLINEAGE_FAILURES),
    timed(
        "ol.emit.attempts", m.OPENLINEAGE_EMIT, "ol.emit.attempts.{event_type}.{transport_type}", unit=Unit.TIMER
    ),
    timed(
        "ol.extract", m.OPENLINEAGE_EXTRACT, "ol.extract.{event_type}.{operator_name}", unit=Unit.TIMER
    ),
    gauged("ol.event.size", m.OPENLINEAGE_EVENT, "ol.event.size.{event_type}.{operator_name}"),
    counted("common_ai.tool_calls", m.TOOL_CALLS),
    counted("managed_agent.served", m.AGENT_ANSWERS),
    counted("managed_agent.failover", m.AGENT_FAILOVERS),
    # It comes without Airflow's prefix.
    refused("datadog.dogstatsd.client.{name}", Emission.COUNTER, "what the Datadog client counts of itself"),
)  # fmt: skip
