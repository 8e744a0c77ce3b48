"""Tests of what Airflow sends: StatsD, OpenTelemetry, and the series made of it."""
