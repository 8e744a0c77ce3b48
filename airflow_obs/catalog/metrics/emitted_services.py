"""What the API server's connection tests and some providers say of themselves; it comes over StatsD or OTLP."""

from __future__ import annotations

from airflow_obs.catalog.metrics.define import counter, gauge, histogram
from airflow_obs.catalog.metrics.emitted_scheduler import LOOP_BUCKETS, QUERY_BUCKETS

CONNECTION_TESTS = gauge(
    "ingest",
    "connection_tests",
    "Tests of connections by state: pending, active (queued or running).",
    ("state",),
    since="3.3",
)
CONNECTION_TESTS_ENDED = counter(
    "ingest", "connection_tests_ended_total", "Tests of connections that ended, by outcome: success, failed, reaped (stale).",
    ("outcome",), ("team",), since="3.3",
)  # fmt: skip
CONNECTION_TEST_DISPATCH = histogram(
    "ingest", "connection_test_dispatch_duration_seconds", "How long a scheduler's loop handed out tests of connections.",
    LOOP_BUCKETS, since="3.3",
)  # fmt: skip
CONNECTION_TEST_DURATION = histogram(
    "ingest", "connection_test_duration_seconds", "How long testing a connection took.",
    LOOP_BUCKETS, (), ("team",), since="3.3",
)  # fmt: skip

# -- providers ---------------------------------------------------------------------------------------------------------

OPENLINEAGE_FAILURES = counter("ingest", "openlineage_emit_failures_total", "Events that OpenLineage could not send.")
OPENLINEAGE_EMIT = histogram(
    "ingest", "openlineage_emit_duration_seconds", "Duration of the attempts to send an event.",
    LOOP_BUCKETS, (), ("event_type", "transport"),
)  # fmt: skip
OPENLINEAGE_EXTRACT = histogram(
    "ingest", "openlineage_extract_duration_seconds", "How long finding out what an event is to say took.",
    QUERY_BUCKETS, (), ("event_type", "operator"),
)  # fmt: skip
OPENLINEAGE_EVENT = gauge(
    "ingest", "openlineage_event_size_bytes", "Size of the newest event.", (), ("event_type", "operator")
)
TOOL_CALLS = counter(
    "ingest", "ai_tool_calls_total", "Calls to a toolset of the provider common.ai.",
    (), ("toolset", "framework", "outcome"),
)  # fmt: skip
AGENT_ANSWERS = counter("ingest", "managed_agent_answers_total", "Answers of managed agents.", (), ("tool", "platform"))
AGENT_FAILOVERS = counter(
    "ingest", "managed_agent_failovers_total", "Times that a group of managed agents went on to its next member.",
    (), ("from_platform", "to_platform"),
)  # fmt: skip
