"""What Airflow itself sends, over StatsD and OpenTelemetry: received, understood, and kept as series."""
