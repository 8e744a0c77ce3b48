"""An embedded PostgreSQL with a real Airflow schema, an embedded Redis, and simulated work, watched by a real exporter."""
